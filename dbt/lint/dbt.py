"""What dbt's own macros are to the linter."""


def type_string() -> str:
    return "text"
