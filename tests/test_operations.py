"""Tests that a backup can be restored, and that an erased customer is gone.

The erasure comes last: it leaves other tables than those of a run, so the next run has to do
everything again.
"""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, dbt, file_content, query_function, run_make
from test_faults import table_fingerprints


@pytest.mark.slow
def test_documented_backup_restores_every_table(finished_run: dict[str, str], tmp_path: Path):
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("## Backup and restore")[2].partition("\n## ")[0]
    backup, restore = re.findall(r"(?m)(?:^    .+\n)+", section)

    def run(commands: str) -> None:
        shell = "set -e\n" + commands.replace(".spark", finished_run["STATE_DIR"]).replace(
            "backup.tar", str(tmp_path / "backup.tar")
        )
        subprocess.run(["bash", "-c", shell], cwd=ROOT, env=finished_run, check=True)

    before = table_fingerprints(finished_run)
    run(backup)
    run_make(finished_run, "up", "raw", "N_CUSTOMERS=200")
    assert table_fingerprints(finished_run) != before
    run(restore)
    assert table_fingerprints(finished_run) == before
    # To a run, each table and each file is as it was before the backup.
    assert "Nothing has changed" in run_make(finished_run, "run", "N_CUSTOMERS=3000").stderr
    with query_function(finished_run) as query:
        query("create table staging.restored as select 1 as number")
        assert query("select * from staging.restored") == [(1,)]
        query("drop table staging.restored")


@pytest.mark.slow
def test_no_file_or_table_names_the_erased_customer(finished_run: dict[str, str]):
    def query(sql: str) -> list[tuple]:
        with query_function(finished_run) as rows:
            return rows(sql)

    ((customer_id,),) = query(
        "select customer_id from marts.recommended_customers order by customer_id limit 1"
    )
    # This query puts the id into the log, as an analyst's query would.
    query(f"select * from marts.customers where customer_id = '{customer_id}'")
    # As `dbt test --store-failures` would, if the customer were listed twice.
    query("create database if not exists dbt_test__audit")
    query(
        "create table dbt_test__audit.raw_customers_are_listed_once using parquet as "
        f"select '{customer_id}' as customer_id"
    )
    # Another build of each mart of customers, so that more than one has to be dropped.
    dbt(finished_run, "run", "--select", "customer_features", "customers", "customer_rfm")
    run_make(finished_run, "erase", f"CUSTOMER_ID={customer_id}")
    # The files come first because the queries below write the id into the log.
    for folder in ("STATE_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        for path in Path(finished_run[folder]).rglob("*"):
            if path.is_file() and path.suffix != ".parquet":
                assert customer_id.encode() not in file_content(path), path
    # Views show what is in the tables.
    tables = [
        f"{database}.{table}"
        for (database,) in query("show databases")
        for _, table, _ in {*query(f"show tables in {database}")}
        - {*query(f"show views in {database}")}
    ]
    found = query(
        " union all ".join(
            f"select '{table}', count(*) from {table} as t "
            f"where to_json(struct(t.*)) like '%{customer_id}%'"
            for table in tables
        )
    )
    # The truth of the simulation keeps the customer; loaded data have no such table.
    assert dict(found) == {table: int(table == "truth.customers") for table in tables}
    # No later test uses this state.
    run_make(finished_run, "down")
