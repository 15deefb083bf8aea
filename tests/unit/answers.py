"""What the worker of test_worker.py answers: enough to see each of its promises."""

import os
import time
from collections.abc import Callable

from dagster_project.errors import GateFailed

asked: list[object] = []


def answer(request: tuple[str, ...], tell: Callable[[object], None]) -> object:
    asked.append(request)
    match request:
        case ("count", upto):
            for number in range(int(upto)):
                tell(number)
            return "counted"
        case ("refuse",):
            raise GateFailed("no")
        case ("die",):
            print("these are my last words", flush=True)
            # what DuckDB's bindings say after that: more than a message carries
            print("nanobind: leaked 99 instances!")
            for number in range(99):
                print(f' - leaked instance 0x{number:012x} of type "_duckdb._sqltypes.DuckDBPyType"')
            print(" - ... skipped remainder")
            print("See nanobind/refleaks.html", flush=True)
            os._exit(7)
        case ("sleep",):
            time.sleep(60)
    return list(asked)
