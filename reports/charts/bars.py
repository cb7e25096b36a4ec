"""Bars and columns: one number per row, with its text."""

import json
from collections.abc import Callable, Iterable

import altair as alt

from reports.charts.theme import ACCENT, INK, MUTED, base, svg
from reports.query import Row

# Pixels that a character takes, and the space around a text.
CHARACTER, SPACE = 6.3, 8


def bars(
    rows: Iterable[Row],
    width: int,
    label: str,
    *,
    name: Callable[[Row], str],
    size: str,
    text: Callable[[Row], str] | None = None,
    longest_name: float = 0.45,
) -> str:
    """Draws horizontal bars in the order of the rows, each with its number or `text` at the end.

    `size` is the column of the number. A name takes at most the share `longest_name` of the width.
    """
    data = [
        {
            # A number, because two rows can show the same name: `credit_card` and `credit card`.
            "row": number,
            "name": name(row),
            "size": max(getattr(row, size).amount, 0),
            "text": text(row) if text else getattr(row, size).text,
        }
        for number, row in enumerate(rows)
    ]
    longest = max((row["size"] for row in data), default=0) or 1
    # The longest bar leaves room for its text.
    room = CHARACTER * max(len(row["text"]) for row in data) + SPACE
    names = min(CHARACTER * max(len(row["name"]) for row in data) + SPACE, width * longest_name)
    domain = longest * (width - names) / max(width - names - room, 60)
    labels = f"{json.dumps([row['name'] for row in data])}[datum.value]"
    axis = alt.Axis(labelColor=INK, labelLimit=width * longest_name, labelExpr=labels)
    chart = base(data).encode(
        y=alt.Y("row:O", sort=None, axis=axis),
        x=alt.X("size:Q", axis=None, scale=alt.Scale(domain=[0, domain])),
    )
    marks = chart.mark_bar(height=12, color=ACCENT)
    texts = chart.mark_text(align="left", dx=5, color=MUTED).encode(text="text:N")
    return svg(marks + texts, width, 22 * len(data) + 4, label)


def columns(
    rows: Iterable[Row],
    width: int,
    label: str,
    *,
    name: Callable[[Row], str],
    size: str,
    title: str | None = None,
) -> str:
    """Draws columns in the order of the rows, with their numbers on top."""
    data = [
        {"name": name(row), "size": getattr(row, size).amount, "text": getattr(row, size).text}
        for row in rows
    ]
    chart = base(data).encode(
        x=alt.X(
            "name:N",
            sort=None,
            axis=alt.Axis(labelAngle=0, title=title),
            scale=alt.Scale(paddingInner=0.25),
        ),
        y=alt.Y("size:Q", axis=None),
    )
    texts = chart.mark_text(baseline="bottom", dy=-3, fontSize=10).encode(text="text:N")
    return svg(chart.mark_bar(color=ACCENT) + texts, width, 170, label)
