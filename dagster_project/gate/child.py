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


class _Lighter(MetaPathFinder):
    """Keep from Great Expectations what no suite here needs: a third of its import time.

    Its plotting library and SciPy's distributions are loaded when their first attribute is asked
    for. SQLAlchemy, which it takes where it finds it, it does not find: tables come as data frames.
    """

    when_used = frozenset({"altair", "scipy.stats"})
    absent = frozenset({"sqlalchemy"})

    def __init__(self) -> None:
        self._looking = False

    def find_spec(self, name: str, *_others: object) -> ModuleSpec | None:
        if name in self.absent:
            raise ModuleNotFoundError(f"{name} is kept out of this process", name=name)
        if name not in self.when_used or self._looking:
            return None
        self._looking = True
        try:
            spec = find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _Lighter())

from dagster_project.gate.evaluate import evaluate  # noqa: E402  # after the finder that makes it cheap

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
