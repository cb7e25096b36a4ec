"""The charts of the section "What will happen"."""

from collections.abc import Iterable
from functools import partial

import altair as alt

from reports.charts.bars import bars
from reports.charts.theme import ACCENT, STEPS, base, svg
from reports.query import Row

risks = partial(bars, name=lambda row: row.churn_risk, size="customers")
returned = partial(bars, name=lambda row: row.audience, size="repurchase_rate")


def forecast(rows: Iterable[Row], width: int, label: str, *, title: str) -> str:
    """Draws the actual purchases as columns, and the forecast as a tick across each.

    The number in the name of an audience, `week 01` or `tenth 01 by expected orders`, names its
    column.
    """
    data = [
        {
            "name": int(row.audience.split()[1]),
            "forecast": row.forecast.amount,
            "actual": row.actual.amount,
        }
        for row in rows
    ]
    axis = alt.Axis(grid=True, tickCount=4)
    chart = base(data).encode(
        x=alt.X("name:N", sort=None, axis=alt.Axis(labelAngle=0, title=title))
    )
    actual = chart.mark_bar(color=STEPS[1]).encode(y=alt.Y("actual:Q", axis=axis))
    ticks = chart.mark_tick(color=ACCENT, thickness=3, opacity=1).encode(
        y=alt.Y("forecast:Q", axis=axis)
    )
    return svg(actual + ticks, width, 190, label)


weeks = partial(forecast, title="Week")
tenths = partial(forecast, title="Tenth of the customers by expected purchases")
