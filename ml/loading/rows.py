"""Turns the rows of a source into rows of the raw tables, one for one."""

import re
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import (
    CANONICAL,
    CONVERSIONS,
    NUMBERS,
    RAW_TYPES,
    TIMES,
    Reading,
    identifier,
    is_filled,
    source_columns,
    text_of,
    widened,
)
from ml.loading.csv_files import BROKEN_LINE
from ml.loading.formats import Format, number_evidence, recognised_number_format
from ml.loading.mapping import VALUE, checked_mapping, named_columns
from ml.session import log

# Prefixes of working columns beside the source's own.
TEXT, FILLED, TYPED, MISFIT = "__text_", "__filled_", "__typed_", "__misfit_"
# Rows of a source that show how its texts say numbers.
SAMPLE_ROWS = 1000
NOTHING_GIVEN = Format()


def without_ansi(spark: SparkSession) -> None:
    """Makes a value that does not fit null instead of an error that ends the load.

    Null too is a text that a pattern does not read, whatever older Sparks made of it. A mapping's
    `Quantity * UnitPrice` over texts is the user's own SQL: there is no try_ form of it that the
    loader could put in its place, so the mode is that of the session.
    """
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")
    # The JVM only interprets methods of more bytes than this: better fuse fewer operators.
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")


def recognised_reading(source: DataFrame, expressions: dict[str, str], given: Format) -> Reading:
    """Returns how to read the texts, from the format given and from what the first rows show.

    A number's text is read where an expression is a column or arithmetic over columns. What SQL of
    the user's own takes apart, by regexp_replace or the like, it gets as it stands in the file.
    """
    texts = {f.name for f in source.schema.fields if isinstance(f.dataType, T.StringType)}
    named = {
        column: texts & set(named_columns(source, column, expressions[column]))
        for column in expressions
        if column in NUMBERS
    }
    plain = {column for column in named if is_arithmetic(expressions[column], named[column])}
    taken_apart = set().union(*[named[column] for column in named if column not in plain])
    columns = sorted(set().union(*[named[column] for column in plain]) - taken_apart)
    if not columns:
        return Reading(given.date_format)
    rows = source.select(*[F.col(identifier(name)) for name in columns]).limit(SAMPLE_ROWS)
    evidence = number_evidence(text for row in rows.collect() for text in row if text)
    numbers = recognised_number_format(evidence, given)
    if numbers.decimal == "," or numbers.thousands:
        parted = f", thousands parted by {numbers.thousands!r}" if numbers.thousands else ""
        log(f"numbers in {', '.join(columns)} are read with the decimal sign "
            f"{numbers.decimal!r}{parted}")  # fmt: skip
    elif evidence.open_point and not evidence.point and given.decimal is None:
        log(
            f"numbers such as {evidence.open_point} are read as a fraction; if that is a thousand, "
            "write into the mapping: format: {decimal: ',', thousands: '.'}"
        )
    return Reading(given.date_format, numbers, frozenset(columns))


def is_arithmetic(expression: str, names: set[str]) -> bool:
    """True for a column, or arithmetic and casts over columns: nothing takes a text apart."""
    rest = expression
    for name in sorted(names, key=len, reverse=True):
        quoted = re.escape(f"`{name.replace('`', '``')}`")
        rest = re.sub(f"(?i){quoted}" + (rf"|\b{name}\b" if name.isidentifier() else ""), "1", rest)
    words = r"cast|as|decimal|double|float|bigint|int|coalesce|nullif|abs"
    return bool(re.fullmatch(rf"(?i)(?:[\d\s.+\-*/(),]|\b(?:{words})\b)*", rest))


def canonical(
    source: DataFrame, section: str, expressions: dict[str, str], given: Format
) -> DataFrame:
    """Returns the canonical columns of `section` and `unparsed_values`, one row per source row.

    A value is unparsed when the expression gave something that its column cannot hold, or gave
    nothing although every source column that it names is filled. A null or blank is missing, not
    unparsed. Needs a session `without_ansi`.
    """
    reading = recognised_reading(source, expressions, given)
    rows = converted(evaluated(source, expressions, reading), expressions, reading)
    misfits = {column: F.col(MISFIT + column) for column in expressions if column in CONVERSIONS}
    misfits["line"] = F.col(BROKEN_LINE)
    unparsed = F.to_json(F.struct(*[text.alias(column) for column, text in misfits.items()]))
    # The fields of a broken line may stand in each other's place: it says nothing but its text.
    is_sound = F.col(BROKEN_LINE).isNull()
    values = {column: F.col(TYPED + column) for column in expressions}
    return rows.select(
        *[
            F.when(is_sound, values.get(column, F.lit(None))).cast(kind).alias(column)
            for column, kind in CANONICAL[section].items()
        ],
        F.when(F.coalesce(*misfits.values()).isNotNull(), unparsed).alias("unparsed_values"),
    )


def converted(rows: DataFrame, expressions: dict[str, str], reading: Reading) -> DataFrame:
    """Returns TYPED + column of every expression, MISFIT + column of the typed ones, BROKEN_LINE.

    A misfit is what the source says where its column cannot hold it. Each step is a select of its
    own: Spark computes once what a later one uses twice.
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
    misfits = []
    for column in typed:
        value, text = F.col(VALUE + column), F.col(VALUE + column).cast("string")
        was_given = F.when(value.isNull(), F.col(FILLED + column)).otherwise(is_filled(text))
        is_misfit = within_years(TYPED + column, column).isNull() & was_given
        is_misfit = F.col(BROKEN_LINE).isNull() & is_misfit
        misfits.append(
            F.when(is_misfit, F.coalesce(F.col(TEXT + column), text)).alias(MISFIT + column)
        )
    return rows.select(
        *[within_years(TYPED + column, column).alias(TYPED + column) for column in typed],
        *[F.when(is_filled(F.col(TYPED + c)), F.col(TYPED + c)).alias(TYPED + c) for c in texts],
        *misfits,
        BROKEN_LINE,
    )


def within_years(name: str, column: str) -> Column:
    """Returns a time of the years 1 to 9999, which SQL and Python have, else null; others as is."""
    if column not in TIMES:
        return F.col(name)
    return F.when(F.year(name).between(1, 9999), F.col(name))


def evaluated(source: DataFrame, expressions: dict[str, str], reading: Reading) -> DataFrame:
    """Returns one row per source row: VALUE + column of every expression, and BROKEN_LINE.

    For the typed columns also TEXT + column, what the source says there ('abc'; of several columns
    'Quantity=3, UnitPrice=abc'; null for a constant), and FILLED + column, whether it says
    something in every column that the expression names.
    """
    numbers = [column for column in expressions if column in NUMBERS]
    others = [column for column in expressions if column not in NUMBERS]
    typed = {
        column: named_columns(source, column, expression)
        for column, expression in expressions.items()
        if column in CONVERSIONS
    }
    broken_line = F.col(BROKEN_LINE) if BROKEN_LINE in source.columns else F.lit(None)
    rows = source.select(
        "*",
        *[F.expr(expressions[column]).alias(VALUE + column) for column in others],
        *[source_text(source, names).alias(TEXT + column) for column, names in typed.items()],
        *[all_filled(names).alias(FILLED + column) for column, names in typed.items()],
        broken_line.cast("string").alias(f"{TEXT}line"),
    )
    return widened(rows, source_columns(source), reading).select(
        *[VALUE + column for column in others],
        *[F.expr(expressions[column]).alias(VALUE + column) for column in numbers],
        *[prefix + column for column in typed for prefix in (TEXT, FILLED)],
        F.col(f"{TEXT}line").alias(BROKEN_LINE),
    )


def source_text(source: DataFrame, names: list[str]) -> Column:
    """Returns what the source says in the columns `names`, as one text."""
    texts = [text_of(F.col(identifier(name)), source.schema[name].dataType) for name in names]
    if len(texts) == 1:
        return texts[0]
    # concat is null where the column is, and array_join leaves that out.
    parts = [F.concat(F.lit(f"{name}="), text) for name, text in zip(names, texts, strict=True)]
    return F.array_join(F.array(*parts), ", ") if parts else F.lit(None).cast("string")


def all_filled(names: list[str]) -> Column:
    """Returns whether there are columns in `names` and each is filled."""
    filled = F.lit(bool(names))
    for name in names:
        filled = filled & is_filled(F.col(identifier(name)).cast("string"))
    return filled


def transactions(
    source: DataFrame,
    mapping: dict[str, str] | None,
    loaded_at: datetime,
    given: Format = NOTHING_GIVEN,
) -> DataFrame:
    """Returns `source` in the shape of raw.transactions, one row per source row.

    `mapping` None means that the source has canonical names. `loaded_at` is UTC.
    """
    expressions = checked_mapping(source, "transactions", mapping)
    rows = canonical(source, "transactions", expressions, given)
    is_misfit = F.coalesce(
        F.get_json_object("unparsed_values", "$.quantity"),
        F.get_json_object("unparsed_values", "$.line"),
    ).isNotNull()
    default = F.when(F.col("amount") < 0, F.lit(-1)).otherwise(F.lit(1))
    return rows.withColumns(
        {
            "quantity": F.when(~is_misfit, F.coalesce("quantity", default)),
            "loaded_at": timestamp(loaded_at),
        }
    ).select(*RAW_TYPES)


def timestamp(moment: datetime) -> Column:
    """Returns `moment`, UTC, as a literal; the session's time zone is UTC."""
    return F.lit(f"{moment:%Y-%m-%d %H:%M:%S}").cast("timestamp")


def customers(
    source: DataFrame, mapping: dict[str, str] | None, given: Format = NOTHING_GIVEN
) -> DataFrame:
    """Returns `source` as the columns of raw.customers and `unparsed_values`, row by row."""
    expressions = checked_mapping(source, "customers", mapping)
    return canonical(source, "customers", expressions, given)


def one_per_customer(rows: DataFrame) -> DataFrame:
    """Returns `rows` in the shape of raw.customers: one row per id, none without.

    Of several rows for one id the one that registered last stays, then the greatest in the other
    columns, whatever the order of the files.
    """
    attributes = list(CANONICAL["customers"])[1:]
    latest = F.max(F.struct(*attributes)).alias("latest")
    people = rows.where("customer_id is not null").groupBy("customer_id").agg(latest)
    return people.select("customer_id", "latest.*")
