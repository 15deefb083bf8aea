"""A child process that has Great Expectations loaded, so that its import overlaps with other work.

Belongs here: starting, asking and ending that process. Does not belong here: what it computes.

Importing Great Expectations takes about three seconds of one core (eight without bytecode). The
child is a fresh interpreter of this module and not of multiprocessing, which would run the
caller's `__main__` again.
"""

import atexit
import gc
import hashlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec
from multiprocessing.connection import Connection, Pipe
from typing import IO, TYPE_CHECKING, Any

from dagster_project.errors import HotlineError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_WORDS = 2000  # characters of a dead worker's last words that a message carries


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"
    words: IO[bytes]


_guard = threading.Lock()
_workers: list[_Worker] = []  # none or one


def warm_up() -> None:
    """Start the worker, unless it is there, and return at once."""
    # where another thread holds the guard it has started the worker, or is about to
    if _guard.acquire(blocking=False):
        try:
            _worker()
        finally:
            _guard.release()


def evaluate_in_worker(
    suite_name: str, expectations: Sequence[dict[str, Any]], index_columns: Sequence[str], table: "pa.Table"
) -> list[dict[str, Any]]:
    """`gate.evaluate.evaluate` in the worker, which is started where it is not there yet.

    Asked the same of the same rows again, the worker answers as before without evaluating.
    Raises what `evaluate` raises; HotlineError, with the worker's last words, where it has died.
    The next call then starts another.
    """
    with _guard:
        worker = _worker()
        try:
            worker.connection.send_bytes(pickle.dumps((suite_name, list(expectations), list(index_columns), table)))
            answer = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise HotlineError(_last_words(worker)) from error
        except BaseException:
            _stop()  # an interrupted exchange leaves an answer in the pipe: it must not be the next one's
            raise
    if isinstance(answer, HotlineError):
        raise answer
    return list(answer)


def serve(handle: int) -> None:
    """The child: load Great Expectations, then answer until the parent's end of the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end is the child's
    sys.meta_path.insert(0, _WhenUsed())
    gc.disable()  # collections during the import find nothing and take half a second
    from dagster_project.gate.evaluate import evaluate

    gc.freeze()
    gc.enable()
    connection: Connection[Any, Any] = Connection(handle)
    # A run asks three times: both checks, then each publishing step. The key is the whole request.
    answers: dict[bytes, Any] = {}
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        key = hashlib.sha256(request).digest()
        if key not in answers:
            try:
                answers[key] = evaluate(*pickle.loads(request))
            except HotlineError as error:
                answers[key] = error
        connection.send(answers[key])


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


def _worker() -> _Worker:
    """The worker; a new one where there is none. To be called with the guard held."""
    if not _workers:
        ours, childs = Pipe()
        words = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the worker
        command = [sys.executable, "-P", "-m", "dagster_project.gate.worker", str(childs.fileno())]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, pass_fds=[childs.fileno()]
        )
        childs.close()
        _workers.append(_Worker(process, ours, words))
    return _workers[0]


@atexit.register
def _stop() -> None:
    while _workers:
        worker = _workers.pop()
        worker.connection.close()
        worker.process.kill()
        worker.process.wait()
        worker.words.close()


def _last_words(worker: _Worker) -> str:
    code = worker.process.wait()
    worker.words.seek(0)
    words = worker.words.read().decode("utf-8", "replace").strip()[-MAX_WORDS:]
    _stop()
    return (
        f"质量门进程意外结束(代码 {code}),未得出任何结论;请重新运行 / the gate's worker died (code {code}) without a "
        f"verdict; run again. {words}"
    ).strip()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
