"""A child process that answers: in order, once, and never after its parent's end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.errors import GateFailed, HotlineError
from dagster_project.paths import PROJECT
from dagster_project.worker import Worker

MODULE = "tests.unit.answers"
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the process in /proc")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # the child finds the module of answers there
    worker = Worker(MODULE, "试验 / trial")
    yield worker
    worker.stop()


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and "Z" not in stat.read_text().split(")")[-1]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_items_come_before_the_answer_and_the_answer_is_returned(worker: Worker) -> None:
    told = []

    def listen() -> Iterator[object]:
        answer = yield from worker.follow(("count", "3"))
        told.append(answer)

    assert list(listen()) == [0, 1, 2]
    assert told == ["counted"]
    assert worker.ask(("count", "2")) == "counted"


def test_what_the_answer_raises_is_raised_here_and_the_child_goes_on(worker: Worker) -> None:
    with pytest.raises(GateFailed, match="no"):
        worker.ask(("refuse",))
    assert worker.ask(("again",)) == [("refuse",), ("again",)]


def test_requests_are_made_while_the_child_answers_and_answered_in_their_order(worker: Worker) -> None:
    worker.warm_up(("count", "2"))

    def requests() -> Iterator[tuple[str, ...]]:
        yield ("count", "3")
        yield ("again",)

    assert worker.ask_all(requests()) == ["counted", [("count", "2"), ("count", "3"), ("again",)]]
    with pytest.raises(GateFailed, match="no"):
        worker.ask_all([("refuse",), ("after",)])
    assert worker.ask(("now",))[-2:] == [("after",), ("now",)]


def test_a_request_that_can_not_be_made_leaves_no_answer_behind(worker: Worker) -> None:
    def requests() -> Iterator[tuple[str, ...]]:
        yield ("count", "3")
        raise GateFailed("no such table")

    with pytest.raises(GateFailed, match="no such table"):
        worker.ask_all(requests())
    assert worker.ask(("now",)) == [("now",)]


def test_a_first_request_of_the_warm_up_is_answered_unheard(worker: Worker) -> None:
    worker.warm_up(("count", "5"))
    worker.warm_up(("not asked: the child is there",))
    assert worker.ask(("now",)) == [("count", "5"), ("now",)]
    assert list(worker.follow(("count", "2"))) == [0, 1]


def test_a_warm_up_that_raises_does_not_concern_the_next_request(worker: Worker) -> None:
    worker.warm_up(("refuse",))
    assert worker.ask(("now",)) == [("refuse",), ("now",)]


def test_a_child_that_dies_is_an_error_with_its_last_words_and_the_next_call_has_another(worker: Worker) -> None:
    with pytest.raises(HotlineError, match=r"the 试验 / trial process died \(code 7\).*these are my last words$"):
        worker.ask(("die",))
    assert worker.ask(("now",)) == [("now",)]


def test_a_child_that_is_killed_is_an_error_too(worker: Worker) -> None:
    worker.warm_up()
    pid = worker.pid
    assert pid is not None
    killing = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killing.start()
    with pytest.raises(HotlineError, match="died"):
        worker.ask(("sleep",))
    killing.join()


@needs_proc
def test_a_listener_that_leaves_ends_the_child(worker: Worker) -> None:
    following = worker.follow(("count", "3"))
    assert next(following) == 0
    pid = worker.pid
    assert pid is not None
    following.close()
    wait_for_end(pid)
    assert worker.ask(("now",)) == [("now",)]


def test_warm_up_starts_one_child(worker: Worker) -> None:
    seen: set[int | None] = set()

    def start() -> None:
        worker.warm_up()
        seen.add(worker.pid)

    started = [threading.Thread(target=start) for _ in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(seen - {None}) == 1


@needs_proc
@pytest.mark.parametrize("work", ["worker.warm_up()", "worker.warm_up(('sleep',))"], ids=["idle", "at work"])
@pytest.mark.parametrize("end", ["", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], ids=["ends", "killed"])
def test_the_child_ends_with_its_parent_whatever_it_does(work: str, end: str) -> None:
    script = (
        f"from dagster_project.worker import Worker\nworker = Worker({MODULE!r}, 'x')\n{work}\n"
        f"import time; time.sleep(0.5)\nprint(worker.pid, flush=True)\n{end}"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    wait_for_end(int(parent.stdout))
