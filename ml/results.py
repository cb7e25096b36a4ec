"""Checks the input tables of the modeling steps, and writes their results to the schema `ml`.

The tables in `ml` have the columns that `models/staging/_sources.yml` declares; dbt creates them.
Each row has the id of its run, and the day of the fit, the as-of date, or both.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from ml.session import StepError, log
from ml.tables import replace_rows

RUN_COLUMNS = ("run_id", "as_of_date", "fitted_on")  # replace_rows adds them


def require_tables(spark: SparkSession, tables: Iterable[str]) -> None:
    """Raises StepError when a table that the step reads is missing."""
    for table in tables:
        if not spark.catalog.tableExists(table):
            raise StepError(f"there is no table {table}; build it with: dbt build")


@contextmanager
def computed_once(
    rows: DataFrame, level: StorageLevel = StorageLevel.DISK_ONLY
) -> Iterator[DataFrame]:
    """Keeps the rows for several queries: by default on the executors' disks, out of memory."""
    rows.persist(level)
    try:
        yield rows
    finally:
        rows.unpersist()


def table_rows(spark: SparkSession, table: str, rows: Iterable[tuple]) -> DataFrame:
    """Returns the rows with the columns of an `ml` table, except those of the run."""
    fields = [field for field in spark.table(table).schema if field.name not in RUN_COLUMNS]
    return spark.createDataFrame(list(rows), StructType(fields))


def save(
    spark: SparkSession,
    results: Mapping[str, DataFrame],
    run_id: str,
    as_of: date,
    fitted_on: date | None = None,
) -> None:
    """Replaces the rows of each table with the results of a run; see `replace_rows`."""
    for table, rows in results.items():
        replace_rows(spark, table, rows, run_id, as_of, fitted_on)


def clear(spark: SparkSession, tables: Iterable[str], reason: str) -> None:
    """Empties tables that hold results of an earlier data set, and prints the reason."""
    for table in tables:
        spark.sql(f"truncate table {table}")
    log(reason)
