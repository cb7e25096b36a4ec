"""Loads your own transactions (and customers) into raw.transactions and raw.customers.

    python -m ml.load --transactions PATH [--customers PATH] [--mapping PATH] [--append]

A source is a CSV or Parquet file, or a folder of either. A mapping (YAML or SQL, see
ml/mappings/README.md) gives an expression over the source's columns for each canonical column, or
one select over its files, and the format of a file where that is not certain. Every row of the
source, or of the select, becomes one row of raw.transactions. A value that does not fit its column
becomes null, and `unparsed_values` keeps its text, so that staging can reject the row with a
reason. When no row can be used, nothing is replaced.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from ml.loading import raw_tables
from ml.loading.checks import check_usable
from ml.loading.inputs import Inputs, read_inputs
from ml.loading.query_rows import read_rows
from ml.loading.report import report_customers, report_lines
from ml.loading.rows import customers, one_per_customer, transactions, without_ansi
from ml.loading.sources import staging
from ml.session import log, run, start


def read_lines(spark: SparkSession, inputs: Inputs, folder: Path, loaded_at: datetime) -> DataFrame:
    """Returns the rows for raw.transactions; raises StepError when none of them can be used."""
    source = inputs.mapping.source(inputs.transactions, "transactions")
    found = read_rows(spark, source, folder / source.section)
    lines = transactions(found, source.mapping, loaded_at, source.format)
    check_usable(lines, inputs.transactions)
    return lines


def read_customers(spark: SparkSession, path: str, inputs: Inputs, folder: Path) -> DataFrame:
    """Returns the rows for raw.customers; raises StepError when none of them has an id."""
    source = inputs.mapping.source(path, "customers")
    found = read_rows(spark, source, folder / source.section)
    rows = customers(found, source.mapping, source.format)
    report_customers(rows, path)
    return one_per_customer(rows)


def replace(spark: SparkSession, inputs: Inputs, loaded_at: datetime) -> None:
    """Replaces all loaded data by the inputs, unless the tables hold exactly these inputs."""
    if raw_tables.are_loaded(spark, inputs):
        log(f"{inputs.transactions} is loaded already and has not changed: nothing to do")
        return
    with staging(spark) as folder:
        lines = read_lines(spark, inputs, folder, loaded_at)
        people = (
            read_customers(spark, inputs.customers, inputs, folder)
            if inputs.customers
            else raw_tables.no_customers(spark)
        )
        raw_tables.replace_raw_tables(lines, people, inputs)
    report_lines(raw_tables.lines_of(spark, loaded_at), inputs.transactions)


def append(spark: SparkSession, inputs: Inputs, loaded_at: datetime) -> None:
    """Adds the inputs to the loaded data, unless the tables already hold them.

    A customer whom the tables already hold is replaced.
    """
    raw_tables.check_can_add(spark)
    if raw_tables.are_added(spark, inputs):
        log(f"{inputs.transactions} is loaded already and has not changed: nothing to add")
        return
    with staging(spark) as folder:
        lines = read_lines(spark, inputs, folder, loaded_at)
        if killed_at := raw_tables.recorded_time(spark, inputs):
            raw_tables.remove_leftovers(spark, killed_at)
        if inputs.customers:
            people = read_customers(spark, inputs.customers, inputs, folder)
            raw_tables.add_customers(spark, people)
        raw_tables.add_lines(spark, lines, inputs, loaded_at)
    report_lines(raw_tables.lines_of(spark, loaded_at), inputs.transactions)


def main() -> None:
    """Reads the command line and loads; see the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", required=True, help="CSV or Parquet, a file or a folder")
    parser.add_argument("--customers", help="CSV or Parquet, a file or a folder")
    parser.add_argument("--mapping", help="YAML: canonical column -> SQL expression; or a SQL file")
    parser.add_argument("--append", action="store_true", help="add to the loaded data")
    arguments = parser.parse_args()
    # This comes before the start of Spark, because most mistakes are found without Spark.
    inputs = read_inputs(arguments.transactions, arguments.customers, arguments.mapping)
    spark = start("load")
    without_ansi(spark)
    raw_tables.finish_replacements(spark)
    load = append if arguments.append else replace
    load(spark, inputs, datetime.now(UTC).replace(microsecond=0))


if __name__ == "__main__":
    run(main)
