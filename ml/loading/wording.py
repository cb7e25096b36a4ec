"""Lists and numbers in messages."""


def listed(names: list[str], most: int) -> str:
    """Returns the first `most` names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """Returns a number and its noun: `1 line`, `1,234 lines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
