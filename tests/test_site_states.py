"""Tests that the page and the summary of small marts are built, and that their sentences are true.

A state needs no run of the pipeline, because DuckDB computes the marts from a few lines.
test_recomputation.py shows that the real marts equal this computation. Two states also go through a
complete run.
"""

import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from conftest import Data, on_data, parsed_project
from recomputation import MARTS, SEEDS, prepare
from test_site import SECTIONS, Numbers, shown, text_of

from ml import tables
from reports import summary
from reports.charts import do
from reports.numbers import UNITS
from reports.page import render
from reports.query import QUERIES, Relation, relations_of

LOADED_AT = datetime(2030, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
# Tables that the recomputation leaves out, with the columns that the summary reads.
EMPTY = {
    "marts.personas": "persona varchar, cluster int, customers bigint, customer_share double, "
    "description varchar",
    "marts.data_warnings": "display_order int, finding varchar, advice varchar",
    "marts.table_history": "run varchar, table_name varchar, rows bigint, previous_rows bigint, "
    "is_jump boolean, is_last boolean",
}


def line(
    customer: str | None,
    at: datetime = MONDAY,
    amount: object = "12.50",
    category: str | None = "Books",
    method: str | None = "Card",
) -> dict[str, object]:
    """Returns a line that is an order of its own; a negative amount is a return."""
    return {
        "customer_id": customer,
        "ordered_at": at,
        "amount": amount,
        "product_category": category,
        "payment_method": method,
    }


@contextmanager
def marts(
    lines: list[dict], as_of_date: date | None = None, people: tuple[str, ...] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connects to the marts of these lines and registered people."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for table, columns in (
            ("transactions", tables.TRANSACTIONS_COLUMNS),
            ("customers", tables.CUSTOMERS_COLUMNS),
        ):
            typed = re.sub(r" comment '.*?'(?=,?\n)", "", columns)
            connection.execute(f"create table {table} ({typed})")
        for number, values in enumerate(lines):
            row = {"order_id": str(number), "loaded_at": LOADED_AT} | values
            connection.execute(
                f"insert into transactions by name select {', '.join(f'${n} as {n}' for n in row)}",
                row,
            )
        for name in people:
            connection.execute("insert into customers by name select ? as customer_id", [name])
        connection.execute(
            "create table lifetime_value (customer_id varchar, as_of_date date, "
            "churn_score double, predicted_value_12m decimal(18, 2));"
            "create table model_evaluation (origin_on date, model varchar, metric varchar, "
            "audience varchar, value double, baseline double);"
            "create table purchase_forecast (period varchar, starts_on date, ends_on date, "
            "quantity varchar, forecast double, low_50 double, high_50 double, low_80 double, "
            "high_80 double, low_95 double, high_95 double, model varchar, as_of_date date)"
        )
        prepare(connection, as_of_date)
        relations = {f"marts.{name}": mart.sql for name, mart in MARTS.items()} | {
            "marts.customers": "select *, null::boolean as is_late, null::double as p_alive "
            f"from ({MARTS['customers'].sql})",
            "intermediate.int_as_of_date": "from as_of",
            "intermediate.int_data_period": "select first_on, last_on, "
            "(select count(*) from lines where ordered_at::date > last_on) as late_lines "
            "from period",
            "staging.stg_transactions": "from checked_lines",
            "staging.stg_loads": "select loaded_at, loaded_at::date as loaded_on, "
            "count(*) as lines, count(reason) as rejected_lines, "
            "min(ordered_at::date) filter (where reason is null) as first_ordered_on, "
            "max(ordered_at::date) filter (where reason is null) as last_ordered_on "
            "from checked_lines group by loaded_at",
            "reference.segment_playbook": f"from '{SEEDS}/segment_playbook.csv'",
        }
        for schema in ("marts", "intermediate", "staging", "reference"):
            connection.execute(f"create schema {schema}")
        for relation, sql in relations.items():
            connection.execute(f"create table {relation} as {sql}")
        for relation, columns in EMPTY.items():
            connection.execute(f"create table if not exists {relation} ({columns})")
        yield connection


@functools.cache
def relations() -> dict[str, Relation]:
    """Returns units and grain of all tables, as dbt parses them."""
    folder, _ = parsed_project()
    return relations_of(json.loads((folder / "target" / "manifest.json").read_text()))


def read(connection: duckdb.DuckDBPyConnection) -> SimpleNamespace:
    """Returns the rows of the page, as reports.query.read does on Spark."""
    found = {
        row[0]
        for row in connection.sql(
            "select schema_name || '.' || table_name from duckdb_tables()"
        ).fetchall()
    }
    answers = SimpleNamespace(
        sql=lambda sql: SimpleNamespace(toArrow=connection.sql(sql).to_arrow_table)
    )
    return SimpleNamespace(
        **{
            name: query.rows(answers, relations())
            if query.relation in found and name != "personas"
            else []
            for name, query in QUERIES.items()
        }
    )


def page_of(lines: list[dict], **options) -> str:
    """Returns the text of the page on these lines."""
    with marts(lines, **options) as connection:
        return text_of(render(read(connection), {}))


def summary_of(lines: list[dict], **options) -> str:
    """Returns the summary that a run prints on these lines."""
    with marts(lines, **options) as connection:
        return summary.text(connection.cursor())


def days(count: int, customers: int, first: datetime = MONDAY) -> list[dict]:
    """Returns one order on each of `count` days; `customers` customers take turns."""
    return [line(f"c{day % customers}", first + timedelta(day)) for day in range(count)]


@pytest.mark.parametrize("name", QUERIES)
def test_every_column_of_a_query_has_a_unit(name: str):
    query = QUERIES[name]
    relation = relations()[query.relation]
    assert {query.unit(column, relation) for column in query.columns} <= UNITS.keys()


# --- any state --------------------------------------------------------------------------

STATES = {
    "nothing up to the as-of date": {"lines": [line("anna")], "as_of_date": date(1990, 1, 1)},
    "no usable line": {"lines": [line("anna", amount=None)] * 2},
    "no line at all": {"lines": []},
    "people before the first line": {
        "lines": [line("anna")],
        "as_of_date": date(1990, 1, 1),
        "people": ("anna", "bert"),
    },
    "one line": {"lines": [line("anna")]},
    "one guest": {"lines": [line(None)]},
    "guests": {"lines": [line(None, MONDAY + timedelta(day)) for day in range(40)]},
    "guests, and people who never bought": {"lines": [line(None)] * 3, "people": ("anna", "bert")},
    "one return": {"lines": [line("anna", amount="-5")]},
    "returns": {"lines": [line(f"c{n}", MONDAY + timedelta(n), "-5") for n in range(9)]},
    "a return by a guest": {"lines": [line(None, amount="-5")]},
    "two customers": {"lines": [line("anna"), line("bert", MONDAY + timedelta(1))]},
    "nine customers": {"lines": days(200, 9)},
    "one customer of many orders": {"lines": days(60, 1)},
    "one day": {"lines": [line(f"c{n}") for n in range(40)]},
    "free items": {"lines": [line(f"c{n % 5}", MONDAY + timedelta(n), "0") for n in range(70)]},
    "a loss": {
        "lines": days(40, 40)
        + [line(f"c{n}", MONDAY + timedelta(n), "-50") for n in range(0, 40, 2)]
    },
    "revenue of zero": {"lines": [line("anna"), line("anna", amount="-12.50")]},
    "no category and no payment method": {
        "lines": [line(f"c{n}", category=None, method=None) for n in range(40)]
    },
    "mostly unknown categories and methods": {
        "lines": [line(f"c{n}", category=None, method=None) for n in range(40)] + [line("anna")]
    },
    "days long past": {"lines": days(3, 2), "as_of_date": date(2029, 12, 31)},
    "a year and a half": {"lines": days(550, 40)},
}


@pytest.fixture(scope="module", params=STATES.values(), ids=list(STATES))
def state(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """The marts in one of the states, with the page and the summary on them."""
    with marts(**request.param) as connection:
        page = render(read(connection), {})
        printed = summary.text(connection.cursor())
        yield SimpleNamespace(marts=connection, page=page, printed=printed)


def test_a_page_has_every_section_and_each_number_from_its_query(state: SimpleNamespace):
    assert re.findall(r'<section id="(\w+)"', state.page) == SECTIONS
    for number in Numbers(state.page).found:
        (value,) = state.marts.execute(number["data-query"]).fetchone()
        assert number["text"] in shown(value, number["data-unit"]), number


def test_sentences_are_grammatical_and_complete(state: SimpleNamespace):
    """Singular and plural are right, no null is printed, and no part of a sentence is missing."""
    noun = "(active )?(customer|order|purchase|line|day|cluster|data test|backtest|year)"
    for text in (text_of(state.page), state.printed):
        assert not re.search(rf"(?<![\d,.])1 {noun}s\b", text)
        assert not re.search(rf"(\b[02-9]|\d\d) {noun}\b", text)
        assert not re.search(r"\b(None|nan|inf|NaT)\b|&lt;", text)
        assert not re.search(r"[.,;:] ?[.,;:]|\( ?\)| [.,;:)]", text)


def test_no_column_has_only_dashes(state: SimpleNamespace):
    for table in re.findall(r"<table.*?</table>", state.page, re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
        heads, *columns = zip(*cells, strict=True)
        for head, *column in (heads, *columns):
            assert not all('class="none"' in cell for cell in column), head


# What holds in any state of the marts, also with the forecasts of test_site_forecasts.py.
CHECKS = (
    test_a_page_has_every_section_and_each_number_from_its_query,
    test_sentences_are_grammatical_and_complete,
    test_no_column_has_only_dashes,
)


@on_data("one_line", "nothing")
def test_a_run_ends_in_a_page_and_a_summary(data: Data, server: dict[str, str]):
    page = text_of((Path(server["DBT_TARGET_PATH"]) / "site" / "index.html").read_text())
    if data.name == "one_line":
        assert "The last 90 days brought net revenue of 13, with 1 active customer." in page
        assert "As of 2026-03-02: 1 customer, 13 net revenue." in data.printed
    else:
        assert "No usable line of the source is dated 1 January 1990 or earlier." in page
        assert "No usable line of the source is dated 1990-01-01 or earlier." in data.printed


# --- why there is nothing ---------------------------------------------------------------


def test_an_empty_page_explains_why():
    early = {"lines": [line("anna")], "as_of_date": date(1990, 1, 1)}
    assert "No usable line of the source is dated 1 January 1990 or earlier." in page_of(**early)
    assert "No usable line of the source is dated 1990-01-01 or earlier." in summary_of(**early)
    for text_on in (page_of, summary_of):
        assert "No line of the source can be used." in text_on([line("anna", amount=None)])


def test_sections_without_customers_explain_why():
    guests = page_of([line(None)] * 3)
    assert "The last 90 days brought net revenue of 38; no known customer bought." in guests
    assert "No line names a customer." in guests
    assert "No known customer has bought yet." in guests
    assert "no line names a customer" in summary_of([line(None)] * 3)


def test_lines_left_out_are_counted_in_a_sentence():
    assert "The 1 line of the source is in the marts." in page_of([line("anna")])
    assert "All 2 lines of the source are in the marts." in page_of([line("anna"), line("bert")])
    assert "The 1 line of the source is left out" in page_of([line("anna", amount=None)])
    assert "Of 2 lines, these are left out" in page_of([line("anna"), line("bert", amount=None)])
    assert "The source has no lines." in page_of([])


# --- claims that few customers, or a loss, do not support -------------------------------


def spending(customers: int) -> list[dict]:
    """Returns purchases with the amounts 1, 2, 3 and so on, one an hour, by different customers."""
    return [line(f"c{n}", MONDAY + timedelta(hours=n), n + 1) for n in range(customers)]


def test_few_customers_have_no_best_tenth():
    """The best three of 30 customers spend 30 + 29 + 28 = 87 of 465. The best 15 spend 345."""
    enough = page_of(spending(30))
    assert "The best tenth of the customers brought 18.7% of the revenue from customers" in enough
    assert "The better half of the customers brought 74.2% of the revenue" in enough
    few = page_of(spending(29))
    for claim in ("best tenth", "half of the customers", " brings ", "are paid by", "order again,"):
        assert claim not in few


def test_equal_customers_have_no_best_tenth():
    equals = page_of([line(f"c{number}") for number in range(40)])
    assert "best tenth" not in equals
    assert "better half" not in equals
    assert "How the revenue is spread over the customers" in equals


def test_a_loss_has_no_shares():
    """Net revenue is 40 * 12.50 - 600 = -100. Nothing can have a share of a loss."""
    loss = page_of([*[line(f"c{n}") for n in range(40)], line("c0", amount=-600, category="Toys")])
    assert "The last 90 days brought net revenue of \N{MINUS SIGN}100" in loss
    assert "Net revenue by product category" in loss
    for claim in ("best tenth", "better half", " brings ", "more than their share"):
        assert claim not in loss


def test_unknown_is_not_a_category_and_not_a_method():
    unknown = [line(f"c{number}", category=None, method=None) for number in range(39)]
    page = page_of([*unknown, line("anna")])
    assert "97.5% of net revenue has no known category" in page
    assert "The payment method of 97.5% of the orders is not known" in page


def test_no_move_differs_from_no_month_to_compare_with():
    stayed = [line("anna", datetime(2026, 1, 30, tzinfo=UTC))]
    assert "There are not yet two month ends" in page_of(stayed)
    page = page_of(stayed, as_of_date=date(2026, 3, 31))
    assert "Nobody moved from one segment to another" in page


# --- comparisons ------------------------------------------------------------------------


def test_the_page_explains_why_a_window_has_no_comparison():
    """100 days from 2 March 2026 cover the last 90 days, and only 10 of the 90 days before."""
    lines = days(100, 20)
    with marts(lines) as connection:
        page = render(read(connection), {})
        printed = summary.text(connection.cursor())
    assert "Last 90 days</th>" in page
    assert "Change</th>" not in page
    page = text_of(page)
    reason = "There is no comparison with the 90 days before: the data begin on "
    assert f"with 20 active customers. {reason}2 March 2026." in page
    assert "from the 90 days before" not in page
    assert f"{reason}2026-03-02." in printed
    assert "against the 90 days before" not in printed


def test_new_customers_need_a_third_window_to_compare_with():
    """200 days cover the last two windows, and only 20 days of the window before them."""
    page = page_of(days(200, 40))
    assert "unchanged from the 90 days before" in page
    assert (
        "No comparison of \u201cNew customers\u201d and \u201cActive before, and again\u201d: "
        "the data begin on 2 March 2026." in page
    )
    assert "No comparison of" not in page_of(days(270, 40))
    assert "against the 90 days before" in summary_of(days(200, 40))


def test_a_late_line_prevents_comparisons():
    lines = [*days(100, 10), line("c1", MONDAY + timedelta(days=700))]
    reason = "There is no comparison with the 90 days before: the data end on "
    assert f"{reason}9 June 2026, except for 1 line." in page_of(lines)
    assert f"{reason}2026-06-09." in summary_of(lines)


def test_a_loss_has_no_percentage_change():
    before, after = MONDAY, MONDAY + timedelta(days=90)
    lines = [line("anna", before, -100), line("anna", after, 50)]
    lines += [line("bert", MONDAY - timedelta(days=number), 0) for number in range(90)]
    page = page_of(lines)
    assert "There is no comparison" not in page
    assert "brought net revenue of 50, with" in page
    assert "against the 90 days before" not in summary_of(lines)


def test_no_retention_has_the_lightest_color():
    never = SimpleNamespace(amount=0.0, text="0%")
    rows = [
        SimpleNamespace(cohort_month=date(2026, 1, 1), months_since=month, retention_rate=never)
        for month in range(3)
    ]
    chart = do.cohorts(rows, 600, "Retention")
    assert "--step-1" in chart
    assert "--step-5" not in chart


# --- hours ------------------------------------------------------------------------------


def at(hour: int, count: int) -> list[dict]:
    """Returns orders of one Friday and hour; a date without a time has hour 0."""
    return [line(f"c{number}", datetime(2026, 3, 6, hour, tzinfo=UTC)) for number in range(count)]


def test_midnight_means_no_time_of_day():
    page = page_of([*at(0, 100), *at(10, 30), *at(15, 20)])
    assert "The busiest hour begins on Friday at 10:00" in page
    assert "the busiest hour has 30 orders. 100 orders have no time of day and are left" in page
    assert "1 order has no time of day and is left out." in page_of(
        [*at(0, 1), *at(9, 2), *at(7, 1)]
    )


def test_hours_are_shown_only_if_a_tenth_of_the_orders_have_them():
    shown, hidden = at(0, 18) + at(10, 1) + at(15, 1), at(0, 19) + at(10, 1) + at(15, 1)
    assert "Orders by weekday and hour" in page_of(shown)
    page = page_of(hidden)
    assert "Orders by weekday and hour" not in page
    assert "2 orders have a time of day: too few to show hours." in page


def test_the_page_explains_why_there_are_no_hours():
    assert "The source gives days without a time, so there are no hours to show." in page_of(
        at(0, 3)
    )
    one = "All times of day are between 10:00 and 11:00, so there are no hours to compare."
    assert one in page_of(at(10, 3) + at(0, 3))


def test_local_midnights_in_summer_and_winter_are_no_times_of_day():
    assert "All times of day are between 22:00 and 24:00" in page_of(at(22, 30) + at(23, 31))


def test_equal_hours_have_no_busiest():
    assert "The busiest hour begins" not in page_of(at(10, 30) + at(15, 30))
    assert "The busiest hour begins on Friday at 15:00" in page_of(at(10, 30) + at(15, 31))


# --- look at this first -----------------------------------------------------------------


def test_warnings_come_first_and_only_if_there_are_any():
    with marts(days(3, 2)) as connection:
        assert "Look at this first" not in render(read(connection), {})
        assert "Look at this first" not in summary.text(connection.cursor())
        connection.execute(
            "insert into marts.data_warnings by name select 2 as display_order, "
            "'A last day <late>.' as finding, 'Set AS_OF_DATE.' as advice"
        )
        connection.execute(
            "insert into marts.data_warnings by name select 1 as display_order, "
            "'Ids match nobody.' as finding, 'Map them.' as advice"
        )
        page = render(read(connection), {})
        printed = summary.text(connection.cursor())
    warnings = "Ids match nobody. Map them. A last day &lt;late&gt;. Set AS_OF_DATE."
    assert f"Look at this first {warnings} From marts.data_warnings. The last 90 days" in text_of(
        page
    )
    assert printed.startswith(
        "Look at this first\n  Ids match nobody. Map them.\n  A last day <late>. Set AS_OF_DATE.\n"
    )


# --- large data -------------------------------------------------------------------------


def test_the_page_stays_small_with_many_of_everything():
    lines = [
        line(f"c{n % 9}", MONDAY + timedelta(n % 900), category=f"Product {n}", method=f"m{n}")
        for n in range(3000)
    ]
    with marts(lines) as connection:
        tables = read(connection)
    page = render(tables, {})
    assert len(tables.categories) == len(tables.payment_methods) == 50
    assert len(tables.repeats) == 24
    text = text_of(page)
    assert "of 3,000; the table has the largest 50." in text
    assert (
        "12 methods with the highest net revenue; the table has the 50 methods with the most"
        in text
    )
    assert len(page.encode()) < 1_000_000
