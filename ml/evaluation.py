"""Compares scores and forecasts from the start of the holdout with the purchases in the holdout.

A score is good if customers who bought again usually have a higher score than the others (AUC). A
forecast is good if it is close to the actual orders and spend.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Row

from ml.histories import Holdout, HoldoutSpend
from ml.purchase_models import PurchaseModel, SpendModel

SPEND_MODEL = "gamma_gamma"
GREATEST_FORECAST_ERROR = 0.5
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
    _, place = np.unique(score, return_inverse=True)
    with_outcome = np.bincount(place, weights=positives)
    without = np.bincount(place, weights=negatives)
    below = (np.cumsum(without) - without / 2) / without.sum()
    above = 1 - (np.cumsum(with_outcome) - with_outcome / 2) / with_outcome.sum()
    area = float((with_outcome * below).sum() / with_outcome.sum())
    return area, below[place], above[place]


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
    holdout: Holdout, name: str, metric: str, score: np.ndarray
) -> Iterator[EvaluationRow]:
    """AUC of a score for repurchase, and the AUC of recency."""
    for audience, chosen in audiences(holdout.x):
        buyers = holdout.buyers[chosen]
        others = holdout.customers[chosen] - buyers
        if not buyers.sum() > 1 or not others.sum() > 1:
            continue
        area, _, _ = area_under_curve(score[chosen], buyers, others)
        difference, error = auc_difference(score[chosen], holdout.recency[chosen], buyers, others)
        yield EvaluationRow(name, metric, audience, area, area - difference)
        yield EvaluationRow(name, f"{metric}_error", audience, error)


def evaluate_baselines(holdout: Holdout) -> Iterator[EvaluationRow]:
    """AUC of the scores that need no model: recency and frequency."""
    yield from evaluate_score(holdout, "recency", "auc", holdout.recency)
    yield from evaluate_score(holdout, "frequency", "auc", holdout.x)


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


def expected_orders(model: PurchaseModel, weeks: float, holdout: Holdout) -> np.ndarray:
    """Expected purchases per customer of each history, rounded: machines differ in later digits."""
    return np.round(model.expected_purchases(weeks, *holdout.history), 6)


def evaluate_purchases(
    holdout: Holdout, name: str, model: PurchaseModel, weeks: float, actual: dict[int, int]
) -> Iterator[EvaluationRow]:
    """A purchase model's forecast of the holdout against the actual orders.

    `weeks` is the length of the holdout, and `actual` has the orders of each of its weeks.
    """
    expected = expected_orders(model, weeks, holdout)
    alive = np.round(model.p_alive(*holdout.history), 6)
    yield from evaluate_score(holdout, name, "auc", expected)
    yield from evaluate_score(holdout, name, "auc_of_p_alive", alive)
    total = holdout.customers * expected
    for audience, chosen in audiences(holdout.x):
        forecast, orders = total[chosen].sum(), holdout.orders[chosen].sum()
        yield EvaluationRow(name, "holdout_orders", audience, forecast, orders)
    yield from evaluate_tenths(holdout, name, expected)
    yield from evaluate_weeks(holdout, name, model, weeks, actual)


def evaluate_tenths(holdout: Holdout, name: str, expected: np.ndarray) -> Iterator[EvaluationRow]:
    """Calibration: forecast and actual orders per customer, by tenths of the customers.

    The first tenth has the fewest expected orders.
    """
    rank = np.interp(expected, *rank_points(expected, holdout.customers))
    tenth = np.minimum(np.floor(10 * rank), 9)
    total = holdout.customers * expected
    for number in np.unique(tenth):
        chosen = tenth == number
        customers = holdout.customers[chosen].sum()
        forecast, actual = (values[chosen].sum() / customers for values in (total, holdout.orders))
        audience = f"tenth {number + 1:02.0f} by expected orders"
        yield EvaluationRow(name, "orders_per_customer", audience, forecast, actual)


def evaluate_weeks(
    holdout: Holdout, name: str, model: PurchaseModel, weeks: float, actual: dict[int, int]
) -> Iterator[EvaluationRow]:
    """Backtest: forecast and actual orders of each week of the holdout."""
    before = 0.0
    for week in range(1, math.ceil(weeks) + 1):
        per_customer = model.expected_purchases(min(week, weeks), *holdout.history)
        until = (holdout.customers * per_customer).sum()
        audience = f"week {week:02d}"
        yield EvaluationRow(name, "holdout_orders", audience, until - before, actual.get(week, 0))
        before = until


def evaluate_spend(
    name: str, purchases: PurchaseModel, spend: SpendModel, weeks: float, sample: HoldoutSpend
) -> Iterator[EvaluationRow]:
    """The forecast of spend, per order and per customer, against the actual spend.

    `name` is the name of the purchase model.
    """
    order_value = spend.expected_spend(sample.x, sample.average)
    value = order_value * purchases.expected_purchases(weeks, sample.x, sample.t_x, sample.t)
    for audience, chosen in audiences(sample.x):
        orders, customers = sample.orders[chosen].sum(), chosen.sum()
        spent = sample.spent[chosen].sum()
        if orders > 0:
            forecast = (order_value * sample.orders)[chosen].sum() / orders
            yield EvaluationRow(SPEND_MODEL, "order_value", audience, forecast, spent / orders)
        if customers > 0:
            forecast = value[chosen].sum() / customers
            yield EvaluationRow(
                f"{name}_{SPEND_MODEL}",
                "value_per_customer",
                audience,
                forecast,
                spent / customers,
            )


def is_off(rows: list[EvaluationRow], name: str, metric: str) -> bool:
    """True if a model's forecast of the holdout is too far from the actual value."""
    key = (name, metric, "all")
    overall = next(row for row in rows if (row.model, row.metric, row.audience) == key)
    actual = overall.baseline or 0.0
    return abs(overall.value - actual) > GREATEST_FORECAST_ERROR * actual
