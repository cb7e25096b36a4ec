"""The page of the insight site: the rows of the queries, prepared for the template."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import SimpleNamespace

from ml.environment import in_environment
from ml.refits import MIN_BUYERS, MIN_DAYS
from reports import charts, claims
from reports.audiences import LIST_LENGTH
from reports.forecasts import SIMPLE_FORECASTS, of_last_origin, outlook
from reports.numbers import Number, lineage
from reports.project import HOLDOUT_DAYS, MINIMUM_SAMPLE, PROJECT, ROW_JUMP, TEMPLATES, WINDOW_DAYS
from reports.query import QUERIES, Row

SECTIONS = {
    "happened": "What happened",
    "who": "Who the customers are",
    "do": "What they do",
    "will": "What will happen",
    "act": "What to do",
    "trust": "How far to trust it",
}
UNKNOWN = "Unknown"
# The largest number of bars in a chart, and of months and cohorts on the page.
MAX_BARS = 12
MAX_MONTHS = 36
MAX_COHORTS = 18
# Past months that the chart of the forecast shows.
MONTHS_BEFORE_FORECAST = 24
# Constants and functions of the template.
SETTINGS = {
    "sections": SECTIONS,
    "window_days": WINDOW_DAYS,
    "holdout_days": HOLDOUT_DAYS,
    "minimum_sample": MINIMUM_SAMPLE,
    "min_buyers": MIN_BUYERS,
    "min_days": MIN_DAYS,
    "max_bars": MAX_BARS,
    "max_months": MAX_MONTHS,
    "months_before_forecast": MONTHS_BEFORE_FORECAST,
    "simple_forecasts": SIMPLE_FORECASTS,
    "max_compared": PROJECT["vars"]["affinity_categories"],
    "max_rows": {name: query.limit for name, query in QUERIES.items()},
    "list_length": LIST_LENGTH,
    "row_jump": round(100 * ROW_JUMP),
    "unknown": UNKNOWN,
    "charts": charts,
    "claims": claims,
    "lineage": lineage,
    "in_environment": in_environment,
}


def render(tables: SimpleNamespace, audiences: Mapping[int, str]) -> str:
    """Renders the page as HTML; `audiences` names the files of recommendations by priority.

    A prepared value replaces the rows of the same name.
    """
    context = vars(tables) | single_rows(tables)
    context |= happened(tables) | customers(tables) | purchases(tables)
    context |= outlook(tables) | trust(tables)
    return TEMPLATES.get_template("site.html.j2").render(
        **context,
        **SETTINGS,
        missing=claims.missing(tables),
        is_thin=claims.is_thin(tables),
        audiences=audiences,
        filled=filled,
        in_words=in_words,
    )


def single_rows(tables: SimpleNamespace) -> dict[str, Row]:
    """Returns the single row of each query that always has exactly one row."""
    names = ("as_of", "totals", "period", "timing", "all_categories", "lines")
    return {name: getattr(tables, name)[0] for name in names}


def happened(tables: SimpleNamespace) -> dict[str, object]:
    """Returns what the header and the section "What happened" show."""
    metrics = {row.metric: row for row in tables.metrics}
    days = claims.days_covered(tables)
    return {
        "metrics": metrics,
        "headline": claims.headline(metrics),
        "begins_late": days < 2 * WINDOW_DAYS,
        "uncompared": claims.uncompared(metrics, days),
        "months": tables.months[-MAX_MONTHS:],
        "month_is_over": claims.month_is_over(tables.as_of[0].as_of_date.value),
    }


def customers(tables: SimpleNamespace) -> dict[str, object]:
    """Returns what the section "Who the customers are" shows."""
    last_month = max((row.month_end for row in tables.moves), default=None)
    return {
        "filled_cells": [row for row in tables.score_cells if row.customers.value],
        "segments": claims.segments(tables),
        "moves": [
            row
            for row in tables.moves
            if row.month_end == last_month and row.from_segment != row.to_segment
        ],
        "last_month": last_month,
    }


def purchases(tables: SimpleNamespace) -> dict[str, object]:
    """Returns what the section "What they do" shows."""
    return {
        "has_hours": claims.has_hours(tables.hours, tables.timing[0]),
        "day_types": {row.day_type: row for row in tables.day_types},
        "categories": by_size(tables.categories, "product_category"),
        "payment_methods": by_size(tables.payment_methods, "payment_method"),
        "cohorts": last_cohorts(tables.cohorts),
    }


def trust(tables: SimpleNamespace) -> dict[str, object]:
    """Returns what the section "How far to trust it" shows."""
    return {
        "reasons": sorted(tables.reasons, key=lambda row: -row.rows.value),
        "tests": {row.status: row.tests for row in tables.tests},
        "verdicts": verdicts(tables.models),
        "last_scores": of_last_origin(tables.scores),
        "chosen": next((row for row in tables.cluster_numbers if row.chosen), None),
    }


def verdicts(models: Sequence[Row]) -> list[Row]:
    """Returns a row for each model: the verdict on its fit before the holdout and on its last fit.

    Fits to earlier days serve the backtests only. If no model has a reason, `reason` is None.
    """
    *_, holdout, last = [None, None, *sorted({row.fitted_until for row in models})]
    fits = {(row.model, row.fitted_until): row for row in models}
    has_reasons = any(row.reason for row in models)
    found = []
    for model in dict.fromkeys(row.model for row in models):
        before, now = fits.get((model, holdout)), fits.get((model, last))
        found.append(
            Row(
                model=model,
                before_holdout=before.status if before else "not fitted",
                now=now.status if now else "not fitted",
                used="yes" if now and now.is_used else "no",
                reason=((now and now.reason) or "") if has_reasons else None,
            )
        )
    return found


def by_size(rows: Iterable[Row], key: str) -> list[Row]:
    """Sorts by net revenue, the largest first; returns no rows if all names are unknown."""
    rows = list(rows)
    if {getattr(row, key) for row in rows} <= {UNKNOWN}:
        return []
    return sorted(rows, key=lambda row: -row.net_revenue.value)


def last_cohorts(rows: Iterable[Row]) -> list[Row]:
    """Returns the rows of the last MAX_COHORTS cohorts, up to MAX_COHORTS months after the first.

    A cohort without a complete month after its first one is left out.
    """
    rows = list(rows)
    seen = sorted({row.cohort_month for row in rows if row.months_since > 0})[-MAX_COHORTS:]
    return [row for row in rows if row.cohort_month in seen and row.months_since <= MAX_COHORTS]


def filled(columns: Iterable[tuple[str, str]], rows: list[Row]) -> list[tuple[str, str]]:
    """Returns the columns of a table that have a value in some row, as (heading, attribute)."""

    def is_filled(name: str) -> bool:
        cells = [getattr(row, name) for row in rows]
        return any((each.value if isinstance(each, Number) else each) is not None for each in cells)

    return [(heading, name) for heading, name in columns if is_filled(name)]


def in_words(value: object) -> object:
    """Spells out a name, `mbg_nbd_and_recency` as `MBG/NBD and recency`; a date as its month."""
    if value is None:
        return ""
    if isinstance(value, date):
        return f"{value:%B %Y}"
    if not isinstance(value, str):
        return value
    text = value.replace("mbg_nbd", "MBG/NBD").replace("bg_nbd", "BG/NBD")
    for name, repeated in SIMPLE_FORECASTS.items():
        text = text.replace(name, f"repeating {repeated}")
    return text.replace("gamma_gamma", "Gamma-Gamma").replace("_", " ")
