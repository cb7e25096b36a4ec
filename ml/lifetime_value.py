"""Forecasts who will buy again, how often and for how much, and how far to trust the forecasts.

    python -m ml.lifetime_value

BG/NBD and MBG/NBD forecast how often customers buy and until when, Gamma-Gamma for how much (all in
`purchase_models.py`). A seasonal model is one of the first two on a clock that runs faster in busy
months (`seasons.py`). All are fitted to what is known on the as-of date, and to what was known at
up to six earlier origins, to compare each forecast with what then happened (`backtests.py`).

A model makes predictions only if its fits to the as-of date and to the start of the holdout are
sound, and its forecast of the holdout, orders or spend per order, was within half of the actual
value. Of two such plain models the likelier one is used. That is fair: both have four parameters
and the same data. Its seasonal form replaces it only if its forecasts were nearer in the backtests.
Without a model the predictions are null, and the marts use what needs no model. The forecast of all
orders together (`forecasts.py`) is left out if repeating an earlier period was nearer. The risk of
churn is evaluated separately: a score replaces recency only if it predicts repurchase in the
holdout better, by more than two standard errors of the difference.

Writes `ml.lifetime_value` (one row per customer with a purchase), `ml.lifetime_value_models` (one
row per model and fit), `ml.model_evaluation` (one row per origin, model, metric and audience),
`ml.seasonal_index` (one row per calendar month) and `ml.purchase_forecast` (one row per period).
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession

from ml import backtests
from ml.backtests import Backtest, Known
from ml.churn import choose_churn_score, evaluate_recency_levels
from ml.code_version import code_version
from ml.evaluation import (
    EvaluationRow,
    evaluate_baselines,
    evaluate_purchases,
    evaluate_segments,
    evaluate_spend,
    is_off,
)
from ml.fits import PURCHASE_MODELS, SPEND_MODEL, Fits, with_seasonal_model
from ml.forecasts import Forecaster, forecast_rows, together
from ml.histories import (
    COHORTS,
    CUSTOMERS,
    HISTORIES,
    OUTCOMES,
    SPEND,
    Histories,
    content,
    read_daily_purchases,
    read_histories,
    read_outcomes,
    read_spend,
    to_date,
)
from ml.predictions import Predictor, predict_customers
from ml.results import clear, require_tables, save, table_rows
from ml.session import FEWEST_BUYERS, FEWEST_DAYS, log, run, start
from ml.tables import holds_run, run_name

PREDICTIONS, MODELS, EVALUATION, INDEX, FORECAST = (
    "ml.lifetime_value",
    "ml.lifetime_value_models",
    "ml.model_evaluation",
    "ml.seasonal_index",
    "ml.purchase_forecast",
)
TABLES = (PREDICTIONS, MODELS, EVALUATION, INDEX, FORECAST)
# A forecast that is not shown and an index that needs more years leave these empty.
ALWAYS_FILLED = (PREDICTIONS, MODELS, EVALUATION)
SEGMENTS = "marts.segment_validation"
READ = (CUSTOMERS, HISTORIES, SPEND, OUTCOMES, COHORTS, SEGMENTS)
CODE = (
    *("lifetime_value.py", "histories.py", "purchase_models.py", "seasons.py", "fits.py"),
    *("forecasts.py", "evaluation.py", "backtests.py", "churn.py", "predictions.py"),
)


@dataclass(frozen=True)
class Findings:
    """The fits, how they did in the backtests, and what may be used of them."""

    backtests: Sequence[Backtest]  # the start of the holdout first
    final: Fits
    evaluation: list[tuple[int, EvaluationRow]]  # with the origin of each row
    predictor: Predictor
    used: tuple[str, ...] = ()  # names of the models in it
    forecast: Sequence[tuple] = ()  # rows of ml.purchase_forecast
    reasons: dict[str, str] | None = None  # why each model is used or not


# --- evaluating and choosing ------------------------------------------------------------


def checked_spend(backtest: Backtest, name: str) -> tuple[Backtest, list[EvaluationRow]]:
    """Evaluates the spend model with a purchase model; its status tells if its forecast is off."""
    spend = backtest.fits.spend
    if spend is None or not spend.is_sound:
        return backtest, []
    rows = list(evaluate_spend(backtest.forecasters[name], spend.fit.model))
    value = next(
        (row for row in rows if (row.metric, row.audience) == ("order_value", "all")), None
    )
    if value is None or is_off(value.value, value.baseline or 0.0):
        spend = replace(spend, status="forecast off")
    return replace(backtest, fits=replace(backtest.fits, spend=spend)), rows


def likeliest(held_out: Fits, final: Fits) -> str | None:
    """The likelier one of the plain models that are sound in both fits; None without one."""
    sound = [
        name
        for name in PURCHASE_MODELS
        if final.purchases[name].is_sound and held_out.purchases[name].is_sound
    ]
    return max(sound, key=lambda name: final.purchases[name].fit.log_likelihood, default=None)


def find(known: Known) -> Findings:
    """Fits the models at all origins, evaluates the fits and chooses the models to use."""
    final = known.fit_plain(known.now)
    tested = backtests.run_backtests(known)
    plain = likeliest(backtests.with_statuses(tested[0]).fits, final)
    if plain is not None:
        final = with_seasonal_model(final, plain, known.now, known.purchases)
        tested = backtests.add_seasons(known, tested, plain)
    holdout, outcomes = tested[0].histories, tested[0].outcomes
    rows = [*evaluate_baselines(holdout), *evaluate_recency_levels(holdout)]
    for forecaster in tested[0].forecasters.values():
        rows += evaluate_purchases(forecaster, outcomes)
    rows += backtests.evaluate_simple_forecasts(tested[0])
    tested = [backtests.with_statuses(tested[0]), *tested[1:]]
    found = Findings(tested, final, [], Predictor(final.origin))
    if plain is None:
        return replace(found, evaluation=evaluation(tested, rows))
    return choose(known, found, plain, rows)


def choose(known: Known, found: Findings, plain: str, rows: list[EvaluationRow]) -> Findings:
    """Chooses the models to predict with, and forecasts all customers together."""
    tested, final = found.backtests, found.final
    name = backtests.choose_season(tested, final, plain)
    churn_rows, churn_score = choose_churn_score(
        tested[0].histories, tested[0].fits.purchases[name]
    )
    held_out, spend_rows = checked_spend(tested[0], name)
    tested = [held_out, *tested[1:]]
    both = (held_out.fits.spend, final.spend)
    is_usable = all(spend is not None and spend.is_sound for spend in both)
    spend_model = final.spend.fit.model if final.spend is not None and is_usable else None
    fitted = final.purchases[name]
    predictor = Predictor(final.origin, fitted.fit.model, fitted.clock, spend_model, churn_score)
    errors = backtests.errors_of(tested, name, final.origin)
    simple = backtests.better_simple_forecast(tested, name)
    forecast: Sequence[tuple] = ()
    if simple is None:
        forecaster = Forecaster(known.now, fitted, spend_model)
        forecast = list(forecast_rows(forecaster, together(errors.values())))
    return Findings(
        tested,
        final,
        [
            *evaluation(tested, [*rows, *churn_rows, *spend_rows]),
            *backtests.evaluate_intervals(tested, name, errors),
        ],
        predictor,
        (name, SPEND_MODEL) if spend_model else (name,),
        forecast,
        backtests.reasons(tested, plain, name, simple),
    )


def evaluation(
    tested: Sequence[Backtest], rows: list[EvaluationRow]
) -> list[tuple[int, EvaluationRow]]:
    """The rows of all origins; `rows` are the detailed ones of the last."""
    last, *earlier = tested
    of_last = [*rows, *backtests.evaluate_mean_errors(tested)]
    return [
        *((last.histories.origin, row) for row in of_last),
        *(
            (each.histories.origin, row)
            for each in earlier
            for row in backtests.evaluate_origin(each)
        ),
    ]


# --- results ----------------------------------------------------------------------------


def model_rows(findings: Findings) -> Iterator[tuple]:
    """Rows of ml.lifetime_value_models: each model, fitted at each origin and to the end."""
    reasons = findings.reasons or {}
    for fits in (*(each.fits for each in findings.backtests), findings.final):
        is_final = fits is findings.final
        for name, fitted in fits.by_name.items():
            yield (
                name,
                to_date(fits.origin),
                json.dumps(fitted.fit.parameters),
                round(fitted.fit.log_likelihood, 4),
                fitted.customers,
                fitted.repeat_customers,
                fitted.status,
                is_final and name in findings.used,
                reasons.get(name) if is_final and fitted.is_sound else None,
            )


def index_rows(findings: Findings) -> Iterator[tuple]:
    """Rows of ml.seasonal_index: month, index, times seen, and whether the clock uses it."""
    index = findings.final.index
    if index is not None:
        is_used = findings.predictor.clock.index is not None
        for month in range(12):
            yield month + 1, index.index[month], index.times_seen[month], is_used


def log_findings(findings: Findings) -> None:
    """Prints in a few lines what was found and decided."""
    for name, fitted in findings.final.by_name.items():
        fits = (findings.backtests[0].fits.by_name, findings.final.by_name)
        statuses = {each[name].status for each in fits if name in each}
        status = ", ".join(sorted(statuses - {"converged"})) or "sound"
        values = ", ".join(f"{key} {value:.4g}" for key, value in fitted.fit.parameters.items())
        log(f"{name}: {status}, {'used' if name in findings.used else 'not used'} ({values})")
    for name in findings.used[:1]:
        log(f"{name}: {(findings.reasons or {})[name]}")
    origin = findings.backtests[0].histories.origin
    rows = [row for of, row in findings.evaluation if of == origin and row.audience == "all"]
    for row in rows:
        if row.metric == "holdout_orders":
            log(f"{row.model}: {row.value:,.0f} orders forecast, {row.baseline:,.0f} came")
        elif row.metric == "value_per_customer":
            log(f"{row.model}: {row.value:,.2f} forecast per customer, {row.baseline:,.2f} came")
    scores = ", ".join(f"{row.model} {row.value:.3f}" for row in rows if row.metric == "auc")
    thresholds = (row for _, row in findings.evaluation if row.metric == "churn_threshold")
    winner = next((row.model for row in thresholds), "recency")
    log(f"churn risk by {winner} (area under the curve: {scores})")


# --- the step ---------------------------------------------------------------------------


def read(spark: SparkSession, histories: Sequence[Histories]) -> Known:
    """Reads what the fits and the backtests need besides the histories."""
    return Known(histories, read_spend(spark), read_outcomes(spark), read_daily_purchases(spark))


def results(spark: SparkSession, findings: Findings) -> dict[str, DataFrame]:
    """The rows of each table."""
    segments = evaluate_segments(spark.table(SEGMENTS).collect())
    origin = findings.backtests[0].histories.origin
    rows = [*findings.evaluation, *((origin, row) for row in segments)]
    evaluated = [(to_date(of), *row.rounded()) for of, row in rows]
    # The tables that tell whether a run is complete come last, in case it is killed before.
    return {
        INDEX: table_rows(spark, INDEX, index_rows(findings)),
        FORECAST: table_rows(spark, FORECAST, findings.forecast),
        PREDICTIONS: predict_customers(spark.table(CUSTOMERS), findings.predictor),
        MODELS: table_rows(spark, MODELS, model_rows(findings)),
        EVALUATION: table_rows(spark, EVALUATION, evaluated),
    }


def main() -> None:
    """Reads the histories, fits and evaluates the models, and saves the predictions."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    spark = start("lifetime_value")
    require_tables(spark, READ)
    started = time.monotonic()
    run_id = run_name(*content(spark, READ), code_version(*CODE))
    if holds_run(spark, ALWAYS_FILLED, run_id):
        log("histories and models are those of the last fit: nothing to do")
        return
    histories = read_histories(spark)
    if not backtests.has_enough(histories):
        known = int(histories[1].customers.sum()) if len(histories) > 1 else 0
        days = histories[0].days_known if histories else 0
        few = f"{known:,} customers before the holdout, {days} days of history"
        needed = f"at least {FEWEST_BUYERS} and {FEWEST_DAYS} are needed"
        clear(spark, TABLES, f"no lifetime value: {few} ({needed})")
        return
    customers = int(histories[0].customers.sum())
    log(f"fitting {customers:,} customers, now and at {len(histories) - 1} earlier origins")
    findings = find(read(spark, histories))
    save(spark, results(spark, findings), run_id, to_date(findings.final.origin))
    log_findings(findings)
    seconds = time.monotonic() - started
    log(f"{customers:,} customers in {PREDICTIONS} ({seconds:.0f} s)")


if __name__ == "__main__":
    run(main)
