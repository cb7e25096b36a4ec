"""The tables of this project as assets of Dagster: raw data, dbt, PySpark steps, dbt, the site.

    dagster asset materialize --select "*" --python-file docs/examples/dagster_assets.py

It reads the models from dbt's manifest, so `dbt parse` comes first. docs/orchestrate.md explains
the environment variables.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / ".venv" / "bin"
TARGET = ROOT / (os.environ.get("DBT_TARGET_PATH") or "target")
MANIFEST = json.loads((TARGET / "manifest.json").read_text())
# The step that fills the raw tables, as in RAW_STEP="ml.load --append --transactions /data/sales".
RAW_STEP = os.environ.get("RAW_STEP") or "ml.generate --customers 3000 --seed 42"
# Every step can run again: it writes its tables again.
RETRY = dg.RetryPolicy(max_retries=1, delay=60)


def tables_of(source: str) -> set[dg.AssetKey]:
    """Returns the tables of a source of dbt: PySpark steps write them, and models read them."""
    tables = MANIFEST["sources"].values()
    return {dg.AssetKey([source, each["name"]]) for each in tables if each["source_name"] == source}


def read_by(exposure: str) -> list[dg.AssetKey]:
    """Returns the tables that a step reads, as models/_exposures.yml declares them."""
    nodes = MANIFEST["nodes"] | MANIFEST["sources"]
    read = MANIFEST["exposures"][f"exposure.customer_behavior.{exposure}"]["depends_on"]["nodes"]
    return [DagsterDbtTranslator().get_asset_key(nodes[node]) for node in read]


def step(
    command: str, writes: Iterable[dg.AssetKey], reads: Iterable[dg.AssetKey] = ()
) -> dg.AssetsDefinition:
    """Returns what a program writes as assets; `command` is a module of Python and its options."""
    module, *options = shlex.split(command)
    specs = [dg.AssetSpec(key, deps=reads, kinds={"python", "spark"}) for key in sorted(writes)]

    @dg.multi_asset(name=module.replace(".", "_"), specs=specs, retry_policy=RETRY)
    def run() -> Iterator[dg.MaterializeResult]:
        subprocess.run([PROGRAMS / "python", "-m", module, *options], cwd=ROOT, check=True)
        yield from (dg.MaterializeResult(asset_key=spec.key) for spec in specs)

    return run


def models(selector: str) -> dg.AssetsDefinition:
    """Returns the seeds and models of a selector as assets; one command of dbt builds them."""

    @dbt_assets(manifest=MANIFEST, selector=selector, name=selector, retry_policy=RETRY)
    def build(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator:
        options = ["--exclude-resource-type", "unit_test"]
        yield from dbt.cli(["build", *options], context=context).stream()

    return build


# The tables that ml.cluster writes have it in their names.
CLUSTERS = {key for key in tables_of("ml") if "cluster" in key.path[-1]}
definitions = dg.Definitions(
    assets=[
        step(RAW_STEP, tables_of("raw")),
        models("before_ml"),
        step("ml.cluster", CLUSTERS, read_by("customer_clustering")),
        step("ml.lifetime_value", tables_of("ml") - CLUSTERS, read_by("lifetime_value")),
        models("after_ml"),
        step("reports.build_site", {dg.AssetKey("insight_site")}, read_by("insight_site")),
    ],
    resources={"dbt": DbtCliResource(project_dir=ROOT, dbt_executable=PROGRAMS / "dbt")},
)
