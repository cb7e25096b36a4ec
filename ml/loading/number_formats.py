"""Texts of numbers: decimal signs, separators of thousands, currencies, and ledger signs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ml.loading.formats import Format
from ml.sql_text import quote

# A currency before or after a number: a sign, a code of three letters, or a common short form.
CURRENCY = r"(?:R\$|kr\.?|Kč|zł|Ft|lei|Rs\.?|Fr\.?|[A-Z]{2,3}\$|[A-Z]{3}|\p{Sc})"
PYTHON_CURRENCY = CURRENCY.replace(r"\p{Sc}", "[$¢£¤¥֏؋৲৳฿៛₠-₿﷼\uff04\uffe0\uffe1\uffe5\uffe6]")
# Spaces within a line, including no-break spaces.
SPACE = r"[ \t\u00a0\u2007\u2009\u202f]"
SEPARATORS = {" ": SPACE, "'": "['\u2019]", ",": ",", ".": r"\."}
MINUS = "[-\u2212\u2013]"
DASH = "[-\u2212\u2013\u2014]"


@dataclass(frozen=True)
class NumberFormat:
    """How the texts of a column write numbers: the decimal sign, the separator of thousands."""

    decimal: str = "."
    thousands: str | None = None
    # Those that a number may have; None means any.
    currencies: frozenset[str] | None = None

    def pattern(self, any_currency: str = CURRENCY) -> str:
        """Returns the regular expression of a number; NUMBER_PARTS names its groups."""
        decimal = re.escape(self.decimal)
        whole = r"\d+"
        if self.thousands:
            mark = SEPARATORS[self.thousands]
            whole = rf"\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+"
        digits = rf"(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][-+]?\d+)?"
        currency = any_currency
        if self.currencies is not None:
            currency = "|".join(map(re.escape, sorted(self.currencies))) or "(?!)"
        money = f"(?:{currency})?"
        # Possessive: with `*`, a padded text that is no number would take hours.
        gap = f"{SPACE}*+"
        sign, last_sign = f"({MINUS}|\\+)?", f"({MINUS})?"
        before, after = (r"(\()?", sign, money, sign), (last_sign, money, last_sign, r"(\))?")
        # One or two dashes right after the decimal sign, as in 99,- stand for no cents.
        number = f"({digits})(?:(?<={decimal}){DASH}{{1,2}})?"
        return gap.join(("^", *before, number, *after, "$"))


NUMBER_PARTS = ("open", "sign", "second_sign", "digits", "third_sign", "last_sign", "close")
# As in a ledger, an open parenthesis is a sign.
SIGNS = tuple(name for name in NUMBER_PARTS if name not in ("digits", "close"))


def plain_number(text: str, form: NumberFormat) -> str:
    """Returns SQL for the text of a number as SQL reads it (`-1234.50`), any other text unchanged.

    `(12.50)` and `12.50-` are negative.
    """
    pattern = quote(form.pattern())
    part = {
        name: f"regexp_extract({text}, {pattern}, {group})"
        for group, name in enumerate(NUMBER_PARTS, start=1)
    }
    signs = f"concat({', '.join(part[name] for name in SIGNS)})"
    digits = part["digits"]
    if form.thousands:
        digits = f"regexp_replace({digits}, {quote(SEPARATORS[form.thousands])}, '')"
    if form.decimal != ".":
        digits = f"translate({digits}, {quote(form.decimal)}, '.')"
    # A text with two signs or half a pair of parentheses is not a number.
    is_number = (
        f"{digits} <> '' and length({signs}) <= 1 "
        f"and length({part['open']}) = length({part['close']})"
    )
    number = f"concat(if({signs} in ('', '+'), '', '-'), {digits})"
    # Most texts are plain digits: they skip the regular expressions.
    plain = "0123456789." if form.decimal == "." else "0123456789"
    return (
        f"case when translate({text}, '{plain}', '') = '' then {text} "
        f"when {is_number} then {number} else {text} end"
    )


def is_number(text: str, form: NumberFormat) -> bool:
    """Returns whether a text is a number in this format, as plain_number tests it."""
    if not (match := re.match(form.pattern(PYTHON_CURRENCY), text)):
        return False
    part = dict(zip(NUMBER_PARTS, match.groups(""), strict=True))
    signs = "".join(part[name] for name in SIGNS)
    return len(signs) <= 1 and len(part["open"]) == len(part["close"])


@dataclass
class Evidence:
    """What the texts of number columns show; each dictionary has one example per sign."""

    decimals: dict[str, str] = field(default_factory=dict)  # 12.50
    ambiguous: dict[str, str] = field(default_factory=dict)  # 1.234: a fraction or a thousand
    thousands: set[str] = field(default_factory=set)
    currencies: set[str] = field(default_factory=set)

    def add(self, digits: str) -> None:
        """Adds the evidence of one number; `digits` has neither its signs nor its currency."""
        marks = re.findall(r"[^\d]", digits)
        if not marks:
            return
        last, kinds = marks[-1], set(marks)
        others = kinds - {last}
        if last in (".", ",") and not others:
            self.add_one_mark(digits, last)
        elif last in (".", ",") and marks.count(last) == 1 and len(others) == 1:
            # The last of two marks is the decimal sign, because a number has only one decimal sign.
            self.decimals[last] = digits
            self.thousands |= others
        elif last in (" ", "'") and not others and is_grouped(digits.split(last)):
            self.thousands.add(last)

    def add_one_mark(self, digits: str, mark: str) -> None:
        """Adds the evidence of a number with one kind of mark, a point or a comma."""
        groups = digits.split(mark)
        if len(groups) > 2:
            if is_grouped(groups):
                self.thousands.add(mark)
        elif is_grouped(groups) and groups[0] != "0":
            self.ambiguous[mark] = digits
        else:
            self.decimals[mark] = digits


def is_grouped(groups: list[str]) -> bool:
    """Returns whether these are the groups of a number with separators of thousands."""
    first, *others = groups
    return 1 <= len(first) <= 3 and all(len(group) == 3 for group in others)


def number_evidence(texts: Iterable[str]) -> Evidence:
    """Returns what the texts show about decimal signs, thousands and currencies."""
    found = Evidence()
    core = re.compile(
        rf"[\s(+\-\u2212\u2013]*+({PYTHON_CURRENCY})?[\s+\-\u2212\u2013]*+([\d.,'\u2019\s]*\d[.,]?)"
        rf"(?:\s|{DASH})*+({PYTHON_CURRENCY})?(?:[\s)]|{DASH})*"
    )
    for text in texts:
        if not (match := core.fullmatch(text)):
            continue
        before, digits, after = match.groups()
        found.currencies |= {sign for sign in (before, after) if sign}
        found.add(re.sub(r"\s", " ", digits).replace("\u2019", "'").strip())
    return found


def recognized_number_format(evidence: Evidence, file_format: Format) -> NumberFormat:
    """Returns the number format that evidence and mapping imply; SQL's own if they imply none."""
    decimal = file_format.decimal or recognized_decimal(evidence)
    if decimal == file_format.thousands:
        decimal = "," if decimal == "." else "."
    other = "." if decimal == "," else ","
    is_contradicted = other in evidence.decimals and file_format.decimal is None
    thousands = file_format.thousands
    if thousands is None and not is_contradicted:
        usable = evidence.thousands - {decimal}
        if decimal == "," and not usable:
            usable = {"."}
        if decimal == "." and "." in evidence.decimals and "," in evidence.ambiguous:
            usable |= {","}
        thousands = usable.pop() if len(usable) == 1 else None
    is_given = bool(file_format.decimal or file_format.thousands)
    if is_given or not evidence.currencies:
        return NumberFormat(decimal, thousands)
    # Amounts in several currencies have no sum, so none is read.
    read = evidence.currencies if len(evidence.currencies) == 1 else ()
    return NumberFormat(decimal, thousands, frozenset(read))


def recognized_decimal(evidence: Evidence) -> str:
    """Returns a comma if all evidence is for a decimal comma, otherwise a point."""
    has_comma = "," in evidence.decimals or "." in evidence.thousands
    has_point = "." in evidence.decimals or "," in evidence.thousands
    return "," if has_comma and not has_point else "."
