"""The charts of the section "What will happen"."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial

import altair as alt

from reports.charts.bars import bars
from reports.charts.happened import amounts, month_axis, revenue_columns
from reports.charts.theme import ACCENT, BROAD, INK, MUTED, PAPER, STEPS, Drawing, base, svg
from reports.claims import month_is_over
from reports.query import Row

risks = partial(bars, name=lambda row: row.churn_risk, size="customers")
returned = partial(bars, name=lambda row: row.audience, size="repurchase_rate")

# The intervals of a forecast by the percentage that they should cover, the widest first.
BANDS = {"revenue": {80: STEPS[1], 50: STEPS[3]}, "orders": {80: STEPS[1]}}
# What a backtest shows of the model, and the shapes of the simple forecasts.
OF_MODEL = ("actual", "forecast", "low_80", "high_80")
SHAPES = {"last_days_again": "circle", "same_days_last_year": "diamond"}


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


def months_ahead(
    before: Sequence[Row], ahead: Sequence[Row], width: int, height: int, label: str
) -> str:
    """Draws the actual months as columns, then a forecast for each month with its intervals.

    Without a forecast of revenue, columns and forecast show orders. If the first month has begun,
    its forecast is drawn on top of what the month brought so far. The last month is left out if it
    is incomplete.
    """
    if not month_is_over(ahead[-1].ends_on.value):
        ahead = ahead[:-1]
    if width <= BROAD:
        before = before[-12:]
    quantity = "orders" if ahead[0].revenue.value is None else "revenue"
    actual = "orders" if quantity == "orders" else "net_revenue"
    so_far = {row.month: getattr(row, actual).amount for row in before}
    months = month_axis(sorted({*so_far, *map(month_of, ahead)}))
    if quantity == "orders":
        orders = [{"month": month.isoformat(), "amount": each} for month, each in so_far.items()]
        columns = base(orders).mark_bar(color=STEPS[2]).encode(x=months, y=amounts("amount:Q"))
    else:
        columns = revenue_columns(before, months)
    chart = base([on_top(so_far, row, quantity) for row in ahead]).encode(x=months)
    bands = [
        chart.mark_bar(color=color).encode(y=amounts(f"low_{share}:Q"), y2=f"high_{share}:Q")
        for share, color in BANDS[quantity].items()
    ]
    ticks = chart.mark_tick(color=INK, thickness=2, opacity=1).encode(y=amounts("forecast:Q"))
    title = base([{"month": month_of(ahead[0]).isoformat()}]).mark_text(
        align="left", color=MUTED, text="Forecast"
    )
    drawing: Drawing = columns + title.encode(x=months, y=alt.value(-8))
    for layer in (*bands, ticks):
        drawing += layer
    return svg(drawing, width, height, label)


def month_of(period: Row) -> date:
    """Returns the first day of the month that a period lies in."""
    return period.starts_on.replace(day=1)


def on_top(so_far: Mapping[date, float], row: Row, quantity: str) -> dict[str, object]:
    """Returns the forecast of a month with its intervals, on top of what it brought so far."""
    month = month_of(row)
    columns = {"forecast": quantity} | {
        f"{end}_{share}": f"{quantity}_{end}_{share}"
        for share in BANDS[quantity]
        for end in ("low", "high")
    }
    return {"month": month.isoformat()} | {
        name: so_far.get(month, 0) + getattr(row, column).amount for name, column in columns.items()
    }


def backtests(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws for each origin the actual orders as a column and the forecast as a tick.

    The interval of the forecast is a line. A ring is the simple forecast that repeats the days
    before the origin; a diamond is the one that repeats the same days a year earlier.
    """
    data = []
    for row in rows:
        numbers = {name: getattr(row, name) for name in (*OF_MODEL, *SHAPES)}
        known = {
            name: each.amount for name, each in numbers.items() if each and each.value is not None
        }
        data.append({"origin": row.origin_on.isoformat()} | known)
    day = "datetime(datum.value + 'T00:00')"
    labels = f"[timeFormat({day}, '%b'), timeFormat({day}, '%Y')]"
    origins = alt.Axis(labelAngle=0, labelExpr=labels, title="Start of the holdout")
    chart = base(data).encode(x=alt.X("origin:O", axis=origins))
    actual = chart.mark_bar(color=STEPS[1]).encode(y=amounts("actual:Q"))
    intervals = chart.mark_rule(color=ACCENT, strokeWidth=2).encode(
        y=amounts("low_80:Q"), y2="high_80:Q"
    )
    ticks = chart.mark_tick(color=ACCENT, thickness=3, opacity=1).encode(y=amounts("forecast:Q"))
    rings, diamonds = (
        chart.mark_point(color=MUTED, fill=PAPER, shape=shape, size=45, opacity=1).encode(
            y=amounts(f"{name}:Q")
        )
        for name, shape in SHAPES.items()
    )
    return svg(actual + rings + diamonds + intervals + ticks, width, 220, label)


def seasons(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws the index of each month as a column from 1, the average month."""
    data = [
        {
            "month": row.month,
            "index": row.index.amount,
            "color": ACCENT if row.index.amount >= 1 else STEPS[2],
        }
        for row in rows
    ]
    names = alt.Axis(labelAngle=0, labelExpr="timeFormat(datetime(2000, datum.value - 1), '%b')")
    chart = base(data).encode(x=alt.X("month:O", axis=names))
    index = alt.Y("index:Q", axis=alt.Axis(grid=True, tickCount=4))
    columns = chart.mark_bar().encode(
        y=index, y2=alt.datum(1), color=alt.Color("color:N", scale=None)
    )
    average = base([{"index": 1}]).mark_rule(color=MUTED).encode(y=index)
    return svg(columns + average, width, 190, label)
