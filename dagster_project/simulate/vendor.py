"""A wave's tables as the vendors write them: survey workbook, dialler log, web inspection list.

Belongs here: file formats, and what vendors add that nobody scores. Headers, labels and
skip codes come from `raw/profiles/`, read backwards. Does not belong here: what the
values are.
"""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xlsxwriter

from dagster_project.errors import UsageError
from dagster_project.simulate.chance import stream

# A workbook of this many rows stays below what the reader will unpack; the dialler cuts its logs likewise.
ROWS_PER_FILE = {"xlsx": 50_000, "csv": 250_000}
# A workbook carries the time of its making: the end of the field work would do as well.
CREATED = datetime(2024, 1, 1)


def write_export(table: pd.DataFrame, profile: dict[str, Any], glob: Path, seed: int, wave: str) -> list[Path]:
    """Writes one table in the format of its profile, in several files where it is long.

    `table` has bronze's columns (null: not given); columns that the profile does not name are
    an error. The star of `glob` becomes the wave's id, and the number of the part.
    """
    columns = _vendor_columns(table, profile, seed, wave)
    kind = profile["file"]["type"]
    starts = range(0, max(len(table), 1), ROWS_PER_FILE[kind]) if "*" in glob.name else [0]
    written = []
    for number, start in enumerate(starts, start=1):
        rows = slice(start, start + ROWS_PER_FILE[kind] if len(starts) > 1 else None)
        path = glob.with_name(glob.name.replace("*", wave if len(starts) == 1 else f"{wave}_{number:02d}"))
        part = {header: values[rows] for header, values in columns.items()}
        partial = path.with_name(f".{path.name}.part")
        if kind == "xlsx":
            _write_workbook(part, partial)
        else:
            _write_csv(part, profile["file"], partial)
        partial.replace(path)
        written.append(path)
    return written


def _vendor_columns(table: pd.DataFrame, profile: dict[str, Any], seed: int, wave: str) -> dict[str, np.ndarray]:
    """Header to cell values, in the order of the vendor's file."""
    scored = {header: _labels(table[column["field"]], column, profile) for header, column in profile["columns"].items()}
    unknown = set(table.columns) - {column["field"] for column in profile["columns"].values()}
    if unknown:
        raise UsageError(
            f"profiles/{profile['profile']}.yml: 没有字段 {', '.join(sorted(unknown))} 的列 / "
            f"no column for {', '.join(sorted(unknown))}"
        )
    dropped = {header: _unscored(header, table, seed, wave) for header in profile.get("drop", [])}
    # A survey platform puts its own columns first, a dialler and a list of visits at the end.
    return {**dropped, **scored} if profile["file"]["type"] == "xlsx" else {**scored, **dropped}


def _labels(values: pd.Series, column: dict[str, Any], profile: dict[str, Any]) -> np.ndarray:
    """A bronze column in the vendor's words: labels, times, and what he writes where nothing is."""
    words = {code: skip for skip, code in profile["skip_codes"].items() if code is not None}
    words |= {code: label for label, code in column.get("values", {}).items()}
    nothing = next((skip for skip, code in profile["skip_codes"].items() if code is None), "")
    given = values.notna().to_numpy()
    text = np.full(len(values), nothing, dtype=object)
    if pd.api.types.is_datetime64_any_dtype(values):
        text[given] = values[given].dt.strftime(profile["time_formats"][0])
    elif "values" in column:
        text[given] = [words[value] for value in values[given]]
    else:
        text[given] = [str(value) for value in values[given]]
    return text


def _unscored(header: str, table: pd.DataFrame, seed: int, wave: str) -> np.ndarray:
    """What vendors add about persons, machines and themselves: dropped at ingest, but there to be dropped."""
    rng, size = stream(seed, wave, "unscored", header), len(table)
    if header == "序号":
        return np.arange(1, size + 1).astype(object)
    if header == "提交答卷时间":
        later = table["called_at"] + pd.to_timedelta(rng.integers(600, 3600, size), unit="s")
        return later.dt.strftime("%Y/%m/%d %H:%M:%S").to_numpy(dtype=object)
    if header == "所用时间":
        return np.array([f"{seconds}秒" for seconds in rng.integers(120, 900, size)], dtype=object)
    if header == "来自IP":
        return np.array([f"192.0.2.{host}(本地)" for host in rng.integers(1, 255, size)], dtype=object)
    if header == "主叫号码":
        return np.array([f"1{number:010d}" for number in rng.integers(0, 10**7, size)], dtype=object)
    if header == "坐席工号":
        agents = [f"工号{number:04d}" for number in rng.integers(1, 2000, size)]
        return np.where(table["connected"] == "yes", np.array(agents, dtype=object), "")
    constant = {"来源": "手机提交", "来源详情": "直接访问"}
    return np.full(size, constant.get(header, ""), dtype=object)


def _write_csv(columns: dict[str, np.ndarray], file: dict[str, Any], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=file["delimiter"], quotechar=file["quote"], lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(_rows(columns))
    path.write_bytes(text.getvalue().encode(file["encoding"]))


def _write_workbook(columns: dict[str, np.ndarray], path: Path) -> None:
    """One sheet; skip codes are numbers in the platform's workbooks, all else is text."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as workbook:
        workbook.set_properties({"created": CREATED})
        sheet = workbook.add_worksheet("Sheet1")
        for column, header in enumerate(columns):
            sheet.write_string(0, column, header)
        for row, values in enumerate(_rows(columns), start=1):
            for column, value in enumerate(values):
                if value in ("-2", "-3") or not isinstance(value, str):
                    sheet.write_number(row, column, int(value))
                else:
                    sheet.write_string(row, column, value)


def _rows(columns: dict[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    return zip(*(values.tolist() for values in columns.values()), strict=True)
