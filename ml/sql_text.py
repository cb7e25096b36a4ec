"""Names and texts in SQL."""


def identifier(name: str) -> str:
    """Returns the name of a column in backticks."""
    return f"`{name.replace('`', '``')}`"


def quote(text: str) -> str:
    """Returns a text as a string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
