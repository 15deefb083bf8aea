"""Files that DuckDB reads from several threads by one handle."""

import random
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.database import connect
from dagster_project.read_only_files import ReadOnlyFiles

SIZE = 1 << 16


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> object:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_that_read_one_file_get_their_own_places(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(SIZE)
    (tmp_path / "bronze").mkdir()
    (tmp_path / "bronze" / "file").write_bytes(content)
    files = ReadOnlyFiles(tmp_path, [tmp_path / "bronze"])
    wrong: list[int] = []
    with files.open("input://bronze/file") as handle:

        def read(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(2000):
                start, size = chance.randrange(SIZE), chance.randrange(1, 500)
                handle.seek(start)
                if handle.read(size) != content[start : start + size]:
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        handle.seek(10)
        assert handle.read(5) + handle.read(5) == content[10:20]
        assert handle.seek(-3, 2) == SIZE - 3 and handle.read() == content[-3:] and handle.read(1) == b""


def test_a_query_with_threads_reads_what_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "bronze").mkdir()
    values = [random.Random(2).random() for _ in range(50_000)]
    pq.write_table(pa.table({"value": values}), tmp_path / "bronze" / "part.parquet", row_group_size=2048)
    for _ in range(10):
        with connect(tmp_path, readable=[tmp_path / "bronze"], threads=4) as connection:
            query = "select count(*), min(value), max(value) from read_parquet('input://bronze/*.parquet')"
            assert connection.execute(query).fetchall() == [(len(values), min(values), max(values))]
