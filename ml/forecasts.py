"""Forecasts for all customers together: orders and net revenue of a period, with intervals.

An interval shows how far earlier forecasts of this kind were off. From each origin of the
backtests, the same model has forecast periods of the same length: months, three months, and twelve.
The errors are taken as log(actual / forecast). The interval is

    forecast * exp(+- t * spread)

- The spread is the root mean square of the errors. A period without orders or revenue has no error
  and is left out. An extra origin with an error of PRIOR_ERROR counts, too. Without it, one lucky
  backtest would make the interval too narrow. Few origins are twelve months old. So for twelve
  months, the extra origin has the larger of two errors: PRIOR_ERROR and the spread of three months.
- The spread is at least what the model itself expects: customers buy at random, and the fewer there
  are, the more the total varies.
- t is a quantile of Student's distribution. Its degrees of freedom are the number of origins, the
  extra one included. For twelve months, they are those of the three-month forecasts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from scipy.special import stdtrit as student_quantile

from ml.fits import FittedPurchases
from ml.histories import Histories, Outcomes, to_date, to_day
from ml.purchase_models import SpendModel
from ml.seasons import Times

PRIOR_ERROR = 0.1
COVERAGES = (0.5, 0.8, 0.95)
# Length of the periods in backtests, in days.
LENGTHS = {"month": 30, "3 months": 90, "12 months": 365}
FORECAST_MONTHS = 12

Totals = dict[str, float]  # orders, and net_revenue if there is a spend model


@dataclass(frozen=True)
class Period:
    """A period to forecast, after the day `start` up to the day `end`.

    `length` is a key of LENGTHS, or `week` in the evaluation.
    """

    length: str
    start: int
    end: int


@dataclass(frozen=True)
class Forecaster:
    """Forecasts what the customers known at an origin will buy."""

    histories: Histories
    purchases: FittedPurchases
    spend: SpendModel | None = None
    known: dict[int, np.ndarray] = field(default_factory=dict)  # expected orders by day

    @cached_property
    def times(self) -> Times:
        """x, t_x and T of each history, on the model's clock."""
        return self.histories.times(self.purchases.clock)

    @cached_property
    def p_alive(self) -> np.ndarray:
        """Probability that a customer of each history is still active at the origin."""
        return self.purchases.fit.model.p_alive(*self.times)

    def expected_orders(self, until: int) -> np.ndarray:
        """Orders expected of one customer of each history, from the origin up to the day `until`.

        Rounded, because the last digits differ by machine.
        """
        if until not in self.known:
            weeks = float(self.purchases.clock.weeks(self.histories.origin, until))
            expected = self.purchases.fit.model.expected_purchases(weeks, *self.times, self.p_alive)
            self.known[until] = np.round(expected, 6)
        return self.known[until]

    def expected_in(self, period: Period) -> np.ndarray:
        """Orders expected of one customer of each history in a period."""
        expected = self.expected_orders(period.end)
        if period.start > self.histories.origin:
            expected = expected - self.expected_orders(period.start)
        return expected

    def totals(self, period: Period) -> Totals:
        """Expected orders of all customers in a period, and the expected net revenue."""
        expected = self.expected_in(period)
        totals = {"orders": float((self.histories.customers * expected).sum())}
        if self.spend is not None:
            totals["net_revenue"] = float((self.spend_per_order(self.spend) * expected).sum())
        return totals

    def spend_per_order(self, spend: SpendModel) -> np.ndarray:
        """Expected spend of an order, summed over the customers of each history."""
        known = self.histories
        return spend.total_expected_spend(known.x, known.spend, known.customers)

    def own_spread(self, period: Period) -> Totals:
        """Standard deviation of the logarithm of the totals, by the model itself."""
        model, customers = self.purchases.fit.model, self.histories.customers
        expected = self.expected_in(period)
        variance = model.purchase_variance(expected, self.times[0], self.p_alive)
        orders = (customers * expected).sum()
        spreads = {"orders": spread_of_logarithm(customers * variance, orders)}
        if self.spend is not None:
            # Gamma-Gamma: a customer's spends vary around their mean by mean / sqrt(p).
            value = self.spend_per_order(self.spend) / customers
            of_spend = customers * value**2 * (variance + expected / self.spend.p)
            revenue = (customers * value * expected).sum()
            spreads["net_revenue"] = spread_of_logarithm(of_spend, revenue)
        return spreads


def spread_of_logarithm(variances: np.ndarray, total: float) -> float:
    """Standard deviation of the logarithm of a sum, as if lognormal; 0 if nothing is expected."""
    return float(np.sqrt(np.log1p(variances.sum() / total**2))) if total > 0 else 0.0


# --- periods ----------------------------------------------------------------------------


def month_end(day: date, months: int) -> date:
    """Last day of the month that is so many months after the month of a day."""
    month = day.year * 12 + day.month - 1 + months + 1
    return date(month // 12, month % 12 + 1, 1) - timedelta(days=1)


def months_after(day: date, months: int) -> date:
    """The same day of a later month, or the last day of that month if it is shorter.

    A month end leads to a month end.
    """
    last = month_end(day, months)
    return last if day == month_end(day, 0) else last.replace(day=min(day.day, last.day))


def periods_ahead(origin: int) -> Iterator[Period]:
    """Each calendar month of the next twelve months, the next three months, and the next twelve.

    The first and the last month are partial unless the origin is a month end.
    """

    as_of = to_date(origin)
    last = to_day(months_after(as_of, FORECAST_MONTHS))
    start = origin
    for months in range(FORECAST_MONTHS + 1):
        end = min(to_day(month_end(as_of, months)), last)
        if end > start:
            yield Period("month", start, end)
        start = end
    yield Period("3 months", origin, to_day(months_after(as_of, 3)))
    yield Period("12 months", origin, last)


def periods_seen(origin: int, until: int) -> Iterator[Period]:
    """Periods after an origin that end by the day `until`.

    Up to twelve of 30 days, one after another; one of 90 days; one of 365 days.
    """
    for length, days in LENGTHS.items():
        last = origin + (365 if length == "month" else days)
        for end in range(origin + days, min(last, until) + 1, days):
            yield Period(length, end - days, end)


# --- intervals --------------------------------------------------------------------------

# Mean squared error of each origin, by length of the period and by what is forecast.
Errors = Mapping[tuple[str, str], list[float]]


def squared_errors(
    forecaster: Forecaster, outcomes: Outcomes, until: int
) -> dict[tuple[str, str], float]:
    """Mean squared error of an origin's forecasts of the periods that are over."""
    found: dict[tuple[str, str], list[float]] = {}
    for period in periods_seen(forecaster.histories.origin, until):
        orders, net_revenue = outcomes.between(period.start, period.end)
        actual = {"orders": orders, "net_revenue": net_revenue}
        for name, forecast in forecaster.totals(period).items():
            if forecast > 0 and actual[name] > 0:
                error = np.log(actual[name] / forecast)
                found.setdefault((period.length, name), []).append(float(error**2))
    # Rounded, because the last digits differ by machine.
    return {key: round(float(np.mean(errors)), 9) for key, errors in found.items()}


def together(
    origins: Iterable[Mapping[tuple[str, str], float]],
) -> dict[tuple[str, str], list[float]]:
    """The errors of several origins in lists, by length and by what is forecast."""
    found: dict[tuple[str, str], list[float]] = {}
    for errors in origins:
        for key, error in errors.items():
            found.setdefault(key, []).append(error)
    return found


def spread(errors: Errors, length: str, name: str) -> tuple[float, int]:
    """The spread of forecasts of periods of a length, and the degrees of freedom."""
    seen = errors.get((length, name), [])
    prior, origins = PRIOR_ERROR, 1 + len(seen)
    if length == "12 months":
        quarterly, origins = spread(errors, "3 months", name)
        prior = max(prior, quarterly)
    return float(np.sqrt((prior**2 + sum(seen)) / (1 + len(seen)))), origins


def interval(
    forecast: float, own_spread: float, of_backtests: tuple[float, int], coverage: float
) -> tuple[float, float]:
    """Lowest and highest value of an interval around a forecast."""
    from_errors, origins = of_backtests
    reach = student_quantile(origins, (1 + coverage) / 2) * max(from_errors, own_spread)
    return forecast * float(np.exp(-reach)), forecast * float(np.exp(reach))


def forecast_rows(forecaster: Forecaster, errors: Errors) -> Iterator[tuple]:
    """Rows of ml.purchase_forecast: a period, the first and last day, and what is forecast."""
    for period in periods_ahead(forecaster.histories.origin):
        own_spreads = forecaster.own_spread(period)
        for name, forecast in forecaster.totals(period).items():
            of_backtests = spread(errors, period.length, name)
            limits = [
                interval(forecast, own_spreads[name], of_backtests, coverage)
                for coverage in COVERAGES
            ]
            yield (
                period.length,
                to_date(period.start + 1),
                to_date(period.end),
                name,
                round(forecast, 4),
                *(round(limit, 4) for both in limits for limit in both),
                forecaster.purchases.name,
            )
