"""Lists and numbers in messages."""


def listed(names: list[str], most: int) -> str:
    """Returns the first `most` names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: float, noun: str) -> str:
    """Returns a number and its noun, whose plural ends in s: `1 line`, `1,234 lines`."""
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")
