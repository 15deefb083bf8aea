"""A chain of records: whole, or the line is named where it is not."""

from pathlib import Path

import pytest

from dagster_project import chain
from dagster_project.errors import NotReconciled

ENTRIES = [{"what": "甲"}, {"what": "乙", "n": 2}, {"what": '\u2028 "quoted"\n', "of": [1, None, True]}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    for entry in ENTRIES:
        chain.append(path, entry)
    return path


def test_records_come_back_in_order_and_follow_one_another(path: Path) -> None:
    records = chain.read(path)
    assert [{name: record[name] for name in entry} for record, entry in zip(records, ENTRIES, strict=True)] == ENTRIES
    assert [record["previous"] for record in records] == [chain.FIRST, *(record["hash"] for record in records[:-1])]
    assert chain.head(path) == records[-1]["hash"]


def test_many_at_once_are_the_same_file(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "at_once.jsonl"
    assert chain.append(other, *ENTRIES) == chain.head(path)
    assert other.read_bytes() == path.read_bytes()


def test_nothing_recorded(tmp_path: Path) -> None:
    assert chain.read(tmp_path / "none") == []
    assert chain.head(tmp_path / "none") is None
    assert chain.append(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_every_changed_byte_is_found_on_its_line(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        path.write_bytes(bytes(damaged))
        with pytest.raises(NotReconciled) as raised:
            chain.read(path)
        line = whole[:place].count(b"\n") + 1
        # a line end that is gone, or a new one, shows where the joined or the split line begins
        assert f"line {line} " in str(raised.value), place


@pytest.mark.parametrize("gone", [0, 1])
def test_a_missing_line_is_found(path: Path, gone: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines) if number != gone))
    with pytest.raises(NotReconciled, match=f"line {gone + 1} "):
        chain.read(path)
    with pytest.raises(NotReconciled):
        chain.append(path, {"what": "more"})
