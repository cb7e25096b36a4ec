"""The query library: every analysis runs, and its answer has the shape that its YAML states."""

import time

import pytest
import yaml
from conftest import ROOT, Query, on_data

ANALYSES = ROOT / "analyses"
TIME_LIMIT_SECONDS = 10

FILES = {path.stem: path.read_text() for path in ANALYSES.glob("*.sql")}
ENTRIES = {
    entry["name"]: entry
    for entry in yaml.safe_load((ANALYSES / "_analyses.yml").read_text())["analyses"]
}

each_analysis = pytest.mark.parametrize("name", sorted(FILES.keys() & ENTRIES.keys()))


def compiled(manifest: dict, name: str) -> dict:
    """An analysis as dbt compiled it."""
    return manifest["nodes"][f"analysis.customer_behavior.{name}"]


def stated(name: str) -> dict:
    """Returns what the YAML states about the answer: columns with types, rows, sorted_by."""
    return ENTRIES[name]["config"]["meta"]


def in_order(rows: list[tuple], columns: list[str], sorted_by: str) -> list[tuple]:
    """Sorts the rows by `sorted_by` ("a desc, b"), nulls below all values, as in Spark."""
    # By the last column first: a stable sort keeps the order of equal rows.
    for term in reversed(sorted_by.split(", ")):
        column, *direction = term.split()
        values = [row[columns.index(column)] for row in rows]
        places = sorted(
            range(len(rows)),
            key=[(value is not None, value) for value in values].__getitem__,
            reverse=direction == ["desc"],
        )
        rows = [rows[place] for place in places]
    return rows


def test_every_file_has_an_entry_and_every_entry_a_file():
    assert FILES.keys() == ENTRIES.keys()


def test_readme_lists_every_question_with_its_file():
    readme = (ANALYSES / "README.md").read_text()
    for name in FILES:
        question = ENTRIES[name]["description"]
        assert f"| {question} | [{name}.sql]({name}.sql) |" in readme


@each_analysis
def test_question_is_on_top_with_how_to_read_the_answer_and_when_to_beware(name: str):
    question, *comment = FILES[name].split("\n\n")[0].splitlines()
    assert question == f"-- {ENTRIES[name]['description']}"
    assert question.endswith("?")
    assert all(line.startswith("--") for line in comment)
    assert any(line.startswith("-- Read: ") for line in comment)
    assert any(line.startswith("-- Beware: ") for line in comment)


@on_data("generated")
@each_analysis
def test_only_marts_are_read(name: str, compiled_manifest: dict):
    read = compiled(compiled_manifest, name)["depends_on"]["nodes"]
    assert {compiled_manifest["nodes"][mart]["schema"] for mart in read} == {"marts"}


@on_data("generated")
@each_analysis
def test_answer_has_the_stated_shape_and_comes_in_time(
    name: str, compiled_manifest: dict, query: Query
):
    sql = compiled(compiled_manifest, name)["compiled_code"]
    described = [(column, data_type) for column, data_type, _ in query(f"describe query {sql}")]
    # Lists of pairs: the order of the columns counts.
    assert described == list(stated(name)["columns"].items())

    started = time.monotonic()
    rows = query(sql)
    assert time.monotonic() - started < TIME_LIMIT_SECONDS
    assert rows == in_order(rows, list(stated(name)["columns"]), stated(name)["sorted_by"])
    match stated(name)["rows"]:
        case "one":
            assert len(rows) == 1
        case "at least one":
            assert rows
        case other:
            assert other == "any"


@on_data("generated")
def test_no_mart_disagrees_with_the_summary(compiled_manifest: dict, query: Query):
    name = "where_does_each_number_of_the_summary_come_from"
    sql = compiled(compiled_manifest, name)["compiled_code"]
    agrees = {row[0]: row[4] for row in query(sql)}
    assert {metric for metric, value in agrees.items() if value is not None} == {
        *("active_customers", "new_customers", "average_customer_value", "customers"),
        *("lifetime_net_revenue", "high_risk_customers"),
    }
    assert False not in agrees.values()
