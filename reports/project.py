"""Shared by the reports: paths, the settings in dbt_project.yml, and the templates."""

import os
from pathlib import Path

import jinja2
import yaml

ROOT = Path(__file__).resolve().parent.parent
# dbt's target folder, which the site is written into.
TARGET = Path(os.environ.get("DBT_TARGET_PATH") or ROOT / "target")
PROJECT = yaml.safe_load((ROOT / "dbt_project.yml").read_text())

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOT / "reports" / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["css"] = (ROOT / "reports" / "templates" / "site.css").read_text()
