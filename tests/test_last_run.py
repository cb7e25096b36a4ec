"""Tests of what `make run` does again: only what has changed since the last complete run."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, run_make
from pyspark.sql import SparkSession

from server import last_run

PROJECT = (
    *("analyses", "macros", "ml", "models", "reports", "seeds", "server", "tests/dbt"),
    *("Makefile", "dbt_project.yml", "profiles.yml", "selectors.yml"),
    *("requirements.txt", "requirements-java.txt", "requirements-uv.txt"),
)


@pytest.mark.parametrize(
    ("changed", "far", "scope"),
    [
        ("", False, "nothing"),
        ("site", False, "page"),
        ("page site", False, "page"),
        ("models", False, "models"),
        ("models page", False, "models"),
        ("models", True, "everything"),
        ("models tables", False, "tables"),
        ("parameters", False, "data"),
        ("input", False, "data"),
        ("raw site page", False, "data"),
        ("raw models", False, "tables"),
        ("raw tables", False, "tables"),
        ("tables", False, "tables"),
        ("project page", False, "everything"),
        ("project tables", False, "everything"),
    ],
)
def test_scope_is_no_more_than_the_changes_need(
    monkeypatch: pytest.MonkeyPatch, changed: str, far: bool, scope: str
):
    monkeypatch.setattr(last_run, "changes_go_far", lambda _: far)
    assert last_run.scope_of(set(changed.split()), {}) == scope


@pytest.mark.parametrize(("recorded", "fresh"), [(True, "yes"), (False, "")])
def test_everything_is_done_when_asked_for_and_at_first(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    recorded: bool,
    fresh: str,
):
    monkeypatch.setattr(last_run, "BEGUN", tmp_path / "last-run.begun")
    monkeypatch.setattr(last_run, "STATE_FILE", tmp_path / "state.json")
    if recorded:
        last_run.STATE_FILE.touch()
    monkeypatch.setenv("FRESH", fresh)
    last_run.scope()
    assert capsys.readouterr() == ("everything\n", "")


def test_files_that_change_during_a_run_leave_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
):
    record, begun = tmp_path / "last-run", tmp_path / "last-run.begun"
    record.mkdir()
    monkeypatch.setattr(last_run, "RECORD", record)
    monkeypatch.setattr(last_run, "BEGUN", begun)
    begun.write_text(json.dumps(last_run.requested() | {"models": "as they were"}))
    last_run.record()
    assert "the next one builds everything" in capsys.readouterr().out
    assert not record.exists()


def test_raw_data_that_change_during_a_run_of_dev_leave_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Prod may load lines while dev builds its marts."""
    raw = iter(["as the run began", "as it ended"])
    monkeypatch.setattr(last_run, "PREFIX", "alice_")
    monkeypatch.setattr(last_run, "start", lambda _: None)
    monkeypatch.setattr(last_run, "table_files", lambda *_: next(raw))
    monkeypatch.setattr(last_run, "RECORD", tmp_path / "last-run")
    monkeypatch.setattr(last_run, "BEGUN", begun := tmp_path / "last-run.begun")
    begun.write_text(json.dumps(last_run.requested()))
    last_run.record()
    assert "raw data may have changed" in capsys.readouterr().out
    assert not last_run.RECORD.exists()


def test_a_run_on_a_path_with_a_scheme_leaves_a_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The fingerprint of such a path differs each time."""
    monkeypatch.setenv("TRANSACTIONS", "s3a://shop/sales")
    monkeypatch.setattr(last_run, "TARGET", tmp_path)
    monkeypatch.setattr(last_run, "read_manifest", dict)
    monkeypatch.setattr(last_run, "start", lambda _: None)
    monkeypatch.setattr(last_run, "made", lambda *_: {})
    monkeypatch.setattr(last_run, "BEGUN", begun := tmp_path / "last-run.begun")
    monkeypatch.setattr(last_run, "RECORD", record := tmp_path / "last-run")
    monkeypatch.setattr(last_run, "STATE_FILE", record / "state.json")
    begun.write_text(json.dumps(last_run.requested()))
    last_run.record()
    recorded = json.loads((record / "state.json").read_text())["state"]
    assert recorded["input"] != last_run.requested()["input"]


def test_a_changed_document_or_a_copy_of_an_editor_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(last_run, "ROOT", tmp_path)
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "cluster.py").write_text("a step")
    before = last_run.contents(("ml",))
    for name in ("README.md", ".cluster.py.swp", "cluster.py~", "#cluster.py#"):
        (tmp_path / "ml" / name).write_text("no code")
    assert last_run.contents(("ml",)) == before
    (tmp_path / "ml" / "cluster.py").write_text("another step")
    assert last_run.contents(("ml",)) != before


def test_every_file_that_a_run_reads_is_compared():
    """Documents, pytest files and the files of development tools are not compared."""
    compared = {name for names in last_run.FILES.values() for name in names}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    left = {name.partition("/")[0] for name in tracked} - compared
    assert left == {
        *(".ci", ".github", ".gitignore", ".pre-commit-config.yaml", ".sqlfluff"),
        *(
            ".sqlfluffignore",
            ".yamllint",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "LICENSE",
            "README.md",
        ),
        *("dbt-bouncer.yml", "docs", "pyproject.toml", "requirements-java.in"),
        *("requirements-tests.in", "requirements-tests.txt", "requirements-uv.in"),
        *("requirements-uv.txt", "requirements.in", "tests"),
    }


def test_any_change_of_a_table_is_noticed(spark: SparkSession):
    for statement in (
        "drop database if exists test_last_run cascade",
        "create database test_last_run",
        "create table test_last_run.kept (number int) using parquet",
        "insert into test_last_run.kept values (1)",
        "create view test_last_run.shown as select * from test_last_run.kept",
    ):
        spark.sql(statement)
    before = last_run.table_files(spark, ["test_last_run"])
    spark.sql("select * from test_last_run.shown").collect()
    assert last_run.table_files(spark, ["test_last_run"]) == before
    for change in (
        "insert overwrite test_last_run.kept values (1)",
        "insert into test_last_run.kept values (2)",
        "truncate table test_last_run.kept",
        "alter table test_last_run.kept set tblproperties ('version' = 'other')",
        "alter view test_last_run.shown as select 3 as number",
        "create table test_last_run.another (number int) using parquet",
        "drop table test_last_run.kept",
    ):
        spark.sql(change)
        after = last_run.table_files(spark, ["test_last_run"])
        assert after != before, change
        before = after
    spark.sql("drop database test_last_run cascade")


def copy_project(copy: Path) -> Path:
    """Copies the files that a run reads, with the installed packages as a link."""
    for name in PROJECT:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        path = ROOT / name
        shutil.copytree(path, copy / name) if path.is_dir() else shutil.copy2(path, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix))
    return copy


@pytest.fixture
def run_copy(finished_run: dict[str, str], tmp_path: Path) -> Callable[[], str]:
    """Runs `make run` in a copy of the project, whose files a test may change."""
    copy = copy_project(tmp_path / "copy")

    def run() -> str:
        result = run_make(finished_run, "run", "N_CUSTOMERS=3000", folder=copy)
        return result.stderr + result.stdout

    return run


def models_built(printed: str) -> set[str]:
    """Names of the models that dbt built, from what it printed."""
    return set(re.findall(r"OK created sql \S+ model \w+\.(\w+)", printed))


@pytest.mark.slow
def test_a_run_does_again_only_what_has_changed(
    run_copy: Callable[[], str], finished_run: dict[str, str], tmp_path: Path
):
    site = Path(finished_run["DBT_TARGET_PATH"]) / "site" / "index.html"
    built_at = site.stat().st_mtime_ns
    assert "Nothing has changed since the run of " in run_copy()
    assert site.stat().st_mtime_ns == built_at

    mart = tmp_path / "copy" / "models" / "marts" / "behavior" / "category_affinity.sql"
    mart.write_text(mart.read_text() + "\n-- A comment.\n")
    data_test = tmp_path / "copy" / "tests" / "dbt" / "added_test.sql"
    data_test.write_text("select * from {{ ref('customers') }} where customer_id is null\n")
    changed = run_copy()
    assert re.search(r"Changed since the run of .+: the models, seeds or data tests\n", changed)
    assert models_built(changed) == {"category_affinity"}
    assert re.search(r"PASS added_test ", changed)
    assert site.stat().st_mtime_ns > built_at

    shutil.rmtree(site.parent)
    assert models_built(run_copy()) == set()
    assert site.exists()
