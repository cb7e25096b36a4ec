"""Erasing a customer from the raw tables; tests/test_operations.py tests that no trace is left."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from ml import erase, session, tables
from ml.loading import raw_tables as loaded

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
    for name, rows, columns, partition in (
        (
            "transactions",
            spark.createDataFrame(
                [
                    (key, None, who, at, None, None, Decimal(1), amount, *[None] * 6, at)
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
        monkeypatch.setattr(loaded, name.upper(), table)
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


def test_nothing_loaded_is_an_error(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loaded, "TRANSACTIONS", "test_erase.no_table")
    with pytest.raises(session.StepError, match="nothing is loaded yet"):
        erase.erase(spark, "ann")


def test_a_broken_line_with_the_id_in_its_text_is_erased(spark: SparkSession, raw_tables: None):
    texts = {"5": "x,ann,too,many", "6": "x,annette,too,many", "7": r"(a\E+,5", "8": "Müllerö,5"}
    rows = [
        (key, *[None] * 5, Decimal(1), *[None] * 5, json.dumps({"line": text}), None, SECOND)
        for key, text in texts.items()
    ]
    lines = spark.createDataFrame(rows, tables.TRANSACTIONS_COLUMNS)
    lines.write.insertInto("test_erase.transactions")

    def keys() -> set[str]:
        found = spark.table("test_erase.transactions").select("transaction_id").collect()
        return {row.transaction_id for row in found}

    erase.erase(spark, "ann")
    assert keys() == {"2", "3", "6", "7", "8"}
    # The id is no regular expression.
    erase.erase(spark, r"(a\E+")
    assert keys() == {"2", "3", "6", "8"}
    with pytest.raises(session.StepError, match="nothing was erased"):
        erase.erase(spark, "Müller")
