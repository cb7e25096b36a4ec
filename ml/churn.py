"""Chooses the score that predicts repurchase best, and the thresholds of the risk of churn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ml.evaluation import EvaluationRow, Points, auc_difference, evaluate_score, rank_points
from ml.fits import FittedPurchases
from ml.histories import Histories
from ml.purchase_models import PurchaseModel
from ml.seasons import DAYS_PER_WEEK, Times

# The risk depends on how many of the other customers had a better score at the start of the
# holdout. Three fifths or more: high. Fewer than two fifths: low. So for recency, r_score 1 and 2
# are high, and 4 and 5 are low. Ties count in the customer's favor.
HIGH_RISK_FROM_FIFTHS, LOW_RISK_BELOW_FIFTHS = 3, 2


@dataclass(frozen=True)
class ChurnScore:
    """A score for repurchase.

    It is the purchases expected in `weeks`, or, with `ranks`, the mean of the customer's ranks by
    these purchases and by recency. The weeks are measured on the model's clock. So a score means
    the same in any season, and its thresholds hold on any day.
    """

    weeks: float
    ranks: tuple[Points, Points] | None = None  # of expected purchases, and of recency

    def of(self, model: PurchaseModel, times: Times, recency: np.ndarray) -> np.ndarray:
        """Score of each history, higher is better; with recency, the mean of both ranks."""
        expected = np.round(model.expected_purchases(self.weeks, *times), 6)
        if self.ranks is None:
            return expected
        by_expected, by_recency = self.ranks
        ranks = np.interp(expected, *by_expected) + np.interp(recency, *by_recency)
        return np.round(ranks / 2, 6)


def combined_name(model: str) -> str:
    """Name of the score that ranks customers by a model and by recency."""
    return f"{model}_and_recency"


def risk_thresholds(score: np.ndarray, customers: np.ndarray) -> tuple[float, float]:
    """The lowest scores of medium and of low risk."""
    distinct, inverse = np.unique(score, return_inverse=True)
    counts = np.bincount(inverse, weights=customers)
    better, others = counts.sum() - np.cumsum(counts), max(counts.sum() - 1, 1)
    medium, low = (
        distinct[5 * better < fifths * others][0]
        for fifths in (HIGH_RISK_FROM_FIFTHS, LOW_RISK_BELOW_FIFTHS)
    )
    return float(medium), float(low)


def evaluate_levels(
    holdout: Histories, name: str, score: np.ndarray, thresholds: tuple[float, float]
) -> Iterator[EvaluationRow]:
    """Share of customers who bought again, by level of risk, and the share of all customers."""
    level = np.digitize(score, thresholds)
    overall = holdout.buyers.sum() / holdout.customers.sum()
    for number, audience in enumerate(("high risk", "medium risk", "low risk")):
        chosen = level == number
        if chosen.any():
            rate = holdout.buyers[chosen].sum() / holdout.customers[chosen].sum()
            yield EvaluationRow(name, "repurchase_rate", audience, rate, overall)


def evaluate_recency_levels(holdout: Histories) -> Iterator[EvaluationRow]:
    """Share of customers who bought again, by level of risk, if recency decides the level."""
    thresholds = risk_thresholds(holdout.recency, holdout.customers)
    yield from evaluate_levels(holdout, "recency", holdout.recency, thresholds)


def choose_churn_score(
    holdout: Histories, fitted: FittedPurchases
) -> tuple[list[EvaluationRow], ChurnScore | None]:
    """Chooses among recency, expected purchases and both by their AUC in the holdout.

    From simple to elaborate, each must beat the best one before it by more than two standard
    errors. Returns the AUC of the combined score with the risk levels and thresholds of the chosen
    one, and the score. None as score means recency, which needs no model.
    """
    model, times = fitted.fit.model, holdout.times(fitted.clock)
    expected = ChurnScore(holdout.holdout_days / DAYS_PER_WEEK)
    expected_values = expected.of(model, times, holdout.recency)
    combined = ChurnScore(expected.weeks, ranks_with_recency(holdout, expected_values))
    combined_values = combined.of(model, times, holdout.recency)
    rows = list(evaluate_score(holdout, combined_name(fitted.name), "auc", combined_values))
    others = holdout.customers - holdout.buyers
    winner_name, winner, winner_values = None, None, holdout.recency
    for name, candidate, values in (
        (fitted.name, expected, expected_values),
        (combined_name(fitted.name), combined, combined_values),
    ):
        difference, error = auc_difference(values, winner_values, holdout.buyers, others)
        if difference > 2 * error:
            winner_name, winner, winner_values = name, candidate, values
    if winner_name:
        rows += evaluate_winner(holdout, winner_name, winner_values)
    return rows, winner


def ranks_with_recency(holdout: Histories, expected: np.ndarray) -> tuple[Points, Points]:
    """Ranks of the customers by expected purchases, and by recency."""
    return rank_points(expected, holdout.customers), rank_points(holdout.recency, holdout.customers)


def evaluate_winner(holdout: Histories, name: str, score: np.ndarray) -> Iterator[EvaluationRow]:
    """The levels of risk by a score, and their thresholds."""
    thresholds = risk_thresholds(score, holdout.customers)
    yield from evaluate_levels(holdout, name, score, thresholds)
    for level, threshold in zip(("medium risk", "low risk"), thresholds, strict=True):
        yield EvaluationRow(name, "churn_threshold", level, threshold)
