"""The failures that a user can meet, each with its exit code.

Belongs here: what a failure is called and what the command line returns for it.
Does not belong here: the texts, which stand where the failure is found.
"""

import sys

UNEXPECTED = "意外错误 / unexpected"  # begins the message of a failure that no class here explains


class HotlineError(Exception):
    """A failure that is explained to the user without a traceback (exit code 1).

    Personal data in its message is masked here: Dagster keeps the words of what a step raises.
    """

    exit_code = 1

    def __init__(self, *args: object) -> None:
        # No import here: Ctrl-C may come while another is under way. A process that has read exports has the module.
        masked = getattr(sys.modules.get("dagster_project.ingest.personal"), "masked_message", str)
        super().__init__(*(masked(each) if isinstance(each, str) else each for each in args))


class UsageError(HotlineError):
    """The command or its configuration names something that does not exist."""

    exit_code = 2


class InputRejected(HotlineError):
    """A delivered file, row or declaration is not what it must be."""

    exit_code = 3


class GateFailed(HotlineError):
    """An expectation on the data does not hold: nothing is published."""

    exit_code = 4


class Busy(HotlineError):
    """Another run holds this installation."""

    exit_code = 5


class Interrupted(HotlineError):
    """The user, or the system, asked the run to end before it was done."""

    exit_code = 130


class NotReconciled(HotlineError):
    """Two accounts of the same thing differ: rows, hashes or digits."""

    exit_code = 6


class Damaged(NotReconciled):
    """A file of the state folder is not what was written there, and no run can make it again by itself."""


def explained(error: BaseException | None) -> HotlineError | None:
    """The failure that we can explain among what caused `error`; Dagster wraps what a step raises."""
    while error is not None and not isinstance(error, HotlineError):
        error = getattr(error, "user_exception", None) or error.__cause__
    return error


def failure(exit_code: int) -> type[HotlineError]:
    """The kind of failure that ends a command with `exit_code`; HotlineError where that is none of ours."""
    return next((kind for kind in HotlineError.__subclasses__() if kind.exit_code == exit_code), HotlineError)
