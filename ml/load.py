"""Loads a data team's own transactions (and customers) into raw.transactions and raw.customers.

    python ml/load.py --transactions PATH [--customers PATH] [--mapping PATH] [--append]

A source is a CSV or Parquet file, or a folder of either. A mapping (YAML, see
ml/mappings/README.md) says how each canonical column follows from the source's columns. Every row
of the source becomes one row of raw.transactions: a value that does not fit its column becomes null
and its text is kept in `unparsed_values`, so that staging can reject the row with a reason.
"""

import argparse
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import yaml
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from session import (
    CUSTOMERS_COLUMNS,
    TRANSACTIONS_COLUMNS,
    TRANSACTIONS_PARTITION,
    StepError,
    describe,
    finish_replacement,
    is_path,
    quote,
    replace_table,
    run,
    say,
    start,
    table_properties,
)

TRANSACTIONS = "raw.transactions"
CUSTOMERS = "raw.customers"
# Where Spark puts a CSV line that has more or fewer fields than the header.
BROKEN_LINE = "_corrupt_record"
# Prefixes of working columns beside the source's own.
VALUE, TEXT, FILLED = "__value_", "__text_", "__filled_"
# What no real file reaches: rows, and bytes before compression, for each byte of a Parquet file.
MOST_ROWS_PER_BYTE = 10
MOST_COMPRESSION = 1000
# As many columns of a source as a message names.
NAMED_COLUMNS = 20
# Prefix of the table properties that note what was added.
ADDED = "added_"
TRANSACTIONS_COMMENT = "Purchases and returns as loaded. One row per line of an order."
CUSTOMERS_COMMENT = "Customers as loaded. One row per customer."


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
# How a source tends to call the required columns: for the example in the error message only.
LIKELY_NAMES = {
    "customer_id": "customer|client|user|member",
    "ordered_at": "date|time|day",
    "amount": "amount|total|value|price|revenue",
}


# --- sources ----------------------------------------------------------------------------


def locate(path: str) -> str:
    """Returns `path` as it is when it has a scheme (s3a://...), else absolute on this machine."""
    return path if "://" in path else str(Path(path).absolute())


def local_files(path: str) -> list[Path]:
    """Returns the data files at `path`: itself, or those of the folder and its key=value folders.

    Raises StepError when there are none, or when one is empty or neither CSV nor Parquet.
    """
    top = Path(path)
    if not top.exists():
        raise StepError(f"{path} does not exist")
    if top.is_file() and top.suffix.lower() not in (".csv", ".parquet"):
        raise StepError(f"{path} must be a .csv file, a .parquet file or a folder of either")
    files = [top]
    if top.is_dir():
        files = sorted(
            file
            for file in top.rglob("*")
            if file.is_file()
            and file.suffix.lower() in (".csv", ".parquet")
            and file.name[0] not in "._"
            and all("=" in part for part in file.relative_to(top).parts[:-1])
        )
    if not files:
        raise StepError(f"{path} is a folder without .csv or .parquet files")
    if len({file.suffix.lower() for file in files}) > 1:
        raise StepError(f"{path} holds both .csv and .parquet files: give a folder of one kind")
    for file in files:
        if file.stat().st_size == 0:
            raise StepError(f"{file} is empty (zero bytes)")
    return files


def check_expansion(file: Path) -> None:
    """Raises StepError when a Parquet file holds so much that it can only be there to do harm."""
    try:
        metadata = pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowException, OSError):
        return  # Spark will say what is wrong with it
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size, unpacked = file.stat().st_size, sum(group.total_byte_size for group in groups)
    if max(metadata.num_rows / MOST_ROWS_PER_BYTE, unpacked / MOST_COMPRESSION) > size:
        raise StepError(
            f"{file} holds {metadata.num_rows:,} rows in {size:,} bytes, {unpacked:,} unpacked, "
            "which no real data do: write it anew if it is what you mean to load"
        )


def is_csv(spark: SparkSession, path: str) -> bool:
    """Returns whether `path` is CSV; what has a scheme is listed by Spark, which has its keys."""
    if "://" not in path:
        return local_files(path)[0].suffix.lower() == ".csv"
    listing = spark.read.format("binaryFile").option("pathGlobFilter", "*.csv").load(path)
    return not listing.select("path").isEmpty()


def read_csv(spark: SparkSession, path: str) -> DataFrame:
    """Returns the CSV at `path`: every column a string, and BROKEN_LINE, null for a sound line."""
    # multiLine: a quoted line break would else cut one row into two wrong ones. It costs the split
    # of large files: one task reads one file, so large data come as a folder or as Parquet.
    options = {"header": True, "multiLine": True, "escape": '"', "encoding": "UTF-8"}
    names = spark.read.csv(path, **options).columns
    fields = [T.StructField(name, T.StringType()) for name in [*names, BROKEN_LINE]]
    # enforceSchema off: files of one folder must agree on the header, not merely on the number.
    return spark.read.schema(T.StructType(fields)).csv(path, enforceSchema=False, **options)


def read_source(spark: SparkSession, path: str) -> DataFrame:
    """Returns the rows at `path`; raises StepError when it cannot be read or has no rows."""
    csv = is_csv(spark, path)
    if not csv and "://" not in path:
        for file in local_files(path):
            check_expansion(file)
    try:
        # mergeSchema: a column that only some of the files have is not lost.
        source = read_csv(spark, path) if csv else spark.read.parquet(path, mergeSchema=True)
        is_empty = source.isEmpty()
    except (PySparkException, Py4JJavaError) as error:
        if "TIMESTAMP(NANOS" in str(error):
            raise StepError(
                f"{path} has times in nanoseconds, which Spark does not read: write them in "
                "microseconds (pandas: to_parquet(..., coerce_timestamps='us'))"
            ) from error
        kind = "CSV" if csv else "Parquet"
        raise StepError(f"{path} cannot be read as {kind}: {first_line(error)}") from error
    if is_empty:
        raise StepError(f"{path} has no rows")
    return source


def first_line(error: Exception) -> str:
    """Returns the first line of an engine's message, without its code and position."""
    # Without Spark Connect an error inside a task comes as a bare Java exception.
    text = str(getattr(error, "java_exception", error))
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"^.*\[[A-Z0-9_.]+\]\s*|\s*SQLSTATE:.*$", "", line.strip())


# --- mapping ----------------------------------------------------------------------------


def read_mapping(path: str | None) -> dict[str, dict[str, str]]:
    """Returns section -> canonical column -> expression; without a mapping file an empty dict."""
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StepError(f"mapping {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StepError(f"mapping {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StepError(f"mapping {path} must be a map with the keys transactions: and customers:")
    return {section: read_section(path, section, columns) for section, columns in content.items()}


def read_section(path: str, section: str, columns: object) -> dict[str, str]:
    """Returns one section of a mapping with every expression as text; raises StepError."""
    if section not in CANONICAL:
        raise StepError(
            f"mapping {path} has the unknown section {section!r}; known are {', '.join(CANONICAL)}"
        )
    if not isinstance(columns, dict):
        raise StepError(f"mapping {path}: {section} must be a map of column -> expression")
    for column, expression in columns.items():
        if column not in CANONICAL[section]:
            raise StepError(
                f"mapping {path}: {section} has the unknown column {column!r}; known are "
                f"{', '.join(CANONICAL[section])}"
            )
        if isinstance(expression, bool) or not isinstance(expression, str | int | float):
            raise StepError(f"mapping {path}: {section}.{column} is not a text with an expression")
    return {column: str(expression) for column, expression in columns.items()}


def identifier(name: str) -> str:
    """Returns `name` as SQL: in backticks unless it is a plain word."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name.replace('`', '``')}`"


def source_columns(source: DataFrame) -> list[str]:
    """Returns the columns that an expression may name."""
    return [name for name in source.columns if name != BROKEN_LINE]


def listed(source: DataFrame) -> str:
    """Returns the columns that an expression may name, as a message says them."""
    names = source_columns(source)
    more = len(names) - NAMED_COLUMNS
    return ", ".join(names[:NAMED_COLUMNS]) + (f" and {more:,} more" if more > 0 else "")


def canonical_names(source: DataFrame, section: str) -> dict[str, str]:
    """Returns the mapping of a source that already has canonical names, in any letter case."""
    names = {name.lower(): name for name in source_columns(source)}
    return {column: identifier(names[column]) for column in CANONICAL[section] if column in names}


def example_mapping(source: DataFrame, section: str, known: dict[str, str]) -> str:
    """Returns one line of YAML: `known`, plus a guess for each required column that it lacks."""
    names = source_columns(source)

    def likely(pattern: str) -> str | None:
        return next((identifier(n) for n in names if re.search(f"(?i){pattern}", n)), None)

    guesses = {c: likely(LIKELY_NAMES[c]) or f"<your column for {c}>" for c in REQUIRED[section]}
    if re.search("(?i)price", guesses.get("amount", "")) and (units := likely("quantity|qty|unit")):
        guesses["amount"] = f"{units} * {guesses['amount']}"
    guesses |= canonical_names(source, section)
    return yaml.safe_dump(
        {section: guesses | known}, default_flow_style=True, sort_keys=False, width=10**6
    ).strip()


def checked_mapping(
    source: DataFrame, section: str, mapping: dict[str, str] | None
) -> dict[str, str]:
    """Returns canonical column -> expression for `section`, every expression checked.

    A given mapping is complete: a source column that it does not use is not taken, whatever its
    name. Raises StepError for a missing required column or an expression that cannot be used.
    """
    expressions = canonical_names(source, section) if mapping is None else mapping
    missing = [column for column in REQUIRED[section] if column not in expressions]
    if missing:
        lacking = "the source lacks" if mapping is None else "the mapping lacks"
        raise StepError(
            f"{section}: {lacking} {', '.join(missing)}; the source has "
            f"{listed(source)}; write a MAPPING file such as: "
            f"{example_mapping(source, section, expressions)}"
        )
    for column, expression in expressions.items():
        check_expression(source, section, column, expression)
    return expressions


def check_expression(source: DataFrame, section: str, column: str, expression: str) -> None:
    """Raises StepError unless `expression` is a row's own value of a type that fits `column`."""
    what = f"{section}.{column}: {expression}"
    probe = empty(source, column)
    # The analyzer itself refuses what is more than a value of the row: a join's condition takes no
    # aggregate, window, generator or non-deterministic function (rand, uuid, reflect,
    # input_file_name), and a lambda's body no subquery.
    condition = F.exists(F.array(F.lit(1)), lambda _: F.expr(expression).isNull())
    try:
        kind = probe.select(F.expr(expression)).schema.fields[0].dataType
        probe.join(probe.select(F.lit(1).alias(VALUE)), condition).schema  # noqa: B018
    except ParseException as error:
        parts = error.getMessageParameters() or {}
        raise StepError(
            f"{what} is no SQL expression: syntax error at {parts.get('error')}"
        ) from error
    except AnalysisException as error:
        condition_name = str(error.getCondition())
        parts = error.getMessageParameters() or {}
        if condition_name.startswith("UNRESOLVED_COLUMN"):
            raise StepError(
                f"{what} names {parts.get('objectName')}, but the source has only {listed(source)}"
            ) from error
        if condition_name.startswith(("UNSUPPORTED", "INVALID_NON_DETERMINISTIC")):
            raise StepError(
                f"{what} may use only the columns of its own row: no aggregate, window, subquery, "
                "generator, random or reflective function"
            ) from error
        raise StepError(f"{what} is not possible: {first_line(error)}") from error
    if column in CONVERSIONS and not isinstance(kind, CONVERSIONS[column][0]):
        hint = "; for seconds since 1970 write timestamp_seconds(...)" if column in TIMES else ""
        raise StepError(f"{what} gives {kind.simpleString()}, which does not fit the column{hint}")


def empty(source: DataFrame, column: str) -> DataFrame:
    """Returns no rows of `source`'s columns, as an expression for `column` sees them.

    It costs no look at the files, so that many expressions can be tried on it.
    """
    fields = [field for field in source.schema.fields if field.name != BROKEN_LINE]
    rows = source.sparkSession.createDataFrame([], T.StructType(fields))
    return widened(rows, rows.columns) if column in NUMBERS else rows


def named_columns(source: DataFrame, column: str, expression: str) -> list[str]:
    """Returns the source columns that `expression` names: those it cannot do without."""
    probe = empty(source, column)

    def is_needed(name: str) -> bool:
        try:
            probe.drop(name).select(F.expr(expression)).schema  # noqa: B018
        except AnalysisException:
            return True
        return False

    # Each try costs a look at all columns, so only those are tried that the text could mean.
    text = expression.lower().replace("``", "`")
    return [name for name in probe.columns if name.lower() in text and is_needed(name)]


# --- conversion -------------------------------------------------------------------------


def is_filled(value: Column) -> Column:
    """Returns whether `value`, a string, is neither null nor blank."""
    return F.coalesce(value.rlike(r"(?U)\S"), F.lit(False))


def text_of(value: Column) -> Column:
    """Returns `value` as a string; bytes that are no text become the sign for that (U+FFFD)."""
    return F.make_valid_utf8(value.cast("string"))


def to_amount(value: Column, kind: T.DataType) -> Column:
    """Returns decimal(18,2), rounded half up; null when `value` is no number or too large."""
    # 3 * 0.335 is 1.00499999... in binary: six decimals restore the half cent before it is rounded.
    # Texts and decimals are exact and are rounded once.
    if isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        value = value.try_cast("decimal(38,6)")
    return value.try_cast("decimal(18,2)")


def to_whole(value: Column, kind: T.DataType) -> Column:
    """Returns int; null when `value` is no whole number ('2.5') or beyond an int."""
    number = value.try_cast("decimal(38,10)")
    return F.when(number == F.floor(number), number.try_cast("int"))


def to_time(value: Column, kind: T.DataType) -> Column:
    """Returns timestamp; null for a text that is no ISO date or time ('2026-01-31 09:30:00').

    Also null beyond the years 1 to 9999, which are those of dates in SQL and in Python.
    """
    # A plain cast takes '12:30' for today (a clock) and '201101' for the year 201101.
    if isinstance(kind, T.StringType):
        value = F.when(value.rlike(r"^\s*\d{4}-\d{1,2}-\d{1,2}"), value)
    time = value.try_cast("timestamp")
    return F.when(F.year(time).between(1, 9999), time)


def to_date(value: Column, kind: T.DataType) -> Column:
    """Returns date; null for a text that is no ISO date or time."""
    return to_time(value, kind).cast("date")


Conversion = Callable[[Column, T.DataType], Column]
NUMBER_TYPES = (T.NumericType, T.StringType)
TIME_TYPES = (T.TimestampType, T.TimestampNTZType, T.DateType, T.StringType)
# Every other canonical column is a text.
CONVERSIONS: dict[str, tuple[tuple[type[T.DataType], ...], Conversion]] = {
    "ordered_at": (TIME_TYPES, to_time),
    "quantity": (NUMBER_TYPES, to_whole),
    "amount": (NUMBER_TYPES, to_amount),
    "registered_on": (TIME_TYPES, to_date),
    "age": (NUMBER_TYPES, to_whole),
}
NUMBERS = ("quantity", "amount", "age")
TIMES = ("ordered_at", "registered_on")


def widened(rows: DataFrame, names: list[str]) -> DataFrame:
    """Returns `rows` with the whole numbers among the columns `names` as decimal(20,0).

    Without ANSI mode a product of whole numbers beyond their type wraps around in silence; decimals
    become null, which is then reported.
    """

    def wide(field: T.StructField) -> Column:
        column = F.col(identifier(field.name))
        if field.name in names and isinstance(field.dataType, T.IntegralType):
            return column.cast("decimal(20,0)").alias(field.name)
        return column

    return rows.select(*[wide(field) for field in rows.schema.fields])


def without_ansi(spark: SparkSession) -> None:
    """Makes a value that does not fit null instead of an error that ends the load.

    A mapping's `Quantity * UnitPrice` over texts is the user's own SQL: there is no try_ form of it
    that the loader could put in its place, so the mode is that of the session.
    """
    spark.conf.set("spark.sql.ansi.enabled", "false")


def canonical(source: DataFrame, section: str, expressions: dict[str, str]) -> DataFrame:
    """Returns the canonical columns of `section` and `unparsed_values`, one row per source row.

    A value is unparsed when the expression gave something that its column cannot hold, or gave
    nothing although every source column that it names is filled. A null or blank is missing, not
    unparsed. Needs a session `without_ansi`.
    """
    rows = evaluated(source, expressions)
    values, misfits = {}, {}
    for column in expressions:
        value = F.col(VALUE + column)
        if column not in CONVERSIONS:
            values[column] = F.when(is_filled(text_of(value)), text_of(value))
            continue
        values[column] = CONVERSIONS[column][1](value, rows.schema[VALUE + column].dataType)
        was_given = F.when(value.isNull(), F.col(FILLED + column)).otherwise(
            is_filled(value.cast("string"))
        )
        misfits[column] = F.when(
            values[column].isNull() & was_given,
            F.coalesce(F.col(TEXT + column), value.cast("string")),
        )
    # The fields of a broken line may stand in each other's place: it brings in no money, and
    # nothing about a customer but the id.
    untrusted = ["amount"] if section == "transactions" else list(CANONICAL[section])[1:]
    for column in untrusted:
        values[column] = F.when(F.col(BROKEN_LINE).isNull(), values.get(column, F.lit(None)))
    misfits[untrusted[0]] = F.coalesce(BROKEN_LINE, misfits.get(untrusted[0], F.lit(None)))
    unparsed = F.to_json(F.struct(*[text.alias(column) for column, text in misfits.items()]))
    return rows.select(
        *[
            values.get(column, F.lit(None)).cast(kind).alias(column)
            for column, kind in CANONICAL[section].items()
        ],
        F.nullif(unparsed, F.lit("{}")).alias("unparsed_values"),
    )


def evaluated(source: DataFrame, expressions: dict[str, str]) -> DataFrame:
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
    rows = source.select("*", *[F.expr(expressions[c]).alias(VALUE + c) for c in others])
    return widened(rows, source_columns(source)).select(
        *[VALUE + column for column in others],
        *[F.expr(expressions[column]).alias(VALUE + column) for column in numbers],
        *[source_text(names).alias(TEXT + column) for column, names in typed.items()],
        *[all_filled(names).alias(FILLED + column) for column, names in typed.items()],
        broken_line.cast("string").alias(BROKEN_LINE),
    )


def source_text(names: list[str]) -> Column:
    """Returns what the source says in the columns `names`, as one text."""
    texts = [text_of(F.col(identifier(name))) for name in names]
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
    source: DataFrame, mapping: dict[str, str] | None, loaded_at: datetime
) -> DataFrame:
    """Returns `source` in the shape of raw.transactions, one row per source row.

    `mapping` None means that the source has canonical names. `loaded_at` is UTC.
    """
    rows = canonical(source, "transactions", checked_mapping(source, "transactions", mapping))
    is_misfit = F.get_json_object("unparsed_values", "$.quantity").isNotNull()
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


def customers(source: DataFrame, mapping: dict[str, str] | None) -> DataFrame:
    """Returns `source` as the columns of raw.customers and `unparsed_values`, row by row."""
    return canonical(source, "customers", checked_mapping(source, "customers", mapping))


def one_per_customer(rows: DataFrame) -> DataFrame:
    """Returns `rows` in the shape of raw.customers: one row per id, none without.

    Of several rows for one id the one that registered last stays, then the greatest in the other
    columns, whatever the order of the files.
    """
    attributes = list(CANONICAL["customers"])[1:]
    latest = F.max(F.struct(*attributes)).alias("latest")
    people = rows.where("customer_id is not null").groupBy("customer_id").agg(latest)
    return people.select("customer_id", "latest.*")


# --- the two ways to load ---------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """What one call loads: located paths, the mapping, and the mark that identifies all of it."""

    transactions: str
    customers: str | None
    mapping: dict[str, dict[str, str]]
    mark: str


def fingerprint(paths: list[str], mapping: str | None) -> str:
    """Returns a hash of the files (name, size, time of change), the mapping and this code.

    What lies behind a scheme cannot be looked at cheaply: its fingerprint never repeats.
    """
    parts = [Path(__file__).read_text(), Path(mapping).read_text() if mapping else ""]
    for path in paths:
        if "://" in path:
            parts += [path, str(time.time_ns())]
            continue
        for file in local_files(path):
            parts.append(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def replace(spark: SparkSession, inputs: Inputs, loaded_at: datetime) -> None:
    """Puts the user's data in the place of what was loaded, unless they are what is loaded."""
    before = table_properties(spark, TRANSACTIONS)
    is_current = (
        before.get("fingerprint") == inputs.mark
        # Also on the customers: a run may have been killed between the two tables.
        and table_properties(spark, CUSTOMERS).get("fingerprint") == inputs.mark
        and not any(key.startswith(ADDED) for key in before)
    )
    if is_current:
        say(f"{inputs.transactions} is loaded already and has not changed: nothing to do")
        return
    rows = transactions(
        read_source(spark, inputs.transactions), inputs.mapping.get("transactions"), loaded_at
    )
    people = read_customers(spark, inputs)
    properties = {"source": inputs.transactions, "fingerprint": inputs.mark}
    replace_table(
        rows,
        TRANSACTIONS,
        TRANSACTIONS_COLUMNS,
        TRANSACTIONS_COMMENT,
        properties,
        TRANSACTIONS_PARTITION,
    )
    replace_table(people, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT, properties)
    report(spark, inputs.transactions, loaded_at)


def append(spark: SparkSession, inputs: Inputs, loaded_at: datetime) -> None:
    """Adds the user's data to what was loaded; a customer who is there already is replaced.

    Adding the same unchanged file twice adds it once. The table remembers each addition by a
    property, set before the rows go in, which they do all or none: after a run that was killed,
    it can be told whether they did.
    """
    if not spark.catalog.tableExists(TRANSACTIONS):
        raise StepError(
            f"there is nothing to add to: {TRANSACTIONS} does not exist; "
            "load first with make run TRANSACTIONS=..."
        )
    before = table_properties(spark, TRANSACTIONS)
    if not is_path(before.get("source", "")):
        raise StepError(
            f"{TRANSACTIONS} holds generated data, which do not mix with your own; "
            "load first with make run TRANSACTIONS=..."
        )
    source = read_source(spark, inputs.transactions)
    key = ADDED + inputs.mark
    noted_at = datetime.fromisoformat(before[key]) if key in before else None
    if before.get("fingerprint") == inputs.mark or (
        noted_at and not load_of(spark, noted_at).isEmpty()
    ):
        say(f"{inputs.transactions} is loaded already and has not changed: nothing to add")
        return
    if noted_at:
        remove_leftovers(spark, noted_at)
    rows = transactions(source, inputs.mapping.get("transactions"), loaded_at)
    if inputs.customers:
        people = read_customers(spark, inputs)
        others = spark.table(CUSTOMERS).join(people, "customer_id", "left_anti")
        replace_table(others.unionByName(people), CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT)
    note = f"{quote(key)} = {quote(loaded_at.isoformat())}"
    spark.sql(f"alter table {TRANSACTIONS} set tblproperties ({note})")
    describe(spark, TRANSACTIONS)
    rows.write.insertInto(TRANSACTIONS)
    report(spark, inputs.transactions, loaded_at)


def load_of(spark: SparkSession, loaded_at: datetime) -> DataFrame:
    """Returns the lines that were loaded at that time."""
    return spark.table(TRANSACTIONS).where(F.col("loaded_at") == timestamp(loaded_at))


def remove_leftovers(spark: SparkSession, loaded_at: datetime) -> None:
    """Removes the files of a load that was killed: they lie in the folder of a load that is none.

    The lines are then added under a new time. Of two loads, the one that is in the table later has
    the later time: the models take in only what was loaded after all that they hold.
    """
    partition = f"partition (loaded_at = timestamp'{loaded_at:%Y-%m-%d %H:%M:%S}')"
    spark.sql(f"alter table {TRANSACTIONS} add if not exists {partition}")
    spark.sql(f"alter table {TRANSACTIONS} drop {partition}")


def read_customers(spark: SparkSession, inputs: Inputs) -> DataFrame:
    """Returns the rows for raw.customers, none without a file, and says what was left out."""
    if inputs.customers is None:
        return spark.createDataFrame([], T.StructType()).select(
            *[F.lit(None).cast(kind).alias(c) for c, kind in CANONICAL["customers"].items()]
        )
    rows = customers(read_source(spark, inputs.customers), inputs.mapping.get("customers"))
    counts = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_distinct("customer_id").alias("people"),
        F.count_if(F.col("customer_id").isNull()).alias("without_id"),
        F.count("unparsed_values").alias("unparsed"),
    ).first()
    say(
        f"{inputs.customers}: {counts.people:,} customers of {counts.rows:,} rows "
        f"({counts.without_id:,} rows without an id left out, "
        f"{counts.rows - counts.people - counts.without_id:,} repeat an id, "
        f"{counts.unparsed:,} with a value that does not fit its column, now null)"
    )
    return one_per_customer(rows)


def report(spark: SparkSession, path: str, loaded_at: datetime) -> None:
    """Says what the load at `loaded_at` brought, as it now stands in the table."""
    describe(spark, "report")
    counts = (
        load_of(spark, loaded_at)
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(F.col("customer_id").isNull()).alias("guests"),
            F.count("unparsed_values").alias("unparsed"),
            F.min("ordered_at").cast("date").alias("first"),
            F.max("ordered_at").cast("date").alias("last"),
            F.sum("amount").alias("amount"),
        )
        .first()
    )
    say(f"{path}: {counts.rows:,} lines from {counts.first} to {counts.last}, net {counts.amount}")
    say(f"{counts.guests:,} lines without a customer (guests)")
    if counts.unparsed:
        say(
            f"{counts.unparsed:,} lines with a value that does not fit its column: kept in "
            f"{TRANSACTIONS}, column unparsed_values"
        )


def main() -> None:
    """Reads the command line and loads; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", required=True, help="CSV or Parquet, a file or a folder")
    parser.add_argument("--customers", help="CSV or Parquet, a file or a folder")
    parser.add_argument("--mapping", help="YAML: canonical column -> SQL expression")
    parser.add_argument("--append", action="store_true", help="add to what is loaded")
    arguments = parser.parse_args()
    paths = [locate(path) for path in (arguments.transactions, arguments.customers) if path]
    # What needs no Spark is checked before Spark is asked for.
    mapping = read_mapping(arguments.mapping)
    inputs = Inputs(
        transactions=paths[0],
        customers=paths[1] if arguments.customers else None,
        mapping=mapping,
        mark=fingerprint(paths, arguments.mapping),
    )
    spark = start("load")
    without_ansi(spark)
    for table in (CUSTOMERS, TRANSACTIONS):
        finish_replacement(spark, table)
    loaded_at = datetime.now(UTC).replace(microsecond=0)
    (append if arguments.append else replace)(spark, inputs, loaded_at)


if __name__ == "__main__":
    run(main)
