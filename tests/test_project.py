"""Checks the rules of the project on the artifacts of `dbt parse`; needs no server."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, parsed_project

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def artifacts() -> Path:
    """Returns a folder with the rules of dbt-bouncer, and in `target` the artifacts to check."""
    folder, printed = parsed_project()
    shutil.copy(ROOT / "dbt-bouncer.yml", folder)
    # dbt only warns about misspelled configs and about arguments that a macro does not have.
    assert "WARNING" not in printed.upper()
    assert not re.search(r"in (the )?yaml for macro", printed)
    return folder


@pytest.fixture(scope="module")
def manifest(artifacts: Path) -> dict:
    return json.loads((artifacts / "target" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def marts(manifest: dict) -> dict[str, dict]:
    """The models of the marts, by their unique ids."""
    return {
        name: node
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["path"].startswith("marts/")
    }


def test_layers_names_and_descriptions_follow_the_rules(artifacts: Path):
    result = subprocess.run(
        [BIN / "dbt-bouncer", "run", "--show-all-failures"],
        cwd=artifacts,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def unique_keys(node: dict, manifest: dict) -> list[set[str]]:
    """Returns the sets of columns that a constraint or a data test of a model keeps unique."""
    keys = [
        set(constraint["columns"])
        for constraint in node["constraints"]
        if constraint["type"] in ("primary_key", "unique")
    ]
    for column in node["columns"].values():
        types = {constraint["type"] for constraint in column["constraints"]}
        if types & {"primary_key", "unique"}:
            keys.append({column["name"]})
    for test in manifest["nodes"].values():
        if test.get("attached_node") == node["unique_id"]:
            arguments = test["test_metadata"]["kwargs"]
            if test["test_metadata"]["name"] == "unique":
                keys.append({arguments["column_name"]})
            elif test["test_metadata"]["name"] == "unique_combination_of_columns":
                keys.append(set(arguments["columns"]))
    return keys


def test_grain_of_every_mart_is_a_unique_key(marts: dict[str, dict], manifest: dict):
    """The rows of a view are unique by the keys of the tables that it reads."""
    for node in marts.values():
        grain = set(node["config"]["meta"]["grain"].split(", "))
        assert grain <= set(node["columns"]), node["name"]
        if node["config"]["materialized"] != "view":
            assert grain in unique_keys(node, manifest), node["name"]


def test_a_comment_of_a_column_of_a_view_fits_into_the_metastore(manifest: dict):
    """A metastore refuses a longer one after 20 seconds, in which all other statements wait."""
    for node in manifest["nodes"].values():
        config = node["config"]
        if config["materialized"] == "view" and config["persist_docs"].get("columns"):
            for column in node["columns"].values():
                assert len(column["description"]) <= 256, (node["name"], column["name"])


def test_every_mart_is_a_published_table_or_a_view(marts: dict[str, dict]):
    """With both, a query always finds a complete mart."""
    for node in marts.values():
        assert node["config"]["materialized"] in ("published_table", "view"), node["name"]
        assert node["config"]["contract"]["enforced"], node["name"]


def test_a_mart_that_is_a_view_reads_only_published_or_audit_tables(marts: dict[str, dict]):
    """A run drops and creates all other models, and a view of them fails meanwhile.

    Runs only add to the tables of the schema audit.
    """
    tables = {
        key for key, node in marts.items() if node["config"]["materialized"] == "published_table"
    }
    for node in marts.values():
        if node["config"]["materialized"] == "view":
            parents = set(node["depends_on"]["nodes"])
            audited = {parent for parent in parents if ".audit." in parent}
            assert parents - audited <= tables, node["name"]


def test_marts_read_no_source_but_the_results_of_steps_and_runs(
    marts: dict[str, dict], manifest: dict
):
    for node in marts.values():
        for parent in node["depends_on"]["nodes"]:
            if parent.startswith("source."):
                assert manifest["sources"][parent]["source_name"] in ("ml", "audit"), (
                    node["name"],
                    parent,
                )


def test_exposure_of_the_query_library_names_what_the_queries_read(manifest: dict):
    read = {
        parent
        for node in manifest["nodes"].values()
        if node["resource_type"] == "analysis"
        for parent in node["depends_on"]["nodes"]
    }
    exposure = manifest["exposures"]["exposure.customer_behavior.analyst_queries"]
    assert set(exposure["depends_on"]["nodes"]) == read


def test_rejection_rules_have_the_order_of_the_seed():
    model = (ROOT / "models" / "staging" / "stg_checked_transactions.sql").read_text()
    rules = dict.fromkeys(re.findall(r"then '(\w+)'", model))
    with (ROOT / "seeds" / "rejection_reasons.csv").open() as seed:
        rows = sorted(csv.DictReader(seed), key=lambda row: int(row["display_order"]))
    assert [row["reason"] for row in rows] == [*rules, "after_as_of_date"]


def columns_in(node: object) -> Iterator[dict]:
    """Yields the described columns of all tables in a parsed YAML file."""
    if isinstance(node, dict):
        columns = node.get("columns") or []
        yield from (each for each in columns if isinstance(each, dict) and "description" in each)
        for value in node.values():
            yield from columns_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from columns_in(value)


def test_a_description_of_three_columns_is_a_doc_block():
    files = [*ROOT.glob("models/**/_*.yml"), *ROOT.glob("seeds/_*.yml")]
    descriptions = Counter(
        " ".join(column["description"].split())
        for file in files
        if not file.stem.endswith("_unit_tests")
        for column in columns_in(yaml.safe_load(file.read_text()))
    )
    assert sum(descriptions.values()) > 400
    repeated = {text for text, times in descriptions.items() if times >= 3 and "doc(" not in text}
    assert repeated == set()


def test_macros_that_run_on_models_of_other_projects_name_the_package(manifest: dict):
    """In a macro, dbt looks up a plain name in the project of the model that it runs on."""
    macros = {
        macro["name"]: macro
        for macro in manifest["macros"].values()
        if macro["package_name"] == "customer_behavior"
    }
    plain = re.compile(rf"(?<![\w.'])(?<!macro )({'|'.join(macros)})\(")
    folders = ("macros/materializations/", "macros/spark/")
    to_check = [name for name, macro in macros.items() if macro["path"].startswith(folders)]
    checked: set[str] = set()
    while to_check:
        name = to_check.pop()
        if name not in checked:
            checked.add(name)
            text = macros[name]["macro_sql"]
            assert plain.findall(text) == [], name
            to_check += re.findall(r"customer_behavior\.(\w+)\(", text)
    # A macro outside of the folders, which is called in one of them.
    assert "code_before" in checked
