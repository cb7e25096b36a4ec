"""Says who will buy again, how often and for how much, and how far that can be trusted.

    python -m ml.lifetime_value

Reads `intermediate.int_customer_purchase_history`: what each customer had done by the as-of date,
and by the start of the holdout some weeks before. BG/NBD and MBG/NBD (how often, and until when)
and Gamma-Gamma (for how much; all three in `purchase_models.py`) are fitted twice: to what was
known at the start of the holdout, to be judged by what then happened, and to everything, to look
ahead. Orders here are purchase days: two orders of one day are one.

What comes to the driver is counts: how many customers have the same history. A shop of any size
has few distinct ones, so the fit costs little more for a hundred times the customers. The spend
model is fitted on a sample of fixed size, chosen by a hash of the customer.

A model is used for predictions only if both its fits are sound and its forecast of the holdout,
orders or spend per order, was within half of what came; of two such purchase models the likelier
one, which is fair, since both have four parameters and the same data (in total, both may well
forecast the same). Else its predictions are null, and the marts fall back on what needs no model.
Risk of churn is judged apart: a score takes the place of recency only if it tells better who buys
again in the holdout, by more than two standard errors of the difference.

Writes `ml.lifetime_value` (one row per customer with a purchase), `ml.lifetime_value_models` (one
row per model and fit) and `ml.model_evaluation` (one row per model, metric and audience).
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml import purchase_models
from ml.purchase_models import Fit, PurchaseModel, SpendModel
from ml.session import FEWEST_BUYERS, FEWEST_DAYS, StepError, log, run, start
from ml.tables import holds_run, replace_rows, run_name

TABLES = ("ml.lifetime_value", "ml.lifetime_value_models", "ml.model_evaluation")
HISTORY = "intermediate.int_customer_purchase_history"
PURCHASE_MODELS = ("bg_nbd", "mbg_nbd")
SPEND_MODEL = "gamma_gamma"
MATHEMATICS = Path(purchase_models.__file__)
# Below these a fit says more of chance than of customers: with 97% one-time buyers, for example,
# whether the others will go on is a guess.
FEWEST_REPEAT_BUYERS = 100
LEAST_REPEAT_SHARE = 0.05
# Gamma-Gamma takes spend and frequency as independent; from here on they are plainly not.
GREATEST_CORRELATION = 0.3
GREATEST_FORECAST_ERROR = 0.5
SPEND_SAMPLE_SIZE = 50_000
# Fifths of the other customers at the start of the holdout that score better: at least so many make
# a high risk, fewer than so many a low one. The same as by recency, whose scores 1 and 2, and 4 and
# 5 these are; ties count in the customer's favor.
HIGH_RISK_FROM_FIFTHS, LOW_RISK_BELOW_FIFTHS = 3, 2
RANK_POINTS = 1001
WEEK = 7


@dataclass(frozen=True)
class Histories:
    """Distinct histories, an array each; times in weeks."""

    x: np.ndarray
    t_x: np.ndarray
    t: np.ndarray
    customers: np.ndarray  # that have this history
    buyers: np.ndarray  # of them, bought again in the holdout
    orders: np.ndarray  # what they bought in the holdout

    def where(self, chosen: np.ndarray) -> "Histories":
        """The chosen of the histories."""
        return Histories(*[values[chosen] for values in vars(self).values()])

    @property
    def history(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, t_x and T, as the models take them."""
        return self.x, self.t_x, self.t


@dataclass(frozen=True)
class Fitted:
    """A model by its name, fitted to data up to a day, and the verdict on the fit."""

    name: str
    fitted_until: date
    fit: Fit
    customers: int
    repeat_customers: int
    status: str

    @property
    def is_sound(self) -> bool:
        """True when nothing speaks against using it."""
        return self.status == "converged"


@dataclass(frozen=True)
class Row:
    """A row of ml.model_evaluation; `baseline` is what to compare the value with."""

    model: str
    metric: str
    audience: str
    value: float
    baseline: float | None = None


@dataclass(frozen=True)
class ChurnScore:
    """What tells who buys again: purchases expected in so many weeks, alone or with recency."""

    weeks: float
    expected_ranks: tuple[np.ndarray, np.ndarray] | None = None
    recency_ranks: tuple[np.ndarray, np.ndarray] | None = None

    def of(self, model: PurchaseModel, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Score of each history, the higher the better; with recency, the mean of both ranks."""
        expected = np.round(model.expected_purchases(self.weeks, x, t_x, t), 6)
        if self.expected_ranks is None:
            return expected
        ranks = np.interp(expected, *self.expected_ranks) + np.interp(t_x - t, *self.recency_ranks)
        return np.round(ranks / 2, 6)


# --- reading ----------------------------------------------------------------------------


def observed(spark: SparkSession, scoring_date: str) -> tuple[date | None, int, int | None]:
    """A scoring date, customers with a purchase by then, and days since the first purchase."""
    return spark.sql(
        f"select max(scored_on), count(*), max(observed_days) from {HISTORY} where {scoring_date}"
    ).first()


def content(spark: SparkSession) -> list[tuple[int, int]]:
    """What stands for all that this step reads; the order of the rows does not matter."""
    tables = (HISTORY, "intermediate.int_orders", "marts.segment_validation")
    return [
        tuple(spark.sql(f"select count(*), bit_xor(xxhash64(*)) from {table}").first())
        for table in tables
    ]


def histories(spark: SparkSession, scoring_date: str) -> Histories:
    """Counts customers by their history on a scoring date, and what followed by the as-of date.

    The order makes the sums of the likelihood, and so its last digits, the same in each run.
    """
    counts = spark.sql(
        f"""
        select
            known.repeat_purchase_days as x,
            known.last_purchase_day as t_x,
            known.observed_days as t,
            count(*) as customers,
            count_if(later.repeat_purchase_days > known.repeat_purchase_days) as buyers,
            sum(later.repeat_purchase_days - known.repeat_purchase_days) as orders
        from {HISTORY} as known
        inner join {HISTORY} as later on known.customer_key = later.customer_key
        where known.{scoring_date} and later.is_as_of_date
        group by x, t_x, t
        order by x, t_x, t
        """
    ).toPandas()
    x, t_x, t, *others = (counts[column].to_numpy(dtype=float) for column in counts)
    return Histories(x, t_x / WEEK, t / WEEK, *others)


def repeat_spend(spark: SparkSession, scoring_date: str) -> tuple[np.ndarray, ...]:
    """Purchases, average spend and number of customers, of at most SPEND_SAMPLE_SIZE customers.

    Who returned all that he or she bought again is left out: the model knows no spend below 0.
    """
    counts = spark.sql(
        f"""
        with sample as (
            select repeat_purchase_days as x, repeat_net_cents as cents
            from {HISTORY}
            where {scoring_date} and repeat_purchase_days > 0 and repeat_net_cents > 0
            order by xxhash64(customer_key), customer_key
            limit {SPEND_SAMPLE_SIZE}
        )
        select x, cents, count(*) as customers from sample group by x, cents order by x, cents
        """
    ).toPandas()
    x, cents, customers = (counts[column].to_numpy(dtype=float) for column in counts)
    return x, average_spend(cents, x), customers


def average_spend(cents: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Spend per repeat purchase, which does not matter without one; below 0 it counts as 0."""
    return np.maximum(cents, 0) / 100 / np.maximum(x, 1)


def holdout_spend(spark: SparkSession) -> tuple[np.ndarray, ...]:
    """x, t_x, T, average spend, and then orders and net spend in the holdout, of a sample.

    A row for each of at most SPEND_SAMPLE_SIZE customers: what they spent is hardly ever the same.
    """
    rows = spark.sql(
        f"""
        select
            known.repeat_purchase_days as x,
            known.last_purchase_day as t_x,
            known.observed_days as t,
            known.repeat_net_cents as cents,
            later.repeat_purchase_days - known.repeat_purchase_days as orders,
            later.repeat_net_cents - known.repeat_net_cents as spent_cents
        from {HISTORY} as known
        inner join {HISTORY} as later on known.customer_key = later.customer_key
        where known.is_holdout_start and later.is_as_of_date
        order by xxhash64(known.customer_key), known.customer_key
        limit {SPEND_SAMPLE_SIZE}
        """
    ).toPandas()
    x, t_x, t, cents, orders, spent_cents = (rows[column].to_numpy(dtype=float) for column in rows)
    return x, t_x / WEEK, t / WEEK, average_spend(cents, x), orders, spent_cents / 100


def orders_by_week(spark: SparkSession) -> dict[int, int]:
    """Purchase days in each week of the holdout, of the customers known at its start."""
    rows = spark.sql(
        f"""
        select
            (datediff(orders.ordered_on, known.scored_on) - 1) div {WEEK} + 1 as week,
            count(distinct orders.customer_key, orders.ordered_on) as orders
        from intermediate.int_orders as orders
        inner join {HISTORY} as known on orders.customer_key = known.customer_key
        where
            known.is_holdout_start
            and orders.is_purchase
            and orders.ordered_on > known.scored_on
        group by week
        """
    ).collect()
    return {row.week: row.orders for row in rows}


# --- fitting ----------------------------------------------------------------------------


def purchase_status(fit: Fit, customers: float, repeat_customers: float) -> str:
    """The verdict on a fit of BG/NBD or MBG/NBD; only `converged` may be used."""
    if repeat_customers < max(FEWEST_REPEAT_BUYERS, LEAST_REPEAT_SHARE * customers):
        return "too few repeat buyers"
    return soundness(fit)


def spend_status(fit: Fit, x: np.ndarray, spend: np.ndarray, customers: np.ndarray) -> str:
    """The verdict on a fit of Gamma-Gamma; only `converged` may be used."""
    sound = soundness(fit)
    if sound == "converged" and abs(correlation(x, spend, customers)) > GREATEST_CORRELATION:
        return "spend correlated with frequency"
    return sound


def soundness(fit: Fit) -> str:
    """What the search for the parameters ended with."""
    if fit.degenerate:
        return "degenerate"
    return "converged" if fit.converged else "not converged"


def correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's correlation of counted pairs."""
    x, y = (values - (weights * values).sum() / weights.sum() for values in (x, y))
    return float((weights * x * y).sum() / np.sqrt((weights * x**2).sum() * (weights * y**2).sum()))


def fit_models(
    spark: SparkSession, data: Histories, scoring_date: str, until: date
) -> dict[str, Fitted]:
    """Fits the three models to what was known on a scoring date."""
    customers = int(data.customers.sum())
    repeat_customers = int(data.customers[data.x > 0].sum())
    fitted = {}
    for name in PURCHASE_MODELS:
        fit = purchase_models.fit_purchases(*data.history, data.customers, name == "mbg_nbd")
        status = purchase_status(fit, customers, repeat_customers)
        fitted[name] = Fitted(name, until, fit, customers, repeat_customers, status)
    spend = repeat_spend(spark, scoring_date)
    spenders = int(spend[-1].sum())
    if spenders >= FEWEST_REPEAT_BUYERS:
        fit = purchase_models.fit_spend(*spend)
        status = spend_status(fit, *spend)
        fitted[SPEND_MODEL] = Fitted(SPEND_MODEL, until, fit, spenders, spenders, status)
    return fitted


# --- judging ----------------------------------------------------------------------------


def audiences(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Everybody, and one-time and repeat buyers apart: which of the histories are theirs."""
    yield "all", np.full(len(x), True)
    yield "one-time buyers", x == 0
    yield "repeat buyers", x > 0


def judge_baselines(data: Histories) -> Iterator[Row]:
    """What needs no model: how well recency and frequency tell who buys again."""
    recency = data.t_x - data.t
    yield from judge_score(data, "recency", "auc", recency)
    yield from judge_score(data, "frequency", "auc", data.x)
    if thresholds := risk_thresholds(recency, data.customers):
        yield from judge_levels(data, "recency", recency, thresholds)


def judge_purchases(
    data: Histories, fitted: Fitted, weeks: float, actual: dict[int, int]
) -> Iterator[Row]:
    """Compares a model's forecast of the holdout with what came: in total, by whom, and when."""
    name, model = fitted.name, fitted.fit.model
    expected = ChurnScore(weeks).of(model, *data.history)
    yield from judge_score(data, name, "auc", expected)
    yield from judge_score(data, name, "auc_of_p_alive", np.round(model.p_alive(*data.history), 6))
    total = data.customers * expected
    for audience, chosen in audiences(data.x):
        yield Row(name, "holdout_orders", audience, total[chosen].sum(), data.orders[chosen].sum())
    # By tenths of the customers, the least expected first: does more come where more is expected?
    tenth = np.minimum(np.floor(10 * np.interp(expected, *ranks(expected, data.customers))), 9)
    for number in np.unique(tenth):
        chosen = tenth == number
        customers = data.customers[chosen].sum()
        came = data.orders[chosen].sum() / customers
        audience = f"tenth {number + 1:02.0f} by expected orders"
        yield Row(name, "orders_per_customer", audience, total[chosen].sum() / customers, came)
    before = 0.0
    for week in range(1, math.ceil(weeks) + 1):
        per_customer = model.expected_purchases(min(week, weeks), *data.history)
        until = (data.customers * per_customer).sum()
        yield Row(name, "holdout_orders", f"week {week:02d}", until - before, actual.get(week, 0))
        before = until


def judge_spend(
    name: str, purchases: PurchaseModel, spend: SpendModel, weeks: float, sample: tuple
) -> Iterator[Row]:
    """Compares the spend forecast for the holdout, per order and per customer, with what came."""
    *history, average, orders, spent = sample
    order_value = spend.expected_spend(history[0], average)
    value = purchases.expected_purchases(weeks, *history) * order_value
    for audience, chosen in audiences(history[0]):
        came, customers = orders[chosen].sum(), chosen.sum()
        if came > 0:
            forecast = (order_value * orders)[chosen].sum() / came
            yield Row(SPEND_MODEL, "order_value", audience, forecast, spent[chosen].sum() / came)
        if customers > 0:
            forecast, actual = (values[chosen].sum() / customers for values in (value, spent))
            yield Row(f"{name}_{SPEND_MODEL}", "value_per_customer", audience, forecast, actual)


def ranks(values: np.ndarray, customers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and the share of these customers below each, for np.interp.

    At most RANK_POINTS, which say it well enough, to be sent along with each task.
    """
    points, shares = purchase_models.percent_rank(values, customers)
    some = np.unique(np.linspace(0, len(points) - 1, RANK_POINTS).astype(int))
    return points[some], shares[some]


def judge_score(data: Histories, name: str, metric: str, score: np.ndarray) -> Iterator[Row]:
    """Measures how well a score tells who buys again, against recency."""
    recency = data.t_x - data.t
    for audience, chosen in audiences(data.x):
        some = data.where(chosen)
        others = some.customers - some.buyers
        if not some.buyers.sum() > 1 or not others.sum() > 1:
            continue
        area, _, _ = purchase_models.area_under_curve(score[chosen], some.buyers, others)
        difference, error = purchase_models.auc_difference(
            score[chosen], recency[chosen], some.buyers, others
        )
        yield Row(name, metric, audience, area, area - difference)
        yield Row(name, f"{metric}_error", audience, error)


def risk_thresholds(score: np.ndarray, customers: np.ndarray) -> tuple[float, float]:
    """The scores below which risk is high, and from which it is low."""
    distinct, place = np.unique(score, return_inverse=True)
    counts = np.bincount(place, weights=customers)
    better, others = counts.sum() - np.cumsum(counts), max(counts.sum() - 1, 1)
    medium, low = (
        distinct[5 * better < fifths * others][0]
        for fifths in (HIGH_RISK_FROM_FIFTHS, LOW_RISK_BELOW_FIFTHS)
    )
    return float(medium), float(low)


def judge_levels(
    data: Histories, name: str, score: np.ndarray, thresholds: tuple[float, float]
) -> Iterator[Row]:
    """The share that bought again of each level of risk, against that of all."""
    level = np.digitize(score, thresholds)
    overall = data.buyers.sum() / data.customers.sum()
    for number, audience in enumerate(("high risk", "medium risk", "low risk")):
        chosen = level == number
        if chosen.any():
            rate = data.buyers[chosen].sum() / data.customers[chosen].sum()
            yield Row(name, "repurchase_rate", audience, rate, overall)


def judge_segments(spark: SparkSession) -> Iterator[Row]:
    """The share that bought again of each segment, against that of all customers."""
    segments = spark.table("marts.segment_validation").orderBy("segment").collect()
    customers = sum(row.customers for row in segments)
    overall = sum(row.customers * row.repurchase_rate for row in segments) / max(customers, 1)
    for row in segments:
        yield Row("rfm", "repurchase_rate", row.segment, row.repurchase_rate, overall)


# --- choosing ---------------------------------------------------------------------------


def is_off(rows: list[Row], name: str, metric: str) -> bool:
    """True if a model's forecast of the holdout is too far from what came."""
    key = (name, metric, "all")
    whole = next(row for row in rows if (row.model, row.metric, row.audience) == key)
    return abs(whole.value - whole.baseline) > GREATEST_FORECAST_ERROR * whole.baseline


def choose_churn_score(
    data: Histories, name: str, model: PurchaseModel, weeks: float
) -> tuple[list[Row], ChurnScore | None]:
    """Judges scores from simple to elaborate; each must beat the one before by two errors.

    Returns the rows that say so, and the winner; None where recency wins, which needs no model.
    """
    recency = data.t_x - data.t
    alone = ChurnScore(weeks)
    expected = alone.of(model, *data.history)
    both = ChurnScore(weeks, ranks(expected, data.customers), ranks(recency, data.customers))
    combined = both.of(model, *data.history)
    rows = list(judge_score(data, f"{name}_and_recency", "auc", combined))
    others = data.customers - data.buyers
    winner, score, best = None, None, recency
    for candidate, rule, values in (
        (name, alone, expected),
        (f"{name}_and_recency", both, combined),
    ):
        difference, error = purchase_models.auc_difference(values, best, data.buyers, others)
        if difference > 2 * error:
            winner, score, best = candidate, rule, values
    if winner:
        thresholds = risk_thresholds(best, data.customers)
        rows += judge_levels(data, winner, best, thresholds)
        rows += [
            Row(winner, "churn_threshold", level, threshold)
            for level, threshold in zip(("medium risk", "low risk"), thresholds, strict=True)
        ]
    return rows, score


# --- predicting -------------------------------------------------------------------------


def predictions(
    spark: SparkSession,
    purchases: PurchaseModel | None,
    spend: SpendModel | None,
    churn_score: ChurnScore | None,
) -> DataFrame:
    """One row per customer with a purchase; null where there is no model to say it."""
    known = spark.table(HISTORY).where("is_as_of_date")
    columns = ("p_alive", "expected_orders_90d", "expected_order_value", "predicted_value_12m")
    if purchases is None:
        nothing = {name: F.lit(None) for name in (*columns, "churn_score")}
        return known.select("customer_key", "customer_id").withColumns(nothing)

    @F.pandas_udf(", ".join(f"{name} double" for name in (*columns, "churn_score")))
    def predict(x: pd.Series, t_x: pd.Series, t: pd.Series, cents: pd.Series) -> pd.DataFrame:
        x = x.to_numpy(dtype=float)
        history = x, t_x.to_numpy(dtype=float) / 7, t.to_numpy(dtype=float) / 7
        value = yearly = score = np.full(len(x), None)
        if spend is not None:
            average = average_spend(cents.to_numpy(dtype=float), x)
            value = np.round(spend.expected_spend(x, average), 4)
            yearly = np.round(purchases.expected_purchases(365 / 7, *history) * value, 2)
        if churn_score is not None:
            score = churn_score.of(purchases, *history)
        return pd.DataFrame(
            {
                "p_alive": np.round(purchases.p_alive(*history), 6),
                "expected_orders_90d": np.round(purchases.expected_purchases(90 / 7, *history), 6),
                "expected_order_value": value,
                "predicted_value_12m": yearly,
                "churn_score": score,
            }
        )

    predicted = predict(
        "repeat_purchase_days", "last_purchase_day", "observed_days", "repeat_net_cents"
    )
    return known.select("customer_key", "customer_id", predicted.alias("predicted")).select(
        "customer_key", "customer_id", "predicted.*"
    )


# --- writing ----------------------------------------------------------------------------


def models_table(spark: SparkSession, fits: list[Fitted], used: list[Fitted]) -> DataFrame:
    """One row per model and fit."""
    rows = [
        (
            fitted.name,
            fitted.fitted_until,
            json.dumps(fitted.fit.parameters),
            round(fitted.fit.log_likelihood, 4),
            fitted.customers,
            fitted.repeat_customers,
            fitted.status,
            fitted in used,
        )
        for fitted in fits
    ]
    return spark.createDataFrame(
        rows,
        "model string, fitted_until date, parameters string, log_likelihood double, "
        "customers bigint, repeat_customers bigint, status string, is_used boolean",
    )


def rounded(row: Row) -> Row:
    """The row in plain floats, without the digits that depend on the machine."""
    baseline = None if row.baseline is None else round(float(row.baseline), 9)
    return replace(row, value=round(float(row.value), 9), baseline=baseline)


def evaluation_table(spark: SparkSession, rows: list[Row]) -> DataFrame:
    """One row per model, metric and audience."""
    return spark.createDataFrame(
        [astuple(row) for row in rows],
        "model string, metric string, audience string, value double, baseline double",
    )


def report(
    judged: dict[str, Fitted], final: dict[str, Fitted], used: list[Fitted], evaluation: list[Row]
) -> None:
    """Says in a few lines what was found and decided."""
    for name, fitted in final.items():
        statuses = {fits[name].status for fits in (judged, final) if name in fits}
        verdict = ", ".join(sorted(statuses - {"converged"})) or "sound"
        values = ", ".join(f"{key} {value:.4g}" for key, value in fitted.fit.parameters.items())
        log(f"{name}: {verdict}, {'used' if fitted in used else 'not used'} ({values})")
    for row in evaluation:
        if (row.metric, row.audience) == ("holdout_orders", "all"):
            log(f"{row.model}: {row.value:,.0f} orders forecast, {row.baseline:,.0f} came")
        elif (row.metric, row.audience) == ("value_per_customer", "all"):
            log(f"{row.model}: {row.value:,.2f} forecast per customer, {row.baseline:,.2f} came")
    scores = ", ".join(
        f"{row.model} {row.value:.3f}"
        for row in evaluation
        if (row.metric, row.audience) == ("auc", "all")
    )
    winner = next((row.model for row in evaluation if row.metric == "churn_threshold"), "recency")
    log(f"churn risk by {winner} (area under the curve: {scores})")


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    spark = start("lifetime_value")
    for table in (HISTORY, "marts.segment_validation"):
        if not spark.catalog.tableExists(table):
            raise StepError(f"there is no table {table}; build it with: dbt build")
    # Predictions are made where the customers are, so the code goes along with them. As an artifact
    # of the session it would be missed by the queries of others once this session has ended.
    cloudpickle.register_pickle_by_value(purchase_models)
    started = time.monotonic()

    as_of, buyers, days = observed(spark, "is_as_of_date")
    holdout_start, known, _ = observed(spark, "is_holdout_start")
    if known < FEWEST_BUYERS or days < FEWEST_DAYS:
        # Predictions of an earlier data set would be wrong for this one.
        for table in TABLES:
            spark.sql(f"truncate table {table}")
        log(
            f"no lifetime value: {known:,} customers before the holdout, {days or 0} days of "
            f"history (at least {FEWEST_BUYERS} and {FEWEST_DAYS} are needed)"
        )
        return
    run_id = run_name(*content(spark), Path(__file__).read_bytes(), MATHEMATICS.read_bytes())
    if holds_run(spark, TABLES, run_id):
        log("histories and models are those of the last fit: nothing to do")
        return
    log(f"fitting {buyers:,} customers, and the {known:,} of {holdout_start} to judge the fits")
    before, now = histories(spark, "is_holdout_start"), histories(spark, "is_as_of_date")
    judged = fit_models(spark, before, "is_holdout_start", holdout_start)
    final = fit_models(spark, now, "is_as_of_date", as_of)

    weeks = (as_of - holdout_start).days / WEEK
    evaluation = [*judge_segments(spark), *judge_baselines(before)]
    actual = orders_by_week(spark)
    sound = []
    for name in PURCHASE_MODELS:
        if not judged[name].is_sound:
            continue
        evaluation += judge_purchases(before, judged[name], weeks, actual)
        if is_off(evaluation, name, "holdout_orders"):
            judged[name] = replace(judged[name], status="forecast off")
        elif final[name].is_sound:
            sound.append(name)
    chosen = max(sound, key=lambda name: final[name].fit.log_likelihood, default=None)

    used, purchases, spend, churn_score = [], None, None, None
    if chosen:
        used.append(final[chosen])
        purchases = final[chosen].fit.model
        rows, churn_score = choose_churn_score(before, chosen, judged[chosen].fit.model, weeks)
        evaluation += rows
        if all(SPEND_MODEL in fits and fits[SPEND_MODEL].is_sound for fits in (judged, final)):
            models = judged[chosen].fit.model, judged[SPEND_MODEL].fit.model
            evaluation += judge_spend(chosen, *models, weeks, holdout_spend(spark))
            if is_off(evaluation, SPEND_MODEL, "order_value"):
                judged[SPEND_MODEL] = replace(judged[SPEND_MODEL], status="forecast off")
            else:
                used.append(final[SPEND_MODEL])
                spend = final[SPEND_MODEL].fit.model

    evaluation = [rounded(row) for row in evaluation]
    results = (
        predictions(spark, purchases, spend, churn_score),
        models_table(spark, [*judged.values(), *final.values()], used),
        evaluation_table(spark, evaluation),
    )
    for table, rows in zip(TABLES, results, strict=True):
        replace_rows(spark, table, rows, run_id, as_of)

    report(judged, final, used, evaluation)
    log(f"{buyers:,} customers in ml.lifetime_value ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    run(main)
