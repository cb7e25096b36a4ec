"""The chart of the section "What happened"."""

from collections.abc import Sequence
from datetime import date

import altair as alt

from reports.charts.theme import MONTH, STEPS, base, svg
from reports.query import Row

# Parts of the revenue from the bottom up: column of the rows, name and color.
PARTS = (
    ("returning_customer_revenue", "Returning customers", STEPS[4]),
    ("new_customer_revenue", "New customers", STEPS[2]),
    ("guest_revenue", "Guests", STEPS[0]),
)


def monthly_revenue(rows: Sequence[Row], width: int, height: int, label: str) -> str:
    """Draws stacked columns per month: returning customers, darkest, then new ones, then guests."""
    return svg(revenue_columns(rows, month_axis([row.month for row in rows])), width, height, label)


def revenue_columns(rows: Sequence[Row], months: alt.X) -> alt.Chart:
    """Draws the stacked columns on an axis of months."""
    parts = [part for part in PARTS if any(getattr(row, part[0]).value for row in rows)]
    data = [
        {
            "month": row.month.isoformat(),
            "part": name,
            "order": order,
            "amount": getattr(row, column).amount,
        }
        for row in rows
        for order, (column, name, _) in enumerate(parts)
    ]
    colors = alt.Scale(domain=[name for _, name, _ in parts], range=[color for *_, color in parts])
    return (
        base(data)
        .mark_bar()
        .encode(
            x=months,
            y=amounts("amount:Q"),
            color=alt.Color("part:N", legend=None, scale=colors),
            order="order:Q",
        )
    )


def month_axis(months: Sequence[date]) -> alt.X:
    """Returns an axis of months, with a label for each half of a year."""
    half_years = [month.isoformat() for month in months if month.month in (1, 7)]
    return alt.X(
        "month:O",
        scale=alt.Scale(domain=[month.isoformat() for month in months]),
        axis=alt.Axis(
            values=half_years or [months[0].isoformat()],
            labelAngle=0,
            labelOverlap=True,
            labelExpr=MONTH,
        ),
    )


# As in 1.5M or 2B. The format `~s` writes 2G, and half a unit as 500m.
AMOUNT = "replace(format(datum.value, abs(datum.value) < 1 ? '~g' : '~s'), 'G', 'B')"


def amounts(field: str) -> alt.Y:
    """Returns an axis of large amounts, such as 200k."""
    return alt.Y(
        field, scale=alt.Scale(nice=False), axis=alt.Axis(grid=True, tickCount=4, labelExpr=AMOUNT)
    )
