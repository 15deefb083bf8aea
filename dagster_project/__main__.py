"""Entry point of `hotline`: prepares the process, then imports the command line."""

from dagster_project import console


def main() -> None:
    """Runs the command line; does not return."""
    console.run(_command)


def _command() -> int:
    from dagster_project.cli import exit_code

    return exit_code()


if __name__ == "__main__":
    main()
