"""Compares scores and forecasts from an origin with the purchases in the holdout after it.

A score is good if customers who bought again usually have a higher score than the others (AUC). A
forecast is good if it is close to the actual orders and spend.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Row

from ml.fits import SPEND_MODEL
from ml.forecasts import Forecaster, Period
from ml.histories import Histories, Outcomes
from ml.purchase_models import SpendModel
from ml.seasons import DAYS_PER_WEEK

MAX_FORECAST_ERROR = 0.5
RANK_POINTS = 1001

Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class EvaluationRow:
    """A row of ml.model_evaluation; `baseline` is what to compare the value with."""

    model: str
    metric: str
    audience: str
    value: float
    baseline: float | None = None

    def rounded(self) -> tuple[str, str, str, float, float | None]:
        """The row in plain floats, without the digits that depend on the machine."""
        baseline = None if self.baseline is None else round(float(self.baseline), 9)
        return self.model, self.metric, self.audience, round(float(self.value), 9), baseline


# --- scores: who buys again -------------------------------------------------------------


def percent_rank(values: np.ndarray, customers: np.ndarray) -> Points:
    """Distinct values, ascending, and the share of customers below each; ties count half."""
    distinct, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place, weights=customers)
    return distinct, (np.cumsum(counts) - counts / 2) / counts.sum()


def rank_points(values: np.ndarray, customers: np.ndarray) -> Points:
    """At most RANK_POINTS of the percent ranks, for np.interp: few enough to send to each task."""
    points, shares = percent_rank(values, customers)
    some = np.unique(np.linspace(0, len(points) - 1, RANK_POINTS).astype(int))
    return points[some], shares[some]


def area_under_curve(
    score: np.ndarray, positives: np.ndarray, negatives: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """AUC of a score, and the placements of each row, which give the standard error.

    A row stands for customers with the same score. `positives` counts those with the outcome, and
    `negatives` those without. AUC is the chance that a customer with the outcome scores higher than
    one without; ties count half. Placements are the share of the negatives below the row, and the
    share of the positives above it.
    """
    below = np.interp(score, *percent_rank(score, negatives))
    above = 1 - np.interp(score, *percent_rank(score, positives))
    return float((positives * below).sum() / positives.sum()), below, above


def auc_difference(
    score: np.ndarray, baseline: np.ndarray, positives: np.ndarray, negatives: np.ndarray
) -> tuple[float, float]:
    """AUC of `score` minus AUC of `baseline` on the same customers, with its standard error.

    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845.
    """
    area, below, above = area_under_curve(score, positives, negatives)
    base, base_below, base_above = area_under_curve(baseline, positives, negatives)
    difference = area - base
    variance = 0.0
    for gap, weights in ((below - base_below, positives), (above - base_above, negatives)):
        count = weights.sum()
        variance += (weights * (gap - difference) ** 2).sum() / (count - 1) / count
    return difference, float(np.sqrt(variance))


def audiences(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """All customers, one-time buyers and repeat buyers, each with a mask of their histories."""
    yield "all", np.full(len(x), True)
    yield "one-time buyers", x == 0
    yield "repeat buyers", x > 0


def evaluate_score(
    histories: Histories, name: str, metric: str, score: np.ndarray
) -> Iterator[EvaluationRow]:
    """AUC of a score for repurchase, that of recency, and the standard error of the difference."""
    for audience, chosen in audiences(histories.x):
        buyers = histories.buyers[chosen]
        others = histories.customers[chosen] - buyers
        if not buyers.sum() > 1 or not others.sum() > 1:
            continue
        area, _, _ = area_under_curve(score[chosen], buyers, others)
        difference, error = auc_difference(score[chosen], histories.recency[chosen], buyers, others)
        yield EvaluationRow(name, metric, audience, area, area - difference)
        yield EvaluationRow(name, f"{metric}_error", audience, error)


def evaluate_baselines(histories: Histories) -> Iterator[EvaluationRow]:
    """AUC of the scores that need no model: recency and frequency."""
    yield from evaluate_score(histories, "recency", "auc", histories.recency)
    yield from evaluate_score(histories, "frequency", "auc", histories.x)


def evaluate_segments(segments: Iterable[Row]) -> Iterator[EvaluationRow]:
    """Share of customers who bought again, by segment, and the share of all customers.

    `segments` are the rows of marts.segment_validation.
    """
    rows = sorted(segments, key=lambda row: row.segment)
    customers = sum(row.customers for row in rows)
    overall = sum(row.customers * row.repurchase_rate for row in rows) / max(customers, 1)
    for row in rows:
        yield EvaluationRow("rfm", "repurchase_rate", row.segment, row.repurchase_rate, overall)


# --- forecasts: how many orders, and how much -------------------------------------------


def evaluate_purchases(forecaster: Forecaster, outcomes: Outcomes) -> Iterator[EvaluationRow]:
    """A purchase model's forecast of the holdout against the actual orders."""
    histories, name = forecaster.histories, forecaster.purchases.name
    expected = forecaster.expected_orders(histories.holdout_ends)
    yield from evaluate_score(histories, name, "auc", expected)
    yield from evaluate_score(histories, name, "auc_of_p_alive", np.round(forecaster.p_alive, 6))
    total = histories.customers * expected
    for audience, chosen in audiences(histories.x):
        forecast, orders = total[chosen].sum(), histories.orders[chosen].sum()
        yield EvaluationRow(name, "holdout_orders", audience, forecast, orders)
    yield from evaluate_tenths(histories, name, expected)
    yield from evaluate_weeks(forecaster, outcomes)


def evaluate_tenths(
    histories: Histories, name: str, expected: np.ndarray
) -> Iterator[EvaluationRow]:
    """Calibration: forecast and actual orders per customer, by tenths of the customers.

    The first tenth has the fewest expected orders.
    """
    rank = np.interp(expected, *rank_points(expected, histories.customers))
    tenth = np.minimum(np.floor(10 * rank), 9)
    total = histories.customers * expected
    for number in np.unique(tenth):
        chosen = tenth == number
        customers = histories.customers[chosen].sum()
        forecast, actual = (
            values[chosen].sum() / customers for values in (total, histories.orders)
        )
        audience = f"tenth {number + 1:02.0f} by expected orders"
        yield EvaluationRow(name, "orders_per_customer", audience, forecast, actual)


def evaluate_weeks(forecaster: Forecaster, outcomes: Outcomes) -> Iterator[EvaluationRow]:
    """Forecast and actual orders of each week of the holdout; the last one may be shorter."""
    histories = forecaster.histories
    starts = range(histories.origin, histories.holdout_ends, DAYS_PER_WEEK)
    for week, start in enumerate(starts, start=1):
        period = Period("week", start, min(start + DAYS_PER_WEEK, histories.holdout_ends))
        forecast = forecaster.totals(period)["orders"]
        actual, _ = outcomes.between(period.start, period.end)
        name = forecaster.purchases.name
        yield EvaluationRow(name, "holdout_orders", f"week {week:02d}", forecast, actual)


def evaluate_spend(forecaster: Forecaster, spend: SpendModel) -> Iterator[EvaluationRow]:
    """The forecast of spend, per order and per customer, against the actual spend."""
    histories, name = forecaster.histories, f"{forecaster.purchases.name}_{SPEND_MODEL}"
    customers, orders, actual = histories.customers, histories.orders, histories.net_revenue
    of_orders = spend.total_expected_spend(histories.x, histories.spend_by_orders, orders)
    expected = forecaster.expected_orders(histories.holdout_ends)
    value = forecaster.spend_per_order(spend) * expected
    for audience, chosen in audiences(histories.x):
        of_audience, spent = customers[chosen].sum(), actual[chosen].sum()
        if orders[chosen].sum() > 0:
            forecast = of_orders[chosen].sum() / orders[chosen].sum()
            spent_per_order = spent / orders[chosen].sum()
            yield EvaluationRow(SPEND_MODEL, "order_value", audience, forecast, spent_per_order)
        if of_audience > 0:
            forecast = value[chosen].sum() / of_audience
            yield EvaluationRow(name, "value_per_customer", audience, forecast, spent / of_audience)


def is_off(forecast: float, actual: float) -> bool:
    """True if a forecast of the holdout is too far from the actual value, or not a number."""
    is_near = abs(forecast - actual) <= MAX_FORECAST_ERROR * actual
    return not is_near
