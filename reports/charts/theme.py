"""The look of the charts of the insight site, and how a chart becomes SVG within the page.

A drawing has no color and no typeface of its own. It takes those of the page, and so follows its
light or dark scheme.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import vl_convert
from altair.utils import schemapi

# In this mode, Altair checks each part of a chart against its schema, which takes a third of the
# time of a page. A test does that instead.
schemapi.disable_debug_mode()

# Vega knows no CSS variables, so these colors stand for them until a chart is rendered.
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
# A chart that is narrower is for phones, and has less text.
BROAD = 500

CONFIG = {
    # The label of the drawing names what it shows; the numbers are in the table below it.
    "aria": False,
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "text": {"color": INK, "fontSize": 11},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": False,
        "gridColor": RULE,
        "labelColor": MUTED,
        "labelFontSize": 11,
        "labelPadding": 6,
        "title": None,
        "titleColor": MUTED,
        "titleFontWeight": 400,
    },
}
# Shows the day `2026-03-01` as its month.
MONTH = "timeFormat(datetime(datum.value + 'T00:00'), '%b %Y')"

# A chart's rows, and the parts it is layered from.
Data = list[dict[str, object]]
Drawing = alt.Chart | alt.LayerChart


def base(rows: Sequence[Mapping[str, object]]) -> alt.Chart:
    """Starts a chart of these rows."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def svg(chart: Drawing, width: int, height: int, label: str) -> str:
    """Renders a chart of `width` by `height` pixels; `label` describes it to screen readers."""
    chart = chart.properties(
        width=width, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding")
    )
    parts = chart.to_dict(validate=schemapi.DEBUG_MODE)
    drawing = vl_convert.vegalite_to_svg(parts | {"config": CONFIG})
    for color, variable in VARIABLES.items():
        drawing = drawing.replace(f'="{color}"', f'="var(--{variable})"')
    drawing = drawing.replace(f'font-family="{FONT}"', "")
    # A screen reader must not announce the parts of a drawing as separate pictures.
    drawing = re.sub(r' (role|aria-roledescription|aria-hidden)="[^"]*"', "", drawing)
    return re.sub(
        r"<svg [^>]*?(width=\S+ height=\S+ viewBox=\"[^\"]*\")[^>]*>",
        lambda tag: f'<svg role="img" aria-label="{html.escape(label)}" {tag[1]}>',
        drawing,
        count=1,
    )


def step(value: float, thresholds: Sequence[float]) -> str:
    """Returns the color of a value: the first step, and one further for each threshold reached."""
    return STEPS[sum(value >= threshold for threshold in thresholds)]


def even_steps(values: Iterable[float]) -> list[float]:
    """Returns thresholds that cut 0 to the greatest value into as many equal parts as steps."""
    # If all values are 0, none reaches a threshold.
    greatest = max(values, default=0) or 1
    return [greatest * number / len(STEPS) for number in range(1, len(STEPS))]


def rank_steps(values: Iterable[float]) -> list[float]:
    """Returns thresholds that put equally many values into each step, unless values are equal."""
    ranked = sorted(values)
    return [ranked[len(ranked) * number // len(STEPS)] for number in range(1, len(STEPS))]


def contrast(color: str) -> str:
    """Returns a text color that is readable on a step."""
    return PAPER if color == STEPS[-1] else INK
