"""Erases one customer from the raw tables; `make erase` then rebuilds everything else.

    CUSTOMER_ID=... python -m ml.erase

The id comes from the environment because every user of a machine can read command lines. It goes
to the engine as data because the engine logs the text of queries.

raw.loads keeps the files, so that `make load` does not load the customer's lines again.
"""

import os

from pyspark.sql import DataFrame, SparkSession

from ml.loading import ledger, raw_tables
from ml.session import StepError, log, run, start
from ml.tables import (
    CUSTOMERS_COLUMNS,
    TRANSACTIONS_COLUMNS,
    TRANSACTIONS_PARTITION,
    replace_table,
    table_properties,
)

# For each raw table with a customer_id: its columns and its partition column.
TABLES = {
    "raw.transactions": (TRANSACTIONS_COLUMNS, TRANSACTIONS_PARTITION),
    "raw.customers": (CUSTOMERS_COLUMNS, None),
}


def erase(spark: SparkSession, customer_id: str) -> dict[str, int]:
    """Rewrites the raw tables without the customer; returns how many rows each table loses.

    The tables keep their properties, so that the next run does not load or generate them again.
    Raises StepError when no table has the customer.
    """
    erased = spark.createDataFrame([(customer_id,)], "customer_id string")

    def without_erased(table: str) -> DataFrame:
        rows = spark.table(table)
        return rows.join(erased, "customer_id", "left_anti").select(*rows.columns)

    lost = {
        table: spark.table(table).join(erased, "customer_id", "left_semi").count()
        for table in TABLES
    }
    if not any(lost.values()):
        raise StepError("no raw table has a customer of this CUSTOMER_ID: nothing was erased")
    for table, (columns, partition) in TABLES.items():
        if lost[table]:
            comment = spark.catalog.getTable(table).description or ""
            properties = table_properties(spark, table)
            replace_table(without_erased(table), table, columns, comment, properties, partition)
    return lost


def main() -> None:
    """Erases the customer that the environment names."""
    customer_id = os.environ.get("CUSTOMER_ID")
    if not customer_id:
        raise StepError("CUSTOMER_ID is not set; as in: make erase CUSTOMER_ID=C0000042")
    spark = start("erase")
    raw_tables.finish_replacements(spark)
    # A load that was killed is settled first: without its lines it would look as if it had failed.
    ledger.settle(spark)
    for table, rows in erase(spark, customer_id).items():
        log(f"{table}: {rows:,} rows erased")


if __name__ == "__main__":
    run(main)
