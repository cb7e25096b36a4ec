"""Forecasts who will buy again, how often and for how much, and how far to trust the forecasts.

    python -m ml.lifetime_value

Reads the purchases of each customer up to the as-of date, and up to the start of the holdout some
weeks before. BG/NBD and MBG/NBD model how often customers buy, and until when. Gamma-Gamma models
how much they spend. `purchase_models.py` has all three. Each model is fitted twice. The first fit
uses the data up to the start of the holdout, and is evaluated by the purchases in the holdout. The
second fit uses all data, and looks ahead.

A model makes predictions only if both its fits are sound, and its forecast of the holdout (orders,
or spend per order) was off by at most half of the actual value. If two purchase models pass, the
likelier one is used. That is a fair comparison, because both have four parameters and the same
data. Without a model, the predictions are null, and the marts use measures that need no model. The
risk of churn is evaluated separately. A score replaces recency only if it predicts repurchase in
the holdout better, by more than two standard errors of the difference.

Writes `ml.lifetime_value` (one row per customer with a purchase), `ml.lifetime_value_models` (one
row per model and fit) and `ml.model_evaluation` (one row per model, metric and audience).
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession

from ml.churn import choose_churn_score, evaluate_recency_levels
from ml.code_version import code_version
from ml.evaluation import (
    SPEND_MODEL,
    EvaluationRow,
    evaluate_baselines,
    evaluate_purchases,
    evaluate_segments,
    evaluate_spend,
    is_off,
)
from ml.fits import Fits, fit_models
from ml.histories import (
    DAYS_PER_WEEK,
    HISTORY,
    HOLDOUT,
    HOLDOUT_WEEKS,
    Holdout,
    Observed,
    content,
    read_histories,
    read_holdout,
    read_holdout_spend,
    read_observed,
    read_orders_by_week,
    read_repeat_spend,
)
from ml.predictions import Predictor, predict_customers
from ml.results import clear, require_tables, save, table_rows
from ml.session import FEWEST_BUYERS, FEWEST_DAYS, log, run, start
from ml.tables import holds_run, run_name

PREDICTIONS, MODELS, EVALUATION = (
    "ml.lifetime_value",
    "ml.lifetime_value_models",
    "ml.model_evaluation",
)
TABLES = (PREDICTIONS, MODELS, EVALUATION)
SEGMENTS = "marts.segment_validation"
READ = (HISTORY, HOLDOUT, HOLDOUT_WEEKS, SEGMENTS)
CODE = (
    *("lifetime_value.py", "histories.py", "purchase_models.py", "fits.py", "evaluation.py"),
    *("churn.py", "predictions.py"),
)


@dataclass(frozen=True)
class Findings:
    """The fits, their evaluation in the holdout, and the choice of the fits to use."""

    held_out: Fits
    final: Fits
    evaluation: list[EvaluationRow]
    predictor: Predictor
    used: tuple[str, ...]  # names of the models in it


# --- evaluating and choosing ------------------------------------------------------------


def backtest_purchases(
    fits: Fits, holdout: Holdout, weeks: float, actual: dict[int, int]
) -> tuple[Fits, list[EvaluationRow]]:
    """Evaluates the sound purchase models; a fit gets another status if its forecast is off."""
    rows: list[EvaluationRow] = []
    purchases = dict(fits.purchases)
    for name, fitted in fits.purchases.items():
        if fitted.is_sound:
            rows += evaluate_purchases(holdout, name, fitted.fit.model, weeks, actual)
            if is_off(rows, name, "holdout_orders"):
                purchases[name] = replace(fitted, status="forecast off")
    return replace(fits, purchases=purchases), rows


def backtest_spend(
    spark: SparkSession, fits: Fits, name: str, weeks: float
) -> tuple[Fits, list[EvaluationRow]]:
    """The same for the spend model, together with the purchase model `name`."""
    if fits.spend is None or not fits.spend.is_sound:
        return fits, []
    models = fits.purchases[name].fit.model, fits.spend.fit.model
    rows = list(evaluate_spend(name, *models, weeks, read_holdout_spend(spark)))
    if is_off(rows, SPEND_MODEL, "order_value"):
        return replace(fits, spend=replace(fits.spend, status="forecast off")), rows
    return fits, rows


def likeliest(held_out: Fits, final: Fits) -> str | None:
    """The likelier one of the purchase models that are sound in both fits; None without one."""
    sound = [
        name
        for name, fitted in final.purchases.items()
        if fitted.is_sound and held_out.purchases[name].is_sound
    ]
    return max(sound, key=lambda name: final.purchases[name].fit.log_likelihood, default=None)


def evaluate_and_choose(
    spark: SparkSession, held_out: Fits, final: Fits, holdout: Holdout, weeks: float
) -> Findings:
    """Evaluates the fits to the start of the holdout and chooses the final ones to predict with."""
    evaluation = [
        *evaluate_segments(spark.table(SEGMENTS).collect()),
        *evaluate_baselines(holdout),
        *evaluate_recency_levels(holdout),
    ]
    held_out, rows = backtest_purchases(held_out, holdout, weeks, read_orders_by_week(spark))
    evaluation += rows
    name = likeliest(held_out, final)
    if name is None:
        return Findings(held_out, final, evaluation, Predictor(), ())
    model = held_out.purchases[name].fit.model
    rows, churn_score = choose_churn_score(holdout, name, model, weeks)
    evaluation += rows
    spend = None
    if final.spend is not None and final.spend.is_sound:
        held_out, rows = backtest_spend(spark, held_out, name, weeks)
        evaluation += rows
        if held_out.spend is not None and held_out.spend.is_sound:
            spend = final.spend.fit.model
    predictor = Predictor(final.purchases[name].fit.model, spend, churn_score)
    used = (name, SPEND_MODEL) if spend else (name,)
    return Findings(held_out, final, evaluation, predictor, used)


# --- results ----------------------------------------------------------------------------


def model_rows(findings: Findings) -> Iterator[tuple]:
    """Rows of ml.lifetime_value_models: each model, fitted twice."""
    for fits in (findings.held_out, findings.final):
        for name, fitted in fits.by_name.items():
            yield (
                name,
                fitted.fitted_until,
                json.dumps(fitted.fit.parameters),
                round(fitted.fit.log_likelihood, 4),
                fitted.customers,
                fitted.repeat_customers,
                fitted.status,
                fits is findings.final and name in findings.used,
            )


def log_findings(findings: Findings) -> None:
    """Prints in a few lines what was found and decided."""
    for name, fitted in findings.final.by_name.items():
        fits = (findings.held_out.by_name, findings.final.by_name)
        statuses = {each[name].status for each in fits if name in each}
        status = ", ".join(sorted(statuses - {"converged"})) or "sound"
        values = ", ".join(f"{key} {value:.4g}" for key, value in fitted.fit.parameters.items())
        log(f"{name}: {status}, {'used' if name in findings.used else 'not used'} ({values})")
    for row in findings.evaluation:
        if (row.metric, row.audience) == ("holdout_orders", "all"):
            log(f"{row.model}: {row.value:,.0f} orders forecast, {row.baseline:,.0f} actual")
        elif (row.metric, row.audience) == ("value_per_customer", "all"):
            log(f"{row.model}: {row.value:,.2f} forecast per customer, {row.baseline:,.2f} actual")
    scores = ", ".join(
        f"{row.model} {row.value:.3f}"
        for row in findings.evaluation
        if (row.metric, row.audience) == ("auc", "all")
    )
    thresholds = (row for row in findings.evaluation if row.metric == "churn_threshold")
    winner = next((row.model for row in thresholds), "recency")
    log(f"churn risk by {winner} (area under the curve: {scores})")


# --- the step ---------------------------------------------------------------------------


def find(spark: SparkSession, now: Observed, before: Observed) -> Findings:
    """Fits the models to what was known on both days, evaluates and chooses."""
    log(
        f"fitting {now.customers:,} customers, and the {before.customers:,} of "
        f"{before.scored_on} to evaluate the fits"
    )
    holdout, histories = read_holdout(spark), read_histories(spark)
    spend_before = read_repeat_spend(spark, "is_holdout_start")
    spend_now = read_repeat_spend(spark, "is_as_of_date")
    held_out = fit_models(holdout, spend_before, before.scored_on)
    final = fit_models(histories, spend_now, now.scored_on)
    weeks = (now.scored_on - before.scored_on).days / DAYS_PER_WEEK
    return evaluate_and_choose(spark, held_out, final, holdout, weeks)


def results(spark: SparkSession, findings: Findings) -> dict[str, DataFrame]:
    """The rows of each table."""
    customers = spark.table(HISTORY).where("is_as_of_date")
    evaluation = [row.rounded() for row in findings.evaluation]
    return {
        PREDICTIONS: predict_customers(customers, findings.predictor),
        MODELS: table_rows(spark, MODELS, model_rows(findings)),
        EVALUATION: table_rows(spark, EVALUATION, evaluation),
    }


def main() -> None:
    """Reads the histories, fits and evaluates the models, and saves the predictions."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    spark = start("lifetime_value")
    require_tables(spark, READ)
    started = time.monotonic()
    now, before = (read_observed(spark, day) for day in ("is_as_of_date", "is_holdout_start"))
    known, days = before.customers if before else 0, now.days if now else 0
    if now is None or before is None or known < FEWEST_BUYERS or days < FEWEST_DAYS:
        few = f"{known:,} customers before the holdout, {days} days of history"
        needed = f"at least {FEWEST_BUYERS} and {FEWEST_DAYS} are needed"
        clear(spark, TABLES, f"no lifetime value: {few} ({needed})")
        return
    run_id = run_name(*content(spark, READ), code_version(*CODE))
    if holds_run(spark, TABLES, run_id):
        log("histories and models are those of the last fit: nothing to do")
        return
    findings = find(spark, now, before)
    save(spark, results(spark, findings), run_id, now.scored_on)
    log_findings(findings)
    seconds = time.monotonic() - started
    log(f"{now.customers:,} customers in {PREDICTIONS} ({seconds:.0f} s)")


if __name__ == "__main__":
    run(main)
