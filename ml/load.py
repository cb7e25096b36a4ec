"""Loads a data team's own transactions (and customers) into raw.transactions and raw.customers.

    python -m ml.load --transactions PATH [--customers PATH] [--mapping PATH] [--append]

A source is a CSV or Parquet file, or a folder of either. A mapping (YAML, see
ml/mappings/README.md) says how each canonical column follows from the source's columns, and how the
file is written where that is not certain. Every row of the source becomes one row of
raw.transactions: a value that does not fit its column becomes null and its text is kept in
`unparsed_values`, so that staging can reject the row with a reason. When no row can be used,
nothing is replaced.
"""

import argparse
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import CANONICAL, NUMBERS, RAW_TYPES, TIMES
from ml.loading.files import find_files, is_remote, locate
from ml.loading.formats import number_proposal, time_proposal
from ml.loading.mapping import Mapping, read_mapping
from ml.loading.rows import customers, one_per_customer, timestamp, transactions, without_ansi
from ml.loading.sources import read_source, staging
from ml.session import StepError, describe, log, run, start
from ml.tables import (
    CUSTOMERS_COLUMNS,
    TRANSACTIONS_COLUMNS,
    TRANSACTIONS_PARTITION,
    finish_replacement,
    is_path,
    quote,
    replace_table,
    table_properties,
)

TRANSACTIONS = "raw.transactions"
CUSTOMERS = "raw.customers"
TRANSACTIONS_COMMENT = "Purchases and returns as loaded. One row per line of an order."
CUSTOMERS_COMMENT = "Customers as loaded. One row per customer."
# Prefix of the table properties that note what was added.
ADDED = "added_"
SAMPLE_TEXTS = 50


# --- what a load brings -----------------------------------------------------------------


# Days that stand for a missing one; staging rejects them too.
FILLER_DAYS = (
    *("1970-01-01", "1900-01-01", "9999-12-31", "1899-12-30", "1899-12-31", "0001-01-01"),
    "1753-01-01",
)
# Why a line cannot be used, in the order of staging: what a message says, and the column that the
# reason is about.
UNUSABLE = {
    "fields that cannot be told apart": (
        "line",
        "get_json_object(unparsed_values, '$.line') is not null",
    ),
    "an ordered_at that is no time": (
        "ordered_at",
        "get_json_object(unparsed_values, '$.ordered_at') is not null",
    ),
    "no ordered_at": ("ordered_at", "ordered_at is null"),
    "an ordered_at that stands for a missing one": (
        "ordered_at",
        f"cast(cast(ordered_at as date) as string) in {FILLER_DAYS}",
    ),
    "an amount that is no number": (
        "amount",
        "get_json_object(unparsed_values, '$.amount') is not null",
    ),
    "no amount": ("amount", "amount is null"),
    "a quantity that is no number": (
        "quantity",
        "get_json_object(unparsed_values, '$.quantity') is not null",
    ),
    "neither quantity nor amount": ("quantity", "quantity = 0 and amount = 0"),
    "an ordered_at in the future": ("ordered_at", "ordered_at > loaded_at"),
}


def reason() -> Column:
    """Returns why a line of raw.transactions cannot be used, in words of UNUSABLE; else null."""
    cases = F.when(F.expr("false"), F.lit(None).cast("string"))
    for words, (_, condition) in UNUSABLE.items():
        cases = cases.when(F.expr(condition), words)
    return cases


def check_usable(rows: DataFrame, path: str) -> None:
    """Raises StepError when no line can be used, with the commonest reason and what would help."""
    judged = rows.withColumn("reason", reason())
    if not judged.where("reason is null").isEmpty():
        return
    counts = judged.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    words, total = counts[0]["reason"], sum(row["count"] for row in counts)
    column, _ = UNUSABLE[words]
    texts = sample_texts(judged.where(F.col("reason") == words), column)
    example = f", such as {texts[0][:80]!r}" if texts else ""
    helpful = advice(column, texts)
    raise StepError(
        f"no line of {path} can be used, so nothing is replaced: {counts[0]['count']:,} of "
        f"{counted(total, 'line')} with {words}{example}" + (f"; {helpful}" if helpful else "")
    )


def sample_texts(rows: DataFrame, column: str) -> list[str]:
    """Returns some texts of `rows` that did not fit `column`, else the values that it has."""
    text = F.coalesce(
        F.get_json_object("unparsed_values", f"$.{column}"),
        F.col(column).cast("string") if column in rows.columns else F.lit(None),
    )
    found = rows.select(text.alias("text")).where("text is not null").limit(SAMPLE_TEXTS)
    return [row["text"] for row in found.collect()]


def advice(column: str, texts: list[str]) -> str | None:
    """Returns what to write into the mapping to have the texts read; None when that is unclear."""
    if not texts:
        return None
    if column in TIMES:
        proposed = time_proposal(texts)
        return f"write into the mapping: {proposed}" if proposed else None
    if column in NUMBERS:
        proposed = number_proposal(texts)
        return f"write into the mapping: {proposed}" if proposed else None
    return None


def counted(number: int, noun: str) -> str:
    """Returns a number and its noun: `1 line`, `1,234 lines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def report(spark: SparkSession, path: str, loaded_at: datetime) -> None:
    """Says what the load at `loaded_at` brought, as it now stands in the table."""
    describe(spark, "report")
    lines = load_of(spark, loaded_at)
    unparsed = {
        column: F.get_json_object("unparsed_values", f"$.{column}").isNotNull()
        for column in ("line", "ordered_at", "amount", "quantity")
    }
    counts = lines.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(
            F.col("customer_id").isNull() & ~F.coalesce(unparsed["line"], F.lit(False))
        ).alias("guests"),
        F.min("ordered_at").cast("date").alias("first"),
        F.max("ordered_at").cast("date").alias("last"),
        F.sum("amount").alias("amount"),
        *[F.count_if(is_unparsed).alias(f"unparsed_{c}") for c, is_unparsed in unparsed.items()],
    ).first()
    lines_text = counted(counts.rows, "line")
    log(f"{path}: {lines_text} from {counts.first} to {counts.last}, net {counts.amount}")
    log(f"{counted(counts.guests, 'line')} without a customer (guests)")
    for column, is_unparsed in unparsed.items():
        if not (count := counts[f"unparsed_{column}"]):
            continue
        texts = sample_texts(lines.where(is_unparsed), column)
        what = {
            "line": "whose fields cannot be told apart (an open quote, or too many or too few)",
            "ordered_at": "with a time that is none",
            "amount": "with an amount that is no number",
            "quantity": "with a quantity that is no number",
        }[column]
        helpful = advice(column, texts)
        log(
            f"{counted(count, 'line')} {what}, such as {texts[0][:80]!r}: kept in {TRANSACTIONS}, "
            "column unparsed_values" + (f"; {helpful}" if helpful else "")
        )


# --- the two ways to load ---------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """What one call loads: located paths, the mapping, and the mark that identifies all of it."""

    transactions: str
    customers: str | None
    mapping: Mapping
    mark: str


def fingerprint(paths: list[str], mapping: str | None) -> str:
    """Returns a hash of the files (name, size, time of change), the mapping and this code.

    What lies behind a scheme cannot be looked at cheaply: its fingerprint never repeats.
    """
    code = sorted(Path(__file__).parent.glob("loading/*.py"))
    parts = [file.read_text() for file in (Path(__file__), *code)]
    parts.append(Path(mapping).read_text() if mapping else "")
    for path in paths:
        if is_remote(path):
            parts += [path, str(time.time_ns())]
            continue
        for file in find_files(path).files:
            status = file.path.stat()
            parts.append(f"{file.path} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_transactions(
    spark: SparkSession, inputs: Inputs, folder: Path, loaded_at: datetime
) -> DataFrame:
    """Returns the rows for raw.transactions; raises StepError when none of them can be used."""
    source = inputs.mapping.source(inputs.transactions, "transactions")
    found = read_source(spark, source, folder / source.section)
    rows = transactions(found, source.mapping, loaded_at, source.format)
    check_usable(rows, inputs.transactions)
    return rows


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
        log(f"{inputs.transactions} is loaded already and has not changed: nothing to do")
        return
    with staging(spark) as folder:
        rows = read_transactions(spark, inputs, folder, loaded_at)
        people = read_customers(spark, inputs, folder)
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
    if dict(spark.table(TRANSACTIONS).dtypes) != RAW_TYPES:
        raise StepError(
            f"{TRANSACTIONS} was loaded by an earlier version, with other types of columns; "
            "load everything again with make run TRANSACTIONS=..."
        )
    key = ADDED + inputs.mark
    noted_at = datetime.fromisoformat(before[key]) if key in before else None
    if before.get("fingerprint") == inputs.mark or (
        noted_at and not load_of(spark, noted_at).isEmpty()
    ):
        log(f"{inputs.transactions} is loaded already and has not changed: nothing to add")
        return
    with staging(spark) as folder:
        rows = read_transactions(spark, inputs, folder, loaded_at)
        if noted_at:
            remove_leftovers(spark, noted_at)
        if inputs.customers:
            people = read_customers(spark, inputs, folder)
            others = spark.table(CUSTOMERS).join(people, "customer_id", "left_anti")
            both = others.unionByName(people)
            replace_table(both, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT)
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


def read_customers(spark: SparkSession, inputs: Inputs, folder: Path) -> DataFrame:
    """Returns the rows for raw.customers, none without a file, and says what was left out.

    Raises StepError when no row has an id.
    """
    if inputs.customers is None:
        return spark.createDataFrame([], T.StructType()).select(
            *[F.lit(None).cast(kind).alias(c) for c, kind in CANONICAL["customers"].items()]
        )
    source = inputs.mapping.source(inputs.customers, "customers")
    found = read_source(spark, source, folder / source.section)
    rows = customers(found, source.mapping, source.format)
    counts = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_distinct("customer_id").alias("people"),
        F.count_if(F.col("customer_id").isNull()).alias("without_id"),
        F.count("unparsed_values").alias("unparsed"),
    ).first()
    if not counts.people:
        raise StepError(
            f"no row of {inputs.customers} can be used, so nothing is replaced: none of "
            f"{counts.rows:,} rows has a customer_id"
        )
    log(
        f"{inputs.customers}: {counts.people:,} customers of {counts.rows:,} rows "
        f"({counts.without_id:,} rows without an id left out, "
        f"{counts.rows - counts.people - counts.without_id:,} repeat an id, "
        f"{counts.unparsed:,} with a value that does not fit its column, now null)"
    )
    return one_per_customer(rows)


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
    inputs = Inputs(
        transactions=paths[0],
        customers=paths[1] if arguments.customers else None,
        mapping=read_mapping(arguments.mapping),
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
