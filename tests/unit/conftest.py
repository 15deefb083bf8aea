"""What several unit tests begin with."""

from pathlib import Path

import pytest

from tests.small_wave import SmallWave


@pytest.fixture
def wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWave:
    """A small wave, delivered and not ingested. No test of it asks what survives a power cut, so nothing is flushed."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    wave = SmallWave(tmp_path)
    wave.write()
    return wave
