"""The history of runs: what dbt commands leave in `audit`, on the page and in the summary."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import query_function
from test_last_run import copy_project

PLANTED = "tests/dbt/planted_failure.sql"


@pytest.fixture
def run_copy(
    finished_run: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `make` in tmp_path/copy, a copy of the project, on the tables of a finished run."""
    copy = copy_project(tmp_path / "copy")

    def make(*arguments: str) -> subprocess.CompletedProcess:
        command = ["make", "N_CUSTOMERS=3000", *arguments]
        return subprocess.run(
            command, cwd=copy, env=finished_run, check=False, capture_output=True, text=True
        )

    return make


@pytest.mark.slow
def test_three_runs_leave_their_history(
    run_copy: Callable[..., subprocess.CompletedProcess],
    finished_run: dict[str, str],
    tmp_path: Path,
):
    """The second run has a test that fails; the third one no longer has the test."""
    planted = tmp_path / "copy" / PLANTED
    page = Path(finished_run["DBT_TARGET_PATH"]) / "site" / "index.html"
    planted.write_text(
        "select metric from {{ ref('executive_summary') }} where metric = 'customers'"
    )
    failed = run_copy("run", "FRESH=yes")
    assert failed.returncode
    with query_function(finished_run) as query:
        results = "select status, failures from audit.test_results where test = 'planted_failure'"
        assert query(results) == [("fail", 1)]
        # Downstream is skipped, and analysts read what the run before has left.
        ((run,),) = query("select max(run) from audit.runs")
        nodes = dict(query(f"select node, status from audit.runs where run = '{run}'"))
        assert nodes["executive_summary"] == "success"
        assert nodes["recommendations"] == "skipped"
        assert query("select count(*) > 0 from marts.recommendations") == [(True,)]

        assert run_copy("site").returncode == 0
        assert "These did not pass in the last runs" in page.read_text()
        assert "planted failure: fail" in page.read_text()

        planted.unlink()
        mended = run_copy("run", "FRESH=yes")
        assert mended.returncode == 0
        assert "No mart has 50% more or fewer rows than in the build before." in mended.stdout
        assert query(f"{results} order by run") == [("fail", 1), ("removed", 0)]
        last = "select count(*) from marts.data_test_results where test = 'planted_failure'"
        assert query(last) == [(0,)]
        history = "from marts.table_history where table_name = 'customers' order by run"
        rows = query(f"select rows, previous_rows, net_revenue > 0 {history}")
        assert len(rows) >= 2
        assert all(row == (3000, 3000, True) for row in rows[1:])
    assert "Tests that did not pass" in page.read_text()
