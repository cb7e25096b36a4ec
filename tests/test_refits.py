"""Tests of kept fits: when a new fit is due, and how customers are scored until then."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from math import inf, log
from types import SimpleNamespace

import duckdb
import numpy as np
import pytest
from conftest import Query, build, run_step
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.special import hyp2f1
from test_pipeline import fingerprint

from ml import cluster, tables
from ml.lifetime_value import expected_since
from ml.refits import Basis, Rules, reason_to_fit, stability_index
from ml.seasons import Clock

FIT_DAY = date(2026, 6, 10)
KEPT = Basis(FIT_DAY, 1000, "as it was")


@pytest.mark.parametrize(
    ("days", "orders", "content", "reason"),
    [
        (0, 1000, "as it was", None),
        (29, 1052, "as it was", None),
        (30, 1000, "as it was", "the last fit is 30 days old"),
        (-1, 1000, "as it was", "the last fit is as of a later day, 2026-06-10"),
        # 53 of 1053 orders.
        (1, 1053, "as it was", "there are 1,053 orders, 1,000 at the last fit"),
        (1, 950, "as it was", "there are 950 orders, 1,000 at the last fit"),
        (
            0,
            1000,
            "replaced",
            "the code, the seed, the known features, the backtests, the size of the sample or",
        ),
    ],
)
def test_fit_is_kept_until_there_is_a_reason(
    days: int, orders: int, content: str, reason: str | None
):
    now = Basis(FIT_DAY + timedelta(days), orders, content)
    found = reason_to_fit(KEPT, now, Rules(refit_days=30, refit_share=0.05, fit_customers=1))
    assert found is None if reason is None else str(found).startswith(reason)


@pytest.mark.parametrize(("as_of", "expected"), [(26, 1), (31, 6), (31 + 24, 54)])
def test_orders_since_a_fit_are_expected_by_the_season(as_of: int, expected: float):
    """October is average, November twice as busy: 6 * 1 + 24 * 2 orders in 30 days."""
    purchases = SimpleNamespace(clock=Clock((*[1.0] * 10, 2.0, 1.0)))
    chosen = SimpleNamespace(purchases=purchases, expected_orders=54.0)
    fitted_on = date(2026, 10, 25)
    found = expected_since(chosen, fitted_on, date(2026, 9, 30) + timedelta(as_of))
    assert found == pytest.approx(expected)


def test_a_first_fit_is_always_due():
    assert reason_to_fit(None, KEPT, Rules(30, 0.05, 1)) == "there is no earlier fit"


@pytest.mark.parametrize(
    ("before", "after", "index"),
    [
        ([50, 50], [500, 500], 0),
        ([50, 50], [60, 40], 0.1 * log(0.6 / 0.5) - 0.1 * log(0.4 / 0.5)),
        ([20, 30, 50], [50, 30, 20], 2 * 0.3 * log(5 / 2)),
        ([50, 50, 0], [60, 60, 0], 0),
        ([50, 50], [100, 0], inf),
        ([100, 0], [50, 50], inf),
    ],
)
def test_stability_index_by_hand(before: list[int], after: list[int], index: float):
    assert stability_index(before, after) == pytest.approx(index)


# --- the steps, when lines are added ----------------------------------------------------

FIT_TABLES = ["ml.cluster_selection", "ml.cluster_dimensions", "ml.cluster_centers"]
MEMBERS = "ml.customer_clusters"
READ_BY_THE_CLUSTERS = (
    *("+customer_features", "+int_customer_categories", "+int_customer_payment_methods"),
    *("int_data_period", "int_refit_rules"),
)
MODELS = "ml.lifetime_value_models"
MODEL_TABLES = [MODELS, "ml.model_evaluation", "ml.seasonal_index", "ml.churn_score_ranks"]
PREDICTIONS, FORECAST = "ml.lifetime_value", "ml.purchase_forecast"
READ_BY_LIFETIME_VALUE = (
    *("+int_customer_purchase_history", "+int_cohort_purchases", "+segment_validation"),
    *("int_backtest_histories", "int_backtest_spend", "int_backtest_outcomes"),
    "int_refit_rules",
)
# The distance of each customer to each center, from the tables alone. The formulas are in the
# model card and in the column descriptions of ml.cluster_dimensions.
DISTANCES = """
with known_values as (
    select customer_key, 'orders' as feature, null as level, ln(1 + orders) as value from customers
    union all
    select customer_key, 'recency_days', null, ln(1 + recency_days) from customers
    union all
    select customer_key, 'average_order_value', null, ln(1 + greatest(average_order_value, 0))
    from customers
    union all
    select customer_key, 'units_per_order', null, ln(1 + greatest(units::double / orders, 0))
    from customers
    union all
    select customer_key, 'category_count', null, category_count from customers
    union all
    select customer_key, 'age', null, age from customers
    union all
    select
        customer_key,
        feature,
        null,
        (share * orders + (1 / prior_correlation - 1) * prior_average)
            / (orders + 1 / prior_correlation - 1)
    from (
        unpivot (
            select customer_key, orders, weekend_order_share, holiday_season_order_share
            from customers
        )
        on weekend_order_share, holiday_season_order_share into name feature value share
    )
    inner join dimensions using (feature)
    union all
    select
        customer_key,
        feature,
        dimensions.level,
        (sum(orders) filter (where mixes.level = dimensions.level)) / sum(orders)
    from (
        select customer_key, orders, 'category' as feature, product_category as level
        from categories
        union all
        select customer_key, orders, 'payment_method', payment_method from payment_methods
    ) as mixes
    inner join dimensions using (feature)
    group by all
    union all
    select customer_key, feature, dimensions.level, (owned.level = dimensions.level)::double
    from (
        unpivot (select customer_key, membership_level, gender, region from customers)
        on membership_level, gender, region into name feature value level
    ) as owned
    inner join dimensions using (feature)
),

has_mix as (
    select distinct customer_key, feature from known_values where level is not null
),

coordinates as (
    select
        customers.customer_key,
        dimensions.feature,
        dimensions.level,
        case
            -- If a customer has other levels of a mix, the share of a missing one is 0.
            when known_values.value is null and has_mix.feature is not null
                then -dimensions.average * dimensions.scale
            when known_values.value is null then 0
            when dimensions.level is null and dimensions.prior_average is null
                then greatest(-3, least(3,
                    (known_values.value - dimensions.average) / dimensions.standard_deviation
                )) * dimensions.standard_deviation * dimensions.scale
            else (known_values.value - dimensions.average) * dimensions.scale
        end as coordinate
    from customers
    cross join dimensions
    left join known_values
        on
            customers.customer_key = known_values.customer_key
            and dimensions.feature = known_values.feature
            and dimensions.level is not distinct from known_values.level
    left join has_mix
        on
            customers.customer_key = has_mix.customer_key
            and dimensions.feature = has_mix.feature
    where dimensions.scale > 0
)

select
    customer_key,
    cluster,
    sqrt(sum((coordinates.coordinate - centers.coordinate) ** 2)) as distance
from coordinates
inner join centers
    on
        coordinates.feature = centers.feature
        and coordinates.level is not distinct from centers.level
group by customer_key, cluster
"""


def nearest_centers(spark: SparkSession) -> dict[int, tuple[int, float]]:
    """Cluster and distance of each customer, computed in DuckDB."""
    known = "not is_guest and orders > 0 and"
    with duckdb.connect() as connection:
        for name, table in {
            "customers": "marts.customer_features where orders > 0",
            "categories": (
                f"intermediate.int_customer_categories where {known} product_category != 'Unknown'"
            ),
            "payment_methods": (
                f"intermediate.int_customer_payment_methods where {known} "
                "payment_method != 'Unknown'"
            ),
            "dimensions": "ml.cluster_dimensions",
            "centers": "ml.cluster_centers",
        }.items():
            connection.register("found", spark.sql(f"select * from {table}").toArrow())
            connection.execute(f"create table {name} as from found")
        rows = connection.execute(
            "select customer_key, arg_min(cluster, distance), min(distance) "
            f"from ({DISTANCES}) group by customer_key"
        ).fetchall()
    return {key: (cluster, distance) for key, cluster, distance in rows}


class Shop:
    """Generated lines that are loaded in slices, and the steps on them."""

    def __init__(self, server: dict[str, str], spark: SparkSession, query: Query):
        self.server, self.spark, self.query = server, spark, query
        run_step(server, "ml.generate", "--customers", "3000", "--replace-loaded")
        spark.sql("create database if not exists test_refits")
        spark.sql("drop table if exists test_refits.lines")
        spark.table("raw.transactions").write.saveAsTable("test_refits.lines")

    def load(self, after: date, until: date, replace: bool = False) -> None:
        """Adds the lines of some days, or replaces all lines by them."""
        loaded_at = F.lit(datetime.combine(until, datetime.max.time()).replace(microsecond=0))
        day = F.to_date("ordered_at")
        lines = self.spark.table("test_refits.lines").where((day > after) & (day <= until))
        lines = lines.withColumn("loaded_at", loaded_at)
        if replace:
            tables.RAW_TABLES["transactions"].replace(lines, {})
        else:
            lines.write.insertInto("raw.transactions")

    def build(self, *options: str, models: tuple[str, ...] = READ_BY_THE_CLUSTERS) -> None:
        """Builds what a step reads."""
        environment = self.server | {"AS_OF_DATE": ""}
        types = "--resource-type", "seed", "--resource-type", "model"
        build(environment, "build", *types, *options, "--select", *models)

    def cluster(self, *arguments: str) -> str:
        return run_step(self.server, "ml.cluster", *arguments)

    def lifetime_value(self, *arguments: str) -> str:
        return run_step(self.server, "ml.lifetime_value", *arguments)

    def days(self, scored: str = MEMBERS, fitted: str = "ml.cluster_selection") -> tuple[str, str]:
        """The day of the fit and the as-of date of the scored customers."""
        ((fitted_on, as_of),) = self.query(f"select distinct fitted_on, as_of_date from {scored}")
        assert self.query(f"select distinct fitted_on from {fitted}") == [(fitted_on,)]
        return str(fitted_on), str(as_of)

    def assert_all_are_scored(self) -> None:
        """Asserts that each customer with an order is in the cluster with the nearest center."""
        rows = self.query(f"select customer_key, cluster, distance_to_center from {MEMBERS}")
        found = {key: (number, distance) for key, number, distance in rows}
        expected = nearest_centers(self.spark)
        assert found.keys() == expected.keys()
        for key, (number, distance) in expected.items():
            assert found[key] == (number, pytest.approx(distance, rel=1e-9, abs=1e-9))


def predictions(spark: SparkSession) -> dict[int, tuple[float, float, float]]:
    """Returns P(alive), the orders expected in 90 days and the churn score of each customer.

    Reads only tables. Uses equation (10) of Fader, Hardie and Lee (2005), without the
    transformation that the step uses. P(alive) is one divided by its denominator.
    For MBG/NBD the customer had one more occasion to leave (Batislam, Denizel and Filiztekin 2007).
    """
    (model,) = spark.table(MODELS).where("is_used and model != 'gamma_gamma'").collect()
    r, alpha, a, b = (json.loads(model.parameters)[name] for name in ("r", "alpha", "a", "b"))
    months = spark.table("ml.seasonal_index").where("is_used").orderBy("month").collect()
    index = [row["index"] for row in months] or [1.0] * 12
    ranks = {
        measure: sorted((row["value"], row["share"]) for row in rows)
        for measure, rows in groupby(
            spark.table("ml.churn_score_ranks").orderBy("measure").collect(),
            key=lambda row: row.measure,
        )
    }

    def weeks(start: date, end: date) -> float:
        """Weeks on the clock of the seasons."""
        days = (start + timedelta(number) for number in range(1, (end - start).days + 1))
        return sum(index[day.month - 1] for day in days) / 7

    def expected(length: float, x: int, t_x: float, t: float) -> tuple[float, float]:
        c = x + 1 if "mbg_nbd" in model.model else x
        gone = 0.0
        if c:
            gone = a / (b + c - 1) * ((alpha + t) / (alpha + t_x)) ** (r + x)
        ratio = (alpha + t) / (alpha + t + length)
        series = hyp2f1(r + x, b + c, a + b + c - 1, length / (alpha + t + length))
        orders = (a + b + c - 1) / (a - 1) * (1 - ratio ** (r + x) * series)
        return 1 / (1 + gone), orders / (1 + gone)

    found = {}
    for row in spark.table("intermediate.int_customer_purchase_history").collect():
        first = row.scored_on - timedelta(row.observed_days)
        last = first + timedelta(row.last_purchase_day)
        history = row.repeat_purchase_days, weeks(first, last), weeks(first, row.scored_on)
        ahead = weeks(row.scored_on, row.scored_on + timedelta(90))
        alive, orders = expected(ahead, *history)
        # The churn score is for 90 days of an average season: weeks without the seasonal index.
        score = round(expected(90 / 7, *history)[1], 6)
        if ranks:
            recency = (row.last_purchase_day - row.observed_days) / 7
            values = {"expected_purchases": score, "recency": recency}
            shares = [np.interp(values[name], *zip(*ranks[name], strict=True)) for name in values]
            score = float(np.mean(shares))
        found[row.customer_key] = alive, orders, score
    return found


def assert_customers_are_predicted(spark: SparkSession, query: Query) -> None:
    expected = predictions(spark)
    rows = query(
        f"select customer_key, p_alive, expected_orders_90d, churn_score from {PREDICTIONS}"
    )
    assert {key for key, *_ in rows} == expected.keys()
    for key, *found in rows:
        assert found == [pytest.approx(value, abs=2e-6) for value in expected[key]], key


@pytest.fixture(scope="module")
def shop(server: dict[str, str], spark: SparkSession, query: Query) -> Iterator[Shop]:
    yield Shop(server, spark, query)
    spark.sql("drop database test_refits cascade")


@pytest.mark.slow
def test_lines_that_are_added_keep_the_clusters(shop: Shop, spark: SparkSession, query: Query):
    shop.load(date(2000, 1, 1), FIT_DAY, replace=True)
    shop.build()
    shop.cluster()
    assert shop.days() == ("2026-06-10", "2026-06-10")
    shop.assert_all_are_scored()
    assert query("select distinct orders from ml.cluster_selection") == query(
        "select sum(orders) from marts.customer_features"
    )
    assert "nothing to do" in shop.cluster()
    fit = fingerprint(query, FIT_TABLES)
    customers = query(f"select count(*) from {MEMBERS}")[0][0]

    shop.load(FIT_DAY, date(2026, 6, 30))
    shop.build()
    assert "as fitted on 2026-06-10" in shop.cluster()
    assert shop.days() == ("2026-06-10", "2026-06-30")
    assert fingerprint(query, FIT_TABLES) == fit
    shop.assert_all_are_scored()
    assert query(f"select count(*) from {MEMBERS}")[0][0] > customers
    assert "nothing to do" in shop.cluster()

    # With the same fit, a full rebuild gives the same table.
    in_slices = fingerprint(query, [MEMBERS])
    shop.build("--full-refresh")
    spark.sql(f"truncate table {MEMBERS}")
    shop.cluster()
    assert fingerprint(query, [MEMBERS]) == in_slices
    assert fingerprint(query, FIT_TABLES) == fit

    # If a run was killed before it wrote all tables of a fit, the fit does not count.
    for table in FIT_TABLES:
        rows = spark.createDataFrame(spark.table(table).toArrow())
        spark.sql(f"truncate table {table}")
        assert cluster.last_fit(spark) is None
        rows.withColumn("run_id", F.lit("killed")).write.insertInto(table)
        assert cluster.last_fit(spark) is None
        rows.write.insertInto(table, overwrite=True)
        assert cluster.last_fit(spark)[1].as_of == FIT_DAY


@pytest.mark.slow
def test_each_reason_leads_to_a_fit(shop: Shop, spark: SparkSession, query: Query):
    shop.load(date(2000, 1, 1), date(2024, 7, 10), replace=True)
    shop.build()
    shop.cluster()
    shop.load(date(2024, 7, 10), date(2024, 7, 15))
    shop.build()
    shop.cluster()
    assert shop.days() == ("2024-07-10", "2024-07-15")

    assert "FRESH asks for it" in shop.cluster("--fresh")
    assert shop.days() == ("2024-07-15", "2024-07-15")
    # The last fit was to the same customers, so another one would be the same.
    assert "nothing to do" in shop.cluster("--fresh")

    # As if there had been more customers in the clusters with high numbers.
    centers = spark.table("ml.cluster_centers").toArrow()
    moved = spark.createDataFrame(centers).withColumn("customers", F.expr("customers * cluster"))
    moved.write.insertInto("ml.cluster_centers", overwrite=True)
    spark.sql(f"truncate table {MEMBERS}")
    assert "the shares of the clusters have changed" in shop.cluster()
    assert sorted(spark.table("ml.cluster_centers").toArrow().to_pylist(), key=str) == sorted(
        centers.to_pylist(), key=str
    )

    # A year of orders, and 29 more days: over 5% of the orders are new, but the fit is not old.
    shop.load(date(2024, 7, 15), date(2024, 8, 13))
    shop.build()
    assert "at the last fit" in shop.cluster()
    assert "the seed" in shop.cluster("--seed", "43")

    ((customer_id,),) = query(
        "select min(customer_id) from marts.customer_features where orders > 0"
    )
    run_step({**shop.server, "CUSTOMER_ID": customer_id}, "ml.erase")
    shop.build()
    assert "the raw data were replaced" in shop.cluster("--seed", "43")


@pytest.mark.slow
def test_lines_that_are_added_keep_the_models(shop: Shop, spark: SparkSession, query: Query):
    def score_again() -> dict[str, tuple]:
        """The predictions and the forecast, from the tables of the fit alone."""
        for table in (PREDICTIONS, FORECAST):
            query(f"truncate table {table}")
        shop.lifetime_value()
        return fingerprint(query, [PREDICTIONS, FORECAST])

    shop.load(date(2000, 1, 1), FIT_DAY, replace=True)
    shop.build(models=READ_BY_LIFETIME_VALUE)
    shop.lifetime_value()
    assert shop.days(PREDICTIONS, MODELS) == ("2026-06-10", "2026-06-10")
    fit = fingerprint(query, MODEL_TABLES)
    assert query(f"select count(*) from {FORECAST}") != [(0,)]
    assert "nothing to do" in shop.lifetime_value()
    scored = fingerprint(query, [PREDICTIONS, FORECAST])
    assert score_again() == scored

    shop.load(FIT_DAY, date(2026, 6, 20))
    shop.build(models=READ_BY_LIFETIME_VALUE)
    assert "models as fitted on 2026-06-10" in shop.lifetime_value()
    assert shop.days(PREDICTIONS, MODELS) == ("2026-06-10", "2026-06-20")
    assert shop.days(FORECAST, MODELS) == ("2026-06-10", "2026-06-20")
    assert fingerprint(query, MODEL_TABLES) == fit
    assert_customers_are_predicted(spark, query)

    # As if the mean of the ranks by the model and by recency predicted repurchase best.
    evaluation = "ml.model_evaluation"
    stored = {name: spark.table(name).toArrow() for name in (evaluation, "ml.churn_score_ranks")}
    other = F.expr("if(metric = 'churn_threshold', model || '_and_recency', model)")
    rows = spark.createDataFrame(stored[evaluation]).withColumn("model", other)
    rows.write.insertInto(evaluation, overwrite=True)
    ranks = [("expected_purchases", 0, 0), ("expected_purchases", 2, 1)]
    ranks += [("recency", -50, 0.1), ("recency", -10, 0.6), ("recency", 0, 1)]
    for measure, value, share in ranks:
        query(
            "insert into ml.churn_score_ranks "
            f"select '{measure}', {value}, {share}, 'run', date'2026-06-10'"
        )
    score_again()
    assert_customers_are_predicted(spark, query)
    for name, rows in stored.items():
        schema = spark.table(name).schema
        spark.createDataFrame(rows, schema).write.insertInto(name, overwrite=True)
    in_slices = score_again()

    # With the same fit, a full rebuild gives the same tables.
    shop.build("--full-refresh", models=READ_BY_LIFETIME_VALUE)
    assert score_again() == in_slices

    # As if ten times as many orders had been expected.
    rows = spark.createDataFrame(spark.table(MODELS).toArrow())
    more = rows.withColumn("expected_orders_30d", F.expr("10 * expected_orders_30d"))
    more.write.insertInto(MODELS, overwrite=True)
    assert "orders were expected since the last fit, and" in shop.lifetime_value()
    assert shop.days(PREDICTIONS, MODELS) == ("2026-06-20", "2026-06-20")
    # The last fit was to the same data, so another one would be the same.
    assert "nothing to do" in shop.lifetime_value("--fresh")
    # A run that is killed while it saves a fit leaves this table empty.
    query(f"truncate table {MODELS}")
    assert "there is no earlier fit" in shop.lifetime_value()
