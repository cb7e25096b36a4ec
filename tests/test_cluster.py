"""Personas: what the number of clusters is chosen by, and the truth they are held against."""

from collections import Counter
from collections.abc import Callable

import pytest
from conftest import Data, on_data

import cluster

Query = Callable[[str], list[tuple]]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Of the 15 pairs of items 2 are together in both, 6 in the one and 3 in the other.
        ("aaabbb", "aabbcc", (2 - 6 * 3 / 15) / ((6 + 3) / 2 - 6 * 3 / 15)),
        ("aaabbb", "xxxyyy", 1.0),
        # Every pair that the one puts together the other parts.
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
        # Not stable, and a cluster of 1%: the best silhouette does not save them.
        ([candidate(3, 0.2), candidate(4, 0.4, stability=0.79), candidate(5, 0.5, share=0.01)], 3),
        # Equally good: the fewer.
        ([candidate(4, 0.3), candidate(3, 0.3)], 3),
        # None is sound: the most stable one.
        ([candidate(3, 0.9, stability=0.2), candidate(4, 0.1, stability=0.5)], 4),
    ],
)
def test_best_silhouette_of_the_sound_ones_is_chosen(candidates: list, chosen: int):
    assert cluster.choose(candidates).clusters == chosen


@on_data("generated")
class TestGenerated:
    """Personas of generated customers, whose truth is known."""

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

    def test_chosen_number_of_clusters_is_sound_and_the_reason_says_why(
        self, data: Data, query: Query
    ):
        rows = query(
            "select k, stability, smallest_share, chosen, reason from ml.cluster_selection"
        )
        assert sorted(row[0] for row in rows) == list(range(4, 9))
        ((k, stability, share, _, reason),) = [row for row in rows if row[3]]
        assert stability >= 0.8
        assert share >= 0.02
        assert reason == "highest silhouette"
        assert query("select count(distinct cluster) from ml.customer_clusters") == [(k,)]

    def test_centres_are_the_averages_of_their_customers(self, data: Data, query: Query):
        """In the features' own scales, one number, one share and one level of a word for all."""
        rows = query("""
            select
                clusters.cluster,
                avg(ln(1 + customers.orders)),
                avg(customers.weekend_order_share),
                avg(if(customers.favourite_category = 'Books', 1, 0))
            from ml.customer_clusters as clusters
            inner join marts.customers as customers on clusters.customer_id = customers.customer_id
            group by clusters.cluster
        """)
        averages = {row[0]: row[1:] for row in rows}
        centres = query("""
            select cluster, feature, value from ml.cluster_centres
            where feature in ('orders', 'weekend_order_share') or level = 'Books'
        """)
        places = {"orders": 0, "weekend_order_share": 1, "favourite_category": 2}
        assert len(centres) == 3 * len(averages)
        for number, feature, value in centres:
            assert value == pytest.approx(averages[number][places[feature]], abs=0.01), feature
