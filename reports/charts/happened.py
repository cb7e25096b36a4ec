"""The chart of the section "What happened"."""

from collections.abc import Sequence

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
    parts = [part for part in PARTS if any(getattr(row, part[0]).value for row in rows)]
    data = [
        {
            "month": row.month.isoformat(),
            "part": name,
            "order": order,
            "revenue": getattr(row, column).amount,
        }
        for row in rows
        for order, (column, name, _) in enumerate(parts)
    ]
    half_years = [row.month.isoformat() for row in rows if row.month.month in (1, 7)]
    colors = alt.Scale(domain=[name for _, name, _ in parts], range=[color for *_, color in parts])
    chart = base(data).encode(
        x=alt.X(
            "month:O",
            axis=alt.Axis(
                values=half_years or [rows[0].month.isoformat()],
                labelAngle=0,
                labelOverlap=True,
                labelExpr=MONTH,
            ),
        ),
        y=alt.Y(
            "revenue:Q",
            scale=alt.Scale(nice=False),
            axis=alt.Axis(grid=True, tickCount=4, labelExpr="format(datum.value, '~s')"),
        ),
        color=alt.Color("part:N", legend=None, scale=colors),
        order="order:Q",
    )
    return svg(chart.mark_bar(), width, height, label)
