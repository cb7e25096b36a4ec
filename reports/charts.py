"""Draws the charts of the insight site: Altair, rendered to SVG that stands in the page itself.

Each function takes rows of the page, whose numbers have a `value` and a `text` (build_site.py), a
width in pixels and a label for screen readers, and returns one `<svg>`. The drawing has no colour
and no typeface of its own: they are the page's, so that it follows the light or dark scheme.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import altair as alt
import vl_convert

# Vega knows no CSS variables, so these colours stand for them until a chart is rendered.
INK, MUTED, RULE, ACCENT, PAPER = "#000001", "#000002", "#000003", "#000004", "#000005"
STEPS = ["#000011", "#000012", "#000013", "#000014", "#000015"]
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    ACCENT: "accent",
    PAPER: "paper",
    **{step: f"step-{number}" for number, step in enumerate(STEPS, start=1)},
}
# Vega measures text in this typeface; the page shows its own.
FONT = "Liberation Sans"

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

CONFIG = {
    # One label says what a chart shows: the numbers are in the table below it.
    "aria": False,
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "text": {"color": INK, "fontSize": 11},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": False,
        "labelColor": MUTED,
        "labelFontSize": 11,
        "labelPadding": 6,
        "title": None,
    },
}


def svg(chart: alt.TopLevelMixin, width: int, height: int, label: str) -> str:
    """Renders a chart of at most `width` pixels, axes included, named `label` to screen readers."""
    chart = chart.properties(
        width=width, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding")
    )
    chart = chart.configure(**CONFIG)
    drawing = vl_convert.vegalite_to_svg(chart.to_dict())
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, f"var(--{variable})")
    drawing = drawing.replace(f'font-family="{FONT}"', "")
    # What is inside is no picture of its own to a screen reader.
    drawing = re.sub(r' (role|aria-roledescription|aria-hidden)="[^"]*"', "", drawing)
    return re.sub(
        r"<svg [^>]*?(width=\S+ height=\S+ viewBox=\"[^\"]*\")[^>]*>",
        lambda tag: f'<svg role="img" aria-label="{html.escape(label)}" {tag[1]}>',
        drawing,
        count=1,
    )


def step(value: float, thresholds: Sequence[float]) -> str:
    """The colour of a value: the first step below the lowest threshold, then one more for each."""
    return STEPS[sum(value >= threshold for threshold in thresholds)]


def even_steps(values: Iterable[float]) -> list[float]:
    """Thresholds that cut 0 to the greatest value into as many equal parts as there are steps."""
    greatest = max(values, default=0)
    return [greatest * number / len(STEPS) for number in range(1, len(STEPS))]


def rank_steps(values: Iterable[float]) -> list[float]:
    """Thresholds with as many of the values in each step, as far as they differ."""
    ranked = sorted(values)
    return [ranked[len(ranked) * number // len(STEPS)] for number in range(1, len(STEPS))]


def contrast(colour: str) -> str:
    """The colour that text is readable in on a step."""
    return PAPER if colour == STEPS[-1] else INK


def base(rows: list[dict]) -> alt.Chart:
    """A chart of these rows."""
    return alt.Chart(alt.InlineData(values=rows))


def bars(
    rows: Iterable,
    width: int,
    label: str,
    *,
    name: str | Callable[[object], str],
    size: str,
    text: Callable[[object], str] | None = None,
    longest_name: float = 0.45,
) -> str:
    """Horizontal bars, in the order of the rows, with their number or `text` at the end.

    A name may take the share `longest_name` of the width.
    """
    data = [
        {
            "name": name(row) if callable(name) else getattr(row, name),
            "size": max(float(getattr(row, size).value or 0), 0),
            "text": text(row) if text else getattr(row, size).text,
        }
        for row in rows
    ]
    longest = max((row["size"] for row in data), default=0) or 1
    # Room at the end for the text of the longest bar: some six pixels a character.
    room = 6.2 * max(len(row["text"]) for row in data) + 8
    names = min(6.4 * max(len(row["name"]) for row in data) + 8, width * longest_name)
    domain = longest * (width - names) / max(width - names - room, 60)
    chart = base(data).encode(
        y=alt.Y(
            "name:N", sort=None, axis=alt.Axis(labelColor=INK, labelLimit=width * longest_name)
        ),
        x=alt.X("size:Q", axis=None, scale=alt.Scale(domain=[0, domain])),
    )
    marks = chart.mark_bar(height=12, color=ACCENT)
    texts = chart.mark_text(align="left", dx=5, color=MUTED).encode(text="text:N")
    return svg(marks + texts, width, 22 * len(data) + 4, label)


def shares(rows: Iterable, width: int, label: str) -> str:
    """A line per segment from its share of the customers (ring) to that of the revenue (dot)."""
    data = [
        {
            "segment": row.segment,
            "customers": row.customer_share.value,
            "revenue": row.revenue_share.value,
        }
        for row in rows
        if row.revenue_share.value is not None
    ]
    y = alt.Y("segment:N", sort=None, axis=alt.Axis(labelColor=INK, labelPadding=12))
    axis = alt.Axis(format=".0%", grid=True, gridColor=RULE, tickCount=4)
    chart = base(data).encode(y=y, x=alt.X("customers:Q", axis=axis))
    lines = chart.mark_rule(color=MUTED).encode(x2="revenue:Q")
    rings = chart.mark_point(color=MUTED, fill=PAPER, size=50, opacity=1)
    dots = (
        base(data)
        .mark_circle(color=ACCENT, size=60, opacity=1)
        .encode(y=y, x=alt.X("revenue:Q", axis=axis))
    )
    return svg(lines + rings + dots, width, 20 * len(data) + 24, label)


# What a persona is compared with the others in, and how the profile calls it.
PROFILE = {
    "average_orders": "Orders",
    "average_order_value": "Order value",
    "average_units_per_order": "Units per order",
    "average_recency_days": "Days since last",
    "weekend_order_share": "On weekends",
    "holiday_season_order_share": "Nov and Dec",
}


def profile(persona: object, personas: Iterable, width: int, label: str) -> str:
    """Where a persona stands (dot) between the lowest and the highest of all (ticks)."""
    data = []
    for column, name in PROFILE.items():
        values = [float(getattr(row, column).value) for row in personas]
        lowest, reach = min(values), (max(values) - min(values)) or 1
        number = getattr(persona, column)
        data.append(
            {
                "name": name,
                "place": (float(number.value) - lowest) / reach,
                "others": [(value - lowest) / reach for value in values],
                "text": number.text,
            }
        )
    y = alt.Y("name:N", sort=None, axis=alt.Axis(labelColor=INK, labelPadding=12))
    # Room on the right for the number.
    x = alt.X("place:Q", axis=None, scale=alt.Scale(domain=[0, 1.25]))
    chart = base(data).encode(y=y)
    others = (
        chart.transform_flatten(["others"], as_=["other"])
        .mark_tick(color=MUTED, thickness=1, height=7, opacity=1)
        .encode(x=alt.X("other:Q", axis=None, scale=alt.Scale(domain=[0, 1.25])))
    )
    lines = chart.mark_rule(color=RULE).encode(x=alt.datum(0), x2=alt.datum(1))
    dots = chart.mark_circle(color=ACCENT, size=80, opacity=1).encode(x=x)
    texts = chart.mark_text(align="right", color=MUTED).encode(x=alt.datum(1.25), text="text:N")
    return svg(lines + others + dots + texts, width, 19 * len(data) + 4, label)


def monthly_revenue(rows: Iterable, width: int, height: int, label: str) -> str:
    """Stacked columns per month: returning customers, darkest, then new ones, then guests."""
    parts = {
        "Returning customers": ("returning_customer_revenue", STEPS[4]),
        "New customers": ("new_customer_revenue", STEPS[2]),
        "Guests": ("guest_revenue", STEPS[0]),
    }
    rows = list(rows)
    parts = {
        part: (column, colour)
        for part, (column, colour) in parts.items()
        if any(getattr(row, column).value for row in rows)
    }
    data = [
        {
            "month": row.month.isoformat(),
            "part": part,
            "order": order,
            "revenue": float(getattr(row, column).value),
        }
        for row in rows
        for order, (part, (column, _)) in enumerate(parts.items())
    ]
    ticks = [row.month.isoformat() for row in rows if row.month.month in (1, 7)] or [
        rows[0].month.isoformat()
    ]
    chart = base(data).encode(
        x=alt.X(
            "month:O",
            axis=alt.Axis(
                values=ticks,
                labelAngle=0,
                labelOverlap=True,
                labelExpr="timeFormat(datetime(datum.value + 'T00:00'), '%b %Y')",
            ),
        ),
        y=alt.Y(
            "revenue:Q",
            scale=alt.Scale(nice=False),
            axis=alt.Axis(
                grid=True, gridColor=RULE, tickCount=4, labelExpr="format(datum.value, '~s')"
            ),
        ),
        color=alt.Color(
            "part:N",
            legend=None,
            scale=alt.Scale(domain=list(parts), range=[colour for _, colour in parts.values()]),
        ),
        order="order:Q",
    )
    return svg(chart.mark_bar(), width, height, label)


def score_map(rows: Iterable, segments: dict[tuple[int, int], str], width: int, label: str) -> str:
    """Recency by frequency score: colour by revenue per customer, the customers as text.

    `segments` names the segment of each (recency score, frequency score); lines part the segments.
    """
    cells = {(row.r_score, row.f_score): row for row in rows}
    thresholds = rank_steps(float(row.average_revenue.value) for row in cells.values())
    data, edges = [], []
    places: dict[str, list[tuple[int, int]]] = {}
    for (r, f), segment in segments.items():
        row = cells.get((r, f))
        colour = step(float(row.average_revenue.value), thresholds) if row else PAPER
        places.setdefault(segment, []).append((r, f))
        data.append(
            {
                "left": f - 0.5,
                "right": f + 0.5,
                "bottom": r - 0.5,
                "top": r + 0.5,
                "colour": colour,
                "ink": contrast(colour) if row else MUTED,
                "customers": row.customers.text if row else "0",
                "segment": "",
            }
        )
        if segments.get((r, f + 1), segment) != segment:
            edges.append({"x": f + 0.5, "x2": f + 0.5, "y": r - 0.5, "y2": r + 0.5})
        if segments.get((r + 1, f), segment) != segment:
            edges.append({"x": f - 0.5, "x2": f + 0.5, "y": r + 0.5, "y2": r + 0.5})
    # A segment's name stands in its upper left cell, of those that are not empty.
    by_place = {(row["left"] + 0.5, row["bottom"] + 0.5): row for row in data}
    for segment, own in places.items():
        r, f = max(own, key=lambda place: (place in cells, place[0], -place[1]))
        by_place[f, r]["segment"] = [segment] if width > 500 else segment.split(" ")
    axis = {"values": [1, 2, 3, 4, 5], "format": "d", "titleColor": MUTED, "titleFontWeight": 400}
    scale = alt.Scale(domain=[0.5, 5.5], nice=False)
    position = {
        "x": alt.X(
            "left:Q",
            scale=scale,
            axis=alt.Axis(**axis, title="Frequency score: 5 bought most often"),
        ),
        "y": alt.Y(
            "bottom:Q", scale=scale, axis=alt.Axis(**axis, title="Recency score: 5 bought last")
        ),
    }
    chart = base(data)
    tiles = chart.mark_rect(stroke=RULE, strokeWidth=0.5).encode(
        **position, x2="right:Q", y2="top:Q", color=alt.Color("colour:N", scale=None)
    )
    lines = (
        base(edges)
        .mark_rule(color=PAPER, strokeWidth=4)
        .encode(x=alt.X("x:Q", scale=scale), x2="x2:Q", y=alt.Y("y:Q", scale=scale), y2="y2:Q")
    )
    corner = chart.encode(
        x=alt.X("left:Q", scale=scale),
        y=alt.Y("top:Q", scale=scale),
        color=alt.Color("ink:N", scale=None),
    )
    names = corner.mark_text(
        align="left", baseline="top", dx=6, dy=7, fontWeight=600, fontSize=9 if width < 500 else 12
    ).encode(text="segment:N")
    counts = chart.mark_text(align="right", baseline="bottom", dx=-6, dy=-6, fontSize=11).encode(
        x=alt.X("right:Q", scale=scale),
        y=alt.Y("bottom:Q", scale=scale),
        color=alt.Color("ink:N", scale=None),
        text="customers:N",
    )
    return svg(tiles + lines + names + counts, width, 540 if width > 500 else 440, label)


def weekday_hour(rows: Iterable, width: int, label: str) -> str:
    """Heat map of orders: a row per weekday, a column per hour."""
    orders = {(row.weekday, row.hour): row.timed_orders.value for row in rows}
    thresholds = even_steps(orders.values())
    data = [
        {
            "weekday": WEEKDAYS[weekday - 1],
            "hour": hour,
            "colour": step(orders.get((weekday, hour), 0), thresholds),
        }
        for weekday in range(1, 8)
        for hour in range(24)
    ]
    chart = (
        base(data)
        .mark_rect(stroke=PAPER, strokeWidth=1)
        .encode(
            x=alt.X(
                "hour:O",
                axis=alt.Axis(
                    values=[0, 3, 6, 9, 12, 15, 18, 21],
                    labelAngle=0,
                    labelExpr="format(datum.value, '02') + ':00'" if width > 500 else "datum.value",
                ),
            ),
            y=alt.Y("weekday:O", sort=WEEKDAYS, axis=alt.Axis(labelColor=INK)),
            color=alt.Color("colour:N", scale=None),
        )
    )
    return svg(chart, width, 200, label)


def columns(
    rows: Iterable,
    width: int,
    label: str,
    *,
    name: str | Callable[[object], str],
    size: str,
    title: str | None = None,
) -> str:
    """Columns in the order of the rows, with their numbers on top."""
    data = [
        {
            "name": str(name(row) if callable(name) else getattr(row, name)),
            "size": float(getattr(row, size).value or 0),
            "text": getattr(row, size).text,
        }
        for row in rows
    ]
    chart = base(data).encode(
        x=alt.X(
            "name:N",
            sort=None,
            axis=alt.Axis(labelAngle=0, title=title, titleColor=MUTED, titleFontWeight=400),
            scale=alt.Scale(paddingInner=0.25),
        ),
        y=alt.Y("size:Q", axis=None),
    )
    texts = chart.mark_text(baseline="bottom", dy=-3, fontSize=10).encode(text="text:N")
    return svg(chart.mark_bar(color=ACCENT) + texts, width, 170, label)


def cohorts(rows: Iterable, width: int, label: str) -> str:
    """Triangle of retention: a row per month of the first purchase, a column per month since."""
    rows = [row for row in rows if row.months_since > 0]
    thresholds = even_steps(row.retention_rate.value for row in rows)
    data = []
    for row in rows:
        colour = step(row.retention_rate.value, thresholds)
        data.append(
            {
                "cohort": row.cohort_month.isoformat(),
                "since": row.months_since,
                "colour": colour,
                "ink": contrast(colour),
                "text": f"{100 * row.retention_rate.value:.0f}",
            }
        )
    months = sorted({row["since"] for row in data})
    few = [month for month in months if month % 3 == 0] or months
    chart = base(data).encode(
        x=alt.X(
            "since:O",
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                values=months if width > 500 else few,
                title="Months since the first purchase",
                titleColor=MUTED,
                titleFontWeight=400,
            ),
        ),
        y=alt.Y(
            "cohort:O",
            axis=alt.Axis(
                labelColor=INK,
                labelExpr="timeFormat(datetime(datum.value + 'T00:00'), '%b %Y')",
            ),
        ),
    )
    tiles = chart.mark_rect(stroke=PAPER, strokeWidth=1).encode(
        color=alt.Color("colour:N", scale=None)
    )
    height = 24 * len({row["cohort"] for row in data}) + 44
    if width < 500:
        return svg(tiles, width, height, label)
    texts = chart.mark_text(fontSize=10).encode(text="text:N", color=alt.Color("ink:N", scale=None))
    return svg(tiles + texts, width, height, label)


def concentration(rows: Iterable, width: int, label: str) -> str:
    """Share of revenue by share of customers, the best first, against equal shares."""
    data = [{"customers": 0.0, "revenue": 0.0, "text": ""}]
    for row in rows:
        share = row.cumulative_share
        data.append(
            {
                "customers": row.decile / 10,
                "revenue": share.value,
                "text": share.text if row.decile in (1, 2, 5) else "",
            }
        )
    x = alt.X(
        "customers:Q",
        axis=alt.Axis(
            format=".0%",
            values=[0, 0.2, 0.4, 0.6, 0.8, 1],
            title="Share of customers, best first",
            titleColor=MUTED,
            titleFontWeight=400,
        ),
    )
    y = alt.Y(
        "revenue:Q",
        axis=alt.Axis(format=".0%", grid=True, gridColor=RULE, values=[0, 0.25, 0.5, 0.75, 1]),
    )
    chart = base(data).encode(x=x, y=y)
    equal = (
        base([{"customers": 0, "revenue": 0}, {"customers": 1, "revenue": 1}])
        .mark_line(color=MUTED, strokeDash=[3, 3], strokeWidth=1)
        .encode(x=x, y=y)
    )
    curve = chart.mark_line(color=ACCENT, strokeWidth=2, point={"color": ACCENT, "size": 28})
    texts = chart.mark_text(align="left", baseline="top", dx=7, dy=3).encode(text="text:N")
    return svg(equal + curve + texts, width, 200, label)


def forecast(rows: Iterable, width: int, label: str, *, title: str) -> str:
    """What came as columns, what was forecast as a tick across each, by the number of an audience.

    Audiences are called `week 01` or `tenth 01 by expected orders`.
    """
    data = [
        {
            "name": int(row.audience.split()[1]),
            "forecast": row.forecast.value,
            "came": row.came.value,
        }
        for row in rows
    ]
    chart = base(data).encode(
        x=alt.X(
            "name:N",
            sort=None,
            axis=alt.Axis(labelAngle=0, title=title, titleColor=MUTED, titleFontWeight=400),
        )
    )
    y = alt.Axis(grid=True, gridColor=RULE, tickCount=4)
    came = chart.mark_bar(color=STEPS[1]).encode(y=alt.Y("came:Q", axis=y))
    foretold = chart.mark_tick(color=ACCENT, thickness=3, opacity=1).encode(
        y=alt.Y("forecast:Q", axis=y)
    )
    return svg(came + foretold, width, 190, label)


# --- charts that differ only in what they show --------------------------------------------

moves = partial(
    bars,
    name=lambda row: f"{row.from_segment} → {row.to_segment}",
    size="customers",
    longest_name=0.65,
)
day_types = partial(bars, name="day_type", size="orders_per_day")
categories = partial(
    bars,
    name="product_category",
    size="net_revenue",
    text=lambda row: " · ".join(
        number.text for number in (row.net_revenue, row.revenue_share) if number.value is not None
    ),
)
payment_methods = partial(
    bars, name=lambda row: row.payment_method.replace("_", " "), size="order_share"
)
pairs = partial(bars, name=lambda row: f"{row.antecedent} + {row.consequent}", size="lift")
risks = partial(bars, name="churn_risk", size="customers")
returned = partial(bars, name="audience", size="repurchase_rate")

weekdays = partial(columns, name=lambda row: WEEKDAYS[row.weekday - 1], size="orders")
repeats = partial(columns, name="order_number", size="continued_share", title="Orders so far")

weeks = partial(forecast, title="Week")
tenths = partial(forecast, title="Tenth of the customers by expected purchases")
