"""Builds the insight site from the marts: one page to act on, and the lists of customers it names.

    python -m reports.build_site

Reads the marts over Spark Connect and writes `site` in dbt's target folder: `index.html`, which
needs no other file, `audiences/*.csv`, and under `lineage/` dbt's documentation and the lineage of
columns. The site is built in another folder, and replaces the old one once it is complete.
"""

import argparse
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark.sql import SparkSession

from ml.session import StepError, log, run, start
from reports.audiences import read_audiences, write_audiences
from reports.page import render
from reports.project import ROOT, TARGET, read_manifest
from reports.query import read, relations_of


def build(spark: SparkSession, folder: Path) -> None:
    """Writes the complete site into a new folder."""
    folder.mkdir(parents=True)
    # Other accounts of this machine must not read the lists of customers.
    (folder / "audiences").mkdir(mode=0o700)
    # Reads the manifest before dbt rewrites it.
    relations = relations_of(read_manifest())
    # dbt takes about as long as the other parts together, so it runs on a core of its own.
    command = [sys.executable, "-m", "reports.lineage_site", str(folder / "lineage")]
    with subprocess.Popen(command, cwd=ROOT) as lineage, ThreadPoolExecutor(1) as pool:
        members = pool.submit(read_audiences, spark)
        tables = read(spark, relations)
        files = write_audiences(members.result(), tables.recommendations, folder)
        (folder / "index.html").write_text(render(tables, files), encoding="utf-8")
    if lineage.returncode:
        raise StepError("the lineage site could not be built; the message is above")


def main() -> None:
    """Replaces the old site with a new one."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    site, new_site = TARGET / "site", TARGET / "site.new"
    shutil.rmtree(new_site, ignore_errors=True)
    build(start("insight site"), new_site)
    shutil.rmtree(site, ignore_errors=True)
    new_site.rename(site)
    log(f"The insight site is {site / 'index.html'}")


if __name__ == "__main__":
    run(main)
