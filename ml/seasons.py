"""Seasons: how busy each calendar month is, and a clock that runs faster in busy months.

The purchase models assume that a customer's rate of purchases stays the same. Where everybody buys
more in December, the rate is constant only in *operational time*. There, a day is as long as the
index of its month (1 is the average month). Suppose that a customer's rate is the product of two
factors: the season, which all share, and the customer's own constant. Then purchases come at a
constant rate on that clock (time-rescaling theorem; Brown, Barbieri, Ventura, Kass and Frank 2002,
Neural Computation 14(2), 325-346). Dropout needs no change, because it depends on purchases, not on
time.

The index of a month compares the repeat purchases that came in it with those that the model
expected. A single year cannot tell a season from chance, growth or a model that is off. So the
logarithm of actual / expected of each month in the data is taken as

    level + trend + season of the calendar month + error,

with random seasons and errors. Their variances are estimated by restricted maximum likelihood
(Patterson and Thompson 1971, Biometrika 58(3), 545-554), and the seasons are the best linear
unbiased predictions (Robinson 1991, Statistical Science 6(1), 15-32). An index is nearer to 1 if
its month differs more between years, or occurs in fewer years.
"""

from dataclasses import dataclass

import numpy as np

from ml.purchase_models import PurchaseModel

DAYS_PER_WEEK = 7
# The variances are estimated from calendar months that occur in two years or more.
MIN_MONTHS_SEEN_TWICE = 6
# A month with fewer days in the data tells too little.
MIN_DAYS_OF_MONTH = 10
# So does a month with fewer expected purchases, as in the years after a single early order.
MIN_EXPECTED = 1
# Standard deviations, of seasons and of errors, that the likelihood is computed for.
DEVIATIONS = (0.0, *np.geomspace(0.02, 1.0, 18))


def month_of(days: np.ndarray) -> np.ndarray:
    """Months since January 1970, of days since 1970-01-01."""
    return np.asarray(days).astype("datetime64[D]").astype("datetime64[M]").astype(int)


@dataclass(frozen=True)
class Clock:
    """Measures time in weeks; a busy month has more of them. Without an index: calendar weeks."""

    index: tuple[float, ...] | None = None  # by calendar month, January first

    def weeks(self, start: np.ndarray | int, end: np.ndarray | int) -> np.ndarray:
        """Weeks from the end of one day to the end of another (days since 1970-01-01)."""
        start, end = np.asarray(start), np.asarray(end)
        if self.index is None or not start.size:
            return (end - start) / DAYS_PER_WEEK
        first, last = min(start.min(), end.min()), max(start.max(), end.max())
        busy = np.array(self.index)[month_of(np.arange(first + 1, last + 1)) % 12]
        passed = np.concatenate([[0.0], np.cumsum(busy)])
        return (passed[end - first] - passed[start - first]) / DAYS_PER_WEEK

    def days_until(self, start: int, weeks: np.ndarray, max_days: int) -> np.ndarray:
        """Days from `start` until so many weeks have passed on this clock; a started day counts.

        Infinite above `max_days`.
        """
        ends = self.weeks(start, start + np.arange(1, max_days + 1))
        days = 1.0 + np.searchsorted(ends, weeks)
        return np.where(days <= max_days, days, np.inf)


CALENDAR = Clock()
Times = tuple[np.ndarray, np.ndarray, np.ndarray]


def model_times(
    clock: Clock, origin: int, x: np.ndarray, last_purchase: np.ndarray, observed: np.ndarray
) -> Times:
    """Converts histories in days, which end at an origin, to x, t_x and T in weeks on a clock."""
    first = origin - observed
    return x, clock.weeks(first, first + last_purchase), clock.weeks(first, origin)


@dataclass(frozen=True)
class DailyPurchases:
    """The new customers and the repeat purchases of each day with a purchase."""

    day: np.ndarray
    new_customers: np.ndarray
    repeat_purchases: np.ndarray

    def until(self, day: int) -> "DailyPurchases":
        """The same, up to a day."""
        known = self.day <= day
        return DailyPurchases(
            self.day[known], self.new_customers[known], self.repeat_purchases[known]
        )


@dataclass(frozen=True)
class SeasonalIndex:
    """The index of each calendar month, January first, and in how many years it was seen."""

    index: tuple[float, ...]
    times_seen: tuple[int, ...]


def seasonal_index(
    purchases: DailyPurchases, until: int, model: PurchaseModel, clock: Clock
) -> SeasonalIndex | None:
    """Index of each month, from the purchases up to a day and a model fitted on a clock.

    None when too few months are seen twice.
    """
    purchases = purchases.until(until)
    days = np.arange(purchases.day.min(), until + 1)
    ends = days[np.flatnonzero(np.diff(month_of(days), append=-1))]
    starts = np.concatenate([days[:1] - 1, ends[:-1]])
    expected = expected_by_month(purchases, model, clock, np.append(starts[:1], ends))
    place = np.searchsorted(ends, purchases.day)
    actual = np.bincount(place, weights=purchases.repeat_purchases, minlength=len(ends))
    usable = (ends - starts >= MIN_DAYS_OF_MONTH) & (expected >= MIN_EXPECTED)
    months, actual, expected = month_of(ends)[usable], actual[usable], expected[usable]
    times_seen = np.bincount(months % 12, minlength=12)
    if np.count_nonzero(times_seen >= 2) < MIN_MONTHS_SEEN_TWICE:
        return None
    if clock.index is not None:
        # On this clock the model already expects more in busy months. Divided by the index, these
        # are the expected purchases of average months, so the ratio has the whole season again.
        expected = expected / np.array(clock.index)[months % 12]
    seasons = np.exp(season_effects(actual, expected, months))
    # A year of 365 days is as long on this clock as on the calendar.
    year = month_of(np.arange(365))
    index = seasons / seasons[year].mean()
    return SeasonalIndex(
        tuple(round(float(value), 6) for value in index), tuple(int(count) for count in times_seen)
    )


def expected_by_month(
    purchases: DailyPurchases, model: PurchaseModel, clock: Clock, ends: np.ndarray
) -> np.ndarray:
    """Repeat purchases that the model expects between consecutive ends, of all customers so far."""
    won = purchases.new_customers > 0
    first_day, customers = purchases.day[won, None], purchases.new_customers[won]
    weeks = np.maximum(clock.weeks(first_day, ends[None, :]), 0)
    return customers @ np.diff(model.expected_purchases(weeks), axis=1)


def season_effects(actual: np.ndarray, expected: np.ndarray, months: np.ndarray) -> np.ndarray:
    """Effect of each calendar month on the logarithm of actual / expected purchases.

    Counts have a variance of their own. Half a purchase is added to avoid the logarithm of 0.
    """
    ratio, own_variance = np.log((actual + 0.5) / (expected + 0.5)), 1 / (actual + 0.5)
    is_month = np.eye(12)[months % 12]
    line = np.stack([np.ones(len(months)), months - months.mean()], axis=1)
    best, effects = -np.inf, np.zeros(12)
    for of_seasons in DEVIATIONS:
        for of_errors in DEVIATIONS:
            own = of_errors**2 + own_variance
            likelihood, residuals = restricted_likelihood(ratio, line, own, is_month, of_seasons**2)
            # If several variances are equally likely, the one with the smallest seasons wins.
            if likelihood > best + 1e-9:
                best = likelihood
                effects = of_seasons**2 * is_month.T @ residuals
    return effects


def restricted_likelihood(
    values: np.ndarray, effects: np.ndarray, own: np.ndarray, groups: np.ndarray, common: float
) -> tuple[float, np.ndarray]:
    """Restricted log-likelihood of a covariance, without its constant, and weighted residuals.

    The covariance is diag(own) + common * groups @ groups.T, where `groups` has a column of 0 and 1
    per group, and each value is in one group. Woodbury's formula gives its inverse. The residuals
    from the fixed effects are multiplied by the inverse.
    """
    shrinkage = common / (1 + common * (groups.T @ (1 / own)))

    def weighted(columns: np.ndarray) -> np.ndarray:
        scaled = columns / own[:, None]
        return scaled - groups @ (shrinkage[:, None] * (groups.T @ scaled)) / own[:, None]

    weighted_effects, weighted_values = weighted(effects), weighted(values[:, None])[:, 0]
    products = effects.T @ weighted_effects
    residuals = weighted_values - weighted_effects @ np.linalg.solve(
        products, effects.T @ weighted_values
    )
    determinant = np.log(own).sum() + np.log1p(common * (groups.T @ (1 / own))).sum()
    likelihood = -(determinant + np.linalg.slogdet(products)[1] + values @ residuals) / 2
    return float(likelihood), residuals
