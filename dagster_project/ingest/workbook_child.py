"""Runs alone in a child process: one workbook from standard input, its cells to standard output.

Belongs here: what must touch the workbook library, which can abort, hang or eat memory on a
hostile file. Does not belong here: any judgement of values. Imports nothing of ours; started by
`workbook.py` with the arguments as one JSON object.

Output, JSON: {"sheets": [...]} and, where the sheet was found, "columns": [{"text": [...],
"kinds": "..."}] of the rows from the header row on, "above": the texts of the first rows above it,
and "merged": [[row, column, row, column]] counted from 0; {"unsafe": name} where the part of the
sheet is one of the task's `unsafe_parts`; {"misread": what, where} where the library would not read
the sheet's cells as they are. A cell's kind is one letter:
e empty, s text, n whole number of at most 15 digits, f fraction, l longer number, z number shown
with leading zeros, b boolean, d date (ISO text, to the second), t time of day or duration,
x error value, q formula without a stored value (its text is the formula). A failure of the library is {"error": text}.
"""

import datetime
import io
import json
import posixpath
import re
import resource
import sys
import zipfile

MAX_ABOVE = 30  # rows above the header that are passed on

# Looked for in the XML of one sheet, from its table of cells on; namespace prefixes are allowed.
SHEET_DATA = re.compile(rb"<(?:\w+:)?sheetData[\s/>]")
# What no cell has that Excel writes: where none of this is found, `MISREAD_CELLS`, five times as slow, need not be
# looked for (a sheet of 3.2 million cells: 0.5 s in place of 2.7 s, beside 2.9 s of reading).
UNUSUAL_CELLS = (
    re.compile(rb"<!--"),
    re.compile(rb"<\?"),
    re.compile(rb":(?:v|is)[\s/>]"),
    re.compile(rb"<v(?!>)"),
    re.compile(rb"<v>[^<&]*+(?!</v></c>)"),
    re.compile(rb"</v>(?!</c>)"),
    re.compile(rb"</is>(?!</c>)"),
    re.compile(rb't="s"(?!><v>[0-9]{1,9}</v></c>)'),
    re.compile(rb"t\s*=\s*'s|t\s+=|t=\s"),
)
MISREAD_CELLS = {
    "comment": re.compile(rb"<!--|<\?"),
    "shared-string index": re.compile(
        rb"\bt\s*=\s*[\"']s[\"'][^>]*(?<!/)>"
        rb"(?!\s*(?:<(?:\w+:)?v(?:\s[^>]*)?(?:/>|>[0-9]{0,9}</(?:\w+:)?v\s*>)\s*)?</(?:\w+:)?c\s*>)"
    ),
    "CDATA": re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?>[^<]*<(?!/)"),
    "character reference": re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?>[^<&]*(?:&(?:amp|lt|gt|quot|apos);[^<&]*)*&(?!\w+;)"),
    "two values": re.compile(rb"</(?:\w+:)?(?:v|is)\s*>\s*<(?:\w+:)?(?:v|is)[\s/>]"),
}
ROW_OR_CELL = re.compile(rb"<(?:\w+:)?(row|c)((?:\s+[^\s=/>]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*+)\s*/?>")
REFERENCE = re.compile(rb"\sr\s*=\s*[\"']([A-Za-z]*)([0-9]+)[\"']")
CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br\s*=\s*[\"']([A-Za-z]+[0-9]+)[\"']")


def main() -> None:
    task = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (task["memory_bytes"], task["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CPU, (task["cpu_seconds"], task["cpu_seconds"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.path.append(task["library"])
    content = sys.stdin.buffer.read()
    try:
        result = read(
            content, task["sheet"], task["header_row"], task["has_special_cells"], frozenset(task["unsafe_parts"])
        )
    except Exception as error:  # noqa: BLE001 - whatever the library or the file does is the answer
        result = {"error": f"{type(error).__name__}: {error}"}
    output = json.dumps(result, ensure_ascii=False).encode("utf-8", "replace")
    if len(output) > task["output_bytes"]:
        output = json.dumps({"error": f"more than {task['output_bytes'] >> 20} MB of text"}).encode()
    sys.stdout.buffer.write(output)


def read(
    content: bytes, sheet_name: str | None, header_row: int, has_special_cells: bool, unsafe_parts: frozenset
) -> dict:
    from python_calamine import CalamineWorkbook, SheetTypeEnum

    workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    names = [each.name for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
    chosen = sheet_name if sheet_name is not None else (names[0] if len(names) == 1 else None)
    if chosen not in names:
        return {"sheets": names}
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        name = sheet_part(package, chosen)
        if name in unsafe_parts:
            return {"unsafe": name}
        part = package.read(name)
        padded = padded_styles(package) if has_special_cells else set()
    if (found := misread(part)) is not None:
        return {"misread": found}
    sheet = workbook.get_sheet_by_name(chosen)
    rows = sheet.to_python(skip_empty_area=False)
    require_distinct(part, sum(len(cells) - cells.count("") for cells in rows))
    above = [[cell_text(cell)[0] for cell in cells] for cells in rows[: min(header_row - 1, MAX_ABOVE)]]
    rows = rows[header_row - 1 :]
    special = special_cells(part, padded) if has_special_cells else {}
    columns = [as_text(cells) for cells in zip(*rows, strict=True)]
    for (row, column), (kind, text) in special.items():
        below = row - header_row + 1
        if 0 <= below < len(rows) and column < len(columns):
            put(columns[column], below, kind, text)
        elif kind == "q" and below >= 0:
            # beyond the last value: the reader would not see that there is a row
            return {"error": f"a formula without a stored value: row {row + 1}, column {column + 1}"}
    merged = [[*start, *end] for start, end in sheet.merged_cell_ranges or []]
    return {"sheets": names, "sheet": chosen, "above": above, "columns": columns, "merged": merged}


def as_text(cells: tuple) -> dict:
    """One column: the text of each cell, and its kinds as one string."""
    others = set(map(type, cells)) - {str}
    if not others:
        return {"text": list(cells), "kinds": "".join(["s" if cell else "e" for cell in cells])}
    if len(others) == 1:
        # of one type, what is equal has one text; 1, 1.0 and True would be equal too
        texts, kinds = {}, {}
        for cell in set(cells):
            texts[cell], kinds[cell] = cell_text(cell)
        return {"text": [*map(texts.__getitem__, cells)], "kinds": "".join(map(kinds.__getitem__, cells))}
    pairs = [cell_text(cell) for cell in cells]
    return {"text": [text for text, _ in pairs], "kinds": "".join([kind for _, kind in pairs])}


def cell_text(cell: object) -> tuple[str, str]:
    if isinstance(cell, str):
        return cell, "s" if cell else "e"
    if isinstance(cell, bool):
        return str(cell).upper(), "b"
    if isinstance(cell, int | float):
        if cell != cell or abs(cell) >= 1e15:
            return repr(cell), "l"
        return (str(int(cell)), "n") if cell == int(cell) else (repr(cell), "f")
    if isinstance(cell, datetime.datetime):
        # Excel keeps times as fractions of a day: what it shows as a second may lie a millisecond off
        whole = cell + datetime.timedelta(microseconds=500_000) if cell.year < 9999 else cell
        return whole.strftime("%Y-%m-%d %H:%M:%S").zfill(19), "d"
    if isinstance(cell, datetime.date):
        return f"{cell.isoformat()} 00:00:00", "d"
    return str(cell), "t"


def put(column: dict, row: int, kind: str, text: str | None) -> None:
    if text is not None:
        column["text"][row] = text
    column["kinds"] = column["kinds"][:row] + kind + column["kinds"][row + 1 :]


def misread(part: bytes) -> str | None:
    """What a sheet's XML holds that the library skips or misreads without an error, with its cell; None: nothing.

    The library takes a shared-string index that is not a whole number for 0, drops a value that is written as
    CDATA or as a character reference, keeps one of two values of a cell, and reads the first `sheetData` only.
    Spreadsheet programs write none of these.
    """
    table = SHEET_DATA.search(part)
    if table is None or (part.count(b"sheetData") > 2 and SHEET_DATA.search(part, table.end())):  # 2: its two tags
        return "sheetData × 0" if table is None else "sheetData × 2"
    cells = memoryview(part)[table.start() :]
    if not any(pattern.search(cells) for pattern in UNUSUAL_CELLS):
        return None
    for what, pattern in MISREAD_CELLS.items():
        if match := pattern.search(cells):
            before = [each[1].decode() for each in CELL.finditer(cells[: match.end()])]
            return f"{before[-1] if before else '?'}, {what}"
    return None


def require_distinct(part: bytes, n_filled: int) -> None:
    """Raise ValueError where two cells of a sheet have one place: the library keeps the last without a word.

    Looks closely only where the sheet's XML has more values than the library gave.
    """
    n_values = part.count(b"</v") + part.count(b":v") // 2 + part.count(b"</is") + part.count(b":is") // 2
    if n_values <= n_filled:
        return
    seen = set()
    row, column = 0, 0  # from 1; what has no reference of its own follows what is before it
    for match in ROW_OR_CELL.finditer(part):
        reference = REFERENCE.search(match[2])
        if match[1] == b"row":
            row, column = int(reference[2]) if reference else row + 1, 0
            continue
        if reference:
            row, column = int(reference[2]), position(reference[1].upper() + b"1")[1] + 1
        else:
            column += 1
        if (row, column) in seen:
            raise ValueError(f"two cells are in row {row}, column {column}")
        seen.add((row, column))


def special_cells(part: bytes, padded: set) -> dict:
    """(row, column) from 0 -> (kind, text): error values, formulas without a value, numbers padded with zeros.

    `padded`: the style numbers of `padded_styles`.
    """
    found = {}
    for match in re.finditer(rb"<(?:\w+:)?c\s([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", part, re.DOTALL):
        attributes = dict(re.findall(rb"(\w+)\s*=\s*[\"']([^\"']*)[\"']", match[1]))
        body = match[2] or b""
        value = re.search(rb"<(?:\w+:)?v(?:\s[^>]*)?>([^<]*)<", body)
        formula = re.search(rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>([^<]*))", body)
        place = position(attributes.get(b"r", b""))
        kind = attributes.get(b"t", b"n")
        if kind == b"e":
            found[place] = ("x", value[1].decode("utf-8") if value else "#ERROR")
        elif formula and (not value or (not value[1] and kind != b"str")):
            found[place] = ("q", "=" + (formula[1] or b"").decode("utf-8"))
        elif kind == b"n" and value and attributes.get(b"s") in padded:
            found[place] = ("z", None)
    return found


def sheet_part(package: zipfile.ZipFile, sheet_name: str) -> str:
    """The part of the package that holds the sheet of that name."""
    import xml.etree.ElementTree as ET

    relations = {
        each.get("Id"): each.get("Target", "") for each in ET.fromstring(package.read("xl/_rels/workbook.xml.rels"))
    }
    for each in ET.fromstring(package.read("xl/workbook.xml")).iter():
        if each.tag.endswith("}sheet") and each.get("name") == sheet_name:
            identity = next(value for key, value in each.attrib.items() if key.endswith("}id"))
            target = relations[identity]
            if ".." in target or "//" in target or target.startswith("xl/"):
                raise ValueError(f"a sheet's part may not be named {target}")  # the library finds another one
            return posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")
    raise KeyError(f"no part holds the sheet {sheet_name}")


def padded_styles(package: zipfile.ZipFile) -> set[bytes]:
    """Style numbers whose format is zeros only (000000)."""
    import xml.etree.ElementTree as ET

    if "xl/styles.xml" not in package.namelist():
        return set()
    styles = ET.fromstring(package.read("xl/styles.xml"))
    formats = {
        each.get("numFmtId")
        for each in styles.iter()
        if each.tag.endswith("}numFmt") and re.fullmatch(r"0{2,}", each.get("formatCode", ""))
    }
    cells = next((list(each) for each in styles.iter() if each.tag.endswith("}cellXfs")), [])
    return {str(number).encode() for number, each in enumerate(cells) if each.get("numFmtId") in formats}


def position(reference: bytes) -> tuple[int, int]:
    """B5 -> (4, 1). Raises ValueError where a cell does not say where it is."""
    match = re.fullmatch(rb"([A-Z]{1,3})([0-9]{1,7})", reference)
    if not match:
        raise ValueError("a cell without a reference")
    column = 0
    for letter in match[1]:
        column = 26 * column + letter - 64
    return int(match[2]) - 1, column - 1


if __name__ == "__main__":
    main()
