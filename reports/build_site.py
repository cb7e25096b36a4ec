"""Builds the insight site from the marts: one page to act on, and the lists of customers it names.

    python -m reports.build_site

Reads the marts over Spark Connect and writes `site` in dbt's target folder: `index.html`, which
holds everything it needs, `audiences/*.csv`, and under `lineage/` dbt's documentation and the
lineage of columns. The site is built beside the old one and takes its place when it is whole.

Each number of the page knows the query that gives it (Number) and links to its model's lineage.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from markupsafe import Markup
from pyspark.sql import SparkSession

from ml.session import FEWEST_BUYERS, FEWEST_DAYS, StepError, log, run, start
from reports import charts, claims, column_lineage
from reports.project import PROJECT, ROOT

TARGET = Path(os.environ.get("DBT_TARGET_PATH") or ROOT / "target")
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOT / "reports"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
UNKNOWN = "Unknown"
RISKS = ["high", "medium", "low"]
# Customers on the list of one audience: more than anybody writes to at once.
LIST_LENGTH = 100_000
# Rows of a table, and bars of a chart, that the data could make any number of.
MOST_ROWS = 50
MOST_BARS = 12
MOST_MONTHS = 36
MOST_ORDERS = 24

SECTIONS = {
    "happened": "What happened",
    "who": "Who the customers are",
    "do": "What they do",
    "will": "What will happen",
    "act": "What to do",
    "trust": "How far to trust it",
}
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

# How the numbers of a column are shown, whatever the table.
UNITS = {
    "count": "buyers customers predicted orders timed_orders untimed_orders new_customers "
    "orders_both rows lines late_lines tests clusters forecast came categories "
    "lowest_category_orders",
    "money": "net_revenue value_at_stake predicted_value amount "
    "new_customer_revenue returning_customer_revenue guest_revenue",
    "price": "average_order_value average_revenue revenue_per_active_customer "
    "average_customer_value",
    "rate": "customer_share revenue_share return_rate order_share retention_rate share support "
    "continued_share cumulative_share weekend_order_share repurchase_rate overall "
    "holiday_season_order_share smallest_share error",
    "change": "change_rate",
    "points": "difference",
    "gain": "gained",
    "days": "average_recency_days median_days_to_next",
    "decimal": "lift orders_per_day average_orders average_units_per_order gini silhouette "
    "stability",
    "score": "auc auc_of_recency",
    "date": "as_of_date first_order_on first_on last_on",
}
UNIT_OF = {column: unit for unit, names in UNITS.items() for column in names.split()}
DECIMALS = {
    "count": 0,
    "money": 0,
    "price": 2,
    "rate": 1,
    "change": 1,
    "points": 1,
    "gain": 0,
    "days": 0,
    "decimal": 2,
    "score": 3,
}
PER_CENT = {"rate": (100, "%"), "change": (100, "%"), "points": (100, " points")}
SIGNED = ("change", "points", "gain")


# --- numbers ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A number of the page: its value, how it is shown, and the query on `relation` it comes from.

    In a template it is a link to the lineage of its relation; null is a dash.
    """

    value: int | float | Decimal | date | None
    unit: str
    query: str
    relation: str

    @property
    def text(self) -> str:
        """The number in words of a reader: `1,234`, `12.3%`, `30 June 2026`."""
        if self.value is None:
            return DASH
        if self.unit == "date":
            return f"{self.value.day} {self.value:%B %Y}"
        sign = "+" if self.unit in SIGNED and self.value else ""
        per_cent, suffix = PER_CENT.get(self.unit, (1, ""))
        text = f"{per_cent * self.value:{sign}z,.{DECIMALS[self.unit]}f}{suffix}"
        return text.replace("-", MINUS)

    @property
    def href(self) -> str:
        """Where the lineage site shows the relation."""
        return lineage(self.relation)

    def __html__(self) -> str:
        if self.value is None:
            return Markup('<span class="none">{}</span>').format(DASH)
        return Markup(
            '<a class="number" href="{}" data-query="{}" data-unit="{}">'
            '<data value="{}">{}</data></a>'
        ).format(self.href, self.query, self.unit, self.value, self.text)

    def counted(self, noun: str, one: str = "", more: str = "") -> Markup:
        """The number with its noun, whose plural ends in s, and with a verb where one is given.

        `1 customer`, `1,234 customers`; `1 customer is`, `2 customers are`. What a reader sees
        decides, so 1.2 days are `1 day`.
        """
        is_one = self.text == "1"
        words = [noun if is_one else f"{noun}s", one if is_one else more]
        return Markup("{} {}").format(self, " ".join(filter(None, words)))

    def size(self) -> "Number":
        """The same without its sign, for `up by` and `down by`."""
        return replace(
            self, value=abs(self.value), query=f"select abs(({self.query}))", unit="rate"
        )


def lineage(relation: str) -> str:
    """The page of a table or view in the lineage site, from index.html."""
    schema, name = relation.split(".")
    project = PROJECT["name"]
    kind, node = {
        "ml": ("source", f"ml.{name}"),
        "audit": ("source", f"audit.{name}"),
        "reference": ("seed", name),
    }.get(schema, ("model", name))
    return f"lineage/index.html#!/{kind}/{kind}.{project}.{node}"


@dataclass(frozen=True)
class Query:
    """What the page reads of one relation.

    `key` are the columns that say which row it is, `texts` words that go with it, and `numbers` the
    names of columns, or names and SQL expressions; with `grouped` these are aggregates by key.
    `best` is what to order by where there may be more rows than a page can show: the first
    MOST_ROWS are read. `source` is what to select from where that is not the relation itself,
    `units` how to show numbers other than by UNITS.
    """

    relation: str
    key: str = ""
    texts: str = ""
    numbers: str | Mapping[str, str] = ""
    where: str = ""
    grouped: bool = False
    best: str = ""
    source: str = ""
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def expressions(self) -> dict[str, str]:
        """Name and expression of each number."""
        if isinstance(self.numbers, str):
            return {name: name for name in self.numbers.split()}
        return dict(self.numbers)

    @property
    def sql(self) -> str:
        """The query for the rows."""
        columns = [*self.key.split(), *self.texts.split()]
        columns += [f"{expression} as {name}" for name, expression in self.expressions.items()]
        parts = [f"select {', '.join(columns)} from {self.source or self.relation}"]
        if self.where:
            parts.append(f"where {self.where}")
        if self.grouped:
            parts.append(f"group by {', '.join(self.key.split())}")
        if self.best:
            parts.append(f"order by {self.best} limit {MOST_ROWS}")
        return " ".join(parts)

    def rows(self, spark: SparkSession) -> list[SimpleNamespace]:
        """The rows in the order of their keys: an attribute per column, of `numbers` a Number."""
        found = spark.sql(self.sql).toArrow().to_pylist()
        found.sort(key=lambda values: [values[column] for column in self.key.split()])
        return [self.row(values) for values in found]

    def row(self, values: dict) -> SimpleNamespace:
        """One row, each of its numbers with a query of its own."""
        conditions = [self.where] if self.where else []
        conditions += [f"{column} = {literal(values[column])}" for column in self.key.split()]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        numbers = {
            name: Number(
                values[name],
                self.unit(name, values),
                f"select {expression} from {self.source or self.relation}{where}",
                self.relation,
            )
            for name, expression in self.expressions.items()
        }
        return SimpleNamespace(**values | numbers)

    def unit(self, name: str, values: dict) -> str:
        """How to show a number of a row."""
        # In executive_summary each row has a unit of its own; averages of money keep their cents.
        return (
            self.units.get(name)
            or UNIT_OF.get(name)
            or UNIT_OF.get(values["metric"])
            or values["unit"]
        )


def literal(value: object) -> str:
    """A key as SQL."""
    if isinstance(value, date):
        return f"date '{value}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


# --- reading ----------------------------------------------------------------------------

LAST_MOVES = "month_end = (select max(month_end) from marts.segment_migration)"
QUERIES = {
    "as_of": Query("intermediate.int_as_of_date", numbers="as_of_date"),
    "totals": Query(
        "marts.customers",
        numbers={
            "buyers": "count(*) filter (where orders > 0)",
            "first_order_on": "min(first_order_on)",
            "predicted": "count(predicted_value_12m)",
            "orders": "sum(expected_orders_90d)",
            "predicted_value": "sum(predicted_value_12m)",
        },
    ),
    "period": Query("intermediate.int_data_period", numbers="first_on last_on late_lines"),
    "warnings": Query("marts.data_warnings", key="display_order", texts="finding advice"),
    # What happened
    "metrics": Query(
        "marts.executive_summary",
        key="metric",
        texts="unit",
        numbers={
            "value": "value",
            "previous_value": "previous_value",
            "change_rate": "change_rate",
            "difference": "value - previous_value",
        },
    ),
    "months": Query(
        "marts.monthly_revenue",
        key="month",
        numbers="net_revenue returning_customer_revenue new_customer_revenue guest_revenue orders "
        "customers new_customers",
    ),
    # Who the customers are
    "score_cells": Query(
        "marts.customer_rfm",
        key="r_score f_score",
        numbers={"customers": "count(*)", "average_revenue": "avg(monetary)"},
        grouped=True,
    ),
    "score_segments": Query("reference.rfm_segments", key="r_score f_score", texts="segment"),
    "playbook": Query("reference.segment_playbook", key="segment", texts="display_order meaning"),
    "segments": Query(
        "marts.segment_summary",
        key="segment",
        numbers="customers customer_share net_revenue revenue_share average_recency_days "
        "average_orders average_order_value",
    ),
    "moves": Query(
        "marts.segment_migration",
        key="month_end from_segment to_segment",
        numbers="customers net_revenue",
        where=LAST_MOVES,
    ),
    "gains": Query(
        "marts.segment_migration",
        key="segment",
        numbers={"gained": "sum(moved)"},
        grouped=True,
        source="(select to_segment as segment, customers as moved from marts.segment_migration "
        f"where {LAST_MOVES} union all select from_segment, -customers "
        f"from marts.segment_migration where {LAST_MOVES}) as moves",
    ),
    "personas": Query(
        "marts.personas",
        key="cluster",
        texts="persona recommended_action favorite_category membership_level",
        numbers="customers customer_share net_revenue average_orders average_order_value "
        "average_recency_days average_units_per_order weekend_order_share "
        "holiday_season_order_share",
    ),
    # What they do
    # The time of an order that only has a day is midnight, and no hour that anybody ordered at.
    "hours": Query(
        "marts.purchases_by_weekday_hour",
        key="weekday hour",
        numbers="timed_orders",
        where="timed_orders > 0",
    ),
    "timing": Query(
        "marts.purchases_by_weekday_hour",
        numbers={
            "orders": "sum(orders)",
            "timed_orders": "sum(timed_orders)",
            "untimed_orders": "sum(orders - timed_orders)",
        },
    ),
    "weekdays": Query(
        "marts.purchases_by_weekday_hour",
        key="weekday",
        numbers={"orders": "sum(orders)", "net_revenue": "sum(net_revenue)"},
        grouped=True,
    ),
    "day_types": Query(
        "marts.weekend_vs_weekday",
        key="day_type",
        numbers="orders_per_day orders net_revenue average_order_value",
    ),
    "categories": Query(
        "marts.purchases_by_category",
        key="product_category",
        numbers="net_revenue revenue_share orders customers return_rate",
        best="net_revenue desc, product_category",
    ),
    "all_categories": Query("marts.purchases_by_category", numbers={"categories": "count(*)"}),
    "payment_methods": Query(
        "marts.purchases_by_payment_method",
        key="payment_method",
        numbers="orders order_share net_revenue average_order_value",
        best="orders desc, payment_method",
    ),
    # Each pair once: lift and support are the same both ways.
    "pairs": Query(
        "marts.category_affinity",
        key="antecedent consequent",
        numbers="orders_both support lift lowest_category_orders",
        where="antecedent < consequent and orders_both >= 30 and lift > 1",
        best="lift desc, antecedent, consequent",
    ),
    "cohorts": Query(
        "marts.cohort_retention",
        key="cohort_month months_since",
        numbers={
            "retention_rate": "retention_rate",
            "active": "active_customers",
            "customers": "cohort_customers",
        },
        where="not is_partial",
        units={"active": "count"},
    ),
    "repeats": Query(
        "marts.repeat_purchase",
        key="order_number",
        numbers="customers continued_share median_days_to_next",
        # One customer with ten thousand orders makes as many rows.
        where=f"order_number <= {MOST_ORDERS}",
    ),
    "deciles": Query(
        "marts.revenue_concentration",
        key="decile",
        numbers="customers net_revenue revenue_share cumulative_share gini",
    ),
    # What will happen
    "risks": Query(
        "marts.churn_summary",
        key="churn_risk",
        numbers="customers net_revenue average_recency_days",
    ),
    "returned": Query(
        "ml.model_evaluation",
        key="model audience",
        numbers={"repurchase_rate": "value", "overall": "baseline"},
        where="metric = 'repurchase_rate' and audience like '% risk'",
    ),
    "forecasts": Query(
        "ml.model_evaluation",
        key="model audience",
        numbers={
            "forecast": "value",
            "came": "baseline",
            "error": "value / nullif(baseline, 0) - 1",
        },
        where="metric = 'holdout_orders'",
    ),
    "tenths": Query(
        "ml.model_evaluation",
        key="model audience",
        numbers={"forecast": "value", "came": "baseline"},
        where="metric = 'orders_per_customer'",
        units={"forecast": "decimal", "came": "decimal"},
    ),
    # What to do
    "recommendations": Query(
        "marts.recommendations",
        key="priority",
        texts="audience finding action",
        numbers="customers value_at_stake",
    ),
    # How far to trust it
    "lines": Query("staging.stg_transactions", numbers={"lines": "count(*)"}),
    "reasons": Query("marts.data_quality", key="reason", numbers="rows amount share"),
    "tests": Query(
        "audit.test_results",
        key="status",
        numbers={"tests": "count(*)"},
        grouped=True,
    ),
    "failures": Query(
        "audit.test_results", key="test", texts="model status", where="status <> 'pass'"
    ),
    "models": Query(
        "ml.lifetime_value_models",
        key="model fitted_until",
        texts="status is_used",
    ),
    "scores": Query(
        "ml.model_evaluation",
        key="model",
        numbers={"auc": "value", "auc_of_recency": "baseline"},
        where="metric = 'auc' and audience = 'all'",
    ),
    "thresholds": Query(
        "ml.model_evaluation",
        key="model audience",
        where="metric = 'churn_threshold'",
    ),
    "cluster_numbers": Query(
        "ml.cluster_selection",
        key="k",
        texts="chosen reason",
        numbers={
            "clusters": "k",
            "silhouette": "silhouette",
            "stability": "stability",
            "smallest_share": "smallest_share",
        },
    ),
}


def read(spark: SparkSession) -> SimpleNamespace:
    """All rows that the page shows, by the name of their query."""
    with ThreadPoolExecutor(4) as pool:
        tables = pool.map(lambda query: query.rows(spark), QUERIES.values())
        return SimpleNamespace(**dict(zip(QUERIES, tables, strict=True)))


# --- the page ---------------------------------------------------------------------------


def prepare(tables: SimpleNamespace) -> dict:
    """What the template needs besides the rows: what may be said, in which order, which not."""
    only = {name: getattr(tables, name)[0] for name in ("as_of", "totals", "period", "timing")}
    metrics = {row.metric: row for row in tables.metrics}
    days = claims.days_covered(tables)
    evaluated = used_model(tables)
    score = next((row.model for row in tables.thresholds), "recency")
    rows = vars(tables) | only
    return rows | {
        "sections": SECTIONS,
        "missing": claims.missing(tables),
        "window_days": claims.WINDOW_DAYS,
        "holdout_days": PROJECT["vars"]["holdout_days"],
        "few_buyers": FEWEST_BUYERS,
        "few_days": FEWEST_DAYS,
        "most_rows": MOST_ROWS,
        "most_bars": MOST_BARS,
        "most_months": MOST_MONTHS,
        "most_orders": MOST_ORDERS,
        "unknown": UNKNOWN,
        "is_thin": claims.is_thin(tables),
        "enough": claims.enough,
        "telling": claims.telling,
        "outstanding": claims.outstanding,
        "month_is_over": claims.month_is_over(only["as_of"].as_of_date.value),
        "metrics": metrics,
        "headline": claims.headline(metrics),
        "has_gaps": claims.has_gaps,
        "begins_late": days < 2 * claims.WINDOW_DAYS,
        "uncompared": claims.uncompared(metrics, days),
        "months": tables.months[-MOST_MONTHS:],
        "segments": claims.segments(tables),
        "segment_of": {(row.r_score, row.f_score): row.segment for row in tables.score_segments},
        "has_month_ends": bool(tables.moves),
        "moves": sorted(
            (row for row in tables.moves if row.from_segment != row.to_segment),
            key=lambda row: -row.customers.value,
        ),
        "has_hours": claims.has_hours(tables.hours, only["timing"]),
        "busiest": claims.busiest,
        "day_types": {row.day_type: row for row in tables.day_types},
        "categories": by_size(tables.categories, "product_category"),
        "payment_methods": by_size(tables.payment_methods, "payment_method"),
        "all_categories": tables.all_categories[0].categories,
        "most_pairs_of": PROJECT["vars"]["affinity_categories"],
        "pairs": sorted(tables.pairs, key=lambda row: -row.lift.value),
        "cohorts": last_cohorts(tables.cohorts),
        "risks": {row.churn_risk: row for row in tables.risks},
        "risk_score": score,
        "returned": {
            row.audience.removesuffix(" risk"): row
            for level in RISKS
            for row in tables.returned
            if (row.model, row.audience) == (score, f"{level} risk")
        },
        "forecasts": {row.audience: row for row in tables.forecasts if row.model == evaluated},
        "weeks": [
            row
            for row in tables.forecasts
            if row.model == evaluated and row.audience.startswith("week")
        ],
        "tenths": [row for row in tables.tenths if row.model == evaluated],
        "forecast_model": evaluated,
        "reasons": sorted(
            (row for row in tables.reasons if row.rows.value), key=lambda row: -row.rows.value
        ),
        "tests": {row.status: row.tests for row in tables.tests},
        "chosen": next((row for row in tables.cluster_numbers if row.chosen), None),
        "charts": charts,
        "lineage": lineage,
        "filled": filled,
        "words": words,
        "css": (ROOT / "reports" / "site.css").read_text(),
    }


def used_model(tables: SimpleNamespace) -> str | None:
    """The purchase model that the predictions are made with; None when there are none."""
    names = {row.model for row in tables.models if row.is_used and row.model != "gamma_gamma"}
    return next(iter(names), None)


def by_size(rows: Iterable[SimpleNamespace], key: str) -> list[SimpleNamespace]:
    """Largest first; none when the source says only that it does not know."""
    if {getattr(row, key) for row in rows} <= {UNKNOWN}:
        return []
    return sorted(rows, key=lambda row: -row.net_revenue.value)


def last_cohorts(rows: list[SimpleNamespace]) -> list[SimpleNamespace]:
    """The last 18 cohorts that have seen a whole month since their first, and as many months."""
    seen = sorted({row.cohort_month for row in rows if row.months_since > 0})[-18:]
    return [row for row in rows if row.cohort_month in seen and row.months_since <= 18]


def filled(columns: list[tuple[str, str]], rows: list) -> list[tuple[str, str]]:
    """The columns of a table, pairs of heading and attribute, that have a value in some row."""

    def is_filled(name: str) -> bool:
        cells = [getattr(row, name) for row in rows]
        return any((each.value if isinstance(each, Number) else each) is not None for each in cells)

    return [(heading, name) for heading, name in columns if is_filled(name)]


def words(value: object) -> object:
    """A name as words, `mbg_nbd_and_recency` as `MBG/NBD and recency`; a day as its month."""
    if value is None:
        return ""
    if isinstance(value, date):
        return f"{value:%B %Y}"
    if not isinstance(value, str):
        return value
    text = value.replace("mbg_nbd", "MBG/NBD").replace("bg_nbd", "BG/NBD")
    return text.replace("gamma_gamma", "Gamma-Gamma").replace("_", " ")


def page(tables: SimpleNamespace, audiences: Mapping[int, str]) -> str:
    """The page as HTML; `audiences` names the file of a recommendation by its priority."""
    template = TEMPLATES.get_template("site.html.j2")
    return template.render(**prepare(tables), audiences=audiences, list_length=LIST_LENGTH)


# --- audiences --------------------------------------------------------------------------


def read_audiences(spark: SparkSession) -> pa.Table:
    """The customers of each recommendation, the highest value at stake first, LIST_LENGTH at most.

    All come through the driver, of which more would ask too much.
    """
    order = "order by value_at_stake desc, customer_id"
    rows = spark.sql(f"""
        select * except (audience, place)
        from (
            select *, row_number() over (partition by priority {order}) as place
            from marts.recommended_customers
        )
        where place <= {LIST_LENGTH}
    """).toArrow()
    return rows.sort_by([("value_at_stake", "descending"), ("customer_id", "ascending")])


def write_audience(rows: pa.Table, path: Path) -> None:
    """Writes the customers of one audience as CSV.

    A spreadsheet takes a text that begins with one of = + - @ for a formula: an apostrophe before
    it, as one would type it, says that it is none.
    """
    for column in ("customer_id", "reason"):
        safe = pc.replace_substring_regex(rows[column], r"^([=+@\t\r-])", r"'\1")
        rows = rows.set_column(rows.schema.get_field_index(column), column, safe)
    pyarrow.csv.write_csv(rows.drop_columns("priority"), path)


def file_name(row: SimpleNamespace) -> str:
    """The file of a recommendation's audience: `audiences/03-at-risk.csv`."""
    name = re.sub(r"[^a-z0-9]+", "-", row.audience.lower()).strip("-")
    return f"audiences/{row.priority:02}-{name}.csv"


# --- the site ---------------------------------------------------------------------------


def write_lineage(folder: Path) -> None:
    """Has dbt document the tables, and writes that and the lineage of columns into a new folder."""
    dbt = Path(sys.executable).parent / "dbt"
    command = [dbt, "--quiet", "docs", "generate", "--static"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise StepError("dbt did not document the tables; what it says is above")
    folder.mkdir()
    back = (
        '<a href="../index.html" style="position:fixed;right:112px;bottom:24px;z-index:99;'
        'padding:8px 14px;border-radius:4px;background:#0a5f6b;color:#fff">Back to the insights</a>'
    )
    text = (TARGET / "static_index.html").read_text(encoding="utf-8")
    # As dbt makes it, it asks for files by names that are templates yet to be filled in, in vain.
    text = text.replace(' xlink:href="{{', ' ng-attr-xlink:href="{{')
    text = text.replace("${require('./assets/favicons/favicon.ico')}", "data:,")
    (folder / "index.html").write_text(text.replace("</body>", f"{back}</body>"), encoding="utf-8")
    column_lineage.write(TARGET, folder / "columns.html")


def build(spark: SparkSession, folder: Path) -> None:
    """Writes the whole site into a new folder."""
    (folder / "audiences").mkdir(parents=True)
    # dbt takes about as long as all the rest, and on a core of its own.
    with ProcessPoolExecutor(1, get_context("spawn")) as process, ThreadPoolExecutor(1) as pool:
        lineage_sites = process.submit(write_lineage, folder / "lineage")
        waiting = pool.submit(read_audiences, spark)
        tables = read(spark)
        members = waiting.result()
        listed = set(members["priority"].unique().to_pylist())
        files = {
            row.priority: file_name(row) for row in tables.recommendations if row.priority in listed
        }
        for priority, file in files.items():
            write_audience(members.filter(pc.field("priority") == priority), folder / file)
        (folder / "index.html").write_text(page(tables, files), encoding="utf-8")
        lineage_sites.result()


def main() -> None:
    site, beside = TARGET / "site", TARGET / "site.new"
    shutil.rmtree(beside, ignore_errors=True)
    build(start("insight site"), beside)
    shutil.rmtree(site, ignore_errors=True)
    beside.rename(site)
    log(f"The insight site is {site / 'index.html'}")


if __name__ == "__main__":
    run(main)
