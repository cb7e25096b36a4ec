"""Personas: the features, the number of clusters, and how far clusters agree with the truth."""

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from itertools import combinations
from statistics import mean

import duckdb
import numpy as np
import pytest
from conftest import ROOT, Query, on_data
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from ml import cluster_choice, feature_space, features, tables


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # There are 15 pairs of items: 2 are together in both, 6 in the first and 3 in the second.
        ("aaabbb", "aabbcc", (2 - 6 * 3 / 15) / ((6 + 3) / 2 - 6 * 3 / 15)),
        ("aaabbb", "xxxyyy", 1.0),
        # The second separates every pair that the first puts together.
        ("aabb", "xyxy", (0 - 2 * 2 / 6) / (2 - 2 * 2 / 6)),
        ("aaaa", "xxxx", 1.0),
    ],
)
def test_adjusted_rand_index_counts_pairs(first: str, second: str, expected: float):
    labels = Counter(zip(first, second, strict=True))
    assert cluster_choice.adjusted_rand_index(labels) == pytest.approx(expected)


def candidate(k: int, silhouette: float, stability: float = 0.9, share: float = 0.1):
    return cluster_choice.Candidate(k, None, silhouette, stability, share)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([candidate(3, 0.2), candidate(4, 0.3), candidate(5, 0.25)], 4),
        # k = 4 is not stable, and k = 5 has a cluster of 1%.
        ([candidate(3, 0.2), candidate(4, 0.4, stability=0.79), candidate(5, 0.5, share=0.01)], 3),
        # Equally good: fewer clusters win.
        ([candidate(4, 0.3), candidate(3, 0.3)], 3),
        # None is sound: the most stable one wins.
        ([candidate(3, 0.9, stability=0.2), candidate(4, 0.1, stability=0.5)], 4),
    ],
)
def test_best_silhouette_of_the_sound_ones_is_chosen(candidates: list, chosen: int):
    assert cluster_choice.choose(candidates).clusters == chosen


# --- features ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("average", "repeat_average", "agreement", "expected"),
    [
        # Six customers with two orders: two placed both on a weekend, two placed one, two placed
        # none.
        # 6 of 12 orders are on weekends; 2 of 6 pairs are, instead of 1.5 by chance.
        (0.5, 6 / 12, 2 / 6, (1 / 3, 2)),
        # The same, and customers with one order: they change the average only.
        (0.4, 6 / 12, 2 / 6, (1 / 3, 2)),
        # Always or never: a customer's first order tells everything.
        (0.5, 6 / 12, 3 / 6, (1, 0)),
        # Each customer has one of two orders on a weekend: less agreement than by chance.
        (0.5, 6 / 12, 0.0, None),
        # As by chance.
        (0.5, 6 / 12, 1 / 4, None),
        (0.5, None, None, None),
        (0.0, 0.0, 0.0, None),
        (1.0, 1.0, 1.0, None),
    ],
)
def test_strength_follows_from_how_often_orders_agree(
    average: float, repeat_average: float | None, agreement: float | None, expected: tuple | None
):
    found = feature_space.prior(average, repeat_average, agreement)
    if expected is None:
        assert found is None
    else:
        assert found.average == average
        assert (found.correlation, found.strength) == pytest.approx(expected)


def test_strength_and_reliability_are_those_of_simulated_customers(spark: SparkSession):
    """Weekend shares have a beta distribution; the holiday share is the same for all customers.

    Customers who buy on weekends buy less often, so that averages over the orders mislead.
    """
    draws = np.random.default_rng(1)
    truth = draws.beta(4 * 0.3, 4 * 0.7, 100_000)
    orders = 2 + draws.poisson(np.where(truth < 0.3, 4.0, 0.5))
    weekend, season = draws.binomial(orders, truth), draws.binomial(orders, 0.2)
    values = spark.createDataFrame(
        np.column_stack([orders, weekend / orders, season / orders]).tolist(),
        "order_count double, weekend_order_share double, holiday_season_order_share double",
    )

    priors = feature_space.share_priors(values)
    found = priors["weekend_order_share"]
    assert found.average == pytest.approx(0.3, rel=0.02)
    assert found.strength == pytest.approx(4, rel=0.05)

    expected = (weekend + 4 * 0.3) / (orders + 4)
    rows = (
        feature_space.with_expected_shares(values, priors).select("weekend_order_share").collect()
    )
    assert [row[0] for row in rows] == pytest.approx(expected, abs=0.01)
    # The part of the variance of the true shares that the expected ones explain.
    explained = np.corrcoef(truth, expected)[0, 1] ** 2
    assert found.reliability(np.var(expected)) == pytest.approx(explained, rel=0.05)

    # If customers do not differ, the correlation is close to 0.
    season_prior = priors.get("holiday_season_order_share")
    assert season_prior is None or season_prior.correlation < 0.005


def test_customers_who_differ_in_no_share_keep_their_values(spark: SparkSession):
    orders = "values (5, 0.2), (10, 0.2), (20, 0.2)"
    share = ", ".join(f"share as {name}" for name in features.SHARE_FEATURES)
    values = spark.sql(f"select order_count, {share} from {orders} as orders (order_count, share)")
    priors = feature_space.share_priors(values)
    assert priors == {}
    assert feature_space.with_expected_shares(values, priors).collect() == values.collect()


def test_orders_are_shared_out_over_known_levels(spark: SparkSession):
    rows = [
        (1, False, "Books", 3),
        (1, False, "Toys", 1),
        (1, False, "Unknown", 5),
        (2, False, "Books", 2),
        (2, False, "Toys", 0),
        (2, False, "Garden", 2),
        (3, False, "Unknown", 1),
        (4, True, "Books", 1),
    ]
    columns = "customer_key int, is_guest boolean, product_category string, orders int"
    orders = features.known_orders(spark.createDataFrame(rows, columns), "product_category")
    found = features.order_shares(orders, ["Books", "Toys"]).collect()
    # The orders of a less frequent level count in the total.
    assert dict(found) == {1: [0.75, 0.25], 2: [0.5, 0.0]}


LEVELS_OF_FOUR = {
    "category": ["Books", "Toys"],
    "payment_method": [],
    "membership_level": [],
    "gender": ["f", "m"],
    "region": [],
}


def four_customers(spark: SparkSession, **columns: str) -> DataFrame:
    """Customers with the columns of feature_values; `columns` are SQL over `number`, 1 to 4."""
    names = [*features.NUMERIC_FEATURES, *features.SHARE_FEATURES, *features.CATEGORICAL_FEATURES]
    types = ["array<double>" if name in LEVELS_OF_FOUR else "double" for name in names]
    texts = {name: f"cast(null as {type})" for name, type in zip(names, types, strict=True)}
    texts |= {"customer_key": "number", "customer_id": "string(number)", "order_count": "1L"}
    texts |= columns
    numbers = spark.range(1, 5).withColumnRenamed("id", "number")
    return numbers.selectExpr(*[f"{text} as {name}" for name, text in texts.items()])


def test_variance_of_a_feature_is_its_weight(spark: SparkSession):
    values = four_customers(
        spark,
        orders="double(number)",
        age="if(number = 1, null, number * 10.0d)",
        category="""case number
            when 1 then array(0.75d, 0.25d)
            when 2 then array(1.0d, 0.0d)
            when 3 then array(0.0d, 1.0d)
        end""",
        gender="array(1.0d, 0.0d)",
    )
    space = feature_space.measure_space(values, LEVELS_OF_FOUR).dimensions
    # The gender is the same for all.
    assert [(each.feature, each.level) for each in space] == [
        ("orders", None),
        ("age", None),
        ("category", "Books"),
        ("category", "Toys"),
    ]
    books = space[2]
    assert books.average == pytest.approx(1.75 / 3)
    assert books.standard_deviation == pytest.approx(np.std([0.75, 1, 0]))

    rows = feature_space.with_coordinates(values, space).orderBy("customer_key").collect()
    coordinates = np.array([row["coordinates"] for row in rows])
    orders, age, *category = coordinates.T
    assert np.var(orders) == pytest.approx(0.1)
    assert np.var(age[1:]) == pytest.approx(2)
    assert np.var(category[0][:3]) + np.var(category[1][:3]) == pytest.approx(2)
    # Unknown values are those of the average customer.
    assert (age[0], category[0][3], category[1][3]) == (0, 0, 0)


def test_outliers_of_a_number_are_moved_closer(spark: SparkSession):
    column = F.col("value")
    orders = feature_space.Dimension("orders", None, column, 4.0, 1.0, 10.0, 5.0, 2 / 5)
    share = feature_space.Dimension("weekend_order_share", None, column, 4.0, 1.0, 10.0, 5.0, 2 / 5)
    values = spark.createDataFrame([(0.0,), (-10.0,), (30.0,), (None,)], "value double")
    rows = values.select(orders.coordinate(), share.coordinate()).collect()
    # A number 4 standard deviations from the average is moved to 3, a share is not. One standard
    # deviation has length 2.
    assert [tuple(row) for row in rows] == [(-4, -4), (-6, -8), (6, 8), (0, 0)]


def test_features_without_weight_are_left_out(spark: SparkSession, monkeypatch: pytest.MonkeyPatch):
    """The model card offers a weight of 0 for features that one may not use."""
    monkeypatch.setitem(features.WEIGHTS, "age", 0.0)
    monkeypatch.setitem(features.WEIGHTS, "gender", 0.0)
    values = four_customers(
        spark,
        orders="double(number)",
        age="double(number)",
        gender="if(number = 1, array(1.0d, 0.0d), array(0.0d, 1.0d))",
    )
    space = feature_space.measure_space(values, LEVELS_OF_FOUR)
    assert [each.feature for each in space.dimensions] == ["orders"]


def test_stored_space_gives_the_same_coordinates(spark: SparkSession):
    """Levels keep their places, also those that no dimension has."""
    values = four_customers(
        spark,
        order_count="number + 1L",
        orders="double(number)",
        weekend_order_share="if(number < 3, 0.0d, 1.0d)",
        category="array(number / 4.0d, 1 - number / 4.0d)",
        gender="array(1.0d, 0.0d)",
    )
    space = feature_space.measure_space(values, LEVELS_OF_FOUR)
    assert {each.feature for each in space.dimensions} == {
        *("orders", "weekend_order_share", "category")
    }
    columns = (
        *("position", "feature", "level", "average", "standard_deviation", "scale"),
        *("weight", "reliability", "prior_average", "prior_correlation"),
    )
    stored = feature_space.stored_space(Row(*columns)(*row) for row in space.rows())
    assert stored.levels == LEVELS_OF_FOUR
    assert stored.priors == space.priors
    assert stored.coordinates(values).collect() == space.coordinates(values).collect()


def test_hash_of_the_content_depends_on_each_share(spark: SparkSession):
    contents = {
        tables.content(four_customers(spark, category=category))
        for category in (
            "array(0.75d, 0.25d)",
            "array(0.25d, 0.75d)",
            "if(number = 4, array(0.7d, 0.3d), array(0.75d, 0.25d))",
            "if(number = 4, null, array(0.75d, 0.25d))",
        )
    }
    assert len(contents) == 4


# --- clusters ---------------------------------------------------------------------------


def strength_of_pairs(counts: Collection[tuple[int, int]]) -> float:
    """Kleinman's strength, from every pair of a customer's orders.

    `counts` has two numbers per customer: orders that have the property, and all orders.
    """
    repeat = [(hits, orders) for hits, orders in counts if orders > 1]
    average = mean(hits / orders for hits, orders in repeat)
    agreement = mean(
        mean(one * other for one, other in combinations([1] * hits + [0] * (orders - hits), 2))
        for hits, orders in repeat
    )
    covariance = agreement - average**2
    return average * (1 - average) / covariance - 1


@on_data("generated")
class TestGenerated:
    """Personas of generated customers, where the truth is known."""

    def test_clusters_agree_with_the_planted_personas(self, query: Query):
        def agreement(condition: str) -> float:
            rows = query(f"""
                select clusters.cluster, truth.persona, count(*)
                from ml.customer_clusters as clusters
                inner join truth.customers as truth on clusters.customer_id = truth.customer_id
                inner join marts.customers as customers
                    on clusters.customer_id = customers.customer_id
                where {condition}
                group by clusters.cluster, truth.persona
            """)
            return cluster_choice.adjusted_rand_index(Counter({row[:2]: row[2] for row in rows}))

        assert agreement("true") > 0.78
        assert agreement("customers.orders > 1") > 0.9
        assert agreement("customers.orders = 1") > 0.6

    def test_chosen_number_of_clusters_is_sound_and_has_a_reason(self, query: Query):
        rows = query(
            "select k, stability, smallest_share, chosen, reason from ml.cluster_selection"
        )
        assert sorted(row[0] for row in rows) == list(range(4, 9))
        ((k, stability, share, _, reason),) = [row for row in rows if row[3]]
        assert stability >= 0.8
        assert share >= 0.02
        assert reason == "highest silhouette"
        assert query("select count(distinct cluster) from ml.customer_clusters") == [(k,)]

    def test_centers_are_the_averages_of_their_customers(self, query: Query):
        """Compares a number, a share and two levels, each in the scale of its feature."""
        rows = query("""
            with books as (
                select
                    customer_key,
                    sum(if(product_category = 'Books', orders, 0)) / sum(orders) as share
                from intermediate.int_customer_categories
                where orders > 0 and product_category != 'Unknown'
                group by customer_key
            )
            select
                clusters.cluster,
                customers.weekend_orders,
                customers.orders,
                customers.age,
                books.share,
                int(customers.membership_level = 'Gold')
            from ml.customer_clusters as clusters
            inner join intermediate.int_customers as customers
                on clusters.customer_key = customers.customer_key
            left join books on clusters.customer_key = books.customer_key
        """)
        strength = strength_of_pairs([row[1:3] for row in rows])
        overall = mean(row[1] / row[2] for row in rows)
        values = defaultdict(list)
        for number, weekend_orders, orders, age, books, gold in rows:
            values[number, "age"].append(age)
            values[number, "category"].append(books)
            values[number, "membership_level"].append(gold)
            values[number, "weekend_order_share"].append(
                (weekend_orders + strength * overall) / (orders + strength)
            )
        centers = query("""
            select cluster, feature, value from ml.cluster_centers
            where feature in ('age', 'weekend_order_share') or level in ('Books', 'Gold')
        """)
        assert {each[:2] for each in centers} == values.keys()
        known = defaultdict(list)
        for (_, feature), members in values.items():
            known[feature] += [value for value in members if value is not None]
        for number, feature, center in centers:
            # An unknown value is that of the average customer.
            unknown = np.mean(known[feature])
            members = [unknown if each is None else each for each in values[number, feature]]
            expected = pytest.approx(np.mean(members), abs=0.01, rel=0.005)
            assert center == expected, (number, feature)

    def test_the_holiday_season_counts_only_after_a_year(
        self, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
    ):
        """Before that, the share of its orders tells when a customer came."""
        levels = features.frequent_levels(spark)
        for last_on, counts in (("2026-11-29", False), ("2026-11-30", True)):
            period = f"select date'2025-12-01' as first_on, date'{last_on}' as last_on"
            spark.sql(period).createOrReplaceTempView("period")
            monkeypatch.setattr(features, "DATA_PERIOD", "period")
            values = features.feature_values(spark, levels)
            assert values.where("holiday_season_order_share is not null").isEmpty() != counts
            known = features.customers_and_orders(spark)[2]
            assert ("holiday_season_order_share" in known) == counts

    def test_shares_weigh_as_much_as_they_are_known(self, query: Query):
        """Most customers have one or two orders, which show little of when they buy."""
        weights = dict(
            query("select distinct feature, weight * reliability from ml.cluster_centers")
        )
        assert 0 < weights["holiday_season_order_share"] < weights["weekend_order_share"] < 0.6
        assert weights["category"] == weights["age"] == 2


# Word of seeds/persona_traits.csv -> condition that customers of such a persona must meet.
CLAIMS = {
    "Active": "avg(recency_days) < 90",
    "Lapsed": "avg(recency_days) > 180",
    "Frequent": "avg(orders) > 2 and avg(orders) > 1.25 * any_value(all_orders)",
    "One-Time": "avg(orders) < 1.2",
    "Big-Basket": "sum(net_revenue) / sum(orders) > 1.25 * any_value(all_order_value)",
    "Small-Basket": "sum(net_revenue) / sum(orders) < 0.8 * any_value(all_order_value)",
    "Stock-Up": (
        "sum(units) / sum(orders) > 2 and sum(units) / sum(orders) > 1.25 * any_value(all_units)"
    ),
    "Single-Item": "sum(units) / sum(orders) between 0.8 and 1.2",
    "Wide-Ranging": (
        "avg(category_count) > 2 and avg(category_count) > 1.25 * any_value(all_categories)"
    ),
    "Focused": "avg(category_count) between 0.8 and 1.5",
    # One order on a weekend is no habit.
    "Weekend": "avg(weekend_order_share) filter (where orders >= 3) > 0.5",
    "Weekday": "avg(weekend_order_share) filter (where orders >= 3) < 0.1",
    "Holiday": "avg(holiday_season_order_share) filter (where orders >= 3) > 0.5",
    "All-Year": "avg(holiday_season_order_share) filter (where orders >= 3) between 0.08 and 0.25",
    "Older": "avg(age) > 1.15 * any_value(all_age)",
    "Younger": "avg(age) < 0.85 * any_value(all_age)",
    "Mixed": "count(*) > 0",
}
LEVELS = "gender", "membership_level", "favorite_payment_method", "region", "favorite_category"


def test_each_word_has_a_condition():
    with (ROOT / "seeds" / "persona_traits.csv").open() as lines:
        words = {row["adjective"] for row in csv.DictReader(lines)}
    assert words == (CLAIMS.keys() - {"Mixed"}) | {"{level}"}


def split_words(words: str, known: Collection[str]) -> Iterator[str]:
    """Splits a text into known words; a level such as `Bank transfer` is one word."""
    while words:
        word = max((each for each in known if f"{words} ".startswith(f"{each} ")), key=len)
        yield word
        words = words[len(word) + 1 :]


@on_data("generated", "subscribers", "cdnow", "online_retail", "olist")
def test_each_word_is_true_of_the_personas_customers(spark: SparkSession):
    connection = duckdb.connect()
    connection.register("found", spark.table("marts.customers").toArrow())
    connection.execute("""
        create table customers as
        select
            *,
            avg(orders) over () as all_orders,
            sum(net_revenue) over () / sum(orders) over () as all_order_value,
            sum(units) over () / sum(orders) over () as all_units,
            avg(category_count) over () as all_categories,
            avg(age) over () as all_age
        from found
        where persona is not null
    """)
    claims = dict(CLAIMS)
    for column in LEVELS:
        for (level,) in connection.sql(f"select distinct {column} from customers").fetchall():
            if level is not None:
                word = level[:1].upper() + level[1:].replace("_", " ")
                value = level.replace("'", "''")
                most = f"count(*) filter (where {column} = '{value}') > count(*) / 2"
                claims[word] = f"{claims[word]} or {most}" if word in claims else most

    personas = connection.sql("select distinct persona from customers").fetchall()
    assert personas
    for (persona,) in personas:
        for word in split_words(persona.rpartition(" Shoppers")[0], claims):
            assert connection.execute(
                f"select {claims[word]} from customers where persona = $persona",
                {"persona": persona},
            ).fetchall() == [(True,)], (persona, word)


@on_data("subscribers")
def test_customers_of_several_orders_are_not_one_time(query: Query):
    """These customers bought four times or more; they differ only in how they pay and how often."""
    personas = query("select persona, average_orders from marts.personas order by average_orders")
    assert [orders for _, orders in personas] == [4.0, 5.0, 6.0, 7.0, 8.0, 8.0]
    assert not any("One-Time" in persona for persona, _ in personas)
