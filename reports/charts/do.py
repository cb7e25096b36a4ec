"""The charts of the section "What they do"."""

from collections.abc import Iterable
from functools import partial

import altair as alt

from reports.charts.bars import bars, columns
from reports.charts.theme import (
    ACCENT,
    BROAD,
    INK,
    MONTH,
    MUTED,
    PAPER,
    Data,
    Drawing,
    base,
    contrast,
    even_steps,
    step,
    svg,
)
from reports.numbers import half_up
from reports.query import Row

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

day_types = partial(bars, name=lambda row: row.day_type, size="orders_per_day")
categories = partial(
    bars,
    name=lambda row: row.product_category,
    size="net_revenue",
    text=lambda row: " · ".join(
        number.text for number in (row.net_revenue, row.revenue_share) if number.value is not None
    ),
)
payment_methods = partial(
    bars, name=lambda row: row.payment_method.replace("_", " "), size="order_share"
)
pairs = partial(bars, name=lambda row: f"{row.antecedent} + {row.consequent}", size="lift")
weekdays = partial(columns, name=lambda row: WEEKDAYS[row.weekday - 1], size="orders")
repeats = partial(
    columns, name=lambda row: str(row.order_number), size="continued_share", title="Orders so far"
)


def weekday_hour(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws a heat map of orders: a row per weekday, a column per hour."""
    orders = {(row.weekday, row.hour): row.timed_orders.amount for row in rows}
    thresholds = even_steps(orders.values())
    data = [
        {"weekday": name, "hour": hour, "color": step(orders.get((weekday, hour), 0), thresholds)}
        for weekday, name in enumerate(WEEKDAYS, start=1)
        for hour in range(24)
    ]
    hours = alt.Axis(
        values=list(range(0, 24, 3)),
        labelAngle=0,
        labelExpr="format(datum.value, '02') + ':00'" if width > BROAD else "datum.value",
    )
    chart = base(data).encode(
        x=alt.X("hour:O", axis=hours),
        y=alt.Y("weekday:O", sort=WEEKDAYS, axis=alt.Axis(labelColor=INK)),
        color=alt.Color("color:N", scale=None),
    )
    return svg(chart.mark_rect(stroke=PAPER, strokeWidth=1), width, 200, label)


def cohorts(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws retention: a row per month of the first purchase, a column per month since then."""
    rows = [row for row in rows if row.months_since > 0]
    thresholds = even_steps(row.retention_rate.amount for row in rows)
    colors = [step(row.retention_rate.amount, thresholds) for row in rows]
    data = [
        {
            "cohort": row.cohort_month.isoformat(),
            "since": row.months_since,
            "color": color,
            "ink": contrast(color),
            "text": f"{half_up(100 * row.retention_rate.amount, 0)}",
        }
        for row, color in zip(rows, colors, strict=True)
    ]
    months = sorted({row.months_since for row in rows})
    quarters = [month for month in months if month % 3 == 0] or months
    since = alt.Axis(
        orient="top",
        labelAngle=0,
        values=months if width > BROAD else quarters,
        title="Months since the first purchase",
    )
    chart = base(data).encode(
        x=alt.X("since:O", axis=since),
        y=alt.Y("cohort:O", axis=alt.Axis(labelColor=INK, labelExpr=MONTH)),
    )
    drawing: Drawing = chart.mark_rect(stroke=PAPER, strokeWidth=1).encode(
        color=alt.Color("color:N", scale=None)
    )
    if width > BROAD:
        ink = alt.Color("ink:N", scale=None)
        drawing += chart.mark_text(fontSize=10).encode(text="text:N", color=ink)
    return svg(drawing, width, 24 * len({row.cohort_month for row in rows}) + 44, label)


def concentration(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws the cumulative share of revenue by share of customers; dashed: equal shares."""
    data: Data = [{"customers": 0.0, "revenue": 0.0, "text": ""}]
    for row in rows:
        share = row.cumulative_share
        text = share.text if row.decile in (1, 2, 5) else ""
        data.append({"customers": row.decile / 10, "revenue": share.amount, "text": text})
    across = alt.Axis(
        format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], title="Share of customers, best first"
    )
    up = alt.Axis(format=".0%", grid=True, values=[0, 0.25, 0.5, 0.75, 1])
    x, y = alt.X("customers:Q", axis=across), alt.Y("revenue:Q", axis=up)
    chart = base(data).encode(x=x, y=y)
    diagonal = base([{"customers": 0, "revenue": 0}, {"customers": 1, "revenue": 1}])
    equal = diagonal.mark_line(color=MUTED, strokeDash=[3, 3], strokeWidth=1).encode(x=x, y=y)
    curve = chart.mark_line(color=ACCENT, strokeWidth=2, point={"color": ACCENT, "size": 28})
    texts = chart.mark_text(align="left", baseline="top", dx=7, dy=3).encode(text="text:N")
    return svg(equal + curve + texts, width, 200, label)
