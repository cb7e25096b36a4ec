"""The insight site: compared with the marts that it is built from, and opened in a browser."""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.csv
import pytest
import yaml
from altair.utils import schemapi
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT, Data, on_data
from playwright.sync_api import Browser, Page, sync_playwright
from pyspark.sql import SparkSession

from ml.session import StepError
from reports import audiences, build_site
from reports.numbers import UNITS
from reports.page import render
from reports.query import Query, Relation, relations_of, unit_of
from reports.query import read as read_tables

DATA_SETS = ("generated", "cdnow", "online_retail")
SECTIONS = ["happened", "who", "do", "will", "act", "trust"]


@pytest.fixture
def site(server: dict[str, str]) -> Path:
    """The folder of the site that `make run` has built."""
    return Path(server["DBT_TARGET_PATH"]) / "site"


@pytest.fixture(scope="class")
def unchanged_tables(data: Data, server: dict[str, str], spark: SparkSession) -> SimpleNamespace:
    """The rows that the page shows."""
    manifest = json.loads((Path(server["DBT_TARGET_PATH"]) / "manifest.json").read_text())
    return read_tables(spark, relations_of(manifest))


@pytest.fixture
def tables(unchanged_tables: SimpleNamespace) -> SimpleNamespace:
    """The same rows, for a test to change and to render."""
    return deepcopy(unchanged_tables)


# --- the text of the page -----------------------------------------------------------------


class Numbers(HTMLParser):
    """Collects the numbers of a page: query, unit, exact value, and the text that a reader sees."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a" and "data-query" in attributes:
            self.found.append(attributes | {"text": ""})
        elif tag == "data":
            self.found[-1]["value"] = attributes["value"]

    def handle_data(self, data):
        if self.lasttag == "data" and not self.found[-1]["text"]:
            self.found[-1]["text"] = data


def shown(value: object, unit: str) -> set[str]:
    """Returns how the page may show a value, by decimal arithmetic; a tie may round either way."""
    if unit == "date":
        return {f"{value:%d %B %Y}".lstrip("0")}
    places = {"price": 2, "rate": 1, "change": 1, "points": 1, "ratio": 2, "score": 3}
    step = Decimal(1).scaleb(-places.get(unit, 0))
    number = Decimal(value) * (100 if unit in ("rate", "change", "points") else 1)
    plus = "+" if unit in ("change", "points", "gain") else ""
    suffix = {"rate": "%", "change": "%", "points": " points"}.get(unit, "")
    rounded = [(number + nudge).quantize(step) for nudge in (-step / 10**6, step / 10**6)]
    return {
        f"{each:{plus if each else ''}z,}{suffix}".replace("-", "\N{MINUS SIGN}")
        for each in rounded
    }


def answers(spark: SparkSession, queries: set[str]) -> dict[str, object]:
    """Runs the queries in DuckDB, on copies of the tables."""
    database = duckdb.connect()
    for relation in {name for query in queries for name in re.findall(r"from (\w+\.\w+)", query)}:
        copied = spark.table(relation).toArrow()  # noqa: F841 - DuckDB finds it by its name
        database.sql(f"create schema if not exists {relation.split('.')[0]}")
        database.sql(f"create table {relation} as from copied")
    return {query: database.execute(query).fetchone()[0] for query in queries}


def assert_numbers_are_answers(page: str, spark: SparkSession) -> None:
    """Asserts that each number is what its query gives, and links to the query's table."""
    numbers = Numbers(page).found
    assert len(numbers) > 200
    expected = answers(spark, {number["data-query"] for number in numbers})
    for number in numbers:
        value = expected[number["data-query"]]
        assert number["text"] in shown(value, number["data-unit"]), number
        relations = re.findall(r"from \w+\.(\w+)", number["data-query"])
        assert number["href"].endswith(f".{relations[0]}"), number


# --- queries and units ------------------------------------------------------------------


def test_a_query_gives_each_number_a_short_query_of_its_own():
    query = Query.parse(
        "-- Why.\nselect\n    region,\n    status,\n    sum(orders) as orders\n"
        "from marts.a\nwhere orders > 1\ngroup by region, status\norder by region\nlimit 7\n"
    )
    assert query.limit == 7
    relation = Relation({"orders": "count", "region": "text", "status": "text"}, ("id",))
    found = [{"region": "O'Fallon", "status": "new", "orders": 3}]
    spark = SimpleNamespace(
        sql=lambda _: SimpleNamespace(toArrow=lambda: pa.Table.from_pylist(found))
    )
    (row,) = query.rows(spark, {"marts.a": relation})
    assert (row.region, row.status, row.orders.value) == ("O'Fallon", "new", 3)
    assert row.orders.query == (
        "select sum(orders) from marts.a "
        "where orders > 1 and region = 'O''Fallon' and status = 'new'"
    )


def test_a_complete_key_is_the_only_condition_of_a_number():
    query = Query.parse("select\n    id,\n    orders as n\nfrom marts.a\nwhere orders > 1")
    spark = SimpleNamespace(
        sql=lambda _: SimpleNamespace(toArrow=lambda: pa.table({"id": [1], "n": [3]}))
    )
    (row,) = query.rows(spark, {"marts.a": Relation({"orders": "count"}, ("id",))})
    assert row.n.query == "select orders from marts.a where id = 1"


def test_a_query_of_another_form_is_refused():
    for sql in ("select 1", "select a from marts.a join marts.b using (a)", "with a as (select 1)"):
        with pytest.raises(ValueError, match="form"):
            Query.parse(sql)


def test_every_column_of_the_marts_has_a_known_unit():
    for file in (ROOT / "models" / "marts").rglob("_*.yml"):
        for model in yaml.safe_load(file.read_text()).get("models", []):
            for column in model["columns"]:
                assert unit_of(column) in UNITS, (model["name"], column["name"])


@pytest.mark.parametrize("value", [-0.0004, 0, 0.0004])
def test_a_change_that_is_rounded_to_zero_has_no_sign(value: float):
    assert UNITS["change"].text(value) == "0.0%"


def test_a_tie_is_rounded_up_as_in_the_sentences_of_the_marts():
    assert UNITS["rate"].text(0.0625) == "6.3%"
    assert UNITS["days"].text(12.5) == "13"


# --- numbers ----------------------------------------------------------------------------


@on_data(*DATA_SETS)
def test_every_number_is_what_its_query_gives(site: Path, spark: SparkSession):
    assert_numbers_are_answers((site / "index.html").read_text(), spark)


@on_data("edge_cases")
def test_rare_cases_do_not_break_the_page(tables: SimpleNamespace, spark: SparkSession):
    assert_numbers_are_answers(render(tables, {}), spark)


@on_data("cdnow")
def test_published_numbers_are_on_the_page(site: Path):
    """23,570 customers and 69,659 purchases, as Fader and Hardie describe the CDNOW data."""
    found = {
        number["data-query"]: number["text"]
        for number in Numbers((site / "index.html").read_text()).found
    }
    customers = "select value from marts.executive_summary where metric = 'customers'"
    assert found[customers] == "23,570"
    assert found["select count(*) from staging.stg_transactions"] == "69,659"


def text_of(page: str) -> str:
    """Returns the text of a page, without markup."""
    body = re.sub(r"<(style|svg|details).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", body).split())


def with_number(row: SimpleNamespace, name: str, value: object) -> None:
    """Changes a number of a row."""
    setattr(row, name, replace(getattr(row, name), value=value))


@on_data("generated")
class TestWords:
    def test_the_page_names_a_decrease_as_a_decrease(self, tables: SimpleNamespace):
        (revenue,) = [row for row in tables.metrics if row.metric == "net_revenue"]
        for rate, words in ((-0.25, "down 25.0%"), (0.25, "up 25.0%"), (0.0, "unchanged")):
            with_number(revenue, "change_rate", rate)
            assert f"{words} from the 90 days before" in text_of(render(tables, {}))
        with_number(revenue, "change_rate", None)
        assert "from the 90 days before" not in text_of(render(tables, {}))

    def test_charts_follow_the_schema(self, tables: SimpleNamespace):
        with schemapi.debug_mode(True):
            render(tables, {})

    def test_one_customer_is_singular(self, tables: SimpleNamespace):
        (risk,) = [row for row in tables.metrics if row.metric == "high_risk_customers"]
        with_number(risk, "value", 1)
        assert "1 customer is at high risk" in text_of(render(tables, {}))
        with_number(risk, "value", 2)
        assert "2 customers are at high risk" in text_of(render(tables, {}))

    def test_each_section_warns_of_too_little_data(self, tables: SimpleNamespace):
        warning = "Too little to rely on"
        assert warning not in render(tables, {})
        few, short = deepcopy(tables), deepcopy(tables)
        with_number(few.totals[0], "buyers", 499)
        with_number(short.period[0], "first_on", short.as_of[0].as_of_date.value)
        for thin in (few, short):
            assert render(thin, {}).count(warning) == len(SECTIONS)

    def test_the_page_explains_what_is_missing(self, tables: SimpleNamespace):
        for name in ("personas", "cluster_numbers", "moves", "tests", "cohorts"):
            setattr(tables, name, [])
        for name in ("models", "forecasts", "periods", "seasons", "tenths"):
            setattr(tables, name, [])
        text = text_of(render(tables, {}))
        for sentence in (
            "too few customers with a purchase to group",
            "There is no forecast of orders: too few customers with a purchase",
            "No purchase model is fitted",
            "There are not yet two month ends",
            "No data test has run",
            "No month after a first purchase is complete",
        ):
            assert sentence in text
        assert "forecast of the last" not in text

    def test_a_page_on_thousands_of_categories_names_what_it_leaves_out(
        self, tables: SimpleNamespace
    ):
        left_out = "the table has the largest 50", "Only the 200 most frequent categories"
        text = text_of(render(tables, {}))
        assert not any(words in text for words in left_out)
        with_number(tables.all_categories[0], "categories", 4070)
        text = text_of(render(tables, {}))
        assert "of 4,070; the table has the largest 50" in text
        assert re.search(
            r"Only the 200 most frequent categories are compared, each in at least \d", text
        )

    def test_text_of_the_source_stays_text(self, tables: SimpleNamespace):
        tables.categories[0].product_category = "<script>alert(1)</script>"
        assert "<script" not in render(tables, {})

    def test_the_page_counts_each_data_test(self, site: Path, tables: SimpleNamespace):
        nodes = json.loads((site.parent / "manifest.json").read_text())["nodes"].values()
        tests = [node for node in nodes if node["resource_type"] == "test"]
        assert sum(row.tests.value for row in tables.tests) == len(tests)


@on_data("cdnow")
def test_a_source_with_only_days_and_amounts_has_no_other_charts(site: Path):
    text = text_of((site / "index.html").read_text())
    assert "The source does not give the category of a product" in text
    assert "The source does not give the payment method of an order" in text
    assert "so there are no hours" in text
    assert "sell together" not in text


@on_data(*DATA_SETS)
def test_the_page_is_small_and_needs_nothing_else(site: Path):
    page = (site / "index.html").read_text()
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"<script|<img|<link[^>]+href=\"(?!data:)|url\(|@import|//[a-z]", page)
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    assert "None" not in text_of(page)
    assert "nan" not in text_of(page).split()


# --- lists of customers -----------------------------------------------------------------


@on_data(*DATA_SETS)
def test_lists_hold_the_recommended_customers(site: Path, query: Callable[[str], list[tuple]]):
    recommended = query(
        "select priority, customers, value_at_stake from marts.recommendations "
        "where customers is not null"
    )
    files = {int(path.name[:2]): path for path in (site / "audiences").glob("*.csv")}
    assert set(files) == {priority for priority, _, _ in recommended}
    page = (site / "index.html").read_text()
    for priority, customers, value in recommended:
        rows = pyarrow.csv.read_csv(files[priority])
        assert len(set(rows["customer_id"].to_pylist())) == rows.num_rows == customers
        if "returns" not in files[priority].name and "buyers-of" not in files[priority].name:
            at_stake = sum(float(each or 0) for each in rows["value_at_stake"].to_pylist())
            assert at_stake == pytest.approx(float(value), abs=0.01 * customers)
        assert f'href="audiences/{files[priority].name}"' in page


@on_data("generated")
def test_a_long_list_has_the_customers_with_most_at_stake(
    spark: SparkSession, query: Callable[[str], list[tuple]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audiences, "LIST_LENGTH", 5)
    lists = audiences.read_audiences(spark)
    found = lists.select(["priority", "customer_id"]).to_pylist()
    members = query(
        "select priority, customer_id from marts.recommended_customers "
        "order by priority, value_at_stake desc, customer_id"
    )
    counts = Counter(priority for priority, _ in members)
    assert max(counts.values()) > 5
    for priority in counts:
        expected = [customer_id for of, customer_id in members if of == priority]
        of_list = [each["customer_id"] for each in found if each["priority"] == priority]
        assert of_list == expected[:5]


def test_no_customer_id_is_a_formula(tmp_path: Path):
    ids = ["=1+1", "+1", "-1", "@a", "\t=1", "a=1", "17"]
    rows = pa.table(
        {
            "priority": [1] * 7,
            "place": list(range(1, 8)),
            "customer_id": ids,
            "reason": ["Buyers of -1"] * 7,
            "net_revenue": [1] * 7,
            "value_at_stake": [1] * 7,
        }
    )
    audiences.write_audience(rows, tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        written = [line.split(",")[0].strip('"') for line in file.read().splitlines()[1:]]
    assert written == ["'=1+1", "'+1", "'-1", "'@a", "'\t=1", "a=1", "17"]


# --- building and serving ---------------------------------------------------------------


def test_a_build_that_fails_leaves_the_old_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("old")

    def build(_, folder: Path):
        folder.mkdir()
        (folder / "index.html").write_text("half")
        raise StepError("broken")

    monkeypatch.setattr(build_site, "TARGET", tmp_path)
    monkeypatch.setattr(build_site, "start", lambda _: None)
    monkeypatch.setattr(build_site, "build", build)
    with pytest.raises(StepError):
        build_site.main()
    assert (tmp_path / "site" / "index.html").read_text() == "old"


def serve(folder: Path, port: object) -> subprocess.CompletedProcess:
    """Runs the command of `make serve`, which must end immediately here."""
    command = [sys.executable, "-m", "server.serve", folder, str(port)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_serving_explains_a_failure_in_one_line(tmp_path: Path, taken_port: int):
    assert "make site" in serve(tmp_path, 8080).stderr
    (tmp_path / "index.html").write_text("page")
    for wrong in (taken_port, "web"):
        result = serve(tmp_path, wrong)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert str(wrong) in result.stderr


# --- in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips the test where it is not installed."""
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("needs the browser Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serves the site on a free port of loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page. The test fails if it requests another address, or if its console has an error."""
    opened = browser.new_page()
    wrong = []
    opened.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            request.url.startswith((address, "data:", "blob:")) or wrong.append(request.url)
        ),
    )
    yield opened
    opened.close()
    assert not wrong


@on_data(*DATA_SETS)
def test_the_page_is_accessible_on_screen_and_phone(page: Page, address: str):
    for scheme, width in (("light", 1280), ("dark", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address)
        findings = Axe().run(page).response["violations"]
        assert not [each for each in findings if each["impact"] in ("serious", "critical")]
        if width == 1280:
            # On a phone, a wide table may scroll. At this width, it would look cut off. A closed
            # `details` hides its table.
            cut = """tables => tables.filter(each =>
                !each.closest('details:not([open])') && each.scrollWidth > each.clientWidth
            ).length"""
            assert page.eval_on_selector_all(".scroll", cut) == 0
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@on_data("generated")
def test_a_number_leads_to_its_lineage_and_back(page: Page, address: str):
    page.goto(address)
    page.click("#happened .number[href$='.executive_summary'] >> nth=0")
    page.wait_for_selector("h1:has-text('executive_summary')")
    page.click("text=Back to the insights")
    page.wait_for_selector("h1:has-text('Customer behavior')")


@on_data("generated")
def test_every_link_to_the_lineage_has_a_page_there(site: Path):
    links = set(
        re.findall(r'lineage/index.html#!/\w+/([\w.]+)"', (site / "index.html").read_text())
    )
    manifest = json.loads((site.parent / "manifest.json").read_text())
    assert links
    assert links <= set(manifest["nodes"]) | set(manifest["sources"])
