"""The process of a command: its standard streams, Ctrl-C, and its end.

Belongs here: what holds for every command and must be in place before anything slow is imported.
Does not belong here: commands and their exit codes (`cli.py`).
"""

import atexit
import gc
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from dagster_project.safe_path import protect_children

INTERRUPTED = 130
MESSAGE = "已中断;再次运行同一命令即可 / interrupted; run the same command again"
GRACE_S = 3.0  # seconds from Ctrl-C to the forced end of a process that has not ended by itself
ENDING = (signal.SIGTERM, signal.SIGHUP)  # a service manager and a closed terminal ask for the same as Ctrl-C
_interrupt = threading.Event()
_said = threading.Lock()


def run(command: Callable[[], int]) -> NoReturn:
    """Runs a command to the end of the process, which exits with the returned code, or with 130 after Ctrl-C."""
    try:
        # A run makes hundreds of thousands of objects that live to its end: a search for garbage takes a second.
        gc.disable()
        _prepare_streams()
        _watch_for_interrupts()
        # Registered first, called last: the interpreter then gives SIGINT back its default, death without a message.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        protect_children()
        code = command()
        end_at_interrupt()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if is_interrupted() or code == INTERRUPTED:
        code = INTERRUPTED
        _say_interrupted()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.enable()  # what the interpreter collects at its end would otherwise be reported as leaked
    sys.exit(code)


def end_at_interrupt() -> None:
    """Lets Ctrl-C end this process at once, with the message and exit code 130."""
    signal.signal(signal.SIGINT, _end_now)


def is_interrupted() -> bool:
    """Returns whether the process has received Ctrl-C: failures that follow are its consequence."""
    return _interrupt.is_set()


# --- streams -----------------------------------------------------------------------------------


class _Stream(io.TextIOWrapper):
    """A standard stream that discards what is written after its reader is gone (`hotline … | head -1`).

    Any other failure of stdout, such as a full disk, is raised once: results are lost. A failure of stderr is not:
    nobody could read about it, and the exit code remains that of the command.
    """

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._discard(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._discard(error)

    def _discard(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
            raise error


def _prepare_streams() -> None:
    """Opens the standard streams that the caller has closed (`>&-`), and lets output survive its reader.

    A closed one would be the next file that is opened: a message could end in a database.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        binary = stream.buffer if stream is not None else os.fdopen(descriptor, "wb", closefd=False)
        encoding = stream.encoding if stream is not None else "utf-8"
        setattr(sys, name, _Stream(binary, encoding=encoding, errors="backslashreplace", line_buffering=True))


# --- Ctrl-C ------------------------------------------------------------------------------------


def _watch_for_interrupts() -> None:
    """Ends the process soon after Ctrl-C, whatever its threads are doing.

    Python raises KeyboardInterrupt in the main thread, where a library may swallow it, or wait for a thread that
    never ends. The interpreter notifies a separate thread of the signal. That thread ends the process
    after GRACE_S seconds, or with the second Ctrl-C. The kernel then releases the installation.
    """
    for asked_to_end in ENDING:
        if signal.getsignal(asked_to_end) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
            signal.signal(asked_to_end, signal.default_int_handler)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_after_interrupt, args=(reader,), name="interrupts", daemon=True).start()


def _end_after_interrupt(reader: int) -> None:
    while not {signal.SIGINT, *ENDING} & {*os.read(reader, 64)}:
        pass
    _interrupt.set()
    # should even this thread be kept from running, the kernel ends the process
    signal.setitimer(signal.ITIMER_REAL, 2 * GRACE_S)
    select.select([reader], [], [], GRACE_S)
    _end_now()


def _end_now(*_signal: object) -> NoReturn:
    for child in _children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _say_interrupted()
    os._exit(INTERRUPTED)


def _say_interrupted() -> None:
    """Prints the message once, by the descriptor: another thread may hold the stream, or the lock on imports."""
    if _said.acquire(blocking=False):
        with suppress(OSError):  # nobody reads it
            os.write(2, f"{MESSAGE}\n".encode())


def _children() -> list[int]:
    """Returns the ids of the processes that this one has started; none where the system has no /proc."""
    tasks = Path("/proc/self/task")
    found: list[int] = []
    for task in tasks.iterdir() if tasks.is_dir() else ():
        with suppress(OSError):  # the thread may have ended meanwhile
            found += map(int, (task / "children").read_bytes().split())  # bytes: a decoder would be imported
    return found
