"""What the section "What will happen" shows: the next twelve months, and how such forecasts did."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from statistics import fmean
from types import SimpleNamespace

from ml.environment import in_environment
from reports import claims
from reports.numbers import Number
from reports.project import HOLDOUT_DAYS
from reports.query import Row

RISKS = ("high", "medium", "low")
ACCURACY = in_environment("marts.forecast_accuracy")
# The simple forecasts by name, each with the period that it repeats.
SIMPLE_FORECASTS = {
    "last_days_again": f"the last {HOLDOUT_DAYS} days",
    "same_days_last_year": "the same days a year earlier",
}


def outlook(tables: SimpleNamespace) -> dict[str, object]:
    """Returns what the section "What will happen" shows."""
    model = used_model(tables.models)
    # Predictions of another as-of date do not count: the risk then follows recency.
    is_predicted = tables.totals[0].predicted_customers.value
    score = tables.thresholds[0].model if tables.thresholds and is_predicted else "recency"
    returned = {row.audience: row for row in tables.returned if row.model == score}
    risks = {row.churn_risk: row for row in tables.risks}
    forecasts = [row for row in of_last_origin(tables.forecasts) if row.model == model]
    months_ahead = [row for row in tables.periods if row.period == "month"]
    kept = kept_since(tables)
    return {
        "risks": {risk: risks[risk] for risk in RISKS if risk in risks},
        "risk_score": score,
        "returned": {
            risk: returned[f"{risk} risk"] for risk in RISKS if f"{risk} risk" in returned
        },
        "used_model": model,
        "kept_since": kept,
        "holdout": f"{HOLDOUT_DAYS} days up to {kept}" if kept else f"last {HOLDOUT_DAYS} days",
        "forecasts": {row.audience: row for row in forecasts},
        "weeks": [row for row in forecasts if row.audience.startswith("week")],
        "tenths": [row for row in tables.tenths if row.model == model],
        "ahead": {row.period: row for row in tables.periods if row.period != "month"},
        "months_ahead": months_ahead,
        "begins_within_month": bool(months_ahead) and months_ahead[0].starts_on.day > 1,
        "ends_within_month": bool(months_ahead)
        and not claims.month_is_over(months_ahead[-1].ends_on.value),
        "backtests": backtests(tables.forecasts, model),
        "comparison": compare(tables.forecasts, model),
        "unusual_month": unusual_month(tables.seasons),
    }


def used_model(models: Iterable[Row]) -> str | None:
    """Returns the purchase model behind the predictions; None when there are no predictions."""
    used = (row.model for row in models if row.is_used and row.model != "gamma_gamma")
    return next(used, None)


def kept_since(tables: SimpleNamespace) -> str | None:
    """Returns the day of the last fit in words; None when it is the as-of date, or there is no fit.

    The holdout that the models are evaluated on ends on this day.
    """
    day = max((row.fitted_until for row in tables.models), default=None)
    if day is None or day == tables.as_of[0].as_of_date.value:
        return None
    return f"{day.day} {day:%B %Y}"


def of_last_origin(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows of the last origin, which is the start of the holdout."""
    last = max((row.origin_on for row in rows), default=None)
    return [row for row in rows if row.origin_on == last]


# --- backtests --------------------------------------------------------------------------


def totals(rows: Iterable[Row], model: str | None) -> dict[date, Row]:
    """Returns a model's forecasts of all orders, by their origin."""
    return {row.origin_on: row for row in rows if row.model == model and row.audience == "all"}


def backtests(rows: Sequence[Row], model: str | None) -> list[Row]:
    """Returns a row for each origin: the actual orders, and what was forecast for them."""
    simple = {name: totals(rows, name) for name in SIMPLE_FORECASTS}
    return [
        Row(
            origin_on=origin,
            after=f"{origin.day} {origin:%B %Y}",
            actual=row.actual,
            forecast=row.forecast,
            low_80=row.low_80,
            high_80=row.high_80,
            **{
                name: found[origin].forecast if origin in found else None
                for name, found in simple.items()
            },
        )
        for origin, row in totals(rows, model).items()
    ]


def compare(rows: Sequence[Row], model: str | None) -> Row | None:
    """Compares the mean error of a model with that of a simple forecast.

    Of the simple forecasts, it takes the one that beats the model by most, or loses by least. Each
    mean is over the origins that have both forecasts. Without a simple forecast, `repeated` is
    None. Returns None without a model, or if none of its errors is known.
    """
    own = errors(rows, model)
    if model is None or not own:
        return None
    found = []
    for simple, repeated in SIMPLE_FORECASTS.items():
        others = errors(rows, simple)
        if origins := own.keys() & others.keys():
            found.append(
                Row(
                    repeated=repeated,
                    simple_error=mean_error(others, origins, simple, model),
                    error=mean_error(own, origins, model, simple),
                    backtests=number_of_backtests(origins, model, simple),
                )
            )
    if not found:
        return Row(
            repeated=None,
            error=mean_error(own, own.keys(), model, model),
            backtests=number_of_backtests(own.keys(), model, model),
        )
    return min(found, key=lambda row: row.simple_error.amount - row.error.amount)


Errors = Mapping[date, float]


def errors(rows: Iterable[Row], model: str | None) -> Errors:
    """Returns by origin how far a forecast was off, where that is known."""
    return {
        origin: row.error_rate.amount
        for origin, row in totals(rows, model).items()
        if row.error_rate.value is not None
    }


def condition(model: str, other: str) -> str:
    """Returns the condition on the origins that both forecasts have."""
    own = f"where audience = 'all' and model = '{model}'"
    if other == model:
        return own
    others = f"select origin_on from {ACCURACY} where audience = 'all' and model = '{other}'"
    return f"{own} and origin_on in ({others})"


def mean_error(own: Errors, origins: Set[date], model: str, other: str) -> Number:
    """Returns the mean absolute error of a forecast at the origins that have the other one too."""
    mean = fmean(abs(own[origin]) for origin in origins)
    query = f"select avg(abs(error_rate)) from {ACCURACY} {condition(model, other)}"
    return Number(mean, "rate", query, ACCURACY)


def number_of_backtests(origins: Set[date], model: str, other: str) -> Number:
    """Returns the number of origins that have both forecasts."""
    query = f"select count(error_rate) from {ACCURACY} {condition(model, other)}"
    return Number(len(origins), "count", query, ACCURACY)


# --- seasons ----------------------------------------------------------------------------


def unusual_month(seasons: Sequence[Row]) -> Row | None:
    """Returns the busiest month of the year, or the quietest; None if all are about average."""
    by_index = sorted(seasons, key=lambda row: row.index.amount)
    for row in (*by_index[-1:], *by_index[:1]):
        if abs(row.index.amount - 1) >= 0.05:
            return Row(**vars(row), name=f"{date(2000, row.month, 1):%B}")
    return None
