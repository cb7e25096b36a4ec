"""Texts of times: ISO times, and patterns that Spark would refuse or read wrongly.

Spark's patterns: https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""

import re
from collections.abc import Iterator

ISO_DATE = r"^\s*\d{4}-\d{1,2}-\d{1,2}"
# A name such as BST or CST at the end means several time zones, hours apart. An offset, UTC, or a
# region such as Europe/Berlin means one.
ZONE_NAME = r"(?i)(?<![\w/])(?!(?:utc|ut|gmt|z)\s*$)[a-z]{2,5}\s*$"

# Letters of Spark's patterns: those that Spark can read, and those that it can only write.
READ_LETTERS = "GyMLdQqhHkKmsSaVzOXxZD"
UNREAD_LETTERS = "EueFWwcBn"
# Spark's letters for the codes of strftime.
PERCENT_PATTERNS = {
    "%d": "dd", "%m": "MM", "%Y": "yyyy", "%y": "yy", "%H": "HH", "%I": "hh", "%M": "mm",
    "%S": "ss", "%p": "a", "%b": "MMM", "%B": "MMMM", "%f": "SSSSSS", "%z": "XX",
}  # fmt: skip


def pattern_problem(pattern: str) -> str | None:
    """Returns what is wrong with a time pattern and what to write instead; None for a good one.

    Spark accepts some wrong patterns, and then reads a time that the user does not mean.
    """
    if "%" in pattern:
        translated = re.sub("%.", lambda m: PERCENT_PATTERNS.get(m[0], m[0]), pattern)
        return f"Spark's patterns have no %; write '{translated}'"
    letters = re.sub(r"'[^']*'", "", pattern)
    known = f"{READ_LETTERS}{UNREAD_LETTERS}Y"
    if unknown := next((c for c in letters if c.isalpha() and c not in known), ""):
        return (
            f"'{unknown}' is not a letter of Spark's patterns: the year is y, the month M, the day "
            "d, the hour H, the minute m; write for instance 'dd.MM.yyyy'"
        )
    if "Y" in letters:
        fixed = re.sub("D+", lambda m: "d" * len(m[0]), pattern.replace("Y", "y"))
        return f"Y is the year that a week belongs to; write '{fixed}'"
    if weekday := next((c for c in letters if c in UNREAD_LETTERS), ""):
        return (
            f"Spark cannot read '{weekday}' (weekdays, weeks); cut that part off, as in "
            "to_timestamp(substring(day, 6), 'dd MMM yyyy')"
        )
    if "D" in letters and "M" in letters:
        return f"D is the day of the year; write '{pattern.replace('D', 'd')}'"
    if "m" in letters and not re.search("[hHkK]", letters) and "M" not in letters:
        return f"m is the minute, M the month; write '{pattern.replace('m', 'M')}'"
    if re.search("[hK]", letters) and "a" not in letters:
        fixed = pattern.replace("h", "H").replace("K", "H")
        return f"h is the hour from 1 to 12 and needs a (AM or PM); write '{fixed}'"
    return None


def patterns_in(expression: str) -> Iterator[str]:
    """Yields the time patterns that a SQL expression holds as literals."""
    for call in re.finditer(r"(?i)\b(?:try_)?to_(?:timestamp|date)(?:_ntz|_ltz)?\s*\(", expression):
        depth, is_text = 1, False
        for place in range(call.end(), len(expression)):
            is_text ^= expression[place] == "'"
            if not is_text:
                depth += {"(": 1, ")": -1}.get(expression[place], 0)
            if depth == 0:
                arguments = expression[call.end() : place]
                # The pattern is the last argument. In it '' and \' stand for a quote.
                if pattern := re.search(r",\s*'((?:[^'\\]|\\.|'')*)'\s*$", arguments):
                    yield pattern[1].replace("''", "'").replace("\\'", "'")
                break
