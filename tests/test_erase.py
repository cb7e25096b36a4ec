"""Tests that a customer who is erased is nowhere any more, and that nobody else is touched."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import asking, file_content, run_make
from pyspark.sql import SparkSession

from ml import erase, session, tables

FIRST, SECOND = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)


@pytest.fixture
def raw_tables(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    """Raw tables of the tests' own: two loads, of which the second is ann's alone."""
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
                    (
                        key,
                        None,
                        who,
                        loaded_at,
                        None,
                        None,
                        Decimal(1),
                        amount,
                        None,
                        None,
                        loaded_at,
                    )
                    for key, who, amount, loaded_at in lines
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
        noted = {"source": "/somewhere", "fingerprint": "x"}
        tables.replace_table(rows, table, columns, "As loaded.", noted, partition)
        own[table] = (columns, partition)
    monkeypatch.setattr(erase, "TABLES", own)
    yield
    spark.sql("drop database test_erase cascade")


def test_all_rows_of_the_customer_go_and_no_others(spark: SparkSession, raw_tables: None):
    before = tables.table_properties(spark, "test_erase.transactions")
    lost = erase.erase(spark, "ann")
    assert lost == {"test_erase.transactions": 2, "test_erase.customers": 1}
    lines = spark.table("test_erase.transactions").select("transaction_id", "customer_id")
    assert sorted(map(tuple, lines.collect())) == [("2", "bob"), ("3", None)]
    assert [row.customer_id for row in spark.table("test_erase.customers").collect()] == ["bob"]
    after = tables.table_properties(spark, "test_erase.transactions")
    assert after["fingerprint"] == "x"
    # So that what was made of the lines before is made anew.
    assert after["version"] != before["version"]


def test_nobody_is_erased_where_nobody_is_found(spark: SparkSession, raw_tables: None):
    with pytest.raises(session.StepError, match="nothing was erased"):
        erase.erase(spark, "Ann")
    assert spark.table("test_erase.transactions").count() == 4


@pytest.mark.slow
def test_nothing_that_is_kept_names_the_customer(own_state: dict[str, str]):
    def query(sql: str) -> list[tuple]:
        with asking(own_state) as rows:
            return rows(sql)

    run_make(own_state, "run", "N_CUSTOMERS=3000")
    ((customer_id,),) = query(
        "select customer_id from marts.recommended_customers order by customer_id limit 1"
    )
    # Logged, as an analyst's query is.
    query(f"select * from marts.customers where customer_id = '{customer_id}'")
    run_make(own_state, "run")
    run_make(own_state, "erase", f"CUSTOMER_ID={customer_id}")
    # Before the queries below, whose text has the id.
    for folder in ("STATE_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        for path in Path(own_state[folder]).rglob("*"):
            if path.is_file() and path.suffix != ".parquet":
                assert customer_id.encode() not in file_content(path), path
    for (database,) in query("show databases"):
        for _, table, _ in query(f"show tables in {database}"):
            named = query(
                f"select count(*) from {database}.{table} as t "
                f"where to_json(struct(t.*)) like '%{customer_id}%'"
            )
            # The simulation knows its people; of own data there is no such table.
            assert named == [(int(f"{database}.{table}" == "truth.customers"),)], table
