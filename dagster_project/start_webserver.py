"""Entry point of the webserver's process: Ctrl-C ends it while its modules are imported, which takes seconds."""

import sys

from dagster_project import console


def main() -> int:
    """Runs the webserver and returns its exit code."""
    console.end_at_interrupt()
    from dagster_project.webserver import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
