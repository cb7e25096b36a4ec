"""Converts values of a source to values of a canonical column: SQL for a value, and its type."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pyspark.sql import types as T

from ml.loading.number_formats import NumberFormat, plain_number
from ml.loading.time_patterns import ISO_DATE, ZONE_NAME
from ml.sql_text import identifier, quote

NOT_BLANK = quote(r"(?U)\S")


def is_filled(text: str) -> str:
    """Returns whether a text is neither null nor blank."""
    return f"coalesce(rlike({text}, {NOT_BLANK}), false)"


def text_of(value: str, kind: T.DataType) -> str:
    """Returns `value` as a string; bytes that are not UTF-8 as hexadecimal digits, as in 0x4DFC.

    So different bytes stay different.
    """
    text = f"cast({value} as string)"
    if not isinstance(kind, T.BinaryType | T.StringType):
        return text
    return f"case when is_valid_utf8({text}) then {text} else concat('0x', hex({value})) end"


def to_decimal(value: str, kind: T.DataType, target: str) -> str:
    """Returns `value` in a decimal type, rounded half up once; null when it does not fit."""
    # 3 * 0.335 is 1.00499999... in binary: six decimals restore the half cent before the rounding.
    # Texts and decimals are exact and are rounded once.
    if isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        value = f"try_cast({value} as decimal(38,6))"
    return f"try_cast({value} as {target})"


def to_int(value: str, kind: T.DataType) -> str:
    """Returns int; null when `value` has a fraction ('2.5') or is beyond an int."""
    number = f"try_cast({value} as decimal(38,10))"
    return f"case when {number} = floor({number}) then try_cast({number} as int) end"


def to_time(value: str, kind: T.DataType, pattern: str | None = None) -> str:
    """Returns timestamp; null for a text that `pattern` does not read.

    Without a pattern a text must be an ISO date or time ('2026-01-31 09:30:00'), in UTC, with an
    offset, or with a region. Names such as BST mean several time zones and are not read.
    """
    if isinstance(kind, T.StringType) and pattern:
        return f"try_to_timestamp(trim({value}), {quote(pattern)})"
    if isinstance(kind, T.StringType):
        # A plain cast reads '12:30' as a time of today and '201101' as the year 201101. Most texts
        # have only digits and separators: they skip the search for the name of a zone.
        has_letters = f"translate({value}, '0123456789-: .T', '') <> ''"
        has_zone = f"{has_letters} and rlike({value}, {quote(ZONE_NAME)})"
        is_time = f"rlike({value}, {quote(ISO_DATE)}) and not ({has_zone})"
        value = f"case when {is_time} then {value} end"
    return f"try_cast({value} as timestamp)"


def to_date(value: str, kind: T.DataType, pattern: str | None = None) -> str:
    """Returns date; null for a text that to_time does not read."""
    return f"cast({to_time(value, kind, pattern)} as date)"


def to_boolean(value: str, kind: T.DataType) -> str:
    """Returns boolean; null for a number other than 0 and 1, and for a text such as 'maybe'.

    The texts are those of Spark: true, t, yes, y, 1 and false, f, no, n, 0, in any letter case.
    """
    if isinstance(kind, T.NumericType):
        return f"case when {value} in (0, 1) then {value} = 1 end"
    return f"try_cast({value} as boolean)"


NUMBER_TYPES = (T.NumericType, T.StringType)
TIME_TYPES = (T.TimestampType, T.TimestampNTZType, T.DateType, T.StringType)
# For each column that is not a text: the types that an expression may give, and the conversion.
CONVERSIONS: dict[str, tuple[tuple[type[T.DataType], ...], Callable[..., str]]] = {
    "ordered_at": (TIME_TYPES, to_time),
    "quantity": (NUMBER_TYPES, partial(to_decimal, target="decimal(18,3)")),
    "amount": (NUMBER_TYPES, partial(to_decimal, target="decimal(18,2)")),
    "updated_at": (TIME_TYPES, to_time),
    "is_deleted": ((T.BooleanType, *NUMBER_TYPES), to_boolean),
    "registered_on": (TIME_TYPES, to_date),
    "age": (NUMBER_TYPES, to_int),
}


@dataclass(frozen=True)
class Reading:
    """How the texts of a source are read: times by a pattern, numbers in some of the columns."""

    date_format: str | None = None
    numbers: NumberFormat = field(default_factory=NumberFormat)
    number_columns: frozenset[str] = frozenset()


def ready_for_arithmetic(
    schema: T.StructType, names: list[str], reading: Reading | None = None
) -> list[str]:
    """Returns the columns of `schema`, those in `names` in types that arithmetic can use.

    Whole numbers become decimal(20,0). Without ANSI mode a product of integers silently wraps
    around, whereas a decimal that is too large becomes null, which the load reports. Texts of
    numbers become texts that SQL reads.
    """

    def ready(field: T.StructField) -> str:
        column = identifier(field.name)
        if field.name in names and isinstance(field.dataType, T.IntegralType):
            return f"cast({column} as decimal(20,0)) as {column}"
        if reading and field.name in names and field.name in reading.number_columns:
            return f"{plain_number(column, reading.numbers)} as {column}"
        return column

    return [ready(field) for field in schema.fields]
