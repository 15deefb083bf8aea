"""A child process that has a slow library loaded, so that its import overlaps with other work.

Belongs here: starting, asking and ending such a process. Does not belong here: what it computes.
That is the function `answer(request, tell)` of the module that the worker is made for; whatever
that module imports is loaded in the child alone. `tell(item)` sends something on before the answer.

Importing Great Expectations or dbt takes seconds of one core (more without bytecode). The child is
a fresh interpreter of this module and not of multiprocessing, which would run the caller's
`__main__` again.
"""

import atexit
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import IO, Any

from dagster_project.errors import HotlineError
from dagster_project.safe_path import protect_children

MAX_WORDS = 2000  # characters of a dead child's last words that a message carries
# What DuckDB's bindings print when a process ends early: pages of it, below the reason.
AFTER_THE_END = re.compile(r"^(nanobind: | - (leaked|\.\.\. skipped)|See \S*nanobind).*\n?", re.MULTILINE)


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"
    words: IO[bytes]


class Worker:
    """One child process that answers by the function `answer` of `module`; started when first needed.

    It ends with this process, even where this one is killed in the middle of an answer.
    """

    def __init__(self, module: str, title: str) -> None:
        self._module = module
        self._title = title
        self._guard = threading.Lock()
        self._child: _Child | None = None
        self._unread = 0  # answers that nobody waits for
        atexit.register(self.stop)

    @property
    def pid(self) -> int | None:
        """Process id of the child; None where none runs."""
        return self._child.process.pid if self._child else None

    def warm_up(self, request: object = None) -> None:
        """Start the child, unless it is there, and return at once.

        A new child is asked `request` first, if there is one: nobody waits for what it answers, but
        the next request finds it in practice.
        """
        # where another thread holds the guard it has started the child, or is about to
        if self._guard.acquire(blocking=False):
            try:
                if self._child is None and request is not None:
                    self._send(self._started(), request)
                self._started()
            finally:
                self._guard.release()

    def ask(self, request: object) -> Any:
        """The child's answer; both are pickled on their way.

        Raises the HotlineError that `answer` raised, or one with the child's last words where it
        has died. The next call then starts another.
        """
        return self.ask_all([request])[0]

    def follow(self, request: object) -> Generator[Any, None, Any]:
        """What the child tells on its way, as it comes; returns and raises what `ask` does.

        The child ends where the caller stops listening before the answer.
        """
        with self._exchange() as child:
            self._send(child, request)
            while self._unread:
                is_answer, said = self._receive(child)
                if self._unread and not is_answer:
                    yield said
        if isinstance(said, HotlineError):
            raise said
        return said

    def ask_all(self, requests: Iterable[object]) -> list[Any]:
        """One answer per request, in their order; the child works on one while the next is made.

        Raises what making a request raises, and the first HotlineError that was answered.
        """
        answers: list[Any] = []
        with self._exchange() as child:
            n_earlier = self._unread
            for request in requests:
                self._send(child, request)
            while self._unread:
                is_answer, said = self._receive(child)
                answers += [said] if is_answer else []
        for answer in answers[n_earlier:]:
            if isinstance(answer, HotlineError):
                raise answer
        return answers[n_earlier:]

    @contextmanager
    def _exchange(self) -> Iterator[_Child]:
        with self._guard:
            try:
                yield self._started()
            except BaseException:
                self.stop()  # an interrupted exchange leaves an answer in the pipe: it must not be the next one's
                raise

    def _send(self, child: _Child, request: object) -> None:
        try:
            child.connection.send_bytes(pickle.dumps(request))
        except OSError as error:
            raise HotlineError(self._last_words(child)) from error
        self._unread += 1

    def _receive(self, child: _Child) -> tuple[bool, Any]:
        try:
            is_answer, said = child.connection.recv()
        except (EOFError, OSError) as error:
            raise HotlineError(self._last_words(child)) from error
        self._unread -= is_answer
        return is_answer, said

    def stop(self) -> None:
        """End the child, whatever it is doing."""
        child, self._child, self._unread = self._child, None, 0
        if child is not None:
            child.connection.close()
            child.process.kill()
            child.process.wait()
            child.words.close()

    def _started(self) -> _Child:
        """The child; a new one where there is none. To be called with the guard held."""
        if self._child is None:
            ours, childs = Pipe()
            words = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the child
            command = [sys.executable, "-P", "-m", "dagster_project.worker", str(childs.fileno()), self._module]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, pass_fds=[childs.fileno()]
            )
            childs.close()
            self._child = _Child(process, ours, words)
        return self._child

    def _last_words(self, child: _Child) -> str:
        code = child.process.wait()
        child.words.seek(0)
        said = child.words.read().decode("utf-8", "replace")
        words = AFTER_THE_END.sub("", said).strip()[-MAX_WORDS:]
        self.stop()
        return (
            f"{self._title} 进程意外结束(代码 {code}),未得出任何结论;请重新运行 / the {self._title} process died "
            f"(code {code}) without an answer; run again. {words}"
        ).strip()


GATE = Worker("dagster_project.gate.child", "质量门 / gate")
DBT = Worker("dagster_project.transform.child", "dbt")


def serve(handle: int, module: str) -> None:
    """The child: load the module, then answer until the parent's end of the pipe closes."""
    for asked_to_end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked_to_end, signal.SIG_IGN)  # the parent's to handle; its end is the child's
    connection: Connection[Any, Any] = Connection(handle)
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    # Collections during the import find nothing and take half a second; later ones a fifth of an answer.
    gc.disable()
    answer = import_module(module).answer
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()
    sending = threading.Lock()

    def send(is_answer: bool, said: Any) -> None:
        with sending:  # an item may be told from any thread
            connection.send((is_answer, said))

    while True:
        try:
            result = answer(pickle.loads(requests.get()), partial(send, False))
        except HotlineError as error:
            result = error
        send(True, result)


def _receive(connection: "Connection[Any, Any]", requests: "SimpleQueue[bytes]") -> None:
    while True:
        try:
            requests.put(connection.recv_bytes())
        except (EOFError, OSError):
            # The parent is gone: nobody waits for an answer, and what is half written must not go on
            # beside the next run. At once, whatever the main thread does.
            os._exit(0)


if __name__ == "__main__":
    protect_children()
    serve(int(sys.argv[1]), sys.argv[2])
