"""What dbt's adapter is to the linter: a dispatched macro renders as a call, which is all that layout needs."""

from collections.abc import Callable


def dispatch(name: str, _project: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(str(argument) for argument in arguments)})"
