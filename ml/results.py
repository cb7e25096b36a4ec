"""The tables of the steps that model customers: what they read must exist, results go to `ml`.

The tables in `ml` have the columns that `models/staging/_sources.yml` declares; dbt creates them.
Each row names the run and the as-of date that it is of.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from ml.session import StepError, log
from ml.tables import replace_rows

STAMPS = ("run_id", "as_of_date")  # written by replace_rows


def require_tables(spark: SparkSession, tables: Iterable[str]) -> None:
    """Raises StepError when a table is missing that this step reads."""
    for table in tables:
        if not spark.catalog.tableExists(table):
            raise StepError(f"there is no table {table}; build it with: dbt build")


def table_rows(spark: SparkSession, table: str, rows: Iterable[tuple]) -> DataFrame:
    """Rows in the shape of a table in `ml`, without the columns that name run and as-of date."""
    fields = [field for field in spark.table(table).schema if field.name not in STAMPS]
    return spark.createDataFrame(list(rows), StructType(fields))


def save(spark: SparkSession, results: Mapping[str, DataFrame], run_id: str, as_of: date) -> None:
    """Replaces the contents of each table by the results of a run."""
    for table, rows in results.items():
        replace_rows(spark, table, rows, run_id, as_of)


def clear(spark: SparkSession, tables: Iterable[str], reason: str) -> None:
    """Empties tables whose results are of an earlier data set and would be wrong for this one."""
    for table in tables:
        spark.sql(f"truncate table {table}")
    log(reason)
