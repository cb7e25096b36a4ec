"""Fits the purchase models at all origins, evaluates them, and chooses the models to use.

A model makes predictions only if it passes two checks. Its fits to the data up to the as-of date,
and up to the start of the holdout, are sound. Its forecast of the holdout (orders, or spend per
order) was off by at most half of the actual value.

If both plain models (BG/NBD and MBG/NBD) pass, the likelier one is used. That is fair: both have
four parameters and the same data. The seasonal form of this model replaces it only if the seasonal
forecasts were nearer in the backtests. The forecast of all orders together is left out if repeating
an earlier period was nearer.

The risk of churn is evaluated separately: a score replaces recency only if it predicts repurchase
in the holdout better, by more than two standard errors of the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml import backtests
from ml.backtests import Backtest, Known
from ml.churn import ChurnScore, choose_churn_score, evaluate_recency_levels
from ml.evaluation import (
    EvaluationRow,
    evaluate_baselines,
    evaluate_purchases,
    evaluate_spend,
    is_off,
)
from ml.fits import PURCHASE_MODELS, SPEND_MODEL, Fits, FittedPurchases, with_seasonal_model
from ml.forecasts import Errors, Forecaster, Period, together
from ml.histories import Histories
from ml.purchase_models import SpendModel

EXPECTED_DAYS = 30


@dataclass(frozen=True)
class Chosen:
    """The models that are used: all that it takes to score customers on any day."""

    purchases: FittedPurchases | None = None
    spend: SpendModel | None = None
    churn_score: ChurnScore | None = None  # None: recency
    errors: Errors | None = None  # of the backtests; None without a forecast of all orders together
    expected_orders: float = 0.0  # of all customers in the EXPECTED_DAYS after the fit

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models."""
        if self.purchases is None:
            return ()
        return (self.purchases.name, SPEND_MODEL) if self.spend else (self.purchases.name,)


@dataclass(frozen=True)
class Findings:
    """The fits, how they did in the backtests, and what may be used of them."""

    backtests: Sequence[Backtest]  # the latest origin first
    final: Fits
    evaluation: list[tuple[int, EvaluationRow]]  # with the origin of each row
    reasons: dict[str, str]  # why each model is used or not
    chosen: Chosen = Chosen()


def checked_spend(backtest: Backtest, name: str) -> tuple[Backtest, list[EvaluationRow]]:
    """Evaluates the spend model with a purchase model, and marks it if its forecast was off."""
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
    # The mean includes forecasts that were too far off, so it is computed before they are excluded.
    rows += backtests.evaluate_mean_errors(tested)
    tested = [backtests.with_statuses(tested[0]), *tested[1:]]
    if plain is None:
        reasons = dict.fromkeys(PURCHASE_MODELS, f"{backtests.POOR} in the last backtest")
        reasons[SPEND_MODEL] = "no purchase model is used"
        return Findings(tested, final, evaluation(tested, rows), reasons)
    return choose(known.now, tested, final, plain, rows)


def choose(
    now: Histories, tested: list[Backtest], final: Fits, plain: str, rows: list[EvaluationRow]
) -> Findings:
    """Chooses the models to use, plain or seasonal, and how to tell the risk of churn."""
    name = backtests.choose_season(tested, final, plain)
    churn_rows, churn_score = choose_churn_score(
        tested[0].histories, tested[0].fits.purchases[name]
    )
    held_out, spend_rows = checked_spend(tested[0], name)
    tested = [held_out, *tested[1:]]
    both = (held_out.fits.spend, final.spend)
    is_usable = all(spend is not None and spend.is_sound for spend in both)
    spend_model = final.spend.fit.model if final.spend is not None and is_usable else None
    errors = backtests.errors_of(tested, name, final.origin)
    simple = backtests.better_simple_forecast(tested, name)
    reasons = backtests.reasons(tested, plain, name, simple)
    if not is_usable:
        reasons[SPEND_MODEL] = f"{backtests.POOR} in the last backtest"
    of_backtests = together(errors.values()) if simple is None else None
    next_days = Period("month", final.origin, final.origin + EXPECTED_DAYS)
    expected = Forecaster(now, final.purchases[name]).totals(next_days)["orders"]
    return Findings(
        tested,
        final,
        [
            *evaluation(tested, [*rows, *churn_rows, *spend_rows]),
            *backtests.evaluate_intervals(tested, name),
            *backtests.evaluate_errors(name, errors),
        ],
        reasons,
        Chosen(final.purchases[name], spend_model, churn_score, of_backtests, expected),
    )


def evaluation(
    tested: Sequence[Backtest], rows: list[EvaluationRow]
) -> list[tuple[int, EvaluationRow]]:
    """The rows of all origins; `rows` are those of the latest origin."""
    last, *earlier = tested
    return [
        *((last.histories.origin, row) for row in rows),
        *(
            (each.histories.origin, row)
            for each in earlier
            for row in backtests.evaluate_origin(each)
        ),
    ]
