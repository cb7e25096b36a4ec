"""Tests of plain dbt: the unit tests pass, and rows in another order give the same tables.

They run after test_query_plans.py, in the order of the file names, because that file reads what
Spark and dbt kept of `make run`.
"""

import re

import pytest
from conftest import Query, dbt, on_data, run_step
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from test_pipeline import all_tables, fingerprint

from ml import tables


def shuffle(
    spark: SparkSession, table: str, columns: str, partitioned_by: str | None = None
) -> None:
    """Rewrites a raw table with its rows in another order and in other files."""
    rows = spark.table(table).repartition(7, F.rand(1)).sortWithinPartitions(F.rand(2))
    stored = tables.table_properties(spark, table)
    # With the generator's properties, a run does not generate the rows again.
    properties = {name: stored[name] for name in ("source", "customers", "seed", "code")}
    tables.replace_table(rows, table, columns, "Shuffled by the tests.", properties, partitioned_by)


@on_data("generated")
def test_unit_tests_of_the_models_pass(server: dict[str, str]):
    printed = dbt(server, "test", "--select", "test_type:unit")
    assert " WARN=0 ERROR=0 SKIP=0 " in printed
    assert int(re.search(r"PASS=(\d+)", printed)[1]) > 100


@pytest.mark.slow
@on_data("generated")
def test_plain_dbt_build_on_shuffled_rows_warns_of_nothing_and_gives_the_same_tables(
    server: dict[str, str], query: Query, spark: SparkSession
):
    before = fingerprint(query, all_tables())
    shuffle(spark, "raw.transactions", tables.TRANSACTIONS_COLUMNS, tables.TRANSACTIONS_PARTITION)
    shuffle(spark, "raw.customers", tables.CUSTOMERS_COLUMNS)
    printed = dbt(server, "build", "--exclude-resource-type", "unit_test")
    assert " WARN=0 ERROR=0 SKIP=0 " in printed
    assert not re.search(r"\bwarning\b", printed, re.IGNORECASE)
    for step in (["cluster"], ["lifetime_value"], ["generate", "--customers", "3000"]):
        assert "nothing to do" in run_step(server, f"ml.{step[0]}", *step[1:])
    assert fingerprint(query, all_tables()) == before
