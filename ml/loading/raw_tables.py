"""The raw tables, as a load finds, replaces and extends them.

Properties of raw.transactions and raw.customers hold the `source` and the `fingerprint` of the load
that replaced them.
The files of all loads are in raw.loads: see ledger.py.
"""

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.columns import CANONICAL, RAW_TYPES
from ml.loading.files import is_table
from ml.loading.inputs import Inputs
from ml.loading.rows import utc_literal
from ml.loading.tables_in_place import View, has_changed
from ml.session import StepError, describe
from ml.tables import (
    RAW_TABLES,
    TRANSACTIONS_PARTITION,
    finish_replacement,
    is_of_user,
    is_view,
    replace_by_view,
    table_properties,
)

TRANSACTIONS, CUSTOMERS, LOADS = (
    RAW_TABLES[name].name for name in ("transactions", "customers", "loads")
)
# Property of raw.transactions: the time of the last load that replaced lines of files.
REPLACED_AT = "replaced_at"


def finish_replacements(spark: SparkSession) -> None:
    """Completes the replacements of a load that was killed; see finish_replacement."""
    for table in (CUSTOMERS, TRANSACTIONS, LOADS):
        finish_replacement(spark, table)


def lines_of(spark: SparkSession, loaded_at: datetime) -> DataFrame:
    """Returns the lines of raw.transactions that were loaded at that time."""
    return spark.table(TRANSACTIONS).where(F.expr(f"loaded_at = {utc_literal(loaded_at)}"))


def no_customers(spark: SparkSession) -> DataFrame:
    """Returns the columns of raw.customers without rows."""
    return spark.createDataFrame([], T.StructType()).select(
        *[F.lit(None).cast(kind).alias(name) for name, kind in CANONICAL["customers"].items()]
    )


# --- replacing --------------------------------------------------------------------------


def are_loaded(spark: SparkSession, inputs: Inputs) -> bool:
    """Returns whether both raw tables were last replaced by these inputs.

    Lines that were added since then show only in raw.loads.
    """
    return all(is_loaded(spark, inputs, section) for section in CANONICAL)


def is_loaded(spark: SparkSession, inputs: Inputs, section: str) -> bool:
    """Returns whether the raw table of a section was last replaced by these inputs."""
    table = RAW_TABLES[section].name
    known = table_properties(spark, table)
    if known.get("fingerprint") != inputs.fingerprint:
        return False
    if not inputs.is_in_place(section):
        return True
    return not has_changed(spark, inputs.source(section), table, known)


def replace_raw_table(
    spark: SparkSession, section: str, content: DataFrame | View, inputs: Inputs
) -> None:
    """Replaces the raw table of a section, by rows or by a view, and records the inputs on it."""
    table = RAW_TABLES[section]
    source = inputs.paths.get(section, inputs.paths["transactions"])
    properties = {"source": source, "fingerprint": inputs.fingerprint}
    if isinstance(content, View):
        properties |= content.properties
        replace_by_view(spark, content.sql, table.name, table.columns, table.comment, properties)
        return
    table.replace(content, properties)


# --- adding -----------------------------------------------------------------------------


def exist(spark: SparkSession) -> bool:
    """Returns whether raw.transactions exists, with loaded or generated lines."""
    return spark.catalog.tableExists(TRANSACTIONS)


def check_can_add(spark: SparkSession) -> None:
    """Raises StepError unless raw.transactions holds loaded data of this version."""
    source = table_properties(spark, TRANSACTIONS).get("source", "")
    if is_table(source):
        raise StepError(
            f"{TRANSACTIONS} is a view of {source}, to which no file can be added; make run reads "
            "what is new in it"
        )
    if not is_of_user(source):
        raise StepError(
            f"{TRANSACTIONS} holds generated data, or data that ml/load.py did not load. They do "
            "not mix with your files; load first with make run TRANSACTIONS=..."
        )
    is_current = dict(spark.table(TRANSACTIONS).dtypes) == RAW_TYPES
    if not is_current or not spark.catalog.tableExists(LOADS):
        raise StepError(
            f"{TRANSACTIONS} was loaded by an earlier version, with other columns or without the "
            "list of its files; load everything again with make run TRANSACTIONS=..."
        )


def check_can_add_customers(spark: SparkSession) -> None:
    """Raises StepError if raw.customers is a view of a table, which stays where it is."""
    if is_view(spark, CUSTOMERS):
        source = table_properties(spark, CUSTOMERS).get("source", "a table")
        raise StepError(
            f"{CUSTOMERS} is a view of {source}, to which no file can be added; leave out "
            "CUSTOMERS, or load everything again with make run"
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
    partition = f"partition (loaded_at = {utc_literal(loaded_at)})"
    nulls = ", ".join("null" for name in RAW_TYPES if name != TRANSACTIONS_PARTITION)
    # `drop partition` removes files only of a partition that the table knows. So the partition is
    # first overwritten with no rows, which removes the files. If the process is killed before the
    # drop, the table shows none of their lines.
    spark.sql(f"insert overwrite {TRANSACTIONS} {partition} select {nulls} from range(0)")
    spark.sql(f"alter table {TRANSACTIONS} drop if exists {partition}")


def add_customers(spark: SparkSession, customers: DataFrame) -> None:
    """Adds customers to raw.customers; a customer whom the table holds already is replaced."""
    others = spark.table(CUSTOMERS).join(customers, "customer_id", "left_anti")
    RAW_TABLES["customers"].replace(others.unionByName(customers), {})


def add_lines(spark: SparkSession, lines: DataFrame) -> None:
    """Adds lines of one loading time to raw.transactions, all or none."""
    describe(spark, TRANSACTIONS)
    lines.write.insertInto(TRANSACTIONS)


def replace_lines(
    spark: SparkSession, numbers: list[int], lines: DataFrame | None, loaded_at: datetime
) -> None:
    """Replaces the lines of the files of these numbers with `lines`, all or none.

    The table gets a new version, so the models are built again from all lines.
    """
    rows = spark.table(TRANSACTIONS)
    kept = rows.where(F.col("file_number").isNull() | ~F.col("file_number").isin(numbers))
    RAW_TABLES["transactions"].replace(
        kept.unionByName(lines) if lines is not None else kept,
        table_properties(spark, TRANSACTIONS) | {REPLACED_AT: loaded_at.isoformat()},
    )
