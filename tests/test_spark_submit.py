"""Under plain `spark-submit`, as on a cluster, the PySpark steps give the server's tables.

`load` reads a file of its own. `erase` is not tested here.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT, on_data, with_java

from ml import cluster, lifetime_value

# Cores, partitions and rows per batch differ from those of the server.
OTHER_PARALLELISM = {
    "spark.master": "local[1]",
    "spark.sql.shuffle.partitions": "7",
    "spark.sql.files.maxPartitionBytes": "100k",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "700",
}
READ = tuple(dict.fromkeys((*cluster.READ, *lifetime_value.READ)))
FILLED = (*cluster.TABLES, *lifetime_value.TABLES)


@pytest.fixture
def submit(server: dict[str, str], tmp_path: Path) -> Callable[..., None]:
    """Runs scripts on a Spark of their own, whose metastore is empty at first."""
    settings = OTHER_PARALLELISM | {
        "spark.plugins": "",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "false",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={tmp_path / 'metastore'};create=true"
        ),
    }
    package = shutil.make_archive(str(tmp_path / "ml"), "zip", ROOT, "ml")
    command = [Path(sys.executable).parent / "spark-submit", "--py-files", package]
    command += ["--properties-file", ROOT / "server" / "spark-defaults.conf"]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    # Not os.environ: the Connect client of this process has set variables there for its children.
    environment = with_java(server)

    def run(script: Path, *arguments: str) -> None:
        result = subprocess.run(
            [*command, script, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr[-3000:]

    return run


@pytest.mark.slow
@on_data("generated")
def test_steps_give_the_tables_of_the_server(
    submit: Callable[..., None], spark, server: dict[str, str], tmp_path: Path
):
    """Row for row, though the work is split differently."""
    for table in (*READ, *FILLED):
        rows = spark.table(table).limit(0) if table in FILLED else spark.table(table)
        rows.write.parquet(str(tmp_path / "copies" / table))
    # In one process to save time; each step begins and ends its own session.
    steps = tmp_path / "steps.py"
    steps.write_text(f"""
import runpy, sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
for table in {READ + FILLED}:
    spark.sql("create database if not exists " + table.split(".")[0])
    spark.read.parquet({str(tmp_path / "copies")!r} + "/" + table).write.saveAsTable(table)
# The steps read only the properties of this table.
spark.sql("create database staging")
spark.sql("create table staging.stg_checked_transactions (line int) using parquet")
spark.stop()
for step, *arguments in (
    ("cluster", "--seed", "42"), ("lifetime_value",), ("generate", "--customers", "3000")
):
    sys.argv = [step, *arguments]
    runpy.run_module(f"ml.{{step}}", run_name="__main__")
""")
    submit(steps)

    def content(warehouse: Path, table: str) -> duckdb.DuckDBPyRelation:
        database, _, name = table.partition(".")
        rows = duckdb.read_parquet(f"{warehouse}/{database}.db/{name}/**/*.parquet")
        # `basis` includes a property of stg_checked_transactions, which is empty and has none here.
        has_basis = name in ("cluster_selection", "lifetime_value_models")
        return rows.select("* exclude (basis)") if has_basis else rows

    here, there = tmp_path / "warehouse", Path(server["STATE_DIR"]) / "warehouse"
    for table in (*FILLED, "raw.customers", "raw.transactions", "truth.customers"):
        found, expected = content(here, table), content(there, table)
        # This table is empty unless the score with recency was chosen.
        assert len(found) > 0 or table == "ml.churn_score_ranks", table
        assert len(found) == len(expected), table
        assert len(found.except_(expected)) == 0, table

    source = tmp_path / "two.csv"
    source.write_text("customer_id,ordered_at,amount\nann,2026-01-05,3\nbob,2026-01-06,4.5\n")
    submit(ROOT / "ml" / "load.py", "--transactions", str(source))
    assert content(here, "raw.transactions").aggregate("count(*), sum(amount)").fetchall() == [
        (2, 7.5)
    ]
