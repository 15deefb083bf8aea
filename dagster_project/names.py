"""What a user may call a wave or a line, judged where the name comes in.

Belongs here: names that a command, a partition key or a link brings. Does not belong here: names in
declarations (`ingest/declaration.py`, `ingest/reference.py`), whether there is such a wave or line.
"""

from dagster_project.errors import UsageError
from dagster_project.ingest.faults import shown
from dagster_project.paths import NAME, WAVE_ID


def require_wave_id(text: str) -> str:
    """`text`. Raises UsageError where it can not be the id of a wave, and so stands in no path."""
    if not WAVE_ID.fullmatch(text):
        raise UsageError(
            f"「{shown(text)}」不是监测期编号(如 2023 或 2023-adhoc-07) / not a wave id (2023 or 2023-adhoc-07)"
        )
    return text


def require_line_id(text: str) -> str:
    """`text`. Raises UsageError where it can not be the code of a line."""
    if not NAME.fullmatch(text):
        raise UsageError(f"「{shown(text)}」不是热线编码(如 370100) / not the code of a line (370100)")
    return text
