"""How the raw and ml tables are replaced and compared, and the columns of the raw tables.

A raw table is written under another name, and takes the place of the old one when it is complete.
An ml table keeps its name: its old rows are removed, and then the new ones are written.
"""

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.session import describe
from ml.sql_text import identifier, quote

CUSTOMERS_COLUMNS = """
    customer_id string comment 'Key of the customer.',
    registered_on date comment 'Day of registration; null when unknown.',
    age int comment 'Age in years; null when unknown.',
    gender string comment 'Gender as in the source; null when unknown.',
    region string comment 'Region as in the source; null when unknown.',
    membership_level string comment 'Level of the loyalty program; null when unknown.'
"""

TRANSACTIONS_COLUMNS = """
    transaction_id string comment 'Key of the line; null when the source has none.',
    order_id string comment 'Key of the order within its customer; null when the source has none.',
    customer_id string comment 'Key of the customer; null for a guest.',
    ordered_at timestamp comment 'Time of the purchase or return, UTC.',
    product_id string comment 'Key of the product; null when unknown.',
    product_category string comment 'Category of the product; null when unknown.',
    quantity decimal(18,3) comment 'Units, or weight; negative for a return.',
    amount decimal(18,2) comment 'Total of the line, rounded half up; negative for a return.',
    payment_method string comment 'Method of payment; null when unknown.',
    updated_at timestamp comment 'When the source last changed the line; null when unknown.',
    is_deleted boolean comment 'True if the source has deleted the line; null when unknown.',
    replaces_order boolean comment 'True if the load replaces earlier lines of its orders.',
    unparsed_values string comment 'JSON: column, and source text of a value that did not fit.',
    file_number int comment 'Number of the file in raw.loads; null without a file.',
    loaded_at timestamp comment 'When the line was loaded, or the end of the simulation.'
"""

LOADS_COLUMNS = """
    file_number int comment 'Key of the file; a file that is loaded again gets a new one.',
    section string comment 'What the file holds: transactions or customers.',
    path string comment 'Absolute path of the file; with a scheme, such as s3a:, its full address.',
    size bigint comment 'Size of the file in bytes.',
    modified_at timestamp comment 'When the file was last modified, UTC.',
    checksum string comment 'SHA-256 of the content; null at a path with a scheme.',
    mapping_checksum string comment 'SHA-256 of the mapping and its SQL; null without a mapping.',
    rows bigint comment 'Rows of the file as loaded, rejected ones included.',
    loaded_at timestamp comment 'When the file was loaded, UTC.'
"""

# Each load is a folder of its own, so that a load is added in one step and read without the others.
TRANSACTIONS_PARTITION = "loaded_at"


@dataclass(frozen=True)
class Table:
    """A table: its name, columns and comment, and the column of its partitions."""

    name: str
    columns: str
    comment: str
    partitioned_by: str | None = None

    def replace(self, rows: DataFrame, properties: dict[str, str]) -> int:
        """Replaces the table by these rows and properties; see replace_table."""
        return replace_table(
            rows, self.name, self.columns, self.comment, properties, self.partitioned_by
        )


# By section of the mapping; `loads` is the ledger.
RAW_TABLES = {
    "transactions": Table(
        "raw.transactions",
        TRANSACTIONS_COLUMNS,
        "Purchases and returns as loaded. One row per line of an order.",
        TRANSACTIONS_PARTITION,
    ),
    "customers": Table(
        "raw.customers", CUSTOMERS_COLUMNS, "Customers as loaded. One row per customer."
    ),
    "loads": Table(
        "raw.loads",
        LOADS_COLUMNS,
        "Files as loaded. One row per file; empty for generated data.",
    ),
}


def replace_table(
    data: DataFrame,
    table: str,
    columns: str,
    comment: str,
    properties: dict[str, str] | None = None,
    partitioned_by: str | None = None,
) -> int:
    """Writes `data` as the Parquet table `table` (`database.name`); returns its number of rows.

    The new table is written under another name and replaces the old one when it is complete, so
    a failure while it is written leaves the old table unchanged. `finish_replacement` completes
    a replacement that was killed after that. `columns` is the DDL of the columns, in order; the
    column `partitioned_by` comes last. The table stores `properties`, and a unique `version`.
    """
    spark = data.sparkSession
    describe(spark, table)
    database, _, _ = table.partition(".")
    next_table = f"{table}__next"
    spark.sql(f"create database if not exists {database}")
    drop(spark, next_table)
    # Created before it is filled, so that the drop above removes the files of a killed run too.
    partitions = f"partitioned by ({partitioned_by})" if partitioned_by else ""
    spark.sql(
        f"create table {next_table} ({columns}) using parquet {partitions} comment {quote(comment)}"
    )
    data.write.insertInto(next_table, overwrite=True)
    stored = (properties or {}) | {"version": uuid.uuid4().hex}
    spark.sql(f"alter table {next_table} set tblproperties ({pairs(stored)})")
    rows = spark.table(next_table).count()
    drop(spark, table)
    spark.sql(f"alter table {next_table} rename to {table}")
    return rows


def replace_by_view(
    spark: SparkSession, sql: str, view: str, columns: str, comment: str, properties: dict[str, str]
) -> None:
    """Replaces a table or view with a view of the query `sql`; see replace_table.

    The view gets a unique `version`, unless `properties` has one.
    """
    spark.sql(f"create database if not exists {view.partition('.')[0]}")
    # The columns of a view have no types of their own.
    names = re.sub(r"(?m)^(\s*\w+) \S+", r"\1", columns)
    stored = {"version": uuid.uuid4().hex} | properties
    definition = f"({names}) comment {quote(comment)} tblproperties ({pairs(stored)}) as {sql}"
    if not spark.catalog.tableExists(view) or is_view(spark, view):
        spark.sql(f"create or replace view {view} {definition}")
        return
    next_view = f"{view}__next"
    drop(spark, next_view)
    spark.sql(f"create view {next_view} {definition}")
    drop(spark, view)
    spark.sql(f"alter view {next_view} rename to {view}")


def pairs(properties: dict[str, str]) -> str:
    """Returns properties as SQL."""
    return ", ".join(f"{quote(key)} = {quote(value)}" for key, value in properties.items())


def finish_replacement(spark: SparkSession, table: str) -> None:
    """Completes a replacement that was killed, or removes it if the old table is still there."""
    next_table = f"{table}__next"
    if spark.catalog.tableExists(table):
        drop(spark, next_table)
    # The version is stored last: a table that has one is complete.
    elif "version" in table_properties(spark, next_table):
        kind = "view" if is_view(spark, next_table) else "table"
        spark.sql(f"alter {kind} {next_table} rename to {table}")


def is_view(spark: SparkSession, table: str) -> bool:
    """Returns whether a table, which must exist, is a view."""
    return spark.catalog.getTable(table).tableType == "VIEW"


def set_version(spark: SparkSession, view: str) -> None:
    """Gives a view a new version, so that the models are built again from all its rows."""
    version = pairs({"version": uuid.uuid4().hex})
    spark.sql(f"alter view {view} set tblproperties ({version})")


def drop(spark: SparkSession, table: str) -> None:
    """Drops a table or view, if it exists."""
    if spark.catalog.tableExists(table):
        spark.sql(f"drop {'view' if is_view(spark, table) else 'table'} {table}")


def run_name(*inputs: object) -> str:
    """Returns a hash of a run's data, parameters and code; equal inputs give an equal hash."""
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]


def holds_run(spark: SparkSession, tables: Sequence[str], run_id: str) -> bool:
    """Returns whether the `ml` tables all have rows, and only rows of that run."""
    return all(
        {row.run_id for row in spark.table(table).select("run_id").distinct().collect()} == {run_id}
        for table in tables
    )


def replace_rows(
    spark: SparkSession,
    table: str,
    rows: DataFrame,
    run_id: str,
    as_of: date,
    fitted_on: date | None = None,
) -> None:
    """Replaces the rows of an `ml` table.

    Each row gets `run_id`, and `as_of_date` and `fitted_on` if the table has them. `fitted_on` is
    `as_of` by default.
    """
    describe(spark, table)
    days = {"as_of_date": F.lit(as_of), "fitted_on": F.lit(fitted_on or as_of)}
    stamped = rows.withColumns({"run_id": F.lit(run_id), **days})
    fields = [F.col(field.name).cast(field.dataType) for field in spark.table(table).schema]
    stamped.select(*fields).write.insertInto(table, overwrite=True)


def content(rows: DataFrame) -> str:
    """Returns the number of rows and a hash of their values, whatever their order."""
    # xxhash64 leaves out nulls: without the flags, a value could move to an empty column unnoticed.
    values = ", ".join(f"{name}, {name} is null" for name in map(identifier, rows.columns))
    total = f"sum(cast(xxhash64({values}) as decimal(38,0)))"
    (found,) = rows.selectExpr(f"concat_ws(' ', count(*), {total}) as hash").collect()
    return found.hash


def table_properties(spark: SparkSession, table: str) -> dict[str, str]:
    """Returns the properties stored on `table`; an empty dict when the table does not exist."""
    if not spark.catalog.tableExists(table):
        return {}
    return {row.key: row.value for row in spark.sql(f"show tblproperties {table}").collect()}


def is_of_user(source: str) -> bool:
    """Returns whether the property `source` of raw.transactions names a user's file or table."""
    return "/" in source or source.startswith("table:")
