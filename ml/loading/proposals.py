"""Proposes what to write into a mapping so that texts are read as numbers or times."""

import re
from datetime import datetime

from ml.loading.columns import NUMBERS, TIMES
from ml.loading.formats import DECIMALS, THOUSANDS, format_line
from ml.loading.number_formats import NumberFormat, is_number, number_evidence

# Common forms of dates and of times of day as Spark's patterns, in both orders of day and month.
DATES = (
    *(
        f"{first}{mark}{second}{mark}{year}"
        for mark in "/.-"
        for year in ("yyyy", "yy")
        for first, second in (("d", "M"), ("M", "d"))
    ),
    *("yyyy/M/d", "yyyy.M.d", "yyyyMMdd", "d MMM yyyy", "d-MMM-yyyy", "d-MMM-yy", "d MMMM yyyy"),
    *("MMM d, yyyy", "MMMM d, yyyy"),
)
CLOCKS = (
    *("", " H:mm", " H:mm:ss", ", H:mm", ", H:mm:ss", "'T'H:mm", "'T'H:mm:ss"),
    *(" h:mm a", " h:mm:ss a", " h:mma", ", h:mm a", ", h:mm:ss a"),
)
MIXED = "; the amounts of all currencies are then added up as if they were one"
# The codes of strptime for Spark's letters.
PYTHON_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d",
    "d": "%d", "H": "%H", "h": "%I", "mm": "%M", "ss": "%S", "a": "%p", "'T'": "T",
}  # fmt: skip


def proposal(column: str, texts: list[str]) -> str | None:
    """Returns what to write into the mapping so that `column` reads the texts; None if unclear."""
    proposed = None
    if texts and column in TIMES:
        proposed = time_proposal(column, texts)
    elif texts and column in NUMBERS:
        proposed = number_proposal(texts)
    return proposed and f"write into the mapping: {proposed}"


def number_proposal(texts: list[str]) -> str | None:
    """Returns the `format:` that reads the most texts as numbers; None if there is none.

    Proposes both decimal signs when they read equally many texts.
    """
    candidates = [
        NumberFormat(decimal, thousands)
        for decimal in DECIMALS
        for thousands in (None, *THOUSANDS)
        if decimal != thousands
    ]

    def read_texts(form: NumberFormat) -> int:
        return sum(is_number(text, form) for text in texts)

    counts = [read_texts(form) for form in candidates]
    if not (most := max(counts)):
        return None
    # The first format of each decimal sign is the simplest.
    proposals: dict[str, str] = {}
    for form, count in zip(candidates, counts, strict=True):
        if count == most:
            separator = {"thousands": form.thousands} if form.thousands else {}
            line = format_line(decimal=form.decimal, **separator)
            proposals.setdefault(form.decimal, line)
    is_mixed = len(number_evidence(texts).currencies) > 1
    return " or ".join(proposals.values()) + (MIXED if is_mixed else "")


def time_proposal(column: str, texts: list[str]) -> str | None:
    """Returns what to write so that the texts are read as times; None if that is unclear.

    Proposes both orders of day and month when both fit.
    """
    formats = [format_line(date_format=pattern) for pattern in fitting_patterns(texts)]
    if len(formats) == 2:
        return f"{formats[0]} if the day comes first, {formats[1]} if the month does"
    if formats:
        return formats[0]
    if all(re.fullmatch(r"\d{10}", text) for text in texts):
        return f"{column}: timestamp_seconds(cast(<your column> as bigint))"
    if all(re.fullmatch(r"\d{13}", text) for text in texts):
        return f"{column}: timestamp_millis(cast(<your column> as bigint))"
    return None


def fitting_patterns(texts: list[str]) -> list[str]:
    """Returns the patterns that read all texts, at most one for each order of day and month."""

    def code(letters: re.Match[str]) -> str:
        return PYTHON_LETTERS[letters[0]]

    fitting: dict[bool, str] = {}
    for pattern in (date + clock for date in DATES for clock in CLOCKS):
        codes = re.sub("'T'|([yMdHhmsa])\\1*", code, pattern)
        if all(is_time(text, codes) for text in texts):
            is_day_first = pattern.find("d") < pattern.find("M")
            fitting.setdefault(is_day_first, pattern)
    return list(fitting.values())


def is_time(text: str, codes: str) -> bool:
    """Returns whether strptime reads the text by the codes, and Spark does, too."""
    # strptime also accepts other white space, one-digit minutes, and a short yyyyMMdd.
    if re.search(r"\s\s|[^\S ]|:\d(?!\d)|^\d{5,7}(?!\d)", text.strip(" ")):
        return False
    try:
        datetime.strptime(text.strip(" "), codes)
    except ValueError:
        return False
    return True
