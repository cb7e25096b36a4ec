"""Reads the counted purchase histories that the models are fitted to, as arrays. Times in weeks.

Orders here are purchase days: two orders of one day are one.

The driver gets only counts: how many customers have the same history. A shop of any size has few
distinct histories, so a fit costs little more for a hundred times the customers. Two customers
rarely have the same spend. Therefore spend comes from a sample of fixed size, chosen by a hash of
the customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from ml.purchase_models import average_spend

HISTORY = "intermediate.int_customer_purchase_history"
HOLDOUT = "intermediate.int_customer_holdout"
HOLDOUT_WEEKS = "intermediate.int_holdout_weeks"
SPEND_SAMPLE_SIZE = 50_000
DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class Observed:
    """A scoring date, the customers with a purchase by then, and days since the first purchase."""

    scored_on: date
    customers: int
    days: int


@dataclass(frozen=True)
class Histories:
    """Distinct histories, an array each."""

    x: np.ndarray
    t_x: np.ndarray
    t: np.ndarray
    customers: np.ndarray  # that have this history

    @property
    def history(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, t_x and T, as the models take them."""
        return self.x, self.t_x, self.t


@dataclass(frozen=True)
class Holdout(Histories):
    """Distinct histories at the start of the holdout, and what followed."""

    buyers: np.ndarray  # customers that bought again in the holdout
    orders: np.ndarray  # their purchase days in the holdout

    @property
    def recency(self) -> np.ndarray:
        """Weeks since the last purchase, negative: the higher, the more recent."""
        return self.t_x - self.t


@dataclass(frozen=True)
class HoldoutSpend:
    """A sample of customers at the start of the holdout, and what they bought and spent in it."""

    x: np.ndarray
    t_x: np.ndarray
    t: np.ndarray
    average: np.ndarray  # spend per repeat purchase
    orders: np.ndarray
    spent: np.ndarray


def to_arrays(rows: DataFrame) -> list[np.ndarray]:
    """The columns of some rows, as arrays of doubles."""
    table = rows.toArrow()
    return [table[name].to_numpy().astype(float) for name in table.column_names]


def content(spark: SparkSession, tables: Sequence[str]) -> list[tuple[int, int]]:
    """Number of rows of each table, and a hash of their values in any order."""
    return [
        (row["rows"], row["hash"])
        for table in tables
        for row in spark.sql(
            f"select count(*) as rows, bit_xor(xxhash64(*)) as hash from {table}"
        ).collect()
    ]


def read_observed(spark: SparkSession, scoring_date: str) -> Observed | None:
    """Reads what is known on a scoring date; None when no customer had bought by then.

    `scoring_date` is a flag of the table: `is_holdout_start` or `is_as_of_date`.
    """
    ((scored_on, customers, days),) = spark.sql(
        f"select max(scored_on), count(*), max(observed_days) from {HISTORY} where {scoring_date}"
    ).collect()
    return Observed(scored_on, customers, days) if customers else None


def read_histories(spark: SparkSession) -> Histories:
    """Counts customers by their history on the as-of date.

    The order makes the sums of the likelihood, and so its last digits, the same in each run.
    """
    x, t_x, t, customers = to_arrays(
        spark.sql(
            f"""
            select
                repeat_purchase_days as x,
                last_purchase_day as t_x,
                observed_days as t,
                count(*) as customers
            from {HISTORY}
            where is_as_of_date
            group by x, t_x, t
            order by x, t_x, t
            """
        )
    )
    return Histories(x, t_x / DAYS_PER_WEEK, t / DAYS_PER_WEEK, customers)


def read_holdout(spark: SparkSession) -> Holdout:
    """Counts customers by their history at the start of the holdout, in the same order."""
    x, t_x, t, customers, buyers, orders = to_arrays(
        spark.sql(
            f"""
            select
                repeat_purchase_days as x,
                last_purchase_day as t_x,
                observed_days as t,
                count(*) as customers,
                count_if(holdout_purchase_days > 0) as buyers,
                sum(holdout_purchase_days) as orders
            from {HOLDOUT}
            group by x, t_x, t
            order by x, t_x, t
            """
        )
    )
    return Holdout(x, t_x / DAYS_PER_WEEK, t / DAYS_PER_WEEK, customers, buyers, orders)


def read_repeat_spend(
    spark: SparkSession, scoring_date: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Purchases, average spend and number of customers, of at most SPEND_SAMPLE_SIZE customers.

    Customers who returned all of their repeat purchases are left out, because the model does not
    allow a spend of 0 or less.
    """
    x, cents, customers = to_arrays(
        spark.sql(
            f"""
            with sample as (
                select repeat_purchase_days as x, repeat_net_cents as cents
                from {HISTORY}
                where {scoring_date} and repeat_purchase_days > 0 and repeat_net_cents > 0
                order by xxhash64(customer_key), customer_key
                limit {SPEND_SAMPLE_SIZE}
            )
            select x, cents, count(*) as customers from sample group by x, cents order by x, cents
            """
        )
    )
    return x, average_spend(cents, x), customers


def read_holdout_spend(spark: SparkSession) -> HoldoutSpend:
    """Reads the spend of at most SPEND_SAMPLE_SIZE customers in the holdout, and before it."""
    x, t_x, t, cents, orders, spent_cents = to_arrays(
        spark.sql(
            f"""
            select
                repeat_purchase_days,
                last_purchase_day,
                observed_days,
                repeat_net_cents,
                holdout_purchase_days,
                holdout_net_cents
            from {HOLDOUT}
            order by xxhash64(customer_key), customer_key
            limit {SPEND_SAMPLE_SIZE}
            """
        )
    )
    average = average_spend(cents, x)
    return HoldoutSpend(
        x, t_x / DAYS_PER_WEEK, t / DAYS_PER_WEEK, average, orders, spent_cents / 100
    )


def read_orders_by_week(spark: SparkSession) -> dict[int, int]:
    """Purchase days in each week of the holdout, from 1, of the customers known at its start."""
    return {row.week: row.purchase_days for row in spark.table(HOLDOUT_WEEKS).collect()}
