"""Texts of times: ISO times, and patterns that Spark would refuse or read wrongly.

Spark's patterns: https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""

import re
from collections.abc import Iterator
from itertools import takewhile

import sqlglot
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType

ISO_DATE = r"^\s*\d{4}-\d{1,2}-\d{1,2}"
# A name such as BST or CST at the end means several time zones, hours apart. An offset, UTC, or a
# region such as Europe/Berlin means one.
ZONE_NAME = r"(?i)(?<![A-Za-z_/])(?!(?:utc|ut|gmt|z)\s*$)[a-z]{2,5}\s*$"

# Letters of Spark's patterns: those that Spark can read, and those that it refuses to read.
READ_LETTERS = "GyMLdDhHkKmsSaVzOXxZ"
UNREAD_LETTERS = "EFqQWwuecABnNp"
# Spark's letters for the codes of strftime.
PERCENT_PATTERNS = {
    "%d": "dd", "%m": "MM", "%Y": "yyyy", "%y": "yy", "%H": "HH", "%I": "hh", "%M": "mm",
    "%S": "ss", "%p": "a", "%b": "MMM", "%B": "MMMM", "%f": "SSSSSS", "%z": "XX",
    "%F": "yyyy-MM-dd", "%T": "HH:mm:ss", "%R": "HH:mm", "%j": "DDD",
    "%-d": "d", "%-m": "M", "%-H": "H", "%-I": "h", "%-M": "m", "%-S": "s",
}  # fmt: skip
FRACTION = "[.,]S+"
# Functions of Spark whose last argument can be a time pattern.
TIME_FUNCTIONS = re.compile(r"(?i)(?:try_)?to_(?:timestamp|date)(?:_ntz|_ltz)?")


def pattern_problem(pattern: str) -> str | None:
    """Returns what is wrong with a time pattern and what to write instead; None for a good one.

    Spark accepts some wrong patterns, and then reads a time that the user does not mean.
    """
    problem, fixed = first_problem(pattern)
    advised = pattern
    # One mistake can hide another, so the corrected pattern is checked again. Quoted text between
    # letters can leave a pattern as it was.
    while fixed and fixed != advised:
        advised = fixed
        further, fixed = first_problem(advised)
        if further is None:
            return f"{problem}; write {advised!r}"
        problem = problem if fixed else further
    return problem


def first_problem(pattern: str) -> tuple[str | None, str | None]:
    """Returns a problem of a time pattern and the pattern without it.

    Both are None for a good pattern. The second is None if the problem says what to write.
    """
    if pattern.count("'") % 2:
        return "a quote is not closed", None
    letters = re.sub(r"'[^']*'", "", pattern)
    if "%" in letters:
        return percent_problem(pattern)
    if re.search("[dD]T[hHkK]", letters):
        return "text such as T stands in quotes", re.sub("(?<=[dD])T(?=[hHkK])", "'T'", pattern)
    if "MON" in letters:
        return "the name of a month is MMM", replaced(pattern, "MON", "MMM")
    if re.search("[hHkKmsS] ?AM?$", letters):
        return "AM or PM is the letter a", replaced(pattern, "AM?$", "a")
    known = f"{READ_LETTERS}{UNREAD_LETTERS}Y"
    if unknown := next((c for c in letters if c.isascii() and c.isalpha() and c not in known), ""):
        return (
            f"'{unknown}' is not a letter of Spark's patterns: the year is y, the month M, the day "
            "d, the hour H, the minute m; write for instance 'dd.MM.yyyy'"
        ), None
    if "u" in letters:
        return "the year is y", replaced(pattern, "u", "y")
    if "Y" in letters:
        return "Y is the year that a week belongs to", replaced(pattern, "Y", "y")
    if unread := next((c for c in letters if c in UNREAD_LETTERS), ""):
        return (
            f"Spark cannot read '{unread}' (such as weekdays, weeks, quarters); cut that part off, "
            "as in to_timestamp(substring(day, 6), 'dd MMM yyyy')"
        ), None
    return confused_letters(pattern, letters)


def confused_letters(pattern: str, letters: str) -> tuple[str | None, str | None]:
    """Returns what first_problem does, for letters that Spark reads with another meaning."""
    hour = "[hHkK]+(?:'[^']*'|[^A-Za-z'])*"
    fixed = re.sub(f"({hour})(MM?)(?!M)", lambda part: part[1] + "m" * len(part[2]), pattern)
    if fixed != pattern and (re.search("[ML]", fixed) or not re.search("[yd]", fixed)):
        return "M is the month, m the minute", fixed
    if re.search("[ydD]", letters) and not re.search("[ML]", letters):
        # An m after an hour is a minute.
        fixed = replaced(pattern, "m", "M", kept=f"{hour}m+")
        if fixed != pattern:
            return "m is the minute, M the month", fixed
    if "S" in letters and "s" not in letters:
        fixed = replaced(replaced(pattern, "SS+", "ss", FRACTION), "S", "s", FRACTION)
        if fixed != pattern:
            return "S is the fraction of a second, s the second", fixed
    if "D" in letters and "M" in letters:
        return "D is the day of the year", replaced(replaced(pattern, "DD+", "dd"), "D", "d")
    if re.search("[hK]", letters) and "a" not in letters:
        fixed = replaced(pattern, "[hK]", "H")
        return "h and K count half a day and need the letter a (AM or PM)", fixed
    return None, None


def percent_problem(pattern: str) -> tuple[str, str | None]:
    """Returns the problem of a pattern of strftime, and its translation if every code has one."""
    problem = "Spark's patterns have no %"
    codes = re.findall("%-?.?", pattern)
    if unknown := next((code for code in codes if code not in PERCENT_PATTERNS), ""):
        return f"{problem}, and no letters for '{unknown}'; write for instance 'dd.MM.yyyy'", None
    # Letters between the codes are text.
    parts = re.sub(
        "(%-?.)|[A-Za-z]+",
        lambda part: PERCENT_PATTERNS[part[1]] if part[1] else f"'{part[0]}'",
        pattern,
    )
    return problem, parts


def replaced(pattern: str, letter: str, new: str, kept: str = "(?!)") -> str:
    """Replaces what `letter` matches outside of quoted text, and of what `kept` matches."""
    return re.sub(rf"('[^']*'|{kept})|{letter}", lambda part: part[1] or new, pattern)


def patterns_in(sql: str) -> Iterator[str]:
    """Yields the time patterns that are string literals in calls of TIME_FUNCTIONS."""
    try:
        tokens = sqlglot.tokenize(sql, read="spark")
    except TokenError:  # Spark refuses it with a better message.
        return
    calls: list[bool] = []
    for place, token in enumerate(tokens):
        if token.token_type == TokenType.L_PAREN:
            calls.append(bool(place and TIME_FUNCTIONS.fullmatch(tokens[place - 1].text)))
        elif token.token_type == TokenType.R_PAREN and calls and calls.pop():
            # 'a''b' is two tokens.
            before = reversed(tokens[:place])
            texts = [each.text for each in takewhile(is_string, before)]
            if texts and tokens[place - 1 - len(texts)].token_type == TokenType.COMMA:
                yield "'".join(reversed(texts))


def is_string(token: sqlglot.Token) -> bool:
    """Returns whether a token is a string literal."""
    return token.token_type == TokenType.STRING
