"""Builds the lineage part of the site, in a process of its own.

    python -m reports.lineage_site FOLDER

Writes dbt's documentation as one page, and the lineage of columns, into the new folder.
"""

import sys
from pathlib import Path

from ml.session import run
from reports import column_lineage
from reports.project import TARGET, TEMPLATES, run_dbt


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
