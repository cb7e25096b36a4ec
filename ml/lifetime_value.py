"""Forecasts who will buy again, how often and for how much, and how far to trust the forecasts.

    python -m ml.lifetime_value

BG/NBD and MBG/NBD forecast how often customers buy and when they stop, and Gamma-Gamma forecasts
how much they spend (all in `purchase_models.py`). A seasonal model is one of the first two on a
clock that runs faster in busy months (`seasons.py`). All are fitted to what is known on the as-of
date, and to what was known at earlier origins (dbt variable `backtests`), to compare each forecast
with what then happened (`backtests.py`). `model_choice.py` decides which of them are used. Without
a model the predictions are null, and the marts use recency instead.

A fit writes `ml.lifetime_value_models` (one row per model and origin), `ml.model_evaluation` (one
row per origin, model, metric and audience), `ml.seasonal_index` (one row per calendar month) and
`ml.churn_score_ranks`. The fit is kept until a new one is due (`refits.py`). Each run scores all
customers as of its own as-of date, with these tables, into `ml.lifetime_value` (one row per
customer with a purchase), and forecasts all orders together into `ml.purchase_forecast` (one row
per period and quantity).
"""

import argparse
import time
from collections.abc import Sequence
from datetime import date

from pyspark.sql import SparkSession

from ml import backtests
from ml.backtests import Known
from ml.code_version import code_version
from ml.environment import in_environment
from ml.evaluation import is_off
from ml.forecasts import Forecaster, forecast_rows
from ml.histories import (
    COHORTS,
    CUSTOMERS,
    HISTORIES,
    OUTCOMES,
    SPEND,
    Histories,
    read_current_histories,
    read_daily_purchases,
    read_histories,
    read_outcomes,
    read_spend,
    to_day,
)
from ml.model_choice import EXPECTED_DAYS, Chosen, Findings, find
from ml.predictions import Predictor, predict_customers
from ml.refits import (
    MIN_BUYERS,
    MIN_DAYS,
    RULES,
    Basis,
    origin_of_lines,
    read_rules,
    reason_to_fit,
    stored_fit,
)
from ml.results import clear, require_tables, save, table_rows
from ml.session import describe, log, run, start
from ml.stored_models import (
    EVALUATION,
    INDEX,
    MODELS,
    RANKS,
    evaluation_rows,
    index_rows,
    model_rows,
    rank_rows,
    read_chosen,
)
from ml.tables import content, holds_run, run_name

PREDICTIONS, FORECAST = map(in_environment, ("ml.lifetime_value", "ml.purchase_forecast"))
FIT_TABLES = (INDEX, RANKS, EVALUATION, MODELS)
TABLES = (*FIT_TABLES, FORECAST, PREDICTIONS)
ORIGINS = in_environment("intermediate.int_backtest_origins")
SEGMENTS = in_environment("marts.segment_validation")
READ = (CUSTOMERS, HISTORIES, SPEND, OUTCOMES, COHORTS, ORIGINS, SEGMENTS, RULES)
CODE = (
    *("lifetime_value.py", "histories.py", "purchase_models.py", "seasons.py", "fits.py"),
    *("forecasts.py", "evaluation.py", "backtests.py", "churn.py", "predictions.py"),
    *("model_choice.py", "stored_models.py", "refits.py"),
)
# With fewer orders, a difference between expected and actual ones is mostly chance.
MIN_ORDERS = 100


# --- when to fit ------------------------------------------------------------------------


def read_origins(spark: SparkSession) -> tuple[date, list[int]]:
    """The as-of date (date.min if unknown), and the days from each origin to it: 0 for itself."""
    origins = spark.table(ORIGINS).orderBy("origin_on", ascending=False).collect()
    as_of = origins[0].origin_on if origins else date.min
    return as_of, [(as_of - row.origin_on).days for row in origins]


def purchase_days(spark: SparkSession) -> int:
    """Purchase days of all customers."""
    ((days,),) = spark.sql(
        f"select coalesce(sum(repeat_purchase_days + 1), 0) from {CUSTOMERS}"
    ).collect()
    return days


def expected_since(chosen: Chosen, fitted_on: date, as_of: date) -> float:
    """Orders expected since the fit, on the model's clock: a busy month has more of them."""
    if chosen.purchases is None:
        return 0.0
    start, clock = to_day(fitted_on), chosen.purchases.clock
    passed, ahead = (clock.weeks(start, end) for end in (to_day(as_of), start + EXPECTED_DAYS))
    return chosen.expected_orders * float(passed / ahead)


def orders_are_off(spark: SparkSession, chosen: Chosen, fitted_on: date, as_of: date) -> str | None:
    """A reason to fit if the orders since the fit were far from the expected ones, or None."""
    if chosen.purchases is None:
        return None
    expected = expected_since(chosen, fitted_on, as_of)
    ((came,),) = spark.sql(
        f"select coalesce(sum(purchase_days), 0) from {COHORTS} "
        f"where first_purchase_on <= date'{fitted_on}' and ordered_on > date'{fitted_on}'"
    ).collect()
    if max(expected, came) < MIN_ORDERS or not is_off(expected, came):
        return None
    return f"{expected:,.0f} orders were expected since the last fit, and {came:,.0f} came"


# --- fitting ----------------------------------------------------------------------------


def read(spark: SparkSession, histories: Sequence[Histories]) -> Known:
    """Reads what the fits and the backtests need besides the histories."""
    return Known(histories, read_spend(spark), read_outcomes(spark), read_daily_purchases(spark))


def save_fit(spark: SparkSession, findings: Findings, run_id: str, basis: Basis) -> None:
    """Saves all that is needed to score customers with the models, and how they were chosen."""
    rows = {
        INDEX: index_rows(findings),
        RANKS: rank_rows(findings.chosen),
        EVALUATION: evaluation_rows(findings, spark.table(SEGMENTS).collect()),
        MODELS: model_rows(findings, basis),
    }
    # MODELS stays empty until all others are complete, so a killed run leaves neither a fit nor the
    # scores of the earlier one.
    for table in (MODELS, FORECAST, PREDICTIONS):
        spark.sql(f"truncate table {table}")
    tables = {table: table_rows(spark, table, each) for table, each in rows.items()}
    save(spark, tables, run_id, basis.as_of)


def log_findings(findings: Findings) -> None:
    """Prints in a few lines what was found and decided."""
    used = findings.chosen.names
    fits = (findings.backtests[0].fits.by_name, findings.final.by_name)
    for name, fitted in findings.final.by_name.items():
        statuses = {each[name].status for each in fits if name in each}
        status = ", ".join(sorted(statuses - {"converged"})) or "sound"
        values = ", ".join(f"{key} {value:.4g}" for key, value in fitted.fit.parameters.items())
        log(f"{name}: {status}, {'used' if name in used else 'not used'} ({values})")
    for name in used[:1]:
        log(f"{name}: {findings.reasons[name]}")
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


def fit(spark: SparkSession, run_id: str, now: Basis, reason: str) -> Chosen | None:
    """Fits and evaluates the models and saves them; None if there is too little data."""
    histories = read_histories(spark)
    if not backtests.can_fit(histories):
        known = int(histories[1].customers.sum()) if len(histories) > 1 else 0
        days = histories[0].days_known if histories else 0
        few = f"{known:,} customers before the holdout, {days} days of history"
        needed = f"at least {MIN_BUYERS} and {MIN_DAYS} are needed"
        # MODELS is emptied before its parts, so that a kill leaves no incomplete fit.
        clear(spark, reversed(TABLES), f"no lifetime value: {few} ({needed})")
        return None
    customers = int(histories[0].customers.sum())
    origins = f"now and at {len(histories) - 1} earlier origins"
    log(f"fitting {customers:,} customers, {origins}: {reason}")
    findings = find(read(spark, histories))
    save_fit(spark, findings, run_id, now)
    log_findings(findings)
    return findings.chosen


# --- scoring ----------------------------------------------------------------------------


def score(spark: SparkSession, chosen: Chosen, run_id: str, as_of: date, fitted_on: date) -> None:
    """Saves the forecast of all orders together, and then the predictions for each customer."""
    describe(spark, "score")
    now, purchases = read_current_histories(spark), chosen.purchases
    predictor, rows = None, []
    if purchases is not None:
        model, clock = purchases.fit.model, purchases.clock
        predictor = Predictor(now.origin, model, clock, chosen.spend, chosen.churn_score)
        if chosen.errors is not None:
            rows = list(forecast_rows(Forecaster(now, purchases, chosen.spend), chosen.errors))
    results = {
        FORECAST: table_rows(spark, FORECAST, rows),
        PREDICTIONS: predict_customers(spark.table(CUSTOMERS), predictor),
    }
    save(spark, results, run_id, as_of, fitted_on)
    customers = int(now.customers.sum())
    log(f"{customers:,} customers in {PREDICTIONS}, with models as fitted on {fitted_on}")


# --- the step ---------------------------------------------------------------------------


def main() -> None:
    """Reads the customers, fits the models if that is due, and saves the predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    fresh = "fit now, unless the last fit is of the same data (FRESH)"
    parser.add_argument("--fresh", action="store_true", help=fresh)
    arguments = parser.parse_args()
    spark = start("lifetime_value")
    require_tables(spark, READ)
    started = time.monotonic()
    as_of, days_back = read_origins(spark)
    rules = read_rules(spark)
    method = run_name(code_version(*CODE), days_back, rules.fit_customers)
    now = Basis(as_of, purchase_days(spark), run_name(method, origin_of_lines(spark)))
    customers, *others = (content(spark.table(each)) for each in (CUSTOMERS, COHORTS, SEGMENTS))
    fit_id = run_name(customers, others, as_of, method)
    kept_id, kept = stored_fit(spark, MODELS) or ("", None)
    reason = "FRESH asks for it" if arguments.fresh else reason_to_fit(kept, now, rules)
    # Another fit to the same data would be the same.
    if kept_id == fit_id:
        reason = None
    chosen, fitted_on = None, as_of
    if kept and reason is None:
        chosen, fitted_on = read_chosen(spark, kept.as_of), kept.as_of
        reason = orders_are_off(spark, chosen, fitted_on, as_of)
    if reason is not None:
        chosen, fitted_on, kept_id = fit(spark, fit_id, now, reason), as_of, fit_id
    if chosen is None:
        return
    run_id = run_name(customers, as_of, kept_id)
    # The forecast has rows only if its errors are known.
    written = [FORECAST, PREDICTIONS] if chosen.errors is not None else [PREDICTIONS]
    if holds_run(spark, written, run_id):
        log("customers and models are those of the last run: nothing to do")
        return
    score(spark, chosen, run_id, as_of, fitted_on)
    log(f"lifetime value took {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    run(main)
