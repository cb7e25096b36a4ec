"""A project that has installed this one as a package: tests/host_project."""

import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Query, dbt, on_data
from test_last_run import copy_project
from test_pipeline import fingerprint

# Marts that do not depend on the PySpark steps: in a host, the tables of these steps are empty.
WITHOUT_ML = (
    *("customer_features", "customer_rfm", "customer_segment_history", "segment_migration"),
    *("rfm_cells", "monthly_revenue", "purchases_by_category", "category_affinity"),
    *("cohort_retention", "repeat_purchase"),
)
PREFIX = "shop_customer_behavior_"


@pytest.fixture
def sales(query: Query) -> Iterator[None]:
    """The host's own tables: those of the data set, with other names of columns."""
    query("create database shop_warehouse")
    query(
        "create table shop_warehouse.sales using parquet as select transaction_id as line_number, "
        "order_id as order_number, customer_id as client, ordered_at as sold_at, product_id as "
        "article, product_category as department, quantity as pieces, amount as price, "
        "payment_method as paid_by, loaded_at as entered_at from raw.transactions "
        "where unparsed_values is null"
    )
    query(
        "create table shop_warehouse.people using parquet as select customer_id as client, "
        "registered_on as joined_on, age, gender, region as country, membership_level as card "
        "from raw.customers"
    )
    yield
    for (schema,) in query("show databases like 'shop*'"):
        query(f"drop database {schema} cascade")


@pytest.fixture
def host(server: dict[str, str], sales: None, tmp_path: Path) -> Callable[..., str]:
    """Runs dbt in a copy of the host project; the package is in tmp_path/package."""
    copy_project(tmp_path / "package")
    project = tmp_path / "host"
    shutil.copytree(ROOT / "tests" / "host_project", project)
    packages = {"packages": [{"local": "../package"}]}
    (project / "packages.yml").write_text(yaml.safe_dump(packages))
    environment = {name: value for name, value in server.items() if not name.startswith("DBT_")}
    return partial(dbt, environment, folder=project)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.slow
@pytest.mark.last_on_data
@on_data("generated")
def test_a_host_builds_tests_and_upgrades(host: Callable[..., str], query: Query, tmp_path: Path):
    """A model of the host has the name of a mart. The package's hooks skip the host's models."""
    # An earlier version of the package: a mart is a plain table, and a column has another name.
    mart = tmp_path / "package/models/marts/behavior/repeat_purchase.sql"
    sources = tmp_path / "package/models/staging/_sources.yml"
    versions = [(file, file.read_text()) for file in (mart, sources)]
    mart.write_text("{{ config(materialized='table') }}\n" + mart.read_text())
    edit(sources, "name: seconds", "name: duration")
    host("deps")
    tables = ["--resource-type", "seed", "--resource-type", "model"]
    host("build", "--select", "+repeat_purchase", *tables)
    for file, current in versions:
        file.write_text(current)

    built = host("build")
    assert " unit_test " not in built
    assert " WARN=0 ERROR=0 SKIP=0 " in built
    for name in WITHOUT_ML:
        theirs, ours = f"{PREFIX}marts.{name}", f"marts.{name}"
        found, expected = (fingerprint(query, [table])[table] for table in (theirs, ours))
        assert found == expected, name

    def described(table: str) -> dict[str, str]:
        return {name: kind for name, kind, _ in query(f"describe extended {table}")}

    assert described(f"{PREFIX}marts.repeat_purchase")["Type"] == "VIEW"
    assert described("shop_marts.customers")["Type"] == "VIEW"
    assert "seconds" in described(f"{PREFIX}audit.runs")
    # The history of the earlier version is kept under another name.
    audit = [name for _, name, _ in query(f"show tables in {PREFIX}audit like 'runs_until_*'")]
    assert "duration" in described(f"{PREFIX}audit.{audit[0]}")
    lines = described(f"{PREFIX}staging.stg_checked_transactions")
    assert lines["Sort Columns"] == "[`customer_key`]"
    # Our hooks count rows, and record results. Without a count, Spark says 0 rows.
    assert not lines["Statistics"].endswith(" 0 rows")
    assert described("shop_marts.best_customers")["Statistics"].endswith(" 0 rows")
    recorded = {name for (name,) in query(f"select node from {PREFIX}audit.runs")}
    assert recorded >= set(WITHOUT_ML)
    assert not recorded & {"order_lines", "people", "best_customers"}
    ((best,),) = query("select count(*) from shop_marts.best_customers")
    ((champions,),) = query("select count(*) from marts.customers where segment = 'Champions'")
    assert best == champions > 0
    page = (ROOT / "docs" / "environments.md").read_text()
    (selection,) = re.findall(r'dbt build --select "(source:[^"]+)"', page)
    assert "customer_behavior.marts.customers.personas" in host("ls", "--select", selection)
