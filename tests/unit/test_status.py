"""What `hotline status` says of waves, also of one that is damaged."""

import logging
import shutil
from pathlib import Path

import pytest

from dagster_project.status import wave_statuses
from tests.small_wave import WAVE, SmallWave

OTHER = "2031-adhoc-1"


def test_a_damaged_ledger_leaves_the_other_waves_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    shutil.copytree(wave.folder, wave.paths.wave_raw(OTHER))
    text = wave.paths.wave_yml(WAVE).read_text(encoding="utf-8")
    wave.paths.wave_yml(OTHER).write_text(text.replace(f"'{WAVE}'", OTHER), encoding="utf-8")
    wave.paths.ledger(WAVE).parent.mkdir()
    wave.paths.ledger(WAVE).write_text("{}\n")
    with caplog.at_level(logging.WARNING, "hotline"):
        found = {each["wave"]: each["corrections"] for each in wave_statuses(wave.paths)}
    nothing = {"pending": 0, "withdrawal_pending": 0, "approved_not_applied": 0, "withdrawn_still_applied": 0}
    assert found == {WAVE: {}, OTHER: nothing}
    assert "ledger.jsonl" in caplog.text
