"""The charts of the insight site: Altair, rendered to SVG within the page; a module per section.

Each function takes rows of the page (query.py), a width in pixels and a label for screen readers,
and returns one `<svg>`.
"""

from reports.charts.do import (
    categories,
    cohorts,
    concentration,
    day_types,
    pairs,
    payment_methods,
    repeats,
    weekday_hour,
    weekdays,
)
from reports.charts.happened import monthly_revenue
from reports.charts.who import moves, profile, score_map, shares
from reports.charts.will import (
    backtests,
    months_ahead,
    returned,
    risks,
    seasons,
    tenths,
    weeks,
)

__all__ = [
    "backtests",
    "categories",
    "cohorts",
    "concentration",
    "day_types",
    "monthly_revenue",
    "months_ahead",
    "moves",
    "pairs",
    "payment_methods",
    "profile",
    "repeats",
    "returned",
    "risks",
    "score_map",
    "seasons",
    "shares",
    "tenths",
    "weekday_hour",
    "weekdays",
    "weeks",
]
