"""The charts of the section "Who the customers are"."""

from collections.abc import Iterable, Sequence
from functools import partial

import altair as alt

from reports.charts.bars import bars
from reports.charts.theme import (
    ACCENT,
    BROAD,
    INK,
    MUTED,
    PAPER,
    RULE,
    Data,
    base,
    contrast,
    rank_steps,
    step,
    svg,
)
from reports.query import Row

# The measures that compare the personas, and their names.
PROFILE = {
    "average_orders": "Orders",
    "average_order_value": "Order value",
    "average_units_per_order": "Units per order",
    "average_recency_days": "Days since last",
    "weekend_order_share": "On weekends",
    "holiday_season_order_share": "Nov and Dec",
}
# Both axes of a score map: a cell reaches half a score to each side.
SCORES = alt.Scale(domain=[0.5, 5.5], nice=False)
# The axis of a profile: 0 is the lowest of all personas, 1 the highest. The number itself is
# written to the right of 1.
PLACES = alt.Scale(domain=[0, 1.25])

moves = partial(
    bars,
    name=lambda row: f"{row.from_segment} → {row.to_segment}",
    size="customers",
    longest_name=0.65,
)


def shares(rows: Iterable[Row], width: int, label: str) -> str:
    """Draws a line per segment from its share of customers (ring) to its share of revenue (dot)."""
    data = [
        {
            "segment": row.segment,
            "customers": row.customer_share.amount,
            "revenue": row.revenue_share.amount,
        }
        for row in rows
    ]
    axis = alt.Axis(format=".0%", grid=True, tickCount=4)
    names = alt.Axis(labelColor=INK, labelPadding=12)
    chart = base(data).encode(y=alt.Y("segment:N", sort=None, axis=names))
    customers = chart.encode(x=alt.X("customers:Q", axis=axis))
    lines = customers.mark_rule(color=MUTED).encode(x2="revenue:Q")
    rings = customers.mark_point(color=MUTED, fill=PAPER, size=50, opacity=1)
    dots = chart.mark_circle(color=ACCENT, size=60, opacity=1).encode(
        x=alt.X("revenue:Q", axis=axis)
    )
    return svg(lines + rings + dots, width, 20 * len(data) + 24, label)


def profile(persona: Row, personas: Iterable[Row], width: int, label: str) -> str:
    """Draws a line per measure, with a dot for this persona and a tick for each persona."""
    personas = list(personas)
    data = []
    for column, name in PROFILE.items():
        values = [getattr(row, column).amount for row in personas]
        lowest, reach = min(values), (max(values) - min(values)) or 1
        number = getattr(persona, column)
        data.append(
            {
                "name": name,
                "place": (number.amount - lowest) / reach,
                "others": [(value - lowest) / reach for value in values],
                "text": number.text,
            }
        )
    names = alt.Axis(labelColor=INK, labelPadding=12)
    chart = base(data).encode(y=alt.Y("name:N", sort=None, axis=names))
    others = (
        chart.transform_flatten(["others"], as_=["other"])
        .mark_tick(color=MUTED, thickness=1, height=7, opacity=1)
        .encode(x=alt.X("other:Q", axis=None, scale=PLACES))
    )
    lines = chart.mark_rule(color=RULE).encode(x=alt.datum(0), x2=alt.datum(1))
    dots = chart.mark_circle(color=ACCENT, size=80, opacity=1).encode(
        x=alt.X("place:Q", axis=None, scale=PLACES)
    )
    texts = chart.mark_text(align="right", color=MUTED).encode(x=alt.datum(1.25), text="text:N")
    return svg(lines + others + dots + texts, width, 19 * len(data) + 4, label)


def score_map(rows: Sequence[Row], width: int, label: str) -> str:
    """Draws recency by frequency score: color by revenue per customer, customers as text.

    `rows` are all cells, with their segment; lines separate the segments.
    """
    is_broad = width > BROAD
    data = tiles(rows)
    for index, name in segment_names(rows).items():
        data[index]["segment"] = [name] if is_broad else name.split(" ")
    chart = base(data)
    axis = partial(alt.Axis, values=[1, 2, 3, 4, 5], format="d")
    at = {
        "x": alt.X("left:Q", scale=SCORES, axis=axis(title="Frequency score: 5 bought most often")),
        "y": alt.Y(
            "bottom:Q", scale=SCORES, axis=axis(title="Recency score: 5 bought most recently")
        ),
    }
    areas = chart.mark_rect(stroke=RULE, strokeWidth=0.5).encode(
        **at, x2="right:Q", y2="top:Q", color=alt.Color("color:N", scale=None)
    )
    lines = base(edges(rows)).mark_rule(color=PAPER, strokeWidth=4)
    lines = lines.encode(
        x=alt.X("x:Q", scale=SCORES), x2="x2:Q", y=alt.Y("y:Q", scale=SCORES), y2="y2:Q"
    )
    ink = chart.encode(color=alt.Color("ink:N", scale=None))
    names = ink.mark_text(
        align="left", baseline="top", dx=6, dy=7, fontWeight=600, fontSize=12 if is_broad else 9
    ).encode(x=alt.X("left:Q", scale=SCORES), y=alt.Y("top:Q", scale=SCORES), text="segment:N")
    counts = ink.mark_text(align="right", baseline="bottom", dx=-6, dy=-6, fontSize=11).encode(
        x=alt.X("right:Q", scale=SCORES), y=alt.Y("bottom:Q", scale=SCORES), text="customers:N"
    )
    return svg(areas + lines + names + counts, width, 540 if is_broad else 440, label)


def tiles(rows: Sequence[Row]) -> Data:
    """Returns the area, the colors and the texts of each cell of a score map."""
    thresholds = rank_steps(row.average_revenue.amount for row in rows if row.customers.value)
    data: Data = []
    for row in rows:
        is_empty = not row.customers.value
        color = PAPER if is_empty else step(row.average_revenue.amount, thresholds)
        data.append(
            {
                "left": row.f_score - 0.5,
                "right": row.f_score + 0.5,
                "bottom": row.r_score - 0.5,
                "top": row.r_score + 0.5,
                "color": color,
                "ink": MUTED if is_empty else contrast(color),
                "customers": row.customers.text,
                "segment": "",
            }
        )
    return data


def edges(rows: Sequence[Row]) -> Data:
    """Returns the lines between cells of different segments."""
    segments = {(row.r_score, row.f_score): row.segment for row in rows}
    lines: Data = []
    for (r, f), segment in segments.items():
        if segments.get((r, f + 1), segment) != segment:
            lines.append({"x": f + 0.5, "x2": f + 0.5, "y": r - 0.5, "y2": r + 0.5})
        if segments.get((r + 1, f), segment) != segment:
            lines.append({"x": f - 0.5, "x2": f + 0.5, "y": r + 0.5, "y2": r + 0.5})
    return lines


def segment_names(rows: Sequence[Row]) -> dict[int, str]:
    """Returns index of a cell -> name of its segment, with one cell per segment.

    It is the leftmost one in the highest row that has customers of the segment.
    """

    def place(index: int) -> tuple[bool, int, int]:
        row = rows[index]
        return bool(row.customers.value), row.r_score, -row.f_score

    cells: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        cells.setdefault(row.segment, []).append(index)
    return {max(own, key=place): segment for segment, own in cells.items()}
