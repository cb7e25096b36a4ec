"""The raw and ml tables: their columns, and replacement that leaves no half-written table."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.session import describe

CUSTOMERS_COLUMNS = """
    customer_id string comment 'Key of the customer.',
    registered_on date comment 'Day of registration; null when unknown.',
    age int comment 'Age in years; null when unknown.',
    gender string comment 'Gender as the source gives it; null when unknown.',
    region string comment 'Region as the source gives it; null when unknown.',
    membership_level string comment 'Level of the loyalty programme; null when unknown.'
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
    payment_method string comment 'How it was paid; null when unknown.',
    unparsed_values string comment 'JSON of column to source text where it did not fit.',
    loaded_at timestamp comment 'When the line was loaded; generated: end of the simulation.'
"""


# One folder per load: adding one is a single step, and what reads the new lines reads nothing else.
TRANSACTIONS_PARTITION = "loaded_at"


def replace_table(
    data: DataFrame,
    table: str,
    columns: str,
    comment: str,
    properties: dict[str, str] | None = None,
    partitioned_by: str | None = None,
) -> int:
    """Writes `data` as the Parquet table `table` (`database.name`) and returns its number of rows.

    The new table is written beside the old one and takes its place when it is whole, so that a
    failure half-way leaves the old one as it was. `columns` is the DDL of the columns, in order,
    that of `partitioned_by` last; `properties` are stored on the table, and a `version` that no
    other table has.
    """
    spark = data.sparkSession
    describe(spark, table)
    database, _, _ = table.partition(".")
    beside = f"{table}__next"
    spark.sql(f"create database if not exists {database}")
    spark.sql(f"drop table if exists {beside}")
    # Registered before it is filled: the drop above then also removes what a killed run wrote.
    partitions = f"partitioned by ({partitioned_by})" if partitioned_by else ""
    spark.sql(
        f"create table {beside} ({columns}) using parquet {partitions} comment {quote(comment)}"
    )
    data.write.insertInto(beside, overwrite=True)
    noted = (properties or {}) | {"version": uuid.uuid4().hex}
    pairs = ", ".join(f"{quote(key)} = {quote(value)}" for key, value in noted.items())
    spark.sql(f"alter table {beside} set tblproperties ({pairs})")
    rows = spark.table(beside).count()
    spark.sql(f"drop table if exists {table}")
    spark.sql(f"alter table {beside} rename to {table}")
    return rows


def finish_replacement(spark: SparkSession, table: str) -> None:
    """Puts the new table in its place, if a run was killed when it had just dropped the old one."""
    beside = f"{table}__next"
    # The version is noted last, and so tells that the table is whole.
    if not spark.catalog.tableExists(table) and "version" in table_properties(spark, beside):
        spark.sql(f"alter table {beside} rename to {table}")


def run_name(*inputs: object) -> str:
    """Names a run by what goes into it, data and code: the same inputs give the same results."""
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]


def holds_run(spark: SparkSession, tables: Sequence[str], run_id: str) -> bool:
    """True when every row of the `ml` tables, and at least one of each, is of that run."""
    return all(
        {row.run_id for row in spark.table(table).select("run_id").distinct().collect()} == {run_id}
        for table in tables
    )


def replace_rows(
    spark: SparkSession, table: str, rows: DataFrame, run_id: str, as_of: date
) -> None:
    """Replaces the contents of an `ml` table; each row says which run and as-of date it is of."""
    describe(spark, table)
    stamped = rows.withColumns({"run_id": F.lit(run_id), "as_of_date": F.lit(as_of)})
    fields = [F.col(field.name).cast(field.dataType) for field in spark.table(table).schema]
    stamped.select(*fields).write.insertInto(table, overwrite=True)


def table_properties(spark: SparkSession, table: str) -> dict[str, str]:
    """Returns the properties stored on `table`; an empty dict when there is no such table."""
    if not spark.catalog.tableExists(table):
        return {}
    return {row.key: row.value for row in spark.sql(f"show tblproperties {table}").collect()}


def is_path(source: str) -> bool:
    """True when the property `source` of raw.transactions names a user's own file or folder."""
    return "/" in source


def quote(text: str) -> str:
    """Returns `text` as a SQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
