"""What the gate's worker answers: verdicts, with Great Expectations loaded faster than it comes.

Imported by the worker only (`dagster_project.worker`).
"""

import hashlib
import pickle
from typing import Any

from dagster_project.errors import HotlineError
from dagster_project.imports import keep_out

# A third of Great Expectations' import time is for what no suite here needs: its plotting library,
# SciPy's distributions, and SQLAlchemy, which it takes where it finds it; tables come as data frames.
keep_out(absent=frozenset({"sqlalchemy"}), when_used=frozenset({"altair", "scipy.stats"}))

from dagster_project.gate.evaluate import evaluate  # noqa: E402  # after what makes it cheap

# A run asks three times: both checks, then each publishing step. The key is the whole request.
_answers: dict[bytes, Any] = {}


def answer(request: tuple[Any, ...], _tell: object) -> Any:
    """`evaluate(*request)`. Asked the same of the same rows again, it answers as before without evaluating."""
    key = hashlib.sha256(pickle.dumps(request)).digest()
    if key not in _answers:
        try:
            _answers[key] = evaluate(*request)
        except HotlineError as error:
            _answers[key] = error
    if isinstance(_answers[key], HotlineError):
        raise _answers[key]
    return _answers[key]
