"""Environments on one server: dev next to prod, and CI on the tables of prod."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, dbt, query_function, run_make
from test_last_run import copy_project, models_built
from test_pipeline import all_tables, fingerprint

import ml.environment
from reports import project


def environment_of(run: dict[str, str], target: str, prefix: str, folder: Path) -> dict[str, str]:
    """The environment variables of another target on the server of a run."""
    return run | {
        "DBT_TARGET": target,
        "DBT_SCHEMA_PREFIX": prefix,
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }


def test_the_names_of_tables_get_the_prefix(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ml.environment, "PREFIX", "alice_")
    sql = "select marts.x, raw.marts.y from marts.a join ml.b on raw.c, 'source.ml.d', the marts."
    assert ml.environment.in_environment(sql) == (
        "select alice_marts.x, raw.marts.y from alice_marts.a join alice_ml.b on raw.c, "
        "'source.ml.d', the marts."
    )


def test_the_site_reads_the_manifest_of_its_own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Plain dbt of another target may have written the file."""
    file = tmp_path / "manifest.json"

    def write(schema: str) -> None:
        file.write_text(json.dumps({"nodes": {"model": {"schema": schema}}}))

    monkeypatch.setattr(project, "TARGET", tmp_path)
    monkeypatch.setattr(project, "run_dbt", lambda _: write("marts"))
    for schema in ("alice_marts", "marts"):
        write(schema)
        assert project.read_manifest() == {"nodes": {"model": {"schema": "marts"}}}
    # A run was killed while dbt wrote the file.
    for rest in ("", '{"nodes": {'):
        file.write_text(rest)
        assert project.read_manifest() == {"nodes": {"model": {"schema": "marts"}}}


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        # They would read and write the tables of prod.
        ({}, "DBT_TARGET is dev: set DBT_SCHEMA_PREFIX too"),
        # dbt would build john_doe_marts.
        ({"DBT_SCHEMA_PREFIX": "john.doe"}, "DBT_SCHEMA_PREFIX must be letters, digits and _"),
    ],
)
def test_steps_of_dev_need_a_prefix_that_dbt_takes_as_it_is(prefix: dict[str, str], message: str):
    environment = {"PATH": "", "DBT_TARGET": "dev"} | prefix
    command = [sys.executable, "-c", "import ml.environment"]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("target", "table"),
    [({"DBT_TARGET": "prod"}, "ml.lifetime_value"), ({}, "alice_ml.lifetime_value")],
)
def test_only_prod_has_plain_names_whatever_the_prefix(target: dict[str, str], table: str):
    environment = {"PATH": "", "DBT_SCHEMA_PREFIX": "alice"} | target
    program = (
        "from ml.environment import in_environment; print(in_environment('ml.lifetime_value'))"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == table


@pytest.fixture
def dev(finished_run: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the developer alice, which is dropped after the test."""
    alice = environment_of(finished_run, "dev", "alice", tmp_path)
    yield alice
    dbt(alice, "run-operation", "drop_environment")


@pytest.mark.slow
def test_dev_and_prod_build_at_the_same_time(finished_run: dict[str, str], dev: dict[str, str]):
    """They give equal tables, and share no schema but that of the raw data.

    The run of prod also heals a table that somebody has emptied, and builds all models again.
    """
    again = run_make(finished_run, "run", "N_CUSTOMERS=3000").stdout
    summary = again[again.index("As of ") : again.index("Where to look next")]
    with query_function(finished_run) as query:
        query("truncate table ml.lifetime_value")
    with ThreadPoolExecutor(2) as pool:
        of_prod = pool.submit(run_make, finished_run, "run", "N_CUSTOMERS=3000")
        of_dev = pool.submit(run_make, dev, "run", "N_CUSTOMERS=3000")
    assert "alice_marts" in of_dev.result().stdout
    healed = of_prod.result()
    assert "alice" not in healed.stdout
    assert re.search(r"Changed since .+: the tables\n", healed.stderr)
    manifest = json.loads((Path(finished_run["DBT_TARGET_PATH"]) / "manifest.json").read_text())
    assert models_built(healed.stdout) == {
        node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "model"
    }
    # The summary then ends with a comparison of the two builds.
    summary = summary.partition("\n\nNo mart of ")[0].rstrip()
    compared = "No mart of 30 rows or more has grown or shrunk by more than 50%"
    assert f"{summary}\n\n{compared}" in healed.stdout
    with query_function(finished_run) as query:
        names = [name for name in all_tables() if not name.startswith("raw.")]
        expected = fingerprint(query, names)
        found = fingerprint(query, [f"alice_{name}" for name in names])
        assert found == {f"alice_{name}": value for name, value in expected.items()}
        schemas = {name for (name,) in query("show databases")}
        assert {f"alice_{name}" for name in ml.environment.SCHEMAS} <= schemas
        for _, view, _ in query("show views in alice_marts"):
            described = {
                name: kind for name, kind, _ in query(f"describe extended alice_marts.{view}")
            }
            assert not ml.environment.SCHEMA_START.search(described["View Text"])
    for environment in (finished_run, dev):
        assert "Nothing has changed" in run_make(environment, "run", "N_CUSTOMERS=3000").stderr


@pytest.fixture(scope="module")
def ci(
    second_state: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], str]]:
    """Changes a model in a copy of the project, and builds a selection on the tables of prod."""
    run_make(second_state, "run", "N_CUSTOMERS=3000")
    folder = tmp_path_factory.mktemp("ci")
    environment = environment_of(second_state, "ci", "ci", folder)
    copy = copy_project(folder / "copy")
    last_run = ["--defer", "--state", f"{second_state['STATE_DIR']}/last-run"]

    def build(changed: str, selection: str) -> str:
        model = copy / "models" / "marts" / changed
        model.write_text(f"{model.read_text()}-- Changed.\n")
        options = ["--select", selection, *last_run, "--exclude-resource-type", "unit_test"]
        command = [Path(sys.executable).parent / "dbt", "build", *options]
        return subprocess.run(
            command, cwd=copy, env=environment, check=False, stdout=subprocess.PIPE, text=True
        ).stdout

    yield build
    dbt(environment, "run-operation", "drop_environment")


@pytest.mark.slow
def test_ci_builds_what_has_changed_and_reads_the_rest_from_prod(
    ci: Callable[[str, str], str], second_state: dict[str, str]
):
    printed = ci("insights/executive_summary.sql", "state:modified+")
    built = {"executive_summary", "recommendations", "recommended_customers"}
    assert models_built(printed) == built
    assert "ERROR=0" in printed
    with query_function(second_state) as query:
        found = fingerprint(query, [f"ci_marts.{name}" for name in built])
        expected = fingerprint(query, [f"marts.{name}" for name in built])
        assert found == {f"ci_{name}": value for name, value in expected.items()}
        schemas = {name for (name,) in query("show databases") if name.startswith("ci")}
        assert schemas == {"ci_marts", "ci_marts_builds", "ci_audit"}
        assert {name for _, name, _ in query("show tables in ci_marts")} == built


@pytest.mark.slow
def test_ci_refuses_a_history_on_month_ends_that_prod_has_kept(ci: Callable[[str, str], str]):
    """The intermediate models of prod have no rows for the month ends that its history keeps."""
    history = "customers/customer_segment_history.sql"
    assert "add int_history_months+ to --select" in ci(history, "customer_segment_history")
    assert "ERROR=0" in ci(history, "int_history_months+")


@pytest.mark.slow
def test_raw_data_are_not_dropped(finished_run: dict[str, str], dev: dict[str, str]):
    """Even if the name of their schema begins like those of the environment."""
    with query_function(finished_run) as query:
        for schema in ("alice_raw", "alice_marts"):
            query(f"create database {schema}")
        variables = ["--vars", "{raw_schema: alice_raw}"]
        dbt(dev, "run-operation", "drop_environment", *variables)
        assert query("show databases like 'alice*'") == [("alice_raw",)]
        query("drop database alice_raw")


@pytest.mark.slow
def test_prod_is_not_dropped(finished_run: dict[str, str]):
    with pytest.raises(pytest.fail.Exception, match="prod is not dropped"):
        dbt(finished_run, "run-operation", "drop_environment")
