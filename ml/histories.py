"""Reads the counted purchase histories that the models are fitted to, as arrays.

Orders here are purchase days: two orders of one day are one.

An origin is a day that a forecast starts from. The driver gets only counts of customers with the
same history at an origin. The number of distinct histories grows more slowly than that of
customers, so a fit costs little more for a hundred times the customers. The fits use a sample of
the customers, chosen by a hash of the customer; the forecasts are for all of them. Days are counted
from 1970-01-01.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from pyspark.sql import SparkSession

from ml.environment import in_environment
from ml.purchase_models import average_spend
from ml.seasons import DAYS_PER_WEEK, Clock, DailyPurchases, Times, model_times

CUSTOMERS = in_environment("intermediate.int_customer_purchase_history")
HISTORIES = in_environment("intermediate.int_backtest_histories")
SPEND = in_environment("intermediate.int_backtest_spend")
OUTCOMES = in_environment("intermediate.int_backtest_outcomes")
COHORTS = in_environment("intermediate.int_cohort_purchases")


@dataclass(frozen=True)
class Histories:
    """Distinct histories at an origin, one array per measure, and what followed in the holdout."""

    origin: int
    holdout_days: int  # 0 for the as-of date, which nothing follows
    x: np.ndarray  # repeat purchases
    last_purchase_day: np.ndarray  # days from the first purchase
    observed_days: np.ndarray
    customers: np.ndarray  # that have this history
    sampled_customers: np.ndarray  # of them in the sample for the fits
    spend: np.ndarray  # on their repeat purchases
    buyers: np.ndarray  # customers that bought again in the holdout
    orders: np.ndarray  # their purchase days in the holdout
    net_revenue: np.ndarray  # from them in the holdout
    spend_by_orders: np.ndarray  # sum over customers of `spend` times holdout orders

    @property
    def holdout_ends(self) -> int:
        """Last day of the holdout."""
        return self.origin + self.holdout_days

    @property
    def recency(self) -> np.ndarray:
        """Weeks since the last purchase, negative: the higher, the more recent."""
        return (self.last_purchase_day - self.observed_days) / DAYS_PER_WEEK

    @property
    def days_known(self) -> int:
        """Days since the first percent of the customers had bought: no wrong date counts."""
        if not len(self.customers):
            return 0
        earliest_first = np.argsort(-self.observed_days)
        customers = np.cumsum(self.customers[earliest_first])
        place = np.searchsorted(customers, 0.01 * customers[-1])
        return int(self.observed_days[earliest_first[place]])

    def times(self, clock: Clock) -> Times:
        """The times of the histories on a clock."""
        return model_times(clock, self.origin, self.x, self.last_purchase_day, self.observed_days)


@dataclass(frozen=True)
class RepeatSpend:
    """Distinct pairs of repeat purchases and average spend, and the customers with each."""

    x: np.ndarray
    average: np.ndarray
    customers: np.ndarray


@dataclass(frozen=True)
class Outcomes:
    """What the customers who were known on a day bought afterward: sums by day of purchase."""

    day: np.ndarray
    orders: np.ndarray
    net_revenue: np.ndarray

    def between(self, start: int, end: int) -> tuple[float, float]:
        """Orders and net revenue after the day `start`, up to the day `end`."""
        chosen = (self.day > start) & (self.day <= end)
        return float(self.orders[chosen].sum()), float(self.net_revenue[chosen].sum())


def to_date(day: int) -> date:
    """The date of a day counted from 1970-01-01."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day)


def to_day(of: date) -> int:
    """The day of a date, counted from 1970-01-01."""
    return (of - to_date(0)).days


def to_arrays(spark: SparkSession, sql: str) -> dict[str, np.ndarray]:
    """The columns of a query by name, all as doubles."""
    table = spark.sql(sql).toArrow()
    return {name: table[name].to_numpy().astype(float) for name in table.column_names}


def by_value(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct whole number, ascending, and a mask of its rows."""
    for value in np.unique(values):
        yield int(value), values == value


def read_histories(spark: SparkSession) -> list[Histories]:
    """Counts customers by their history at each origin, the as-of date first.

    The order makes the sums of the likelihood, and so its last digits, the same in each run.
    """
    sql = f"""
        select
            holdouts_back,
            unix_date(origin_on) as origin,
            repeat_purchase_days as x,
            last_purchase_day,
            observed_days,
            customers,
            sampled_customers,
            spend_cents / 100 as spend,
            holdout_buyers as buyers,
            holdout_purchase_days as orders,
            holdout_net_cents / 100 as net_revenue,
            spend_cents_times_holdout_days / 100 as spend_by_orders
        from {HISTORIES}
        order by holdouts_back, x, last_purchase_day, observed_days
    """
    columns = to_arrays(spark, sql)
    backs, origins = columns.pop("holdouts_back"), columns.pop("origin").astype(int)
    found: list[Histories] = []
    for _, chosen in by_value(backs):
        origin = int(origins[chosen][0])
        end = found[-1].origin if found else origin
        rows = {name: values[chosen] for name, values in columns.items()}
        rows |= {name: rows[name].astype(int) for name in ("last_purchase_day", "observed_days")}
        found.append(Histories(origin, end - origin, **rows))
    return found


def read_current_histories(spark: SparkSession) -> Histories:
    """Counts customers by their history on the as-of date; nothing is known of what follows.

    The order is that of `read_histories`.
    """
    sql = f"""
        select
            unix_date(scored_on) as origin,
            repeat_purchase_days as x,
            last_purchase_day,
            observed_days,
            count(*) as customers,
            sum(greatest(repeat_net_cents, 0)) / 100 as spend
        from {CUSTOMERS}
        group by scored_on, x, last_purchase_day, observed_days
        order by x, last_purchase_day, observed_days
    """
    columns = to_arrays(spark, sql)
    (origin,) = np.unique(columns.pop("origin").astype(int))
    columns |= {name: columns[name].astype(int) for name in ("last_purchase_day", "observed_days")}
    unknown = dict.fromkeys(
        ("sampled_customers", "buyers", "orders", "net_revenue", "spend_by_orders"),
        np.zeros(len(columns["x"])),
    )
    return Histories(int(origin), 0, **columns, **unknown)


def read_spend(spark: SparkSession) -> dict[int, RepeatSpend]:
    """Repeat purchases and average spend of the customers in the sample, by origin."""
    sql = f"""
        select
            unix_date(origin_on) as origin,
            repeat_purchase_days as x,
            repeat_net_cents as cents,
            customers
        from {SPEND}
        order by origin, x, cents
    """
    columns = to_arrays(spark, sql)
    origins, x, cents, customers = columns.values()
    return {
        origin: RepeatSpend(x[chosen], average_spend(cents[chosen], x[chosen]), customers[chosen])
        for origin, chosen in by_value(origins)
    }


def read_outcomes(spark: SparkSession) -> dict[int, Outcomes]:
    """Outcomes, by the day on which the customers were known."""
    sql = f"""
        select
            unix_date(known_on) as known_on,
            unix_date(ordered_on) as ordered_on,
            purchase_days,
            net_cents / 100 as net_revenue
        from {OUTCOMES}
        order by known_on, ordered_on
    """
    columns = to_arrays(spark, sql)
    known_on, day, orders, net_revenue = columns.values()
    return {
        start: Outcomes(day[chosen].astype(int), orders[chosen], net_revenue[chosen])
        for start, chosen in by_value(known_on)
    }


def read_daily_purchases(spark: SparkSession) -> DailyPurchases:
    """New customers and repeat purchases of each day with a purchase."""
    sql = f"""
        select
            unix_date(ordered_on) as day,
            sum(if(ordered_on = first_purchase_on, purchase_days, 0)) as new_customers,
            sum(if(ordered_on > first_purchase_on, purchase_days, 0)) as repeat_purchases
        from {COHORTS}
        group by ordered_on
        order by day
    """
    columns = to_arrays(spark, sql)
    day, new_customers, repeat_purchases = columns.values()
    return DailyPurchases(day.astype(int), new_customers, repeat_purchases)
