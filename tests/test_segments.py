"""Tests that segment names and the playbook's words are true of each customer in all data sets."""

import csv

import duckdb
from conftest import DATA_SETS, ROOT, Query, on_data
from pyspark.sql import SparkSession

# Customers on the as-of date and at each month end, compared with the others on the same day.
# others: the other customers with a purchase; later: those of them who have bought since.
# with_fewer, with_more: repeat buyers with fewer, or more, orders; typical: median of their orders.
COMPARED = """
    with typical as (
        select day, median(orders) as typical from found where orders >= 2 group by day
    )

    select
        found.*,
        typical,
        count(*) filter (where orders >= 1) over same_day - 1 as others,
        count(*) filter (where orders >= 2) over same_day as repeat_buyers,
        rank() over (partition by found.day order by recency_days nulls last) - 1 as later,
        rank() over (partition by found.day, orders >= 2 order by orders) - 1 as with_fewer,
        rank() over (partition by found.day, orders >= 2 order by orders desc) - 1 as with_more
    from found
    left join typical on found.day is not distinct from typical.day
    window same_day as (partition by found.day)
"""

AMONG_THE_MOST_RECENT = "(others = 0 or 5 * later < others)"
AMONG_THE_OLDEST = "5 * later >= 3 * others"
MOST_HAVE_NOT_BOUGHT_SINCE = "(others = 0 or 2 * later < others)"
ABOUT_HALF_HAVE_BOUGHT_SINCE = "5 * later between 2 * others and 3 * others"
MOST_HAVE_BOUGHT_SINCE = "2 * later > others"
ONE_ORDER_OR_FEW = "(orders = 1 or orders >= 2 and 2 * with_more > repeat_buyers - 1)"

# What the words of seeds/segment_playbook.csv mean.
MEANINGS = {
    "Champions": f"orders >= 2 and orders >= typical and {AMONG_THE_MOST_RECENT}",
    "Loyal Customers": (
        "orders >= 2 and orders >= typical "
        f"and not {AMONG_THE_MOST_RECENT} and not {AMONG_THE_OLDEST}"
    ),
    "Potential Loyalists": f"orders >= 2 and orders <= typical and {MOST_HAVE_NOT_BOUGHT_SINCE}",
    "New Customers": f"orders = 1 and {AMONG_THE_MOST_RECENT}",
    "Promising": f"orders = 1 and {MOST_HAVE_NOT_BOUGHT_SINCE}",
    "Need Attention": f"orders >= 2 and orders <= typical and {ABOUT_HALF_HAVE_BOUGHT_SINCE}",
    "About To Sleep": f"{ONE_ORDER_OR_FEW} and {ABOUT_HALF_HAVE_BOUGHT_SINCE}",
    "At Risk": (
        "orders >= 2 and 4 * with_fewer <= 3 * (repeat_buyers - 1) "
        f"and 4 * with_more <= 3 * (repeat_buyers - 1) and {MOST_HAVE_BOUGHT_SINCE}"
    ),
    "Can't Lose Them": (
        f"orders >= 2 and 2 * with_fewer > repeat_buyers - 1 and {MOST_HAVE_BOUGHT_SINCE}"
    ),
    "Hibernating": f"{ONE_ORDER_OR_FEW} and {MOST_HAVE_BOUGHT_SINCE}",
    "Prospects": "orders = 0 and recency_days is null",
}


def test_each_segment_of_the_playbook_has_its_meaning_here():
    with (ROOT / "seeds" / "segment_playbook.csv").open() as lines:
        assert {row["segment"] for row in csv.DictReader(lines)} == MEANINGS.keys()


@on_data(*[name for name in DATA_SETS if name != "nothing"])
def test_words_of_each_segment_hold_for_each_customer(spark: SparkSession):
    found = spark.sql("""
        select cast(null as date) as day, customer_id, recency_days, orders, r_score, segment
        from marts.customers
        union all
        select month_end, customer_id, recency_days, frequency, r_score, segment
        from marts.customer_segment_history
    """).toArrow()
    connection = duckdb.connect()
    connection.register("found", found)
    connection.execute(f"create table customers as {COMPARED}")
    assert connection.sql("select 1 from customers where segment <> 'Prospects' limit 1").fetchall()

    for segment, meaning in MEANINGS.items():
        wrong = connection.execute(
            f"from customers where segment = $segment and ({meaning}) is not true limit 5",
            {"segment": segment},
        )
        assert wrong.fetchall() == [], segment
    # No customer who bought on the day itself is in a segment of inactive customers.
    assert connection.sql("from customers where recency_days = 0 and r_score <> 5").fetchall() == []


@on_data("subscribers")
def test_subscribers_that_were_billed_on_the_last_day_are_not_at_high_risk(query: Query):
    """240 of 300 customers tie for the best recency.

    A rule that counts ties against them would put them all at high risk.
    """
    assert query(
        "select recency_days = 0, count(*), count_if(churn_risk = 'high') "
        "from marts.customers group by all order by all"
    ) == [(False, 60, 60), (True, 240, 0)]
