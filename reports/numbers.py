"""The numbers of the insight site: their units, their looks, and the queries behind them."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import yaml
from markupsafe import Markup

from ml.environment import PREFIX
from reports.project import PROJECT

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Unit:
    """What the values of a column are (units.yml), and how the page shows them."""

    meaning: str
    decimals: int | None = None
    percent: bool = False
    suffix: str = ""
    signed: bool = False

    @property
    def is_number(self) -> bool:
        """Returns whether the page shows the values as numbers."""
        return self.decimals is not None

    def text(self, value: int | float | Decimal) -> str:
        """Returns the value for a reader: `1,234`, `12.3%`, `+1.2 points`."""
        shown = half_up(100 * value if self.percent else value, self.decimals or 0)
        # A change that is rounded to 0 has no sign.
        sign = "+" if self.signed and shown else ""
        return f"{shown:{sign}z,}{self.suffix}".replace("-", MINUS)


def half_up(value: int | float | Decimal, decimals: int) -> Decimal:
    """Rounds as format_number does in the sentences of the marts: 0.5 becomes 1."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


UNITS = {
    name: Unit(**values)
    for name, values in yaml.safe_load(Path(__file__).with_name("units.yml").read_text()).items()
}


@dataclass(frozen=True)
class Number:
    """A number or a date of the page, its unit, and the query on `relation` that returns it.

    In a template it is a link to the lineage of its relation; null is a dash.
    """

    value: int | float | Decimal | date | None
    unit: str
    query: str
    relation: str

    @property
    def amount(self) -> float:
        """The value of a number, to compare and to draw; null counts as 0."""
        return 0.0 if self.value is None or isinstance(self.value, date) else float(self.value)

    @property
    def text(self) -> str:
        """The number for a reader: `1,234`, `12.3%`, `30 June 2026`."""
        if self.value is None:
            return DASH
        if isinstance(self.value, date):
            return f"{self.value.day} {self.value:%B %Y}"
        return UNITS[self.unit].text(self.value)

    def __html__(self) -> str:
        if self.value is None:
            return Markup('<span class="none">{}</span>').format(DASH)
        return Markup(
            '<a class="number" href="{}" data-query="{}" data-unit="{}">'
            '<data value="{}">{}</data></a>'
        ).format(lineage(self.relation), self.query, self.unit, self.value, self.text)

    def counted(self, noun: str, one: str = "", more: str = "") -> Markup:
        """The number with its noun, whose plural ends in s, and with a verb if there is one.

        `1 customer`, `1,234 customers`; `1 customer is`, `2 customers are`. The text that a reader
        sees decides: 1.2 days are shown as `1 day`.
        """
        is_one = self.text == "1"
        parts = [noun if is_one else f"{noun}s", one if is_one else more]
        return Markup("{} {}").format(self, " ".join(filter(None, parts)))

    def size(self) -> "Number":
        """The rate without its sign, as in `up 3.0%` or `3.0% too high`."""
        query = f"select abs(({self.query}))"
        return replace(self, value=abs(self.amount), query=query, unit="rate")

    def minus(self, other: "Number") -> "Number":
        """The difference from another rate in percentage points; null if one of them is null."""
        value = None if None in (self.value, other.value) else self.amount - other.amount
        query = f"select ({self.query}) - ({other.query})"
        return replace(self, value=value, query=query, unit="points")


def lineage(relation: str) -> str:
    """The page of a table or view in the lineage site, relative to index.html."""
    schema, name = relation.removeprefix(PREFIX).split(".")
    project = PROJECT["name"]
    kind, node = {
        "ml": ("source", f"ml.{name}"),
        "audit": ("source", f"audit.{name}"),
        "reference": ("seed", name),
    }.get(schema, ("model", name))
    return f"lineage/index.html#!/{kind}/{kind}.{project}.{node}"
