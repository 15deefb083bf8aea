"""What the gate's worker answers: verdicts, with Great Expectations loaded faster than it comes.

Imported by the worker only (`dagster_project.worker`).
"""

import hashlib
import pickle
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec
from typing import Any

from dagster_project.errors import HotlineError


class _WhenUsed(MetaPathFinder):
    """Let Python load a module when its first attribute is asked for.

    Great Expectations imports its plotting library and SciPy's distributions for renderings and
    expectations that no suite here uses: a third of its import time.
    """

    names = frozenset({"altair", "scipy.stats"})

    def __init__(self) -> None:
        self._looking = False

    def find_spec(self, name: str, *_others: object) -> ModuleSpec | None:
        if name not in self.names or self._looking:
            return None
        self._looking = True
        try:
            spec = find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _WhenUsed())

from dagster_project.gate.evaluate import evaluate  # noqa: E402  # after the finder that makes it cheap

# A run asks three times: both checks, then each publishing step. The key is the whole request.
_answers: dict[bytes, Any] = {}


def answer(request: tuple[Any, ...]) -> Any:
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
