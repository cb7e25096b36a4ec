"""Turns each row of a source into one row of a raw table, by a chain of selects.

Each select is a list of SQL expressions. So the same selects give the rows of files, which a load
copies, and the view of a table that stays where it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.loading.casts import CONVERSIONS, Reading, is_filled, ready_for_arithmetic, text_of
from ml.loading.checks import is_unparsed
from ml.loading.columns import (
    BROKEN_LINE,
    CANONICAL,
    FILE_NUMBER,
    NUMBERS,
    RAW_TYPES,
    SENTINEL_DAYS,
    TIMES,
    WATERMARK,
)
from ml.loading.expressions import checked_mapping, named_columns, source_columns
from ml.loading.formats import Format
from ml.loading.reading import recognized_reading
from ml.sql_text import identifier, quote

# Prefixes of working columns, one of each kind per canonical column.
VALUE = "__value_"  # what the expression gives
TEXT = "__text_"  # the text in the source columns that the expression names
FILLED = "__filled_"  # whether all these source columns are filled
TYPED = "__typed_"  # the value in the type of the canonical column
UNPARSED = "__unparsed_"  # the text of a value that cannot have that type
EMPTY_FORMAT = Format()
# Of a repeated customer, the row with the latest known registration; if equal, of the last file.
KNOWN_REGISTRATION = f"if(string(registered_on) in {SENTINEL_DAYS}, null, registered_on)"
LATEST_ATTRIBUTES = (
    f"max(struct({KNOWN_REGISTRATION} as registered_on, file_number, "
    f"{', '.join(list(CANONICAL['customers'])[2:])}))"
)


@dataclass(frozen=True)
class Selects:
    """A chain of selects over a source: the rows of the last one, and the items of each."""

    rows: DataFrame
    items: tuple[tuple[str, ...], ...] = ()

    def then(self, *items: str) -> "Selects":
        """Returns the chain with one more select, of these expressions."""
        return Selects(self.rows.selectExpr(*items), (*self.items, items))

    def sql(self, source: str) -> str:
        """Returns one statement with all the selects; `source` is the select of the rows."""
        steps = [source]
        steps += [
            f"select {', '.join(items)} from __step_{place}"
            for place, items in enumerate(self.items)
        ]
        ctes = [f"__step_{place} as (\n{step}\n)" for place, step in enumerate(steps)]
        return f"with {', '.join(ctes)}\nselect * from __step_{len(self.items)}"


def without_ansi(spark: SparkSession) -> None:
    """Sets the session so that a value that does not fit becomes null instead of an error.

    The expressions of a mapping are the user's own SQL, in which the loader cannot replace a cast
    by try_cast. A text that a time pattern does not read becomes null too. A view keeps these
    settings.
    """
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")
    # The values of key=value folders stay texts, as in CSV: 007 is not 7.
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    # Java does not compile a method of more than 8000 bytes, so it runs slowly. With this limit,
    # Spark generates no such methods.
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
    `replaces_orders` tells whether the lines replace earlier lines of their orders.
    """
    expressions = checked_mapping(source, "transactions", mapping)
    reading = recognized_reading(source, expressions, file_format)
    return lines(source, expressions, reading, utc_literal(loaded_at), replaces_orders).rows


def lines(
    source: DataFrame,
    expressions: dict[str, str],
    reading: Reading,
    loaded_at: str | None,
    replaces_orders: bool = False,
) -> Selects:
    """Returns the selects of raw.transactions; `loaded_at` is SQL, or None for the watermark."""
    own = {
        "quantity": f"case when not ({is_unparsed('quantity')} or {is_unparsed('line')}) then "
        "coalesce(quantity, case when amount < 0 then -1 else 1 end) end",
        "replaces_order": str(replaces_orders).lower(),
        "loaded_at": loaded_at or VALUE + WATERMARK,
    }
    items = [
        f"cast({own[column]} as {kind}) as {column}" if column in own else column
        for column, kind in RAW_TYPES.items()
    ]
    return canonical(source, "transactions", expressions, reading).then(*items)


def utc_literal(moment: datetime) -> str:
    """Returns `moment`, UTC, as a timestamp, to the second; the session's time zone is UTC."""
    return f"timestamp'{moment:%Y-%m-%d %H:%M:%S}'"


def customers(
    source: DataFrame, mapping: dict[str, str] | None, file_format: Format = EMPTY_FORMAT
) -> DataFrame:
    """Returns the columns of raw.customers and two more, see canonical; one row per source row."""
    expressions = checked_mapping(source, "customers", mapping)
    reading = recognized_reading(source, expressions, file_format)
    return canonical(source, "customers", expressions, reading).rows


def one_per_customer(rows: DataFrame) -> DataFrame:
    """Returns `rows` in the shape of raw.customers: one row per id, none for a null id.

    Of several rows for one id the latest registration wins, then the last file, and then the
    greatest of the other values. So the order of the rows does not matter.
    """
    latest = F.expr(LATEST_ATTRIBUTES).alias("latest")
    people = rows.where("customer_id is not null").groupBy("customer_id").agg(latest)
    return people.select("customer_id", "latest.*").drop("file_number")


def one_per_customer_sql(rows: str) -> str:
    """Returns one_per_customer as a statement; `rows` is a select."""
    return f"""
        select customer_id, latest.* except (file_number)
        from (
            select customer_id, {LATEST_ATTRIBUTES} as latest
            from ({rows})
            where customer_id is not null
            group by customer_id
        )
    """


def canonical(
    source: DataFrame, section: str, expressions: dict[str, str], reading: Reading
) -> Selects:
    """Returns the canonical columns of `section`, unparsed_values and file_number, row by row.

    A value is unparsed when the expression gives something that its column cannot hold, or gives
    null although every source column that it names is filled. Any other null or blank is a missing
    value. Needs a session `without_ansi`. The value of the watermark, if there is one, is one more
    column.
    """
    rows = converted(evaluated(source, expressions, reading), expressions, reading)
    texts = {column: UNPARSED + column for column in expressions if column in CONVERSIONS}
    texts["line"] = BROKEN_LINE
    pairs = ", ".join(f"{quote(column)}, {text}" for column, text in texts.items())
    unparsed = (
        f"case when coalesce({', '.join(texts.values())}) is not null "
        f"then to_json(named_struct({pairs})) end"
    )
    # The fields of a broken line may be in wrong columns: only its text is kept.
    values = {
        column: f"case when {BROKEN_LINE} is null then {TYPED}{column} end"
        for column in expressions
    }
    return rows.then(
        *[
            f"cast({values.get(column, 'null')} as {kind}) as {column}"
            for column, kind in CANONICAL[section].items()
        ],
        f"{unparsed} as unparsed_values",
        f"{FILE_NUMBER} as file_number",
        *watermark(expressions),
    )


def watermark(expressions: dict[str, str]) -> list[str]:
    """Returns the working column of the watermark, which goes through every select unchanged.

    So Spark can ask the source itself for the rows after a time.
    """
    return [VALUE + WATERMARK] if WATERMARK in expressions else []


def evaluated(source: DataFrame, expressions: dict[str, str], reading: Reading) -> Selects:
    """Returns one row per source row: VALUE + column for every expression, and the extra columns.

    A typed column also has TEXT + column and FILLED + column. TEXT is the text in the source:
    'abc', or 'Quantity=3, UnitPrice=abc' for several columns, or null for a constant. FILLED is
    true if every source column that the expression names is filled.
    """
    numbers = [column for column in expressions if column in NUMBERS]
    others = [column for column in expressions if column not in NUMBERS]
    typed = {
        column: named_columns(source, column, expression)
        for column, expression in expressions.items()
        if column in CONVERSIONS
    }
    broken_line = BROKEN_LINE if BROKEN_LINE in source.columns else "null"
    file_number = FILE_NUMBER if FILE_NUMBER in source.columns else "cast(null as int)"

    def value(column: str) -> str:
        # An expression may end in a comment.
        return f"({expressions[column]}\n) as {VALUE}{column}"

    # Expressions for numbers are evaluated last, on columns in types for arithmetic; the others are
    # evaluated on the source's own types.
    rows = Selects(source).then(
        *[identifier(name) for name in source_columns(source)],
        *[value(column) for column in others],
        *[f"{source_text(source, names)} as {TEXT}{column}" for column, names in typed.items()],
        *[f"{all_filled(names)} as {FILLED}{column}" for column, names in typed.items()],
        f"cast({broken_line} as string) as {TEXT}line",
        f"{file_number} as {FILE_NUMBER}",
    )
    rows = rows.then(*ready_for_arithmetic(rows.rows.schema, source_columns(source), reading))
    return rows.then(
        *[VALUE + column for column in others],
        *[value(column) for column in numbers],
        *[prefix + column for column in typed for prefix in (TEXT, FILLED)],
        f"{TEXT}line as {BROKEN_LINE}",
        FILE_NUMBER,
    )


def source_text(source: DataFrame, names: list[str]) -> str:
    """Returns the texts of the source columns `names`, as one text."""
    texts = [text_of(identifier(name), source.schema[name].dataType) for name in names]
    if not texts:
        return "cast(null as string)"
    if len(texts) == 1:
        return texts[0]
    # concat is null where its column is null, and array_join leaves nulls out.
    parts = [
        f"concat({quote(f'{name}=')}, {text})" for name, text in zip(names, texts, strict=True)
    ]
    return f"array_join(array({', '.join(parts)}), ', ')"


def all_filled(names: list[str]) -> str:
    """Returns whether every column in `names` is filled; false without names."""
    filled = [is_filled(f"cast({identifier(name)} as string)") for name in names]
    return " and ".join(filled) or "false"


def converted(rows: Selects, expressions: dict[str, str], reading: Reading) -> Selects:
    """Returns TYPED + column for each column but the watermark, and the extra columns.

    Each column in CONVERSIONS also has UNPARSED + column.
    UNPARSED is the text in the source if the column cannot hold the value. Each step is a select of
    its own, so that Spark computes a value only once, even if a later step uses it twice.
    """
    kinds = {field.name: field.dataType for field in rows.rows.schema.fields}
    typed: dict[str, str] = {}
    texts: dict[str, str] = {}
    for column in expressions:
        value, kind = VALUE + column, kinds[VALUE + column]
        if column in CONVERSIONS:
            pattern = {"pattern": reading.date_format} if column in TIMES else {}
            convert: Callable[..., str] = CONVERSIONS[column][1]
            typed[column] = convert(value, kind, **pattern)
        elif column != WATERMARK:
            texts[column] = text_of(value, kind)
    rows = rows.then(
        "*", *[f"{value} as {TYPED}{column}" for column, value in (typed | texts).items()]
    )
    return rows.then(
        *[f"{within_years(column)} as {TYPED}{column}" for column in typed],
        *[
            f"case when {is_filled(TYPED + column)} then {TYPED}{column} end as {TYPED}{column}"
            for column in texts
        ],
        *[f"{unparsed_text(column)} as {UNPARSED}{column}" for column in typed],
        BROKEN_LINE,
        FILE_NUMBER,
        *watermark(expressions),
    )


def within_years(column: str) -> str:
    """Returns a converted value, but null for a time outside the years 1 to 9999.

    Dates of SQL and of Python have only these years.
    """
    value = TYPED + column
    if column not in TIMES:
        return value
    return f"case when year({value}) between 1 and 9999 then {value} end"


def unparsed_text(column: str) -> str:
    """Returns the source's text of a typed column whose value could not be converted, or null."""
    value, text = VALUE + column, f"cast({VALUE}{column} as string)"
    has_value = f"case when {value} is null then {FILLED}{column} else {is_filled(text)} end"
    return (
        f"case when {BROKEN_LINE} is null and ({within_years(column)}) is null and {has_value} "
        f"then coalesce({TEXT}{column}, {text}) end"
    )
