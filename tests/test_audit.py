"""The history of runs: what dbt commands leave in `audit`, on the page and in the summary."""

from functools import partial
from pathlib import Path

import pytest
from conftest import query_function, run_make
from test_last_run import copy_project


@pytest.mark.slow
def test_three_runs_leave_their_history(finished_run: dict[str, str], tmp_path: Path):
    """The second run has a test that fails; the third one no longer has the test."""
    copy = copy_project(tmp_path / "copy")
    make = partial(run_make, finished_run, "N_CUSTOMERS=3000", folder=copy)
    # A run builds only the changed model, its tests, and what depends on it.
    summary = copy / "models" / "marts" / "insights" / "executive_summary.sql"
    original = summary.read_text()
    summary.write_text(f"{original}-- Changed.\n")
    planted = copy / "tests" / "dbt" / "planted_failure.sql"
    page = Path(finished_run["DBT_TARGET_PATH"]) / "site" / "index.html"
    planted.write_text(
        "select metric from {{ ref('executive_summary') }} where metric = 'customers'"
    )
    assert make("run", check=False).returncode
    with query_function(finished_run) as query:
        results = "select status, failures from audit.test_results where test = 'planted_failure'"
        assert query(results) == [("fail", 1)]
        # Downstream is skipped, and analysts read what the run before has left.
        ((run,),) = query("select max(run) from audit.runs")
        nodes = dict(query(f"select node, status from audit.runs where run = '{run}'"))
        assert nodes["executive_summary"] == "success"
        assert nodes["recommendations"] == "skipped"
        assert query("select count(*) > 0 from marts.recommendations") == [(True,)]

        make("site")
        assert "These are the last results that were not a pass" in page.read_text()
        assert "planted_<wbr>failure: fail" in page.read_text()

        planted.unlink()
        summary.write_text(original)
        printed = make("run", "FRESH=yes").stdout
        assert "No mart of 30 rows or more has grown or shrunk by more than 50%" in printed
        assert query(f"{results} order by run") == [("fail", 1), ("removed", 0)]
        last = "select count(*) from marts.data_test_results where test = 'planted_failure'"
        assert query(last) == [(0,)]
        history = "from marts.table_history where table_name = 'customers' order by run"
        rows = query(f"select rows, previous_rows, net_revenue > 0 {history}")
        assert len(rows) >= 2
        assert all(row == (3000, 3000, True) for row in rows[1:])
    assert "Tests that did not pass" in page.read_text()
