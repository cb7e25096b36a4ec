"""What dbt_project.yml says, for the reports."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
