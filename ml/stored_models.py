"""Writes the findings about the models to tables, and reads the used models back.

The tables hold all that it takes to score customers on a later day: the parameters and the index of
the seasons, the ranks that a churn score is made of, and the errors of the backtests.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from ml.backtests import SQUARED_ERROR
from ml.churn import ChurnScore, combined_name
from ml.environment import in_environment
from ml.evaluation import evaluate_segments
from ml.fits import SPEND_MODEL, Fitted
from ml.forecasts import Errors, together
from ml.histories import to_date
from ml.model_choice import Chosen, Findings
from ml.purchase_models import Fit, PurchaseModel, SpendModel
from ml.refits import Basis
from ml.seasons import CALENDAR, DAYS_PER_WEEK, Clock

MODELS, EVALUATION, INDEX, RANKS = map(
    in_environment,
    (
        "ml.lifetime_value_models",
        "ml.model_evaluation",
        "ml.seasonal_index",
        "ml.churn_score_ranks",
    ),
)
MEASURES = ("expected_purchases", "recency")  # that a churn score of ranks is made of


# --- storing ----------------------------------------------------------------------------


def model_rows(findings: Findings, basis: Basis) -> Iterator[tuple]:
    """Rows of ml.lifetime_value_models: each model, fitted at each origin and to the end."""
    chosen, reasons = findings.chosen, findings.reasons
    for fits in (*(each.fits for each in findings.backtests), findings.final):
        is_final = fits is findings.final
        for name, fitted in fits.by_name.items():
            is_used = is_final and name in chosen.names
            is_purchases = is_used and name != SPEND_MODEL
            yield (
                name,
                to_date(fits.origin),
                json.dumps(fitted.fit.parameters),
                round(fitted.fit.log_likelihood, 4),
                fitted.customers,
                fitted.repeat_customers,
                fitted.status,
                is_used,
                is_purchases and chosen.errors is not None,
                round(chosen.expected_orders, 4) if is_purchases else None,
                reasons.get(name) if is_final and fitted.is_sound else None,
                basis.orders,
                basis.content,
            )


def evaluation_rows(findings: Findings, segments: Iterable[Row]) -> list[tuple]:
    """Rows of ml.model_evaluation; `segments` are the rows of marts.segment_validation."""
    origin = findings.backtests[0].histories.origin
    rows = [*findings.evaluation, *((origin, row) for row in evaluate_segments(segments))]
    return [(to_date(of), *row.rounded()) for of, row in rows]


def index_rows(findings: Findings) -> Iterator[tuple]:
    """Rows of ml.seasonal_index: month, index, times seen, and whether the clock uses it."""
    index, used = findings.final.index, findings.chosen.purchases
    if index is not None:
        is_used = used is not None and used.clock.index is not None
        for month in range(12):
            yield month + 1, index.index[month], index.times_seen[month], is_used


def rank_rows(chosen: Chosen) -> Iterator[tuple]:
    """Rows of ml.churn_score_ranks: measure, value, and the share of the customers below it."""
    ranks = chosen.churn_score.ranks if chosen.churn_score is not None else None
    for measure, points in zip(MEASURES, ranks or (), strict=False):
        for value, share in zip(*points, strict=True):
            yield measure, float(value), float(share)


# --- reading ----------------------------------------------------------------------------


def read_chosen(spark: SparkSession, fitted_on: date) -> Chosen:
    """The models of the last fit that are used."""
    used = {row.model: row for row in spark.table(MODELS).where("is_used").collect()}
    spend = used.pop(SPEND_MODEL, None)
    if not used:
        return Chosen()
    (row,) = used.values()
    model = PurchaseModel(**json.loads(row.parameters), first_may_be_last="mbg_nbd" in row.model)
    fit = Fit(model, row.log_likelihood, converged=True)
    sizes = row.customers, row.repeat_customers
    return Chosen(
        Fitted(row.model, fit, *sizes, row.status, read_clock(spark)),
        SpendModel(**json.loads(spend.parameters)) if spend is not None else None,
        read_churn_score(spark, row.model, fitted_on),
        read_errors(spark) if row.forecasts_total else None,
        row.expected_orders_30d,
    )


def read_clock(spark: SparkSession) -> Clock:
    """The clock of the seasons if it is used, otherwise the calendar."""
    months = spark.table(INDEX).where("is_used").orderBy("month").collect()
    return Clock(tuple(row["index"] for row in months)) if months else CALENDAR


def read_churn_score(spark: SparkSession, model: str, fitted_on: date) -> ChurnScore | None:
    """The churn score that decides the risk; None if recency decides it."""
    thresholds = spark.table(EVALUATION).where("metric = 'churn_threshold'")
    scores = thresholds.select("model", "origin_on").distinct().collect()
    if not scores:
        return None
    (score,) = scores
    weeks = (fitted_on - score.origin_on).days / DAYS_PER_WEEK
    if score.model != combined_name(model):
        return ChurnScore(weeks)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in spark.table(RANKS).orderBy("value").collect():
        points.setdefault(row.measure, []).append((row["value"], row["share"]))
    expected, recency = (np.array(points[measure]).T for measure in MEASURES)
    return ChurnScore(weeks, ((expected[0], expected[1]), (recency[0], recency[1])))


def read_errors(spark: SparkSession) -> Errors:
    """Squared errors of the backtests, the latest first, by length and by what is forecast."""
    rows = spark.table(EVALUATION).where(F.col("metric").startswith(SQUARED_ERROR))
    return together(
        {(row.audience, row.metric.removeprefix(SQUARED_ERROR)): row["value"]}
        for row in rows.orderBy(F.desc("origin_on")).collect()
    )
