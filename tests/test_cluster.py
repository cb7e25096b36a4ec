"""Personas: how the number of clusters is chosen, and how far clusters agree with the truth."""

import csv
from collections import Counter
from collections.abc import Callable, Collection, Iterator

import duckdb
import pytest
from conftest import ROOT, Data, on_data
from pyspark.sql import SparkSession

from ml import cluster

Query = Callable[[str], list[tuple]]


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
    assert cluster.adjusted_rand_index(labels) == pytest.approx(expected)


def candidate(k: int, silhouette: float, stability: float = 0.9, share: float = 0.1):
    return cluster.Candidate(k, None, silhouette, stability, share)


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
    assert cluster.choose(candidates).clusters == chosen


@on_data("generated")
class TestGenerated:
    """Personas of generated customers, where the truth is known."""

    def test_clusters_agree_with_the_planted_personas(self, data: Data, query: Query):
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
            return cluster.adjusted_rand_index(Counter({row[:2]: row[2] for row in rows}))

        assert agreement("true") > 0.6
        assert agreement("customers.orders > 1") > 0.8

    def test_chosen_number_of_clusters_is_sound_and_has_a_reason(self, data: Data, query: Query):
        rows = query(
            "select k, stability, smallest_share, chosen, reason from ml.cluster_selection"
        )
        assert sorted(row[0] for row in rows) == list(range(4, 9))
        ((k, stability, share, _, reason),) = [row for row in rows if row[3]]
        assert stability >= 0.8
        assert share >= 0.02
        assert reason == "highest silhouette"
        assert query("select count(distinct cluster) from ml.customer_clusters") == [(k,)]

    def test_centers_are_the_averages_of_their_customers(self, data: Data, query: Query):
        """Compares a number, a share and a level, each in the scale of its feature."""
        rows = query("""
            select
                clusters.cluster,
                avg(ln(1 + customers.orders)),
                avg(customers.weekend_order_share),
                avg(if(customers.favorite_category = 'Books', 1, 0))
            from ml.customer_clusters as clusters
            inner join marts.customers as customers on clusters.customer_id = customers.customer_id
            group by clusters.cluster
        """)
        averages = {row[0]: row[1:] for row in rows}
        centers = query("""
            select cluster, feature, value from ml.cluster_centers
            where feature in ('orders', 'weekend_order_share') or level = 'Books'
        """)
        places = {"orders": 0, "weekend_order_share": 1, "favorite_category": 2}
        assert len(centers) == 3 * len(averages)
        for number, feature, value in centers:
            assert value == pytest.approx(averages[number][places[feature]], abs=0.01), feature


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
    "Weekend": "avg(weekend_order_share) > 0.5",
    "Weekday": "avg(weekend_order_share) < 0.1",
    "Holiday": "avg(holiday_season_order_share) > 0.5",
    "All-Year": "avg(holiday_season_order_share) between 0.08 and 0.25",
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
