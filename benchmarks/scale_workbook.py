"""A workbook of phone questionnaires as large as a vendor may send it, read and unpacked.

Belongs here: writing it, and the two times. Does not belong here: what is reported.

`python -m benchmarks.scale_workbook write FILE ROWS RAW`, `python -m benchmarks.scale_workbook read FILE`
"""

import json
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import xlsxwriter

from benchmarks.scale_data import BASE
from benchmarks.vectorised_script import read_cells
from dagster_project.ingest.workbook import LIMITS, read_workbook

CHUNK = 1 << 20


def write(file: Path, n_rows: int, raw: Path) -> None:
    """The demonstration's questionnaires (below `raw`) one after the other, until there are so many rows."""
    (export,) = (raw / BASE).glob("phone_*.xlsx")
    header, *rows = read_cells(export, {"type": "xlsx"})
    with xlsxwriter.Workbook(file) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, header)
        for number in range(n_rows):
            sheet.write_row(number + 1, 0, rows[number % len(rows)])


def read(file: Path) -> dict[str, float]:
    """Seconds to unpack every part of the file, and to read its cells through the guard.

    Memory is bounded as always; time is what is measured, and a busy machine must not end it.
    """
    started = time.perf_counter()
    with zipfile.ZipFile(file) as package:
        for part in package.infolist():
            with package.open(part) as stream:
                while stream.read(CHUNK):
                    pass
    unzipped = time.perf_counter()
    read_workbook(file.read_bytes(), file.name, None, 1, replace(LIMITS, cpu_seconds=600, wall_seconds=600))
    return {"unzip_s": unzipped - started, "read_s": time.perf_counter() - unzipped}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        print(json.dumps(read(Path(sys.argv[2]))))
