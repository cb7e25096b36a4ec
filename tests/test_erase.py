"""Erasing a customer from the raw tables; tests/test_operations.py tests that no trace is left."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from ml import erase, session, tables
from ml.loading import raw_tables

FIRST, SECOND = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)


@pytest.fixture
def two_loads(spark: SparkSession, own_raw_tables: str) -> None:
    """Raw tables of two loads, for this test only; the second load has lines of ann only."""
    lines = [
        (key, None, who, at, None, None, Decimal(1), amount, *[None] * 6, at)
        for key, who, amount, at in (
            ("1", "ann", Decimal(1), FIRST),
            ("2", "bob", Decimal(2), FIRST),
            ("3", None, Decimal(3), FIRST),
            ("4", "ann", Decimal(4), SECOND),
        )
    ]
    people = [(who, date(2026, 1, 1), 30, None, None, None) for who in ("ann", "bob")]
    for section, rows in (("transactions", lines), ("customers", people)):
        table = tables.RAW_TABLES[section]
        properties = {"source": "/somewhere", "fingerprint": "x"}
        table.replace(spark.createDataFrame(rows, table.columns), properties)


def test_all_rows_of_the_customer_are_erased_and_no_others(spark: SparkSession, two_loads: None):
    before = tables.table_properties(spark, "own_raw.transactions")
    lost = erase.erase(spark, "ann")
    assert lost == {"own_raw.transactions": 2, "own_raw.customers": 1}
    lines = spark.table("own_raw.transactions").select("transaction_id", "customer_id")
    assert sorted(map(tuple, lines.collect())) == [("2", "bob"), ("3", None)]
    assert [row.customer_id for row in spark.table("own_raw.customers").collect()] == ["bob"]
    after = tables.table_properties(spark, "own_raw.transactions")
    assert after["fingerprint"] == "x"
    # A new version makes the next run rebuild the models.
    assert after["version"] != before["version"]


def test_nothing_loaded_is_an_error(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw_tables, "TRANSACTIONS", "own_raw.no_table")
    with pytest.raises(session.StepError, match="nothing is loaded yet"):
        erase.erase(spark, "ann")


def test_a_broken_line_with_the_id_in_its_text_is_erased(spark: SparkSession, two_loads: None):
    texts = {"5": "x,ann,too,many", "6": "x,annette,too,many", "7": r"(a\E+,5", "8": "Müllerö,5"}
    rows = [
        (key, *[None] * 5, Decimal(1), *[None] * 5, json.dumps({"line": text}), None, SECOND)
        for key, text in texts.items()
    ]
    lines = spark.createDataFrame(rows, tables.TRANSACTIONS_COLUMNS)
    lines.write.insertInto("own_raw.transactions")

    def keys() -> set[str]:
        found = spark.table("own_raw.transactions").select("transaction_id").collect()
        return {row.transaction_id for row in found}

    erase.erase(spark, "ann")
    assert keys() == {"2", "3", "6", "7", "8"}
    # The id is not treated as a regular expression.
    erase.erase(spark, r"(a\E+")
    assert keys() == {"2", "3", "6", "8"}
    for unknown in ("Müller", "Bob"):
        with pytest.raises(session.StepError, match="nothing was erased"):
            erase.erase(spark, unknown)
    assert keys() == {"2", "3", "6", "8"}
