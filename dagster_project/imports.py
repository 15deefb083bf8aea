"""Keep out of a process what a library imports and this process has no use for.

Belongs here: how an import is refused or put off. Does not belong here: which, and why; the process
that wants it says so before it imports the library.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec


def keep_out(absent: frozenset[str] = frozenset(), when_used: frozenset[str] = frozenset()) -> None:
    """From now on, `absent` modules are not found, and `when_used` ones load with their first attribute."""
    sys.meta_path.insert(0, _Finder(absent, when_used))


class _Finder(MetaPathFinder):
    def __init__(self, absent: frozenset[str], when_used: frozenset[str]) -> None:
        self._absent, self._when_used = absent, when_used
        self._looking = False

    def find_spec(self, name: str, *_others: object) -> ModuleSpec | None:
        if name in self._absent:
            raise ModuleNotFoundError(f"{name} is kept out of this process", name=name)
        if name not in self._when_used or self._looking:
            return None
        self._looking = True
        try:
            spec = find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
