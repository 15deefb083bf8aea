"""Sensitivity of the demonstration releases, from the folder and from the command line."""

from collections import Counter

import pytest

from dagster_project.release.reading import Release
from dagster_project.release.sensitivity import sensitivity_of
from tests.conftest import Installation


@pytest.mark.parametrize("wave", ["2022", "2023"])
def test_the_methods_own_weights_and_thresholds_give_the_release(published: Installation, wave: str) -> None:
    """All ranks again from third-level scores (it raises where one differs), and the lines of each class."""
    folder = published.paths.current(wave)
    release, found = Release(folder), sensitivity_of(folder)
    ranked = [row for rows in release.rankings.values() for row in rows if row["rank"] is not None]
    assert found.weight_sensitivity.num_rows == len(ranked) > 370
    classes = Counter(line["line_class"] for line in release.classes.values())
    for threshold, below_pct in (("cold", 30), ("warm", 95)):
        n_lines = {
            row["line_class"]: row["n_lines"]
            for row in found.threshold_sensitivity.to_pylist()
            if (row["threshold"], row["below_pct"]) == (threshold, below_pct)
        }
        assert +Counter(n_lines) == classes


def test_the_command_line_tells_it(published: Installation) -> None:
    told = published.hotline("sensitivity", "--wave", "2023", "--json")
    assert told.code == 0, told.err
    assert told.json["synthetic"] is True
    assert (
        told.json["weight_importance"] == sensitivity_of(published.paths.current("2023")).weight_importance.to_pylist()
    )
    text = published.hotline("sensitivity", "--wave", "2023")
    assert text.code == 0, text.err
    assert "问题解决" in text.out
    assert published.hotline("sensitivity", "--wave", "2031").code == 2
