"""Turns the rows of a source into rows of the raw tables, one for one."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.loading.casts import (
    CONVERSIONS,
    Reading,
    identifier,
    is_filled,
    ready_for_arithmetic,
    text_of,
)
from ml.loading.columns import BROKEN_LINE, CANONICAL, FILE_NUMBER, NUMBERS, RAW_TYPES, TIMES
from ml.loading.expressions import checked_mapping, named_columns, source_columns
from ml.loading.formats import Format
from ml.loading.reading import recognized_reading

# Prefixes of working columns, one of each kind per canonical column.
VALUE = "__value_"  # what the expression gives
TEXT = "__text_"  # the text in the source columns that the expression names
FILLED = "__filled_"  # whether all these source columns are filled
TYPED = "__typed_"  # the value in the type of the canonical column
UNPARSED = "__unparsed_"  # the text of a value that cannot have that type
EMPTY_FORMAT = Format()


def without_ansi(spark: SparkSession) -> None:
    """Sets the session so that a value that does not fit becomes null instead of an error.

    The expressions of a mapping are the user's own SQL, in which the loader cannot replace a cast
    by try_cast. A text that a time pattern does not read becomes null too.
    """
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")
    # The JVM never compiles a method of more than 8000 bytes: fusing fewer operators is faster.
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")


def transactions(
    source: DataFrame,
    mapping: dict[str, str] | None,
    loaded_at: datetime,
    file_format: Format = EMPTY_FORMAT,
    replaces_orders: bool = False,
) -> DataFrame:
    """Returns `source` in the shape of raw.transactions, one row per source row.

    A `mapping` of None takes the columns with canonical names. `loaded_at` is UTC.
    `replaces_orders` says whether the lines replace earlier lines of their orders.
    """
    expressions = checked_mapping(source, "transactions", mapping)
    rows = canonical(source, "transactions", expressions, file_format)
    is_unparsed = F.coalesce(
        F.get_json_object("unparsed_values", "$.quantity"),
        F.get_json_object("unparsed_values", "$.line"),
    ).isNotNull()
    default = F.when(F.col("amount") < 0, F.lit(-1)).otherwise(F.lit(1))
    return rows.withColumns(
        {
            "quantity": F.when(~is_unparsed, F.coalesce("quantity", default)),
            "replaces_order": F.lit(replaces_orders),
            "loaded_at": utc_literal(loaded_at),
        }
    ).select(*RAW_TYPES)


def utc_literal(moment: datetime) -> Column:
    """Returns `moment`, UTC, as a timestamp, to the second; the session's time zone is UTC."""
    return F.lit(f"{moment:%Y-%m-%d %H:%M:%S}").cast("timestamp")


def customers(
    source: DataFrame, mapping: dict[str, str] | None, file_format: Format = EMPTY_FORMAT
) -> DataFrame:
    """Returns the columns of raw.customers and two more, see canonical; one row per source row."""
    expressions = checked_mapping(source, "customers", mapping)
    return canonical(source, "customers", expressions, file_format)


def one_per_customer(rows: DataFrame) -> DataFrame:
    """Returns `rows` in the shape of raw.customers: one row per id, none for a null id.

    Of several rows for one id the latest registration wins, then the greatest of the other values.
    So the order of the files does not matter.
    """
    attributes = list(CANONICAL["customers"])[1:]
    latest = F.max(F.struct(*attributes)).alias("latest")
    people = rows.where("customer_id is not null").groupBy("customer_id").agg(latest)
    return people.select("customer_id", "latest.*")


def canonical(
    source: DataFrame, section: str, expressions: dict[str, str], file_format: Format
) -> DataFrame:
    """Returns the canonical columns of `section`, unparsed_values and file_number, row by row.

    A value is unparsed when the expression gives something that its column cannot hold, or gives
    null although every source column that it names is filled. Otherwise null or blank is missing.
    Needs a session `without_ansi`.
    """
    reading = recognized_reading(source, expressions, file_format)
    rows = converted(evaluated(source, expressions, reading), expressions, reading)
    texts = {column: F.col(UNPARSED + column) for column in expressions if column in CONVERSIONS}
    texts["line"] = F.col(BROKEN_LINE)
    unparsed = F.to_json(F.struct(*[text.alias(column) for column, text in texts.items()]))
    # The fields of a broken line may be in wrong columns: only its text is kept.
    is_sound = F.col(BROKEN_LINE).isNull()
    values = {column: F.col(TYPED + column) for column in expressions}
    return rows.select(
        *[
            F.when(is_sound, values.get(column, F.lit(None))).cast(kind).alias(column)
            for column, kind in CANONICAL[section].items()
        ],
        F.when(F.coalesce(*texts.values()).isNotNull(), unparsed).alias("unparsed_values"),
        F.col(FILE_NUMBER).alias("file_number"),
    )


def evaluated(source: DataFrame, expressions: dict[str, str], reading: Reading) -> DataFrame:
    """Returns one row per source row: VALUE + column for every expression, and the extra columns.

    Typed columns also have TEXT + column, the text in the source ('abc'; of several columns
    'Quantity=3, UnitPrice=abc'; null for a constant), and FILLED + column, whether every source
    column that the expression names is filled.
    """
    numbers = [column for column in expressions if column in NUMBERS]
    others = [column for column in expressions if column not in NUMBERS]
    typed = {
        column: named_columns(source, column, expression)
        for column, expression in expressions.items()
        if column in CONVERSIONS
    }
    broken_line = F.col(BROKEN_LINE) if BROKEN_LINE in source.columns else F.lit(None)
    if FILE_NUMBER not in source.columns:
        source = source.withColumn(FILE_NUMBER, F.lit(None).cast("int"))
    rows = source.select(
        "*",
        *[F.expr(expressions[column]).alias(VALUE + column) for column in others],
        *[source_text(source, names).alias(TEXT + column) for column, names in typed.items()],
        *[all_filled(names).alias(FILLED + column) for column, names in typed.items()],
        broken_line.cast("string").alias(f"{TEXT}line"),
    )
    return ready_for_arithmetic(rows, source_columns(source), reading).select(
        *[VALUE + column for column in others],
        *[F.expr(expressions[column]).alias(VALUE + column) for column in numbers],
        *[prefix + column for column in typed for prefix in (TEXT, FILLED)],
        F.col(f"{TEXT}line").alias(BROKEN_LINE),
        FILE_NUMBER,
    )


def source_text(source: DataFrame, names: list[str]) -> Column:
    """Returns the texts of the source columns `names`, as one text."""
    texts = [text_of(F.col(identifier(name)), source.schema[name].dataType) for name in names]
    if len(texts) == 1:
        return texts[0]
    # concat is null where its column is null, and array_join leaves nulls out.
    parts = [F.concat(F.lit(f"{name}="), text) for name, text in zip(names, texts, strict=True)]
    return F.array_join(F.array(*parts), ", ") if parts else F.lit(None).cast("string")


def all_filled(names: list[str]) -> Column:
    """Returns whether every column in `names` is filled; false without names."""
    filled = F.lit(bool(names))
    for name in names:
        filled = filled & is_filled(F.col(identifier(name)).cast("string"))
    return filled


def converted(rows: DataFrame, expressions: dict[str, str], reading: Reading) -> DataFrame:
    """Returns TYPED + column for every expression, UNPARSED + column for typed ones, and extras.

    UNPARSED is the text in the source if the column cannot hold the value. Each step is a select of
    its own, so that Spark computes a value only once, even if a later step uses it twice.
    """
    typed, texts = {}, {}
    for column in expressions:
        value, kind = F.col(VALUE + column), rows.schema[VALUE + column].dataType
        if column in CONVERSIONS:
            pattern = {"pattern": reading.date_format} if column in TIMES else {}
            typed[column] = CONVERSIONS[column][1](value, kind, **pattern)
        else:
            texts[column] = text_of(value, kind)
    rows = rows.select(
        "*",
        *[value.alias(TYPED + column) for column, value in (typed | texts).items()],
    )
    return rows.select(
        *[within_years(column).alias(TYPED + column) for column in typed],
        *[F.when(is_filled(F.col(TYPED + c)), F.col(TYPED + c)).alias(TYPED + c) for c in texts],
        *[unparsed_text(column).alias(UNPARSED + column) for column in typed],
        BROKEN_LINE,
        FILE_NUMBER,
    )


def within_years(column: str) -> Column:
    """Returns a converted value, but null for a time outside the years 1 to 9999.

    Dates of SQL and of Python have only these years.
    """
    value = F.col(TYPED + column)
    return F.when(F.year(value).between(1, 9999), value) if column in TIMES else value


def unparsed_text(column: str) -> Column:
    """Returns the source's text of a typed column whose value could not be converted, or null."""
    value, text = F.col(VALUE + column), F.col(VALUE + column).cast("string")
    has_value = F.when(value.isNull(), F.col(FILLED + column)).otherwise(is_filled(text))
    is_unparsed = F.col(BROKEN_LINE).isNull() & within_years(column).isNull() & has_value
    return F.when(is_unparsed, F.coalesce(F.col(TEXT + column), text))
