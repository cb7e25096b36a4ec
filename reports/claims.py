"""What the rows of the marts let the insight page claim, whatever they are.

The marts can be in any state: empty, guests only, one customer, a loss. A sentence stands on the
page only where it is true of them. Rows come from build_site.py; their numbers have a `value`.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from types import SimpleNamespace

from ml.session import FEWEST_BUYERS, FEWEST_DAYS
from reports.project import PROJECT

WINDOW_DAYS = PROJECT["vars"]["window_days"]
# From so many customers or orders on a share says something of them, as in recommendations: the
# best tenth of nine people is nobody.
ENOUGH = 30

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


def enough(number: object) -> bool:
    """Whether there are enough customers or orders for a claim about all of them."""
    return (number.value or 0) >= ENOUGH


def telling(share: object, count: object) -> bool:
    """Whether a share of `count` customers or orders can be told as a part of the whole.

    Where returns outweigh the purchases of some, the others bring more than the whole. Less than
    0.05% would read as nothing.
    """
    return enough(count) and share.value is not None and 0.0005 <= share.value <= 1


def outstanding(decile: SimpleNamespace, buyers: object) -> bool:
    """Whether the customers of the best deciles, up to this one, have brought more than the others.

    Of customers who all brought the same, none are the best.
    """
    share = decile.cumulative_share
    return telling(share, buyers) and share.value > decile.decile / 10


def missing(tables: SimpleNamespace) -> dict[str, str]:
    """The sections that have nothing to show, and why."""
    reasons = {}
    if not tables.weekdays:
        reasons |= {"happened": "There is no line to show.", "do": "There is no line to show."}
    if not any(row.customers.value for row in tables.segments):
        reasons["who"] = "No line names a customer."
    if not tables.totals[0].buyers.value:
        reasons["will"] = "No known customer has bought yet."
    return reasons


def is_thin(tables: SimpleNamespace) -> bool:
    """Whether there is something to show, but too little to rely on."""
    first_day, today = tables.totals[0].first_order_on.value, tables.as_of[0].as_of_date.value
    if first_day is None:
        return bool(tables.weekdays)
    return tables.totals[0].buyers.value < FEWEST_BUYERS or (today - first_day).days < FEWEST_DAYS


def month_is_over(today: date | None) -> bool:
    return today is None or (today + timedelta(1)).day == 1


# --- comparisons ------------------------------------------------------------------------


def days_covered(tables: SimpleNamespace) -> int:
    """Days from the first that the data cover to the as-of date."""
    first_day, today = tables.period[0].first_on.value, tables.as_of[0].as_of_date.value
    return 0 if first_day is None else (today - first_day).days + 1


def headline(metrics: dict[str, SimpleNamespace]) -> list[SimpleNamespace]:
    """The rows of the headline table: of a rate the change is in points."""
    return [
        SimpleNamespace(
            label=label,
            value=metrics[metric].value,
            change=metrics[metric].difference
            if metrics[metric].unit == "rate"
            else metrics[metric].change_rate,
            before=metrics[metric].previous_value,
        )
        for metric, label in HEADLINE.items()
    ]


def has_gaps(rows: list[SimpleNamespace]) -> bool:
    """Whether a number of the headline table is missing, other than for want of a comparison."""
    return any(
        0 < sum(getattr(row, column).value is None for row in rows) < len(rows)
        for column in ("value", "change", "before")
    )


def uncompared(metrics: dict[str, SimpleNamespace], days: int) -> list[str]:
    """The headline metrics that alone have no comparison, because it takes more days than others.

    Who is new, and who has come back, shows only against the time before the window.
    """
    if metrics["net_revenue"].previous_value.value is None or days >= 3 * WINDOW_DAYS:
        return []
    return [
        HEADLINE[metric]
        for metric in ("new_customers", "retention_rate")
        if metrics[metric].previous_value.value is None
    ]


# --- customers --------------------------------------------------------------------------


def segments(tables: SimpleNamespace) -> list[SimpleNamespace]:
    """The segments that have customers, best first, with what they mean and what they gained."""
    playbook = {row.segment: row for row in tables.playbook}
    gains = {row.segment: row.gained for row in tables.gains}
    rows = [
        SimpleNamespace(
            **vars(row), gained=gains.get(row.segment), meaning=playbook[row.segment].meaning
        )
        for row in tables.segments
        if row.customers.value
    ]
    return sorted(rows, key=lambda row: playbook[row.segment].display_order)


# --- purchases --------------------------------------------------------------------------


def busiest(hours: Iterable[SimpleNamespace]) -> SimpleNamespace | None:
    """The hour of the week with the most orders; None where another has as many."""
    *_, second, first = sorted(hours, key=lambda row: row.timed_orders.value)
    return first if first.timed_orders.value > second.timed_orders.value else None


def has_hours(hours: list[SimpleNamespace], timing: SimpleNamespace) -> bool:
    """Whether the times of day are times: of a tenth of the orders or more, in several hours."""
    if len({row.hour for row in hours}) < 2:
        return False
    return 10 * timing.timed_orders.value >= timing.orders.value
