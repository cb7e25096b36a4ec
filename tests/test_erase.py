"""Erasing a customer: no trace of the customer is left, and no other customer changes."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import file_content, query_function, run_make
from pyspark.sql import SparkSession

from ml import erase, session, tables

FIRST, SECOND = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)


@pytest.fixture
def raw_tables(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    """Raw tables of two loads, for this test only; the second load has lines of ann only."""
    lines = [
        ("1", "ann", Decimal(1), FIRST),
        ("2", "bob", Decimal(2), FIRST),
        ("3", None, Decimal(3), FIRST),
        ("4", "ann", Decimal(4), SECOND),
    ]
    spark.sql("drop database if exists test_erase cascade")
    own = {}
    for name, rows, columns, partition in (
        (
            "transactions",
            spark.createDataFrame(
                [
                    (key, None, who, at, None, None, Decimal(1), amount, None, None, at)
                    for key, who, amount, at in lines
                ],
                tables.TRANSACTIONS_COLUMNS,
            ),
            tables.TRANSACTIONS_COLUMNS,
            tables.TRANSACTIONS_PARTITION,
        ),
        (
            "customers",
            spark.createDataFrame(
                [(who, date(2026, 1, 1), 30, None, None, None) for who in ("ann", "bob")],
                tables.CUSTOMERS_COLUMNS,
            ),
            tables.CUSTOMERS_COLUMNS,
            None,
        ),
    ):
        table = f"test_erase.{name}"
        properties = {"source": "/somewhere", "fingerprint": "x"}
        tables.replace_table(rows, table, columns, "As loaded.", properties, partition)
        own[table] = (columns, partition)
    monkeypatch.setattr(erase, "TABLES", own)
    yield
    spark.sql("drop database test_erase cascade")


def test_all_rows_of_the_customer_are_erased_and_no_others(spark: SparkSession, raw_tables: None):
    before = tables.table_properties(spark, "test_erase.transactions")
    lost = erase.erase(spark, "ann")
    assert lost == {"test_erase.transactions": 2, "test_erase.customers": 1}
    lines = spark.table("test_erase.transactions").select("transaction_id", "customer_id")
    assert sorted(map(tuple, lines.collect())) == [("2", "bob"), ("3", None)]
    assert [row.customer_id for row in spark.table("test_erase.customers").collect()] == ["bob"]
    after = tables.table_properties(spark, "test_erase.transactions")
    assert after["fingerprint"] == "x"
    # A new version makes the next run rebuild the models.
    assert after["version"] != before["version"]


def test_unknown_customer_is_an_error_and_erases_nothing(spark: SparkSession, raw_tables: None):
    with pytest.raises(session.StepError, match="nothing was erased"):
        erase.erase(spark, "Ann")
    assert spark.table("test_erase.transactions").count() == 4


@pytest.mark.slow
def test_no_file_or_table_names_the_erased_customer(own_state: dict[str, str]):
    def query(sql: str) -> list[tuple]:
        with query_function(own_state) as rows:
            return rows(sql)

    run_make(own_state, "run", "N_CUSTOMERS=3000")
    ((customer_id,),) = query(
        "select customer_id from marts.recommended_customers order by customer_id limit 1"
    )
    # This query puts the id into the log, as an analyst's query would.
    query(f"select * from marts.customers where customer_id = '{customer_id}'")
    # A second build of each mart, so that the one before it has to be dropped too.
    run_make(own_state, "run", "N_CUSTOMERS=3000", "FRESH=yes")
    run_make(own_state, "erase", f"CUSTOMER_ID={customer_id}")
    # The files come first because the queries below write the id into the log.
    for folder in ("STATE_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        for path in Path(own_state[folder]).rglob("*"):
            if path.is_file() and path.suffix != ".parquet":
                assert customer_id.encode() not in file_content(path), path
    for (database,) in query("show databases"):
        for _, table, _ in query(f"show tables in {database}"):
            found = query(
                f"select count(*) from {database}.{table} as t "
                f"where to_json(struct(t.*)) like '%{customer_id}%'"
            )
            # The truth of the simulation keeps the customer; loaded data have no such table.
            assert found == [(int(f"{database}.{table}" == "truth.customers"),)], table
