"""Builds the lineage part of the site: dbt's documentation as one page, and the lineage of columns.

python -m reports.lineage_site FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path

from ml.session import StepError, run
from reports import column_lineage
from reports.project import ROOT, TARGET, TEMPLATES


def run_dbt(*arguments: str) -> None:
    """Runs dbt with these arguments; raises StepError when it fails."""
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise StepError("dbt could not describe the tables; its message is above")


def read_manifest() -> dict:
    """Reads dbt's manifest; dbt wrote it with the tables, or writes it now."""
    manifest = TARGET / "manifest.json"
    if not manifest.exists():
        run_dbt("parse")
    return json.loads(manifest.read_text(encoding="utf-8"))


def write(folder: Path) -> None:
    """Writes dbt's page on the tables, and the page on the columns, into a new folder."""
    run_dbt("docs", "generate", "--static")
    folder.mkdir()
    page = with_way_back((TARGET / "static_index.html").read_text(encoding="utf-8"))
    (folder / "index.html").write_text(page, encoding="utf-8")
    column_lineage.write(TARGET, folder / "columns.html")


def with_way_back(page: str) -> str:
    """Returns dbt's page with a link to the insights, and without requests for missing files.

    dbt's own page requests two files whose names are templates that were not filled in.
    """
    page = page.replace(' xlink:href="{{', ' ng-attr-xlink:href="{{')
    page = page.replace("${require('./assets/favicons/favicon.ico')}", "data:,")
    link = TEMPLATES.get_template("way_back.html.j2").render()
    return page.replace("</body>", f"{link}</body>")


if __name__ == "__main__":
    run(lambda: write(Path(sys.argv[1])))
