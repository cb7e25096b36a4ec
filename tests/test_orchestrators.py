"""Dagster builds everything with the example of docs/orchestrate.md, as that page runs it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, dbt, step_environment

EXAMPLE = ROOT / "docs" / "examples" / "dagster_assets.py"
REQUIREMENTS = EXAMPLE.parent / "requirements.txt"
# Prints each asset, and whether Dagster has recorded that a run built it.
REPORT = """
import json

from dagster import DagsterInstance
from dagster_assets import definitions

keys = definitions.resolve_asset_graph().materializable_asset_keys
with DagsterInstance.get() as instance:
    built = {key: instance.get_latest_materialization_event(key) is not None for key in keys}
print(json.dumps({key.to_user_string(): is_built for key, is_built in built.items()}))
"""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of a virtual environment with Dagster; skips without a package index."""
    folder = tmp_path_factory.mktemp("dagster")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = folder / "bin" / "pip", "install", "--quiet", "--requirement", REQUIREMENTS
    pip = subprocess.run(command, capture_output=True, text=True, check=False)
    # pip warns that it retries when it cannot connect.
    if pip.returncode and "Retrying (" in pip.stderr:
        pytest.skip("needs the package index: Dagster cannot be installed")
    assert pip.returncode == 0, pip.stderr
    yield folder / "bin"
    # 300 MB, which pytest would keep for its next three runs.
    shutil.rmtree(folder)


@pytest.mark.slow
def test_dagster_builds_every_asset(
    programs: Path, server: dict[str, str], query: Callable[[str], list[tuple]], tmp_path: Path
):
    home = tmp_path / "dagster-home"
    home.mkdir()
    environment = step_environment(server) | {
        "DBT_TARGET": "prod",
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        # Unlike the default of the example, it may replace what another test has loaded.
        "RAW_STEP": "ml.generate --customers 3000 --seed 42 --replace-loaded",
    }

    def run(*command: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    dbt(environment, "parse")
    lock = sys.executable, "-m", "server.lock", Path(server["STATE_DIR"]) / "at-work"
    materialize = programs / "dagster", "asset", "materialize", "--select", "*"
    result = run(*lock, *materialize, "--python-file", EXAMPLE)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-5000:]

    environment["PYTHONPATH"] = str(EXAMPLE.parent)
    report = run(programs / "python", "-c", REPORT)
    assert report.returncode == 0, report.stderr
    assets = json.loads(report.stdout)
    assert [name for name, is_built in assets.items() if not is_built] == []
    # All models and seeds, the tables of the steps, and the site.
    manifest = json.loads((Path(server["DBT_TARGET_PATH"]) / "manifest.json").read_text())
    expected = {
        *(
            f"{node['config']['schema']}/{node['name']}"
            for node in manifest["nodes"].values()
            if node["resource_type"] in ("model", "seed")
        ),
        *(
            f"{source['source_name']}/{source['name']}"
            for source in manifest["sources"].values()
            if source["source_name"] in ("raw", "ml")
        ),
        "insight_site",
    }
    assert set(assets) == expected

    def count(relation: str) -> int:
        ((rows,),) = query(f"select count(*) from {relation}")
        return rows

    assert count("marts.personas") >= 2
    assert count("ml.lifetime_value") == count("marts.customer_rfm") > 0
    # The second half of dbt has read what the steps between wrote.
    assert count("marts.customers where persona is not null") == count("ml.customer_clusters") > 0
    assert count("marts.customers where p_alive is not null") == count("ml.lifetime_value")
    assert (Path(server["DBT_TARGET_PATH"]) / "site" / "index.html").exists()
