"""Columns of the raw tables, and how a value of a source becomes a value of such a column."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.csv_files import BROKEN_LINE
from ml.loading.formats import ISO_DATE, ZONE_NAME, NumberFormat, plain_number
from ml.tables import CUSTOMERS_COLUMNS, TRANSACTIONS_COLUMNS


def column_types(ddl: str) -> dict[str, str]:
    """Returns column -> type of a DDL that has one column per line."""
    return {line.split()[0]: line.split()[1] for line in ddl.strip().splitlines()}


RAW_TYPES = column_types(TRANSACTIONS_COLUMNS)
# What a mapping may name, with the type; the last two columns of raw.transactions are the loader's.
CANONICAL = {
    "transactions": dict(list(RAW_TYPES.items())[:-2]),
    "customers": column_types(CUSTOMERS_COLUMNS),
}
REQUIRED = {
    "transactions": ("customer_id", "ordered_at", "amount"),
    "customers": ("customer_id",),
}


def identifier(name: str) -> str:
    """Returns `name` as SQL: in backticks unless it is a plain word."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name.replace('`', '``')}`"


def source_columns(source: DataFrame) -> list[str]:
    """Returns the columns that an expression may name."""
    return [name for name in source.columns if name != BROKEN_LINE]


def is_filled(value: Column) -> Column:
    """Returns whether `value`, a string, is neither null nor blank."""
    return F.coalesce(value.rlike(r"(?U)\S"), F.lit(False))


def text_of(value: Column, kind: T.DataType) -> Column:
    """Returns `value` as a string; bytes that are no UTF-8 as hexadecimal digits, as in 0x4DFC.

    So two values that differ never become one.
    """
    text = value.cast("string")
    if not isinstance(kind, T.BinaryType | T.StringType):
        return text
    digits = F.concat(F.lit("0x"), F.hex(value))
    return F.when(F.is_valid_utf8(text), text).otherwise(digits)


def to_amount(value: Column, kind: T.DataType) -> Column:
    """Returns decimal(18,2), rounded half up; null when `value` is no number or too large."""
    return to_decimal(value, kind, "decimal(18,2)")


def to_quantity(value: Column, kind: T.DataType) -> Column:
    """Returns decimal(18,3), rounded half up; null when `value` is no number or too large."""
    return to_decimal(value, kind, "decimal(18,3)")


def to_decimal(value: Column, kind: T.DataType, target: str) -> Column:
    """Returns `value` in a decimal type, rounded half up once; null when it does not fit."""
    # 3 * 0.335 is 1.00499999... in binary: six decimals restore the half cent before it is rounded.
    # Texts and decimals are exact and are rounded once.
    if isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        value = value.try_cast("decimal(38,6)")
    return value.try_cast(target)


def to_whole(value: Column, kind: T.DataType) -> Column:
    """Returns int; null when `value` is no whole number ('2.5') or beyond an int."""
    number = value.try_cast("decimal(38,10)")
    return F.when(number == F.floor(number), number.try_cast("int"))


def to_time(value: Column, kind: T.DataType, pattern: str | None = None) -> Column:
    """Returns timestamp; null for a text that `pattern` does not read.

    Without a pattern a text has to be an ISO date or time ('2026-01-31 09:30:00'), in UTC or with
    an offset or a region: of time zones called BST or CST there are several.
    """
    if isinstance(kind, T.StringType) and pattern:
        return F.try_to_timestamp(F.trim(value), F.lit(pattern))
    if isinstance(kind, T.StringType):
        # A plain cast takes '12:30' for today (a clock) and '201101' for the year 201101. Most
        # texts are digits alone and need no look for the name of a zone.
        has_zone = (F.translate(value, "0123456789-: .T", "") != "") & value.rlike(ZONE_NAME)
        value = F.when(value.rlike(ISO_DATE) & ~has_zone, value)
    return value.try_cast("timestamp")


def to_date(value: Column, kind: T.DataType, pattern: str | None = None) -> Column:
    """Returns date; null for a text that to_time does not read."""
    return to_time(value, kind, pattern).cast("date")


Conversion = Callable[..., Column]
NUMBER_TYPES = (T.NumericType, T.StringType)
TIME_TYPES = (T.TimestampType, T.TimestampNTZType, T.DateType, T.StringType)
# Every other canonical column is a text.
CONVERSIONS: dict[str, tuple[tuple[type[T.DataType], ...], Conversion]] = {
    "ordered_at": (TIME_TYPES, to_time),
    "quantity": (NUMBER_TYPES, to_quantity),
    "amount": (NUMBER_TYPES, to_amount),
    "registered_on": (TIME_TYPES, to_date),
    "age": (NUMBER_TYPES, to_whole),
}
NUMBERS = ("quantity", "amount", "age")
TIMES = ("ordered_at", "registered_on")


@dataclass(frozen=True)
class Reading:
    """How the texts of a source are read: times by a pattern, numbers in some of the columns."""

    date_format: str | None = None
    numbers: NumberFormat = field(default_factory=NumberFormat)
    number_columns: frozenset[str] = frozenset()


def widened(rows: DataFrame, names: list[str], reading: Reading | None = None) -> DataFrame:
    """Returns `rows` as numbers are computed from them, the columns `names` made ready for it.

    Whole numbers become decimal(20,0): without ANSI mode a product of whole numbers beyond their
    type wraps around in silence; decimals become null, which is then reported. Texts of numbers
    become what SQL reads.
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
