"""How texts say numbers and times: what is certain is recognised, the rest is proposed.

A file's format is the section `format:` of a mapping (Format). What it leaves out is recognised
from the file where only one reading is possible. Where several are, such as day before month or
month before day, nothing is guessed: a message proposes the `format:` to write.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

from ml.session import StepError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DECIMALS = (".", ",")
# A space stands for every kind of space, an apostrophe for both kinds.
THOUSANDS = (",", ".", " ", "'")


@dataclass(frozen=True)
class Format:
    """What the section `format:` of a mapping may set; None is to be recognised."""

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    skip_lines: int | None = None
    date_format: str | None = None


def read_format(path: str, values: object) -> Format:
    """Returns the section `format:` of the mapping file `path`; raises StepError."""
    known = [each.name for each in fields(Format)]
    if not isinstance(values, dict):
        raise StepError(f"mapping {path}: format must be a map with {', '.join(known)}")
    for key, value in values.items():
        if key not in known:
            raise StepError(
                f"mapping {path}: format has the unknown key {key!r}; known are {', '.join(known)}"
            )
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (is_number if key == "skip_lines" else isinstance(value, str) and value):
            kind = "a number of lines" if key == "skip_lines" else "a text in quotes"
            raise StepError(f"mapping {path}: format.{key} must be {kind}, not {value!r}")
    given = Format(**values)
    names = {"tab": "\t", "\\t": "\t"}
    given = replace(given, delimiter=names.get(given.delimiter, given.delimiter))
    check_format(path, given)
    return given


def check_format(path: str, given: Format) -> None:
    """Raises StepError for a value that no file can have."""
    if given.delimiter and (len(given.delimiter) != 1 or given.delimiter in '"\r\n'):
        raise StepError(
            f"mapping {path}: format.delimiter must be one character, not {given.delimiter!r}"
        )
    for key, allowed in (("decimal", DECIMALS), ("thousands", THOUSANDS)):
        if (value := getattr(given, key)) and value not in allowed:
            raise StepError(
                f"mapping {path}: format.{key} must be one of {' '.join(map(repr, allowed))}, "
                f"not {value!r}"
            )
    if given.decimal and given.decimal == given.thousands:
        raise StepError(f"mapping {path}: format.decimal and format.thousands must differ")
    if given.encoding:
        try:
            "".encode(given.encoding)
        except LookupError as error:
            raise StepError(
                f"mapping {path}: format.encoding {given.encoding!r} is no encoding; "
                "known are utf-8, utf-16, windows-1252, iso-8859-15, shift_jis, ..."
            ) from error
    if given.date_format and (problem := pattern_problem(given.date_format)):
        raise StepError(f"mapping {path}: format.date_format {given.date_format!r}: {problem}")


def proposal(**values: str | int) -> str:
    """Returns a section `format:` to write into a mapping, as one line of YAML."""

    def text(value: str | int) -> str:
        if isinstance(value, int):
            return str(value)
        return '"\\t"' if value == "\t" else f"'{value}'"

    return f"format: {{{', '.join(f'{key}: {text(value)}' for key, value in values.items())}}}"


# --- numbers ----------------------------------------------------------------------------

# A currency before or after a number: a sign, a code of three letters, or a common short form.
CURRENCY = r"(?:R\$|kr\.?|Kč|zł|Ft|lei|Rs\.?|Fr\.?|[A-Z]{2,3}\$|[A-Z]{3}|\p{Sc})"
PYTHON_CURRENCY = CURRENCY.replace(r"\p{Sc}", "[$¢£¤¥֏؋৲৳฿៛₠-₿﷼]")
# Spaces that no line break is, also those that keep words together.
SPACE = r"[ \t\u00a0\u2007\u2009\u202f]"
SEPARATORS = {" ": SPACE, "'": "['\u2019]", ",": ",", ".": r"\."}
MINUS = "[-\u2212\u2013]"


@dataclass(frozen=True)
class NumberFormat:
    """How a column's texts say numbers: the decimal sign and what parts the thousands, if any."""

    decimal: str = "."
    thousands: str | None = None
    # False where texts of several currencies stand side by side: to add them up would be wrong.
    has_one_currency: bool = True

    def pattern(self, currency: str = CURRENCY) -> str:
        """Returns the regular expression of a number, its groups named in NUMBER_PARTS."""
        decimal = re.escape(self.decimal)
        whole = r"\d+"
        if self.thousands:
            mark = SEPARATORS[self.thousands]
            whole = rf"\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+"
        digits = rf"(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][-+]?\d+)?"
        money = f"(?:{currency if self.has_one_currency else '(?!)'})?"
        gap = f"{SPACE}*"
        sign, last_sign = f"({MINUS}|\\+)?", f"({MINUS})?"
        before, after = (r"(\()?", sign, money, sign), (last_sign, money, last_sign, r"(\))?")
        return gap.join(("^", *before, f"({digits})", *after, "$"))


NUMBER_PARTS = ("open", "sign", "second_sign", "digits", "third_sign", "last_sign", "close")


def plain_number(text: Column, form: NumberFormat) -> Column:
    """Returns a number's text as SQL reads it (`-1234.50`); any other text as it is.

    A number in parentheses or with a minus behind it is negative, as in a ledger.
    """
    part = {
        name: F.regexp_extract(text, form.pattern(), group)
        for group, name in enumerate(NUMBER_PARTS, start=1)
    }
    signs = F.concat(*[part[name] for name in NUMBER_PARTS if name == "open" or "sign" in name])
    digits = part["digits"]
    if form.thousands:
        digits = F.regexp_replace(digits, SEPARATORS[form.thousands], "")
    if form.decimal != ".":
        digits = F.translate(digits, form.decimal, ".")
    # Two signs are no number, nor is half a pair of parentheses.
    is_number = (
        (digits != "")
        & (F.length(signs) <= 1)
        & (F.length(part["open"]) == F.length(part["close"]))
    )
    is_negative = ~signs.isin("", "+")
    number = F.concat(F.when(is_negative, "-").otherwise(""), digits)
    # Most texts are plain digits, which need no look at all this.
    is_plain = F.translate(text, "0123456789" + ("." if form.decimal == "." else ""), "") == ""
    return F.when(is_plain, text).when(is_number, number).otherwise(text)


@dataclass(frozen=True)
class Evidence:
    """What the texts of number columns show, and what they leave open (one example of each)."""

    point: str | None = None  # 12.50
    comma: str | None = None  # 12,50
    open_point: str | None = None  # 1.234: one and a bit, or a thousand
    open_comma: str | None = None  # 1,234
    marks: frozenset[str] = frozenset()  # what surely parts thousands
    currencies: frozenset[str] = frozenset()


def number_evidence(texts: Iterable[str]) -> Evidence:
    """Returns what the texts show of decimal signs, thousands and currencies."""
    found = Evidence()
    core = re.compile(
        rf"[\s(+\-\u2212\u2013]*({PYTHON_CURRENCY})?[\s+\-\u2212\u2013]*([\d.,'\u2019\s]*\d[.,]?)"
        rf"\s*({PYTHON_CURRENCY})?[\s)\-\u2212\u2013]*"
    )
    for text in texts:
        if not (match := core.fullmatch(text)):
            continue
        before, digits, after = match.groups()
        digits = re.sub(r"\s", " ", digits).replace("\u2019", "'").strip()
        currencies = {sign for sign in (before, after) if sign}
        found = replace(found, currencies=found.currencies | currencies)
        found = digits_evidence(found, digits)
    return found


def digits_evidence(found: Evidence, digits: str) -> Evidence:
    """Returns the evidence with what one number without signs and currency shows."""
    marks = re.findall(r"[^\d]", digits)
    if not marks:
        return found
    last, kinds = marks[-1], set(marks)
    if len(kinds) == 1 and last in ".,":
        groups = digits.split(last)
        is_grouped = 1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
        if len(groups) > 2:
            return replace(found, marks=found.marks | {last}) if is_grouped else found
        if is_grouped and groups[0] != "0":
            return replace(found, **{"open_comma" if last == "," else "open_point": digits})
        return replace(found, **{"comma" if last == "," else "point": digits})
    # Of two kinds the last one, which stands once, is the decimal sign.
    others = kinds - {last}
    if last in ".," and marks.count(last) == 1 and len(others) == 1:
        found = replace(found, **{"comma" if last == "," else "point": digits})
        return replace(found, marks=found.marks | others)
    if kinds <= {" ", "'"} and len(kinds) == 1:
        return replace(found, marks=found.marks | kinds)
    return found


def recognised_number_format(evidence: Evidence, given: Format) -> NumberFormat:
    """Returns the only format that fits the evidence and what is given, else that of SQL."""
    decimal, marks = given.decimal, set(evidence.marks)
    if decimal is None:
        is_comma = (evidence.comma or "." in marks) and not (evidence.point or "," in marks)
        decimal = "," if is_comma else "."
    contradicts = evidence.point if decimal == "," else evidence.comma
    thousands = given.thousands
    if thousands is None and not (contradicts and given.decimal is None):
        usable = marks - {decimal}
        if decimal == "," and evidence.comma:
            usable |= {"."} if not usable else set()
        if decimal == "." and evidence.point and evidence.open_comma:
            usable |= {","}
        thousands = usable.pop() if len(usable) == 1 else None
    return NumberFormat(decimal, thousands, len(evidence.currencies) <= 1 or given != Format())


def number_proposal(texts: list[str]) -> str | None:
    """Returns the `format:` under which a text that is no number would be one; None for none."""
    candidates = [NumberFormat(), *(
        NumberFormat(decimal, thousands)
        for decimal in DECIMALS
        for thousands in (None, *THOUSANDS)
        if decimal != thousands
    )]  # fmt: skip

    def read(form: NumberFormat) -> int:
        pattern = re.compile(form.pattern(PYTHON_CURRENCY))
        return sum(bool(pattern.match(text)) for text in texts)

    best = max(read(form) for form in candidates)
    if not best:
        return None
    fitting = [form for form in candidates if read(form) == best]
    proposals = []
    for form in fitting:
        values = {"decimal": form.decimal} | (
            {"thousands": form.thousands} if form.thousands else {}
        )
        proposals.append(proposal(**values))
    # The simplest of each decimal sign.
    simplest = {line.split(",")[0].strip("}"): line for line in reversed(proposals)}
    return " or ".join(dict.fromkeys(reversed(simplest.values())))


# --- times ------------------------------------------------------------------------------

# What an ISO time may end in: nothing, an offset, UTC, or a region such as Europe/Berlin. Of names
# such as BST or CST there are several, hours apart.
ISO_DATE = r"^\s*\d{4}-\d{1,2}-\d{1,2}"
ZONE_NAME = r"(?i)(?<![\w/])(?!(?:utc|ut|gmt|z)\s*$)[a-z]{2,5}\s*$"

PERCENT_PATTERNS = {
    "%d": "dd", "%m": "MM", "%Y": "yyyy", "%y": "yy", "%H": "HH", "%I": "hh", "%M": "mm",
    "%S": "ss", "%p": "a", "%b": "MMM", "%B": "MMMM", "%f": "SSSSSS", "%z": "XX",
}  # fmt: skip
# What Spark's patterns know, of what it can read: docs/latest/sql-ref-datetime-pattern.html.
READ_LETTERS = "GyMLdQqhHkKmsSaVzOXxZD"
UNREAD_LETTERS = "EueFWwcBn"
# Dates and times of day as they may stand in a text: patterns for Spark, and the same for Python.
# Of two orders of day and month both are tried.
DATES = (
    *(
        f"{first}{mark}{second}{mark}{year}"
        for mark in "/.-"
        for year in ("yyyy", "yy")
        for first, second in ("dM", "Md")
    ),
    *("yyyy/M/d", "yyyy.M.d", "yyyyMMdd", "d MMM yyyy", "d-MMM-yyyy", "d-MMM-yy", "d MMMM yyyy"),
    *("MMM d, yyyy", "MMMM d, yyyy"),
)
CLOCKS = (
    *("", " H:mm", " H:mm:ss", ", H:mm", ", H:mm:ss", "'T'H:mm", "'T'H:mm:ss"),
    *(" h:mm a", " h:mm:ss a", " h:mma", ", h:mm a", ", h:mm:ss a"),
)
PYTHON_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d",
    "d": "%d", "H": "%H", "h": "%I", "mm": "%M", "ss": "%S", "a": "%p", "'T'": "T",
}  # fmt: skip


def pattern_problem(pattern: str) -> str | None:
    """Says what is wrong with a pattern of Spark's for times and what to write; None if nothing is.

    Spark itself takes some of them, and reads another time than is meant.
    """
    if "%" in pattern:
        translated = re.sub("%.", lambda m: PERCENT_PATTERNS.get(m[0], m[0]), pattern)
        return f"Spark's patterns have no %; write '{translated}'"
    letters = re.sub(r"'[^']*'", "", pattern)
    known = f"{READ_LETTERS}{UNREAD_LETTERS}Y"
    if unknown := next((c for c in letters if c.isalpha() and c not in known), ""):
        return (
            f"'{unknown}' is no letter of Spark's patterns: the year is y, the month M, the day d, "
            "the hour H, the minute m; write for instance 'dd.MM.yyyy'"
        )
    if "Y" in letters:
        fixed = re.sub("D+", lambda m: "d" * len(m[0]), pattern.replace("Y", "y"))
        return f"Y is the year that a week belongs to; write '{fixed}'"
    if weekday := next((c for c in letters if c in UNREAD_LETTERS), ""):
        return (
            f"'{weekday}' (weekdays, weeks) cannot be read by Spark; cut that part off, as in "
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


def time_proposal(texts: list[str]) -> str | None:
    """Returns what to write to have the texts read as times, as a message says it; None if unclear.

    Both orders of day and month are named when both fit.
    """
    patterns = time_patterns(texts)
    if patterns:
        words = [proposal(date_format=pattern) for pattern in patterns]
        if len(words) == 2:
            return f"{words[0]} if the day comes first, {words[1]} if the month does"
        return words[0]
    if all(re.fullmatch(r"\d{10}", text) for text in texts):
        return "the mapping's ordered_at as timestamp_seconds(cast(<column> as bigint))"
    if all(re.fullmatch(r"\d{13}", text) for text in texts):
        return "the mapping's ordered_at as timestamp_millis(cast(<column> as bigint))"
    return None


def time_patterns(texts: list[str]) -> list[str]:
    """Returns the patterns that read every one of the texts: one, two of both orders, or none."""
    fitting = []
    for pattern in (date + clock for date in DATES for clock in CLOCKS):
        python = re.sub("'T'|([yMdHhmsa])\\1*", lambda m: PYTHON_LETTERS[m[0]], pattern)
        if all(is_read(text, python) for text in texts):
            fitting.append(with_zeros(pattern, texts))
    return fitting[:2]


def is_read(text: str, python_format: str) -> bool:
    """True when Python reads the text by the format."""
    try:
        datetime.strptime(text.strip(), python_format)
    except ValueError:
        return False
    return True


def with_zeros(pattern: str, texts: list[str]) -> str:
    """Returns the pattern with two digits for day, month and hour where every text has two."""
    if all(re.match(r"\d\d\D\d\d\D", text) for text in texts):
        pattern = re.sub(r"^([dM])(\W)([dM])(?=\W)", r"\1\1\2\3\3", pattern)
    if all(re.search(r"\D\d\d:", text) for text in texts):
        pattern = re.sub("([Hh]):", r"\1\1:", pattern)
    return pattern
