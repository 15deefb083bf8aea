"""A warehouse that anything but the steps has written to is found, whatever was written."""

import shutil
from pathlib import Path

import duckdb
import pytest

from dagster_project.errors import NotReconciled
from dagster_project.paths import Paths
from dagster_project.transform import warehouse
from dagster_project.transform.dbt_step import PUBLISHED, SCORES
from dagster_project.transform.warehouse import (
    CHANGED_OUTSIDE,
    MODELS_CHANGED,
    NO_RECORD,
    UNFINISHED,
    begin_step,
    drop_stale_warehouse,
    finish_step,
    require_as_begun,
    require_published,
    require_unchanged,
)

WRITES = {
    "a score of the wave": "update score_total set score_nano = 1 where wave = '2023'",
    "a score of another wave": "update score_total set score_nano = 1 where wave = '2022'",
    "a published row": "delete from pub_rankings",
    "one more row": "insert into score_total values ('2022', 'C', 7)",
    "an equal row twice": "insert into score_total from score_total limit 1",
    "a type": "alter table score_total alter score_nano type double",
    "a column's name": "alter table score_total rename score_nano to score",
    "one more column": "alter table score_total add note text",
    "one more table": "create table mine as select 1 as one",
    "a table in another schema": "create schema mine; create table mine.score_total as select 1 as one",
    "a missing table": "drop table pub_rankings",
    "a view's query": "create or replace view stg_answers as select 2 as answer",
    "a missing view": "drop view stg_answers",
    "a macro": "create macro half_up(a, b) as a",
    "an index": "create index totals on score_total (line_id)",
    "a comment": "comment on table score_total is 'changed'",
}


@pytest.fixture
def left(tmp_path: Path) -> Paths:
    """An installation whose warehouse is as the steps left it."""
    paths = Paths(raw=tmp_path, home=tmp_path / "home")
    paths.home.mkdir()
    drop_stale_warehouse(paths)
    for step in (SCORES, PUBLISHED):
        begin_step(paths, "2023", step)
        with duckdb.connect(str(paths.warehouse)) as connection:
            if step == SCORES:
                connection.execute("create table score_total (wave text, line_id text, score_nano bigint)")
                connection.execute("insert into score_total values ('2022', 'A', 5), ('2023', 'A', 6)")
                connection.execute("create view stg_answers as select 1 as answer")
            else:
                connection.execute("create table pub_rankings as select 1 as rank")
        finish_step(paths)
    return paths


@pytest.mark.parametrize("name", WRITES)
def test_a_write_from_outside_is_found(left: Paths, name: str) -> None:
    with duckdb.connect(str(left.warehouse)) as connection:
        connection.execute(WRITES[name])
    with pytest.raises(NotReconciled, match="changed outside the pipeline"):
        require_unchanged(left)
    assert drop_stale_warehouse(left) == CHANGED_OUTSIDE
    assert not left.warehouse.exists()


def test_a_write_that_is_still_in_the_log_is_found(left: Paths, tmp_path: Path) -> None:
    """As a program that was killed leaves it: DuckDB applies the log when it next opens the file."""
    connection = duckdb.connect(str(left.warehouse))
    connection.execute("set checkpoint_threshold = '1GB'")
    connection.execute("update score_total set score_nano = 1")
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        shutil.copy(left.home / name, tmp_path / name)
    connection.close()
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        shutil.copy(tmp_path / name, left.home / name)
    assert drop_stale_warehouse(left) == CHANGED_OUTSIDE
    assert list(left.home.glob("warehouse.duckdb*")) == []


def test_reading_is_no_change(left: Paths) -> None:
    with duckdb.connect(str(left.warehouse)) as connection:
        assert connection.execute("select count(*) from score_total").fetchall() == [(2,)]
        connection.execute("force checkpoint")
    assert drop_stale_warehouse(left) is None
    require_published(left, "2023")


def test_a_copy_elsewhere_is_the_same_warehouse(left: Paths, tmp_path: Path) -> None:
    shutil.copytree(left.home, tmp_path / "copy")
    assert drop_stale_warehouse(Paths(raw=tmp_path, home=tmp_path / "copy")) is None


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_or_missing_file_is_computed_again(left: Paths, content: bytes | None) -> None:
    left.warehouse.unlink()
    if content is not None:
        left.warehouse.write_bytes(content)
    with pytest.raises(NotReconciled):
        require_unchanged(left)
    assert drop_stale_warehouse(left) == (None if content is None else CHANGED_OUTSIDE)
    assert drop_stale_warehouse(left) is None


def test_without_its_record_nothing_is_trusted(left: Paths) -> None:
    (left.home / "warehouse.json").unlink()
    with pytest.raises(NotReconciled):
        require_unchanged(left)
    assert drop_stale_warehouse(left) == NO_RECORD


def test_other_models_compute_everything_again(left: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "project_fingerprint", lambda: "other models")
    assert drop_stale_warehouse(left) == MODELS_CHANGED


def test_models_that_changed_while_a_step_was_at_work_compute_everything_again(
    left: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_step(left, "2023", SCORES)
    monkeypatch.setattr(warehouse, "project_fingerprint", lambda: "other models")
    finish_step(left)
    assert drop_stale_warehouse(left) == MODELS_CHANGED


def test_a_step_that_did_not_finish_is_computed_again(left: Paths) -> None:
    begin_step(left, "2023", SCORES)
    with pytest.raises(NotReconciled, match="did not finish"):
        require_unchanged(left)
    assert drop_stale_warehouse(left) == UNFINISHED


def test_a_write_between_the_check_and_the_step_is_found(left: Paths) -> None:
    begin_step(left, "2023", PUBLISHED)
    require_as_begun(left)
    with duckdb.connect(str(left.warehouse)) as connection:
        connection.execute("update score_total set score_nano = 1")
    with pytest.raises(NotReconciled, match="changed outside the pipeline"):
        require_as_begun(left)


def test_tables_older_than_the_scores_are_not_published(left: Paths) -> None:
    require_published(left, "2023")
    begin_step(left, "2023", SCORES)
    finish_step(left)
    with pytest.raises(NotReconciled, match="2023"):
        require_published(left, "2023")
    require_unchanged(left)
