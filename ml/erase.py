"""Erases one customer from the raw tables; what is made of them is made anew by `make erase`.

    CUSTOMER_ID=... python -m ml.erase

The id comes by the environment, because every user of a machine can read its command lines, and
goes to the engine as data, because the text of a query is logged.
"""

import os

from pyspark.sql import DataFrame, SparkSession

from ml.session import StepError, log, run, start
from ml.tables import (
    CUSTOMERS_COLUMNS,
    TRANSACTIONS_COLUMNS,
    TRANSACTIONS_PARTITION,
    replace_table,
    table_properties,
)

# Columns and partition of each table that names customers.
TABLES = {
    "raw.transactions": (TRANSACTIONS_COLUMNS, TRANSACTIONS_PARTITION),
    "raw.customers": (CUSTOMERS_COLUMNS, None),
}


def erase(spark: SparkSession, customer_id: str) -> dict[str, int]:
    """Rewrites the raw tables without the customer; returns how many rows each has lost.

    What was noted of a table stays, so that a run takes its rows for what was loaded. Raises
    StepError when no table has the customer.
    """
    erased = spark.createDataFrame([(customer_id,)], "customer_id string")

    def without(table: str) -> tuple[DataFrame, int]:
        rows = spark.table(table)
        return (
            rows.join(erased, "customer_id", "left_anti").select(*rows.columns),
            rows.join(erased, "customer_id", "left_semi").count(),
        )

    kept = {table: without(table) for table in TABLES}
    lost = {table: rows for table, (_, rows) in kept.items()}
    if not any(lost.values()):
        raise StepError("no raw table has a customer of this CUSTOMER_ID: nothing was erased")
    for table, (columns, partition) in TABLES.items():
        if lost[table]:
            comment = spark.catalog.getTable(table).description
            noted = table_properties(spark, table)
            replace_table(kept[table][0], table, columns, comment, noted, partition)
    return lost


def main() -> None:
    customer_id = os.environ.get("CUSTOMER_ID")
    if not customer_id:
        raise StepError("CUSTOMER_ID is not set; as in: make erase CUSTOMER_ID=C0000042")
    for table, rows in erase(start("erase"), customer_id).items():
        log(f"{table}: {rows:,} rows erased")


if __name__ == "__main__":
    run(main)
