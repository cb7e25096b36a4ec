"""Tests that the simulation always gives the same rows, and that they show what was planted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.generate import compile_each_draw_once
from ml.generation import raw_tables, shop, truth
from ml.generation.dirty_rows import DEFECTS, defect_carriers
from ml.generation.draws import Draws
from ml.generation.personas import PERSONAS
from ml.generation.profiles import customers_and_guests

CUSTOMERS = 2_000
DRAW = Draws(7)


def build(spark: SparkSession, customers: int, tasks: int = 2) -> dict[str, DataFrame]:
    """Returns the four tables of `customers` customers, by name, not yet computed."""
    people, guests = customers_and_guests(spark, customers, DRAW, tasks)
    carriers = defect_carriers(spark, customers, DRAW, tasks)
    return {
        "customers": raw_tables.raw_customers(people, DRAW),
        "transactions": raw_tables.raw_transactions(people, guests, carriers, DRAW),
        "truth": truth.truth_customers(people, DRAW),
        "rejected": truth.truth_rejected_rows(carriers, DRAW),
    }


@pytest.fixture(scope="module")
def simulated(spark: SparkSession) -> Iterator[dict[str, DataFrame]]:
    settings = (
        "spark.sql.optimizer.excludedRules",
        "spark.sql.codegen.hugeMethodLimit",
        "spark.sql.ansi.enabled",
    )
    before = {name: spark.conf.get(name, None) for name in settings}
    compile_each_draw_once(spark)
    tables = {name: data.coalesce(2).cache() for name, data in build(spark, CUSTOMERS).items()}
    yield tables
    for data in tables.values():
        data.unpersist()
    for name, value in before.items():
        spark.conf.set(name, value) if value else spark.conf.unset(name)


@pytest.fixture(scope="module")
def good(simulated: dict[str, DataFrame]) -> DataFrame:
    """Returns the rows without a planted defect."""
    rows = simulated["transactions"].where(
        "amount is not null and ordered_at <= loaded_at and (quantity != 0 or amount != 0)"
    )
    return rows.dropDuplicates(["transaction_id"]).coalesce(2).cache()


def fingerprint(rows: DataFrame) -> tuple:
    """The number of rows and the sum of their hashes: equal for equal rows in any order."""
    return tuple(rows.agg(F.count("*"), F.sum(F.xxhash64("*").cast("decimal(20,0)"))).first())


def test_rows_do_not_depend_on_how_the_work_is_split(spark, simulated):
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    # This run also lets the optimizer move the draws.
    spark.conf.unset("spark.sql.optimizer.excludedRules")
    try:
        for name, again in build(spark, CUSTOMERS, tasks=5).items():
            assert fingerprint(again) == fingerprint(simulated[name]), name
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
        compile_each_draw_once(spark)


def test_fewer_customers_are_a_prefix_of_more(spark, simulated):
    fewer = build(spark, 700)
    for name in ("customers", "truth"):
        first_700 = simulated[name].where("customer_id <= 'C0000000700'")
        assert first_700.count() == 700
        assert fingerprint(fewer[name]) == fingerprint(first_700), name
    first_700 = simulated["transactions"].where("substring(order_id, 2, 10) <= '0000000700'")
    assert fingerprint(fewer["transactions"]) == fingerprint(first_700)


def test_another_seed_gives_other_rows(spark, simulated):
    draw = Draws(8)
    people, _ = customers_and_guests(spark, 100, draw, tasks=1)
    other = raw_tables.raw_customers(people, draw)
    assert other.join(simulated["customers"], ["customer_id", "registered_on", "age"]).count() < 5


def test_planted_dirty_rows_are_those_of_the_plan(simulated):
    rows = simulated["transactions"]
    duplicates = rows.groupBy("transaction_id").count().where("count > 1")
    found = {
        "missing_timestamp": rows.where("ordered_at is null").count(),
        "missing_amount": rows.where("amount is null and unparsed_values is null").count(),
        "not_a_number": rows.where("amount is null and unparsed_values is not null").count(),
        "zero_quantity_and_amount": rows.where("quantity = 0 and amount = 0").count(),
        "duplicate_transaction_id": duplicates.where("count = 2").count(),
        "future_dated": rows.where("ordered_at > loaded_at").count(),
    }
    planned = {row.reason: row["rows"] for row in simulated["rejected"].collect()}
    # For each defect, one customer in 500 (DEFECT_EVERY) has it: 4 of 2,000.
    assert found == planned == dict.fromkeys(DEFECTS, 4)
    unparsed = rows.where("unparsed_values is not null").select("unparsed_values").distinct()
    assert [row[0] for row in unparsed.collect()] == ['{"amount":"n/a"}']


def test_registration_comes_before_the_first_purchase(simulated, good):
    customers = simulated["customers"]
    assert customers.count() == customers.select("customer_id").distinct().count() == CUSTOMERS
    first = good.groupBy("customer_id").agg(F.to_date(F.min("ordered_at")).alias("first_on"))
    both = customers.join(first, "customer_id", "left")
    assert both.where("registered_on > first_on").isEmpty()
    assert 0.02 < both.where("first_on is null").count() / CUSTOMERS < 0.045


def test_returns_take_back_a_line_that_was_bought(good):
    purchase = F.regexp_replace("order_id", "-R$", "")
    returned = good.where("quantity < 0").withColumn("order_id", purchase)
    line = F.substring_index("transaction_id", "-", -1)
    key = ["order_id", "line", "customer_id", "product_id", "payment_method"]
    bought = good.where("quantity > 0").withColumn("line", line).alias("bought")
    pairs = (
        returned.withColumn("line", line)
        .alias("returned")
        .join(
            bought, [F.col(f"returned.{name}").eqNullSafe(F.col(f"bought.{name}")) for name in key]
        )
    )
    assert pairs.count() == returned.count() > 300
    assert pairs.where(
        "returned.ordered_at < bought.ordered_at + interval 1 day or returned.amount >= 0"
        " or bought.quantity + returned.quantity < 0"
        # A unit is returned at its purchase price.
        " or bought.amount * returned.quantity != returned.amount * bought.quantity"
    ).isEmpty()


def test_size_of_the_shop(good, simulated):
    assert 4.5 < simulated["transactions"].count() / CUSTOMERS < 5.5
    orders = good.where("quantity > 0").select("order_id", "customer_id").distinct()
    guests = orders.where("customer_id is null").count() / orders.count()
    assert 0.03 < guests < 0.07
    assert not good.where("quantity > 0 and amount = 0").isEmpty(), "no free item"
    per_order = (
        good.where("quantity > 0")
        .groupBy("order_id")
        .agg(
            F.count_distinct("ordered_at", "payment_method").alias("kinds"),
            F.count("*").alias("lines"),
        )
    )
    assert per_order.where("kinds != 1").isEmpty()
    assert 1.4 < per_order.agg(F.avg("lines")).first()[0] < 2


def test_truth_counts_the_orders_that_the_raw_rows_hold(good, simulated):
    counted = (
        good.where("quantity > 0")
        .groupBy("customer_id")
        .agg(F.count_distinct("order_id").alias("counted"), F.max("ordered_at").alias("last_at"))
    )
    both = simulated["truth"].join(counted, "customer_id", "left")
    assert both.where("orders != coalesce(counted, 0)").isEmpty()
    assert both.where("last_at > dropped_out_at").isEmpty()
    assert both.where("future_orders_90d > future_orders_365d").isEmpty()
    gone = "dropped_out_at < timestamp'2026-06-30 23:59:59'"
    assert both.where(f"{gone} and future_orders_365d > 0").isEmpty()
    assert both.where(f"not ({gone}) and future_orders_365d > 0").count() > 200


def test_personas_have_their_share_and_their_habits(good, simulated):
    truth = simulated["truth"]
    counts = truth.groupBy("persona").count().collect()
    shares = {row.persona: row["count"] / CUSTOMERS for row in counts}
    planted = {persona.name: persona.share for persona in PERSONAS}
    assert shares == pytest.approx(planted, abs=0.03)
    habits = (
        good.where("quantity > 0")
        .join(truth, "customer_id")
        .groupBy("persona")
        .agg(
            F.avg((F.weekday("ordered_at") >= 5).cast("int")).alias("weekend"),
            F.avg((F.month("ordered_at") >= 11).cast("int")).alias("holiday"),
            *(
                F.avg((F.col("product_category") == name).cast("int")).alias(name)
                for name in shop.CATEGORIES
            ),
        )
    )
    found = {row.persona: row for row in habits.collect()}
    for persona in PERSONAS:
        assert found[persona.name].weekend == pytest.approx(persona.weekend_share, abs=0.08)
        mix = [found[persona.name][name] for name in shop.CATEGORIES]
        assert mix == pytest.approx(persona.categories, abs=0.1)
    assert found["Holiday gift giver"].holiday > 0.8 > 2 * found["Senior home regular"].holiday


def test_business_grows_and_has_its_seasons(good):
    months = {
        (row.year, row.month): row.orders
        for row in good.where("quantity > 0")
        .groupBy(F.year("ordered_at").alias("year"), F.month("ordered_at").alias("month"))
        .agg(F.count_distinct("order_id").alias("orders"))
        .collect()
    }
    for year in (2023, 2024, 2025):
        assert months[year, 12] > 1.5 * months[year, 10]
    assert sum(months[2025, month] for month in range(1, 7)) > 1.3 * sum(
        months[2024, month] for month in range(1, 7)
    )
    assert min(months) == (2023, 7) and max(months) == (2026, 6)


def test_code_version_is_the_same_in_a_zip(tmp_path: Path):
    """`spark-submit --py-files` passes a zip. The version changes with any module."""
    package = tmp_path / "ml"
    shutil.copytree(ROOT / "ml", package, ignore=shutil.ignore_patterns("__pycache__"))
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "ml")
    ask = "from ml.code_version import code_version as v; print(v('generate.py', 'generation'))"

    def version(root: Path | str) -> str:
        environment = os.environ | {"PYTHONPATH": str(root)}
        command = [sys.executable, "-c", ask]
        return subprocess.check_output(command, cwd="/", env=environment, text=True)

    assert version(tmp_path) == version(archive)
    (package / "generation" / "draws.py").write_text("")
    assert version(tmp_path) != version(archive)
