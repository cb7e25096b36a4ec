"""Converts values of a source to values of a canonical column."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.number_formats import NumberFormat, plain_number
from ml.loading.time_patterns import ISO_DATE, ZONE_NAME


def is_filled(value: Column) -> Column:
    """Returns whether `value`, a string, is neither null nor blank."""
    return F.coalesce(value.rlike(r"(?U)\S"), F.lit(False))


def text_of(value: Column, kind: T.DataType) -> Column:
    """Returns `value` as a string; bytes that are not UTF-8 as hexadecimal digits, as in 0x4DFC.

    So two different values never become the same text.
    """
    text = value.cast("string")
    if not isinstance(kind, T.BinaryType | T.StringType):
        return text
    digits = F.concat(F.lit("0x"), F.hex(value))
    return F.when(F.is_valid_utf8(text), text).otherwise(digits)


def to_amount(value: Column, kind: T.DataType) -> Column:
    """Returns decimal(18,2), rounded half up; null when `value` is not a number or too large."""
    return to_decimal(value, kind, "decimal(18,2)")


def to_quantity(value: Column, kind: T.DataType) -> Column:
    """Returns decimal(18,3), rounded half up; null when `value` is not a number or too large."""
    return to_decimal(value, kind, "decimal(18,3)")


def to_decimal(value: Column, kind: T.DataType, target: str) -> Column:
    """Returns `value` in a decimal type, rounded half up once; null when it does not fit."""
    # 3 * 0.335 is 1.00499999... in binary: six decimals restore the half cent before the rounding.
    # Texts and decimals are exact and are rounded once.
    if isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        value = value.try_cast("decimal(38,6)")
    return value.try_cast(target)


def to_int(value: Column, kind: T.DataType) -> Column:
    """Returns int; null when `value` has a fraction ('2.5') or is beyond an int."""
    number = value.try_cast("decimal(38,10)")
    return F.when(number == F.floor(number), number.try_cast("int"))


def to_time(value: Column, kind: T.DataType, pattern: str | None = None) -> Column:
    """Returns timestamp; null for a text that `pattern` does not read.

    Without a pattern a text must be an ISO date or time ('2026-01-31 09:30:00'), in UTC, with an
    offset, or with a region. Names such as BST mean several time zones and are not read.
    """
    if isinstance(kind, T.StringType) and pattern:
        return F.try_to_timestamp(F.trim(value), F.lit(pattern))
    if isinstance(kind, T.StringType):
        # A plain cast reads '12:30' as a time of today and '201101' as the year 201101. Most texts
        # have only digits: they skip the search for the name of a zone.
        has_zone = (F.translate(value, "0123456789-: .T", "") != "") & value.rlike(ZONE_NAME)
        value = F.when(value.rlike(ISO_DATE) & ~has_zone, value)
    return value.try_cast("timestamp")


def to_date(value: Column, kind: T.DataType, pattern: str | None = None) -> Column:
    """Returns date; null for a text that to_time does not read."""
    return to_time(value, kind, pattern).cast("date")


def to_boolean(value: Column, kind: T.DataType) -> Column:
    """Returns boolean; null for a number other than 0 and 1, and for a text such as 'maybe'.

    The texts are those of Spark: true, t, yes, y, 1 and false, f, no, n, 0, in any letter case.
    """
    if isinstance(kind, T.NumericType):
        return F.when(value.isin(0, 1), value == 1)
    return value.try_cast("boolean")


NUMBER_TYPES = (T.NumericType, T.StringType)
TIME_TYPES = (T.TimestampType, T.TimestampNTZType, T.DateType, T.StringType)
# For each column that is not a text: the types that an expression may give, and the conversion.
CONVERSIONS: dict[str, tuple[tuple[type[T.DataType], ...], Callable[..., Column]]] = {
    "ordered_at": (TIME_TYPES, to_time),
    "quantity": (NUMBER_TYPES, to_quantity),
    "amount": (NUMBER_TYPES, to_amount),
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


def identifier(name: str) -> str:
    """Returns the name of a column in backticks, for SQL."""
    return f"`{name.replace('`', '``')}`"


def ready_for_arithmetic(
    rows: DataFrame, names: list[str], reading: Reading | None = None
) -> DataFrame:
    """Returns `rows` with the columns `names` in types that arithmetic can use.

    Whole numbers become decimal(20,0). Without ANSI mode a product of integers silently wraps
    around, whereas a decimal that is too large becomes null, which the load reports. Texts of
    numbers become texts that SQL reads.
    """

    def ready(field: T.StructField) -> Column:
        column = F.col(identifier(field.name))
        if field.name not in names:
            return column
        if isinstance(field.dataType, T.IntegralType):
            return column.cast("decimal(20,0)").alias(field.name)
        if reading and field.name in reading.number_columns:
            return plain_number(column, reading.numbers).alias(field.name)
        return column

    return rows.select(*[ready(field) for field in rows.schema.fields])
