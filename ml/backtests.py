"""Backtests: what the models would have forecast at earlier origins, and which of them to use.

An origin lies a whole number of holdouts before the as-of date. Everything is done as if it were
the as-of date: fits, seasons, forecast. One thing is known too early: a return counts on the day of
its order, even if it came after the origin. Then the forecast of the holdout that follows is
compared with the actual orders, and with two simple forecasts. One repeats the orders of the days
just before the origin, as many days as the holdout has. The other repeats those of the same days a
year earlier. Both count only customers who had bought before the repeated days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ml.evaluation import EvaluationRow, evaluate_score, is_off
from ml.fits import PURCHASE_MODELS, Fits, fit_plain_models, seasonal_name, with_seasonal_model
from ml.forecasts import Forecaster, Period, interval, spread, squared_errors
from ml.histories import Histories, Outcomes, RepeatSpend
from ml.refits import MIN_BUYERS, MIN_DAYS
from ml.seasons import DailyPurchases

DAYS_OF_YEAR = 365  # as in int_backtest_outcomes
SQUARED_ERROR = "squared_error_of_"
LAST_DAYS, LAST_YEAR = "last_days_again", "same_days_last_year"


@dataclass(frozen=True)
class Known:
    """What the tables hold: histories by origin, the as-of date first, and all that follows."""

    histories: Sequence[Histories]
    spend: Mapping[int, RepeatSpend]
    outcomes: Mapping[int, Outcomes]
    purchases: DailyPurchases

    @property
    def now(self) -> Histories:
        """The histories on the as-of date."""
        return self.histories[0]

    def outcomes_after(self, day: int) -> Outcomes:
        """What the customers known on a day bought afterward, perhaps nothing."""
        nothing = np.array([], dtype=int)
        return self.outcomes.get(day, Outcomes(nothing, nothing, nothing))

    def fit_plain(self, histories: Histories) -> Fits:
        """Fits the plain models to what was known at an origin."""
        return fit_plain_models(histories, self.spend.get(histories.origin))


@dataclass(frozen=True)
class Backtest:
    """The fits at an origin, and what followed."""

    histories: Histories
    fits: Fits
    outcomes: Outcomes
    simple_forecasts: Mapping[str, float]  # of the orders in the holdout

    @property
    def actual(self) -> float:
        """Orders in the holdout."""
        return float(self.histories.orders.sum())

    @cached_property
    def forecasters(self) -> dict[str, Forecaster]:
        """The forecaster of each sound model; one of revenue too if the spend model is sound."""
        spend = self.fits.spend
        usable = spend.fit.model if spend is not None and spend.is_sound else None
        return {
            name: Forecaster(self.histories, fitted, usable)
            for name, fitted in self.fits.purchases.items()
            if fitted.is_sound
        }

    @property
    def holdout(self) -> Period:
        """The days of the holdout, whatever their number is, as a period of three months."""
        return Period("3 months", self.histories.origin, self.histories.holdout_ends)

    @cached_property
    def forecasts(self) -> dict[str, float]:
        """Orders in the holdout by each sound model, and by the simple forecasts."""
        by_model = {
            name: each.totals(self.holdout)["orders"] for name, each in self.forecasters.items()
        }
        return by_model | dict(self.simple_forecasts)

    @cached_property
    def errors(self) -> dict[str, float]:
        """(forecast - actual) / actual of each forecast; empty when nothing was bought."""
        if not self.actual:
            return {}
        return {name: value / self.actual - 1 for name, value in self.forecasts.items()}


def can_fit(histories: Sequence[Histories]) -> bool:
    """True when there is enough to fit now, and enough customers at the start of the holdout."""
    return (
        len(histories) > 1
        and histories[0].days_known >= MIN_DAYS
        and histories[1].customers.sum() >= MIN_BUYERS
    )


def can_backtest(histories: Histories) -> bool:
    """True when there were enough customers and days at an earlier origin."""
    return histories.customers.sum() >= MIN_BUYERS and histories.days_known >= MIN_DAYS


def run_backtests(known: Known) -> list[Backtest]:
    """Fits the plain models at each origin with enough data; the start of the holdout first."""
    held_out, *earlier = known.histories[1:]
    return [
        Backtest(
            histories,
            known.fit_plain(histories),
            known.outcomes_after(histories.origin),
            simple_forecasts(known, histories),
        )
        for histories in (held_out, *filter(can_backtest, earlier))
    ]


def add_seasons(known: Known, backtests: Sequence[Backtest], plain: str) -> list[Backtest]:
    """The backtests with the seasonal form of a plain model at each origin."""
    return [
        replace(each, fits=with_seasonal_model(each.fits, plain, each.histories, known.purchases))
        for each in backtests
    ]


def simple_forecasts(known: Known, histories: Histories) -> dict[str, float]:
    """Orders that repeat an earlier period, of the customers known at its start.

    A period is left out if fewer than MIN_BUYERS customers were known at its start, or if it ends
    after the origin.
    """
    found = {}
    for name, days in ((LAST_DAYS, histories.holdout_days), (LAST_YEAR, DAYS_OF_YEAR)):
        start = histories.origin - days
        customers = known.purchases.until(start).new_customers.sum()
        if customers >= MIN_BUYERS and histories.holdout_days <= days:
            outcomes = known.outcomes_after(start)
            orders, _ = outcomes.between(start, start + histories.holdout_days)
            found[name] = orders
    return found


# --- choosing ---------------------------------------------------------------------------


POOR = "not sound, or too far off,"


def mean_error(backtests: Sequence[Backtest], name: str, other: str | None = None) -> float | None:
    """Mean absolute error of a forecast over the origins that it has in common with another."""
    errors = [
        abs(backtest.errors[name])
        for backtest in backtests
        if name in backtest.errors and (other is None or other in backtest.errors)
    ]
    return float(np.mean(errors)) if errors else None


def is_better(backtests: Sequence[Backtest], name: str, other: str) -> bool:
    """True if a forecast has the lower mean error where both exist."""
    own, others = mean_error(backtests, name, other), mean_error(backtests, other, name)
    return own is not None and others is not None and round(own, 6) < round(others, 6)


def better_simple_forecast(backtests: Sequence[Backtest], name: str) -> str | None:
    """The simple forecast that was nearer than a model; None if the model was nearer."""
    better = [each for each in (LAST_DAYS, LAST_YEAR) if is_better(backtests, each, name)]
    return min(better, key=lambda each: mean_error(backtests, each) or 0, default=None)


def reasons(
    backtests: Sequence[Backtest], plain: str, name: str, simple: str | None
) -> dict[str, str]:
    """Why each purchase model is used, or is not, in words, if its last fit is sound."""

    def off_by(model: str, other: str | None = None) -> str:
        return f"off by {mean_error(backtests, model, other) or 0:.1%}"

    def of_origins(model: str) -> str:
        origins = sum(model in each.errors for each in backtests)
        return f"on average in {origins} backtest{'' if origins == 1 else 's'}"

    seasonal = seasonal_name(plain)
    last = backtests[0].fits.purchases
    found = {
        each: f"less likely than {plain}" if last[each].is_sound else f"{POOR} in the last backtest"
        for each in PURCHASE_MODELS
        if each != plain
    }
    found[plain] = f"{off_by(plain)} {of_origins(plain)}"
    if not any(seasonal in each.fits.purchases for each in backtests):
        found[seasonal] = "no backtest had seen enough months in two years"
    elif mean_error(backtests, seasonal) is None:
        found[seasonal] = f"{POOR} in each backtest that had seen enough months in two years"
    else:
        compared = f"{off_by(seasonal)} {of_origins(seasonal)}, {plain} {off_by(plain, seasonal)}"
        if name == seasonal:
            found[seasonal] = compared
        elif is_better(backtests, seasonal, plain):
            found[seasonal] = f"{POOR} in the last backtest: {compared}"
        else:
            found[seasonal] = f"not nearer: {compared}"
    if simple is not None:
        nearer = f"{simple} was nearer ({off_by(simple, name)})"
        found[name] += f"; no forecast of the total, because {nearer}"
    return found


def with_statuses(backtest: Backtest) -> Backtest:
    """The backtest; a model whose forecast of the holdout is off has the status `forecast off`."""
    purchases = {
        name: replace(fitted, status="forecast off")
        if fitted.is_sound and is_off(backtest.forecasts[name], backtest.actual)
        else fitted
        for name, fitted in backtest.fits.purchases.items()
    }
    return replace(backtest, fits=replace(backtest.fits, purchases=purchases))


def choose_season(backtests: Sequence[Backtest], final: Fits, plain: str) -> str:
    """The plain or the seasonal model: the seasonal one only if backtests were nearer with it.

    They are compared at the origins that had seen enough for an index.
    """
    seasonal = seasonal_name(plain)
    both = [fits.purchases.get(seasonal) for fits in (backtests[0].fits, final)]
    is_sound = all(fitted is not None and fitted.is_sound for fitted in both)
    return seasonal if is_sound and is_better(backtests, seasonal, plain) else plain


# --- rows of the tables -----------------------------------------------------------------


def errors_of(
    backtests: Sequence[Backtest], name: str, until: int
) -> dict[int, dict[tuple[str, str], float]]:
    """Squared errors of a model's forecasts at each origin."""
    return {
        each.histories.origin: squared_errors(each.forecasters[name], each.outcomes, until)
        for each in backtests
        if name in each.forecasters
    }


def evaluate_origin(backtest: Backtest) -> list[EvaluationRow]:
    """Each forecast of an origin against the actual orders, and the AUC of the models."""
    histories = backtest.histories
    rows = evaluate_simple_forecasts(backtest)
    for name, forecaster in backtest.forecasters.items():
        score = forecaster.expected_orders(histories.holdout_ends)
        forecast = backtest.forecasts[name]
        rows.append(EvaluationRow(name, "holdout_orders", "all", forecast, backtest.actual))
        of_score = evaluate_score(histories, name, "auc", score)
        rows += [row for row in of_score if (row.metric, row.audience) == ("auc", "all")]
    return rows


def evaluate_simple_forecasts(backtest: Backtest) -> list[EvaluationRow]:
    """The two simple forecasts of an origin against the actual orders."""
    return [
        EvaluationRow(name, "holdout_orders", "all", forecast, backtest.actual)
        for name, forecast in backtest.simple_forecasts.items()
    ]


def evaluate_mean_errors(backtests: Sequence[Backtest]) -> list[EvaluationRow]:
    """The mean absolute error of each forecast over the origins that have it."""
    names = sorted({name for backtest in backtests for name in backtest.errors})
    means = {name: mean_error(backtests, name) for name in names}
    return [
        EvaluationRow(name, "mean_error", "all", value)
        for name, value in means.items()
        if value is not None
    ]


def evaluate_intervals(backtests: Sequence[Backtest], name: str) -> list[tuple[int, EvaluationRow]]:
    """The 80% interval of each origin's orders, from the errors of the other origins."""
    known = [each for each in backtests if name in each.forecasters]
    errors = {
        each.histories.origin: float(np.log1p(each.errors[name]) ** 2)
        for each in known
        if each.errors.get(name, -1) > -1
    }
    rows = []
    for backtest in known:
        histories, found = backtest.histories, backtest.forecasters[name]
        others = [error for origin, error in errors.items() if origin != histories.origin]
        if not others:
            continue
        of_backtests = spread({("3 months", "orders"): others}, "3 months", "orders")
        own, forecast = found.own_spread(backtest.holdout)["orders"], backtest.forecasts[name]
        low, high = interval(forecast, own, of_backtests, 0.8)
        for limit, value in (("low", low), ("high", high)):
            metric = f"holdout_orders_{limit}_80"
            row = EvaluationRow(name, metric, "all", value, backtest.actual)
            rows.append((histories.origin, row))
    return rows


def evaluate_errors(
    name: str, errors: Mapping[int, Mapping[tuple[str, str], float]]
) -> list[tuple[int, EvaluationRow]]:
    """The squared errors of each origin, by length of the period and by what is forecast."""
    return [
        (origin, EvaluationRow(name, f"{SQUARED_ERROR}{quantity}", length, error))
        for origin, of_origin in errors.items()
        for (length, quantity), error in of_origin.items()
    ]
