"""What `check` reports of a wave's declarations is what a run refuses, in the same words."""

from pathlib import Path

import pytest

from dagster_project.declared import declaration_faults, require_declared
from dagster_project.errors import InputRejected
from dagster_project.ingest.wave import load_wave
from tests.small_wave import WAVE, SmallWave


def test_an_unknown_threshold_is_reported_by_both(tmp_path: Path) -> None:
    small = SmallWave(tmp_path)
    small.declared = {**small.declared, "thresholds": {"min_of_nothing": {"value": 1, "reason": "试用"}}}
    small.write()
    wave = load_wave(small.paths, WAVE)
    (fault,) = declaration_faults(small.paths, wave)
    assert "thresholds.min_of_nothing" in fault and "no suite has this bound" in fault
    with pytest.raises(InputRejected) as rejected:
        require_declared(small.paths, wave)
    assert fault in str(rejected.value)
