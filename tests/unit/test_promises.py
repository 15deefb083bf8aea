"""docs/promises.md names tests that exist."""

import ast
import re

from dagster_project.paths import PROJECT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_promise_names_a_test_that_exists() -> None:
    text = (PROJECT / "docs/promises.md").read_text(encoding="utf-8")
    promises = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert promises
    for promise in promises:
        named = NAMED.findall(promise)
        assert named, promise
        for file, function in named:
            tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert function in functions if function else any(each.startswith("test_") for each in functions), promise
