"""What a wave declares apart from its exports and the tables of its method: thresholds, report text, its baseline.

`hotline check` reports these faults, and a run requires that there are none before it reads an export. Does not
belong here: the rules themselves.
"""

from dagster_project.claims.narrative import text_faults
from dagster_project.errors import InputRejected
from dagster_project.gate.suites import load_suites, threshold_faults
from dagster_project.ingest.faults import reject
from dagster_project.ingest.wave import Wave
from dagster_project.paths import Paths
from dagster_project.release.comparability import compare_methods
from dagster_project.release.folder import current_release


def declaration_faults(paths: Paths, wave: Wave) -> list[str]:
    """Returns one message per fault, with its place and remedy. Writes nothing.

    The mapping from the baseline's method is judged where the baseline has been published; until then a run of
    the wave asks for that first.
    """
    return [
        *threshold_faults(load_suites(), wave),
        *text_faults(paths, wave.id, wave.method),
        *_baseline_faults(paths, wave),
    ]


def require_declared(paths: Paths, wave: Wave) -> None:
    """Raises InputRejected with every one of `declaration_faults`."""
    faults = declaration_faults(paths, wave)
    if faults:
        reject(wave.id, faults)


def _baseline_faults(paths: Paths, wave: Wave) -> list[str]:
    folder = current_release(paths.current(wave.baseline)) if wave.baseline else None
    if folder is None:
        return []
    try:
        compare_methods(paths.method(wave.method), folder)
    except InputRejected as rejected:
        return str(rejected).splitlines()[1:]  # without the line that counts them
    return []
