"""Recognizes the number format of a source from some of its rows."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import Reading
from ml.loading.columns import NUMBERS
from ml.loading.expressions import is_arithmetic, named_columns
from ml.loading.formats import Format
from ml.loading.number_formats import (
    Evidence,
    NumberFormat,
    number_evidence,
    recognized_number_format,
)
from ml.session import log
from ml.sql_text import identifier

# The most rows to look at. Rows whose numbers are only digits show nothing, and do not count.
SAMPLE_ROWS = 1000


def recognized_reading(
    source: DataFrame, expressions: dict[str, str], file_format: Format
) -> Reading:
    """Returns how to read the texts, from the mapping's format and from some rows.

    A text is read as a number where the expression is a column or arithmetic over columns. Other
    SQL, such as regexp_replace, gets the text as it is in the file.
    """
    columns = number_columns(source, expressions)
    if not columns:
        return Reading(file_format.date_format)
    texts = [F.col(identifier(name)) for name in columns]
    has_signs = F.concat_ws("", *texts).rlike("[^0-9]")
    rows = source.where(has_signs).select(*texts).limit(SAMPLE_ROWS)
    evidence = number_evidence(text for row in rows.collect() for text in row if text)
    numbers = recognized_number_format(evidence, file_format)
    log_number_format(columns, numbers, evidence, file_format)
    return Reading(file_format.date_format, numbers, frozenset(columns))


def given_reading(source: DataFrame, expressions: dict[str, str], file_format: Format) -> Reading:
    """Returns how to read the texts, from the mapping's format alone: new rows change nothing."""
    numbers = recognized_number_format(Evidence(), file_format)
    columns = frozenset(number_columns(source, expressions))
    return Reading(file_format.date_format, numbers, columns)


def number_columns(source: DataFrame, expressions: dict[str, str]) -> list[str]:
    """Returns the text columns that are read as numbers."""
    texts = {f.name for f in source.schema.fields if isinstance(f.dataType, T.StringType)}
    arithmetic: set[str] = set()
    other: set[str] = set()
    for column in expressions:
        if column in NUMBERS:
            names = set(named_columns(source, column, expressions[column]))
            group = arithmetic if is_arithmetic(expressions[column], names) else other
            group.update(names & texts)
    return sorted(arithmetic - other)


def log_number_format(
    columns: list[str], numbers: NumberFormat, evidence: Evidence, file_format: Format
) -> None:
    """Prints a number format that is not the usual one; otherwise an ambiguous number."""
    if numbers.decimal == "," or numbers.thousands:
        separator = f" and the thousands separator {numbers.thousands!r}"
        log(
            f"numbers in {', '.join(columns)} are read with the decimal sign {numbers.decimal!r}"
            + (separator if numbers.thousands else "")
        )
    elif "." in evidence.ambiguous and "." not in evidence.decimals and file_format.decimal is None:
        log(
            f"numbers such as {evidence.ambiguous['.']} are read as a fraction; if that is a "
            "thousand, write into the mapping: format: {decimal: ',', thousands: '.'}"
        )
