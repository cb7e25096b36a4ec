"""Checks that decide which claims the insight page may make, in any state of the marts.

The marts may be empty, or hold guests only, one customer, or a loss. The page shows a sentence
only if it is true. The rows are those of query.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from types import SimpleNamespace

from ml.refits import MIN_BUYERS, MIN_DAYS
from reports.numbers import Number
from reports.project import MINIMUM_SAMPLE, WINDOW_DAYS
from reports.query import Row

HEADLINE = {
    "net_revenue": "Net revenue",
    "orders": "Orders",
    "active_customers": "Active customers",
    "new_customers": "New customers",
    "average_order_value": "Average order value",
    "revenue_per_active_customer": "Revenue per active customer",
    "repeat_rate": "Ordered more than once",
    "retention_rate": "Active before, and again",
    "return_rate": "Returned revenue",
}


def enough(number: Number) -> bool:
    """Returns whether these are enough customers or orders for a claim about all of them."""
    return number.amount >= MINIMUM_SAMPLE


def telling(share: Number, count: Number) -> bool:
    """Returns whether a share of `count` customers or orders is worth showing.

    A share above 1 is not: it occurs if others return more than they bought. A share below 0.05% is
    not either: the page would show it as 0.
    """
    return enough(count) and share.value is not None and 0.0005 <= share.amount <= 1


def outstanding(decile: Row, buyers: Number) -> bool:
    """Returns whether the best deciles, up to this one, brought more than their share.

    For the best tenth, this means more than 10%. If all customers brought the same, no tenth is the
    best.
    """
    share = decile.cumulative_share
    return telling(share, buyers) and share.amount > decile.decile / 10


def missing(tables: SimpleNamespace) -> dict[str, str]:
    """Returns the sections that have nothing to show, and why."""
    reasons: dict[str, str] = {}
    if not tables.weekdays:
        reasons |= {"happened": "There is no line to show.", "do": "There is no line to show."}
    if not tables.segments:
        reasons["who"] = "No line names a customer."
    if not tables.totals[0].buyers.value:
        reasons["will"] = "No known customer has bought yet."
    return reasons


def is_thin(tables: SimpleNamespace) -> bool:
    """Returns whether there is something to show, but too little to rely on."""
    if tables.totals[0].first_order_on.value is None:
        return bool(tables.weekdays)
    return tables.totals[0].buyers.value < MIN_BUYERS or days_covered(tables) <= MIN_DAYS


def month_is_over(day: date | None) -> bool:
    """Returns whether a day is the last one of its month; true without a day."""
    return day is None or (day + timedelta(1)).day == 1


# --- comparisons ------------------------------------------------------------------------


def days_covered(tables: SimpleNamespace) -> int:
    """Returns the number of days from the first day of the data to the as-of date."""
    first_day, today = tables.period[0].first_on.value, tables.as_of[0].as_of_date.value
    return 0 if first_day is None else (today - first_day).days + 1


def headline(metrics: Mapping[str, Row]) -> list[Row]:
    """Returns the rows of the headline table; the change of a rate is in percentage points."""
    return [
        Row(
            label=label,
            value=row.value,
            change=row.value.minus(row.previous_value) if row.unit == "rate" else row.change_rate,
            before=row.previous_value,
        )
        for row, label in ((metrics[metric], label) for metric, label in HEADLINE.items())
    ]


def has_gaps(rows: Sequence[Row]) -> bool:
    """Returns whether a column of the headline table has some values, but not all."""
    return any(
        0 < sum(getattr(row, column).value is None for row in rows) < len(rows)
        for column in ("value", "change", "before")
    )


def uncompared(metrics: Mapping[str, Row], days: int) -> list[str]:
    """Returns the headline metrics that have no comparison although the others have one.

    New and returning customers are known only by comparison with the time before the window. So
    their earlier values need a third window, before the other two.
    """
    if metrics["net_revenue"].previous_value.value is None or days >= 3 * WINDOW_DAYS:
        return []
    return [HEADLINE["new_customers"], HEADLINE["retention_rate"]]


# --- customers --------------------------------------------------------------------------


def segments(tables: SimpleNamespace) -> list[Row]:
    """Returns the segments that have customers, best first, with their meaning."""
    rows = {row.segment: row for row in tables.segments}
    return [
        Row(**vars(rows[playbook.segment]), meaning=playbook.meaning)
        for playbook in tables.playbook
        if playbook.segment in rows
    ]


# --- purchases --------------------------------------------------------------------------


def busiest(hours: Iterable[Row]) -> Row | None:
    """Returns the hour of the week with the most orders; None if another hour has as many."""
    *_, second, first = sorted(hours, key=lambda row: row.timed_orders.value)
    return first if first.timed_orders.value > second.timed_orders.value else None


def has_hours(hours: Sequence[Row], timing: Row) -> bool:
    """Returns whether at least a tenth of the orders have a time of day, in hours that differ.

    Two hours in a row may be the midnights of a time zone, in summer and in winter.
    """
    found = [row.hour for row in hours]
    if not found or max(found) - min(found) <= 1:
        return False
    return 10 * timing.timed_orders.value >= timing.orders.value
