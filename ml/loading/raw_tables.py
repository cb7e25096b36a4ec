"""The raw tables, as a load finds, replaces and extends them.

Properties of raw.transactions tell the `source` and the `fingerprint` of the load that replaced it.
The files of all loads are in raw.loads: see ledger.py.
"""

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.columns import CANONICAL, RAW_TYPES
from ml.loading.inputs import Inputs
from ml.loading.rows import utc_literal
from ml.session import StepError, describe
from ml.tables import (
    CUSTOMERS_COLUMNS,
    TRANSACTIONS_COLUMNS,
    TRANSACTIONS_PARTITION,
    finish_replacement,
    is_path,
    replace_table,
    table_properties,
)

TRANSACTIONS = "raw.transactions"
CUSTOMERS = "raw.customers"
LOADS = "raw.loads"
TRANSACTIONS_COMMENT = "Purchases and returns as loaded. One row per line of an order."
CUSTOMERS_COMMENT = "Customers as loaded. One row per customer."
# Property of raw.transactions: the time of the last load that replaced lines of files.
REPLACED_AT = "replaced_at"


def finish_replacements(spark: SparkSession) -> None:
    """Completes the replacements of a load that was killed; see finish_replacement."""
    for table in (CUSTOMERS, TRANSACTIONS, LOADS):
        finish_replacement(spark, table)


def lines_of(spark: SparkSession, loaded_at: datetime) -> DataFrame:
    """Returns the lines of raw.transactions that were loaded at that time."""
    return spark.table(TRANSACTIONS).where(F.col("loaded_at") == utc_literal(loaded_at))


def no_customers(spark: SparkSession) -> DataFrame:
    """Returns the columns of raw.customers without rows."""
    return spark.createDataFrame([], T.StructType()).select(
        *[F.lit(None).cast(kind).alias(name) for name, kind in CANONICAL["customers"].items()]
    )


# --- replacing --------------------------------------------------------------------------


def are_loaded(spark: SparkSession, inputs: Inputs) -> bool:
    """Returns whether the raw tables hold exactly these inputs."""
    return (
        table_properties(spark, TRANSACTIONS).get("fingerprint") == inputs.fingerprint
        # On both tables: a load may have been killed between the two.
        and table_properties(spark, CUSTOMERS).get("fingerprint") == inputs.fingerprint
    )


def replace_raw_tables(lines: DataFrame, customers: DataFrame, inputs: Inputs) -> None:
    """Replaces both raw tables and records the inputs on them."""
    properties = {"source": inputs.transactions, "fingerprint": inputs.fingerprint}
    # Customers first: if only one of the two is there after a kill, a load replaces both.
    replace_table(customers, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT, properties)
    replace_table(
        lines,
        TRANSACTIONS,
        TRANSACTIONS_COLUMNS,
        TRANSACTIONS_COMMENT,
        properties,
        TRANSACTIONS_PARTITION,
    )


# --- adding -----------------------------------------------------------------------------


def exist(spark: SparkSession) -> bool:
    """Returns whether raw.transactions exists, with loaded or generated lines."""
    return spark.catalog.tableExists(TRANSACTIONS)


def check_can_add(spark: SparkSession) -> None:
    """Raises StepError unless raw.transactions holds loaded data of this version."""
    if not is_path(table_properties(spark, TRANSACTIONS).get("source", "")):
        raise StepError(
            f"{TRANSACTIONS} holds generated data, which do not mix with your own; load first with "
            "make run TRANSACTIONS=..."
        )
    is_current = dict(spark.table(TRANSACTIONS).dtypes) == RAW_TYPES
    if not is_current or not spark.catalog.tableExists(LOADS):
        raise StepError(
            f"{TRANSACTIONS} was loaded by an earlier version, with other columns or without the "
            "list of its files; load everything again with make run TRANSACTIONS=..."
        )


def holds_load(spark: SparkSession, loaded_at: datetime) -> bool:
    """Returns whether raw.transactions has the lines of the load of that time.

    A load that only removes lines has none; it leaves its time as a property.
    """
    if not exist(spark):
        return False
    if table_properties(spark, TRANSACTIONS).get(REPLACED_AT) == loaded_at.isoformat():
        return True
    return not lines_of(spark, loaded_at).isEmpty()


def remove_leftovers(spark: SparkSession, loaded_at: datetime) -> None:
    """Removes the files of a killed addition whose partition the table does not know."""
    if not exist(spark):
        return
    partition = f"partition (loaded_at = timestamp'{loaded_at:%Y-%m-%d %H:%M:%S}')"
    nulls = ", ".join("null" for name in RAW_TYPES if name != TRANSACTIONS_PARTITION)
    # Dropping a partition removes its files only if the table knows it. Overwriting it by no rows
    # removes the files first, so that a kill between the two statements shows none of their lines.
    spark.sql(f"insert overwrite {TRANSACTIONS} {partition} select {nulls} from range(0)")
    spark.sql(f"alter table {TRANSACTIONS} drop if exists {partition}")


def add_customers(spark: SparkSession, customers: DataFrame) -> None:
    """Adds customers to raw.customers; a customer whom the table holds already is replaced."""
    others = spark.table(CUSTOMERS).join(customers, "customer_id", "left_anti")
    both = others.unionByName(customers)
    replace_table(both, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT)


def add_lines(spark: SparkSession, lines: DataFrame) -> None:
    """Adds lines of one loading time to raw.transactions, all or none."""
    describe(spark, TRANSACTIONS)
    lines.write.insertInto(TRANSACTIONS)


def replace_lines(
    spark: SparkSession, numbers: list[int], lines: DataFrame | None, loaded_at: datetime
) -> None:
    """Replaces the lines of the files with these numbers by `lines`, all or none.

    The table gets a new version, so the models are built again from all lines.
    """
    rows = spark.table(TRANSACTIONS)
    kept = rows.where(F.col("file_number").isNull() | ~F.col("file_number").isin(numbers))
    replace_table(
        kept.unionByName(lines) if lines is not None else kept,
        TRANSACTIONS,
        TRANSACTIONS_COLUMNS,
        TRANSACTIONS_COMMENT,
        table_properties(spark, TRANSACTIONS) | {REPLACED_AT: loaded_at.isoformat()},
        TRANSACTIONS_PARTITION,
    )
