"""Shared by the reports: paths, the settings in dbt_project.yml, dbt, and the templates."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jinja2
import yaml

from ml.environment import PREFIX
from ml.session import StepError

ROOT = Path(__file__).resolve().parent.parent
# dbt's target folder, which the site is written into.
TARGET = ROOT / (os.environ.get("DBT_TARGET_PATH") or "target")
PROJECT = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
WINDOW_DAYS: int = PROJECT["vars"]["window_days"]
HOLDOUT_DAYS: int = PROJECT["vars"]["holdout_days"]
# With fewer customers or orders, no shares are reported: they would be chance.
MINIMUM_SAMPLE: int = PROJECT["vars"]["minimum_sample"]
ROW_JUMP: float = PROJECT["vars"]["row_jump"]

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOT / "reports" / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["css"] = (ROOT / "reports" / "templates" / "site.css").read_text()


def run_dbt(*arguments: str) -> str:
    """Runs dbt with these arguments and returns what it prints; raises StepError when it fails."""
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", *arguments]
    result = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        print(result.stdout, file=sys.stderr)
        raise StepError(f"dbt {arguments[0]} failed; its message is above")
    return result.stdout


def read_manifest() -> dict:
    """Reads the manifest of dbt's last build; without one of this environment, dbt writes it now.

    Raises StepError when dbt builds another environment.
    """
    manifest = own_manifest()
    if manifest is None:
        run_dbt("parse")
        manifest = own_manifest()
    if manifest is None:
        raise StepError(
            f"dbt builds other schemas than {PREFIX}marts: set DBT_TARGET and DBT_SCHEMA_PREFIX"
        )
    return manifest


def own_manifest() -> dict | None:
    """Reads the manifest in TARGET; None if it is missing, cut off, or of another environment."""
    try:
        manifest = json.loads((TARGET / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    schemas = {node["schema"] for node in manifest["nodes"].values()}
    return manifest if f"{PREFIX}marts" in schemas else None
