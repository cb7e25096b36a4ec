"""The raw tables, as a load finds, replaces and extends them.

Properties of raw.transactions record what it holds: `source` and `fingerprint` of the load that
replaced it, and one property for each load that was added.
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
    quote,
    replace_table,
    table_properties,
)

TRANSACTIONS = "raw.transactions"
CUSTOMERS = "raw.customers"
TRANSACTIONS_COMMENT = "Purchases and returns as loaded. One row per line of an order."
CUSTOMERS_COMMENT = "Customers as loaded. One row per customer."
# Prefix of the property that records an added load. The fingerprint of the load follows the prefix;
# the value is the loading time.
ADDED = "added_"


def finish_replacements(spark: SparkSession) -> None:
    """Completes the replacements of a load that was killed; see finish_replacement."""
    for table in (CUSTOMERS, TRANSACTIONS):
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
    properties = table_properties(spark, TRANSACTIONS)
    return (
        properties.get("fingerprint") == inputs.fingerprint
        # On both tables: a load may have been killed between the two.
        and table_properties(spark, CUSTOMERS).get("fingerprint") == inputs.fingerprint
        and not any(key.startswith(ADDED) for key in properties)
    )


def replace_raw_tables(lines: DataFrame, customers: DataFrame, inputs: Inputs) -> None:
    """Replaces both raw tables and records the inputs on them."""
    properties = {"source": inputs.transactions, "fingerprint": inputs.fingerprint}
    replace_table(
        lines,
        TRANSACTIONS,
        TRANSACTIONS_COLUMNS,
        TRANSACTIONS_COMMENT,
        properties,
        TRANSACTIONS_PARTITION,
    )
    replace_table(customers, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT, properties)


# --- adding -----------------------------------------------------------------------------


def check_can_add(spark: SparkSession) -> None:
    """Raises StepError unless raw.transactions holds loaded data of this version."""
    advice = "load first with make run TRANSACTIONS=..."
    if not spark.catalog.tableExists(TRANSACTIONS):
        raise StepError(f"there is nothing to add to: {TRANSACTIONS} does not exist; {advice}")
    if not is_path(table_properties(spark, TRANSACTIONS).get("source", "")):
        raise StepError(
            f"{TRANSACTIONS} holds generated data, which do not mix with your own; {advice}"
        )
    if dict(spark.table(TRANSACTIONS).dtypes) != RAW_TYPES:
        raise StepError(
            f"{TRANSACTIONS} was loaded by an earlier version, with other types of columns; "
            "load everything again with make run TRANSACTIONS=..."
        )


def recorded_time(spark: SparkSession, inputs: Inputs) -> datetime | None:
    """Returns the loading time under which these inputs were recorded as added, if they were."""
    recorded = table_properties(spark, TRANSACTIONS).get(ADDED + inputs.fingerprint)
    return datetime.fromisoformat(recorded) if recorded else None


def are_added(spark: SparkSession, inputs: Inputs) -> bool:
    """Returns whether the lines of these inputs are in raw.transactions."""
    if table_properties(spark, TRANSACTIONS).get("fingerprint") == inputs.fingerprint:
        return True
    recorded = recorded_time(spark, inputs)
    return recorded is not None and not lines_of(spark, recorded).isEmpty()


def remove_leftovers(spark: SparkSession, loaded_at: datetime) -> None:
    """Removes the files of a killed addition whose partition the table does not know.

    The lines are then added with a new loading time, because the models read only lines that are
    newer than the lines they already have.
    """
    # Dropping a partition removes its files only if the table knows it.
    partition = f"partition (loaded_at = timestamp'{loaded_at:%Y-%m-%d %H:%M:%S}')"
    spark.sql(f"alter table {TRANSACTIONS} add if not exists {partition}")
    spark.sql(f"alter table {TRANSACTIONS} drop {partition}")


def add_customers(spark: SparkSession, customers: DataFrame) -> None:
    """Adds customers to raw.customers; a customer whom the table holds already is replaced."""
    others = spark.table(CUSTOMERS).join(customers, "customer_id", "left_anti")
    both = others.unionByName(customers)
    replace_table(both, CUSTOMERS, CUSTOMERS_COLUMNS, CUSTOMERS_COMMENT)


def add_lines(spark: SparkSession, lines: DataFrame, inputs: Inputs, loaded_at: datetime) -> None:
    """Records the inputs on raw.transactions, then adds their lines, all or none.

    So after a killed load, the next load can check whether the lines are in the table.
    """
    pair = f"{quote(ADDED + inputs.fingerprint)} = {quote(loaded_at.isoformat())}"
    spark.sql(f"alter table {TRANSACTIONS} set tblproperties ({pair})")
    describe(spark, TRANSACTIONS)
    lines.write.insertInto(TRANSACTIONS)
