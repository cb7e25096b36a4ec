"""Finds what has changed since the last complete run, so that `make run` does only what is needed.

    python -m server.last_run scope     prints what has to be done, as one word: see scope_of
    python -m server.last_run record    remembers that this run is complete

A run depends on its parameters, on the files that it loads and on the files of this project. Its
tables are compared by their definitions and by the names, sizes and times of their files.

`record` stores hashes of all these in STATE_DIR, with dbt's manifest. `make run` calls it after the
site is built, so a record always describes complete tables and a complete site. If a killed run,
dbt or a person changes a table later, the table no longer agrees with the record.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ml.environment import NAME, PREFIX
from ml.loading import raw_tables
from ml.loading.files import is_remote
from ml.loading.inputs import Inputs, hash_of, read_inputs
from ml.loading.rows import without_ansi
from ml.session import StepError, log, run, start
from reports.project import TARGET, read_manifest, run_dbt
from server.environment import ROOT, STATE

# Each environment has a record.
RECORD = STATE / (f"last-run-{NAME}" if NAME else "last-run")
STATE_FILE = RECORD / "state.json"
BEGUN = STATE / f"{RECORD.name}.begun"  # the state of the files when this run began
PARAMETERS = ("N_CUSTOMERS", "SEED", "AS_OF_DATE", "REPLACE_LOADED")
# The files of the project, by what has to be done when one of them changes.
FILES = {
    "models": ("models", "seeds", "tests/dbt"),
    "page": ("reports", "analyses"),
    "project": (
        *("ml", "macros", "server", "Makefile", "dbt_project.yml", "profiles.yml", "selectors.yml"),
        *("requirements.txt", "requirements-java.txt"),
        # If the columns of a source change, its tables are empty until the steps run.
        "models/staging/_sources.yml",
    ),
}
# The raw data have a hash of their own. `dbt test` between two runs adds to the audit.
NOT_COMPARED = {"raw", f"{PREFIX}audit"}
NAMES = {
    "parameters": "the parameters",
    "input": "the data to load",
    "project": "the project's code",
    "raw": "the raw data",
    "tables": "the tables",
    "models": "the models, seeds or data tests",
    "page": "the page's code",
    "site": "the site",
}


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Returns the files at the paths and in their folders.

    Compiled Python files do not count, and neither do hidden files and copies of editors.
    """
    found = (
        file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))
    )
    return [
        file
        for file in found
        if file.is_file()
        and "__pycache__" not in file.parts
        and not file.name.startswith((".", "#"))
        and not file.name.endswith("~")
    ]


def contents(names: Iterable[str]) -> str:
    """Returns a hash of these files and folders. Of Markdown, only files in `models` count."""
    files = [
        file
        for file in files_of(ROOT / name for name in names)
        if file.suffix != ".md" or file.is_relative_to(ROOT / "models")
    ]
    return hash_of(f"{file.relative_to(ROOT)} {hash_of([file.read_bytes()])}" for file in files)


def inputs() -> Inputs | None:
    """Returns the files or tables that the parameters name; None without TRANSACTIONS."""
    transactions, customers, mapping = (
        os.environ.get(name) or None for name in ("TRANSACTIONS", "CUSTOMERS", "MAPPING")
    )
    return read_inputs(transactions, customers, mapping) if transactions else None


def table_in_place_has_changed(spark: SparkSession) -> bool:
    """Returns whether a table in place, or its mapping, has changed since a run read it."""
    named = inputs()
    if not named or not any(map(named.is_in_place, named.paths)):
        return False
    without_ansi(spark)
    return not raw_tables.are_loaded(spark, named)


def site_files() -> str:
    """Returns a hash of the names, sizes and times of the site's files."""
    status = ((file, file.stat()) for file in files_of([TARGET / "site"]))
    return hash_of(f"{file} {each.st_size} {each.st_mtime_ns}" for file, each in status)


def table_files(spark: SparkSession, schemas: Iterable[str]) -> str:
    """Returns a hash of the tables: their definitions, and the names, sizes and times of files."""
    existing = {database.name: database for database in spark.catalog.listDatabases()}
    present = [existing[schema] for schema in sorted(schemas) if schema in existing]
    definitions = [
        row.information
        for database in present
        for row in spark.sql(f"show table extended in {database.name} like '*'").collect()
    ]
    # This format reads the content of a file only if its column is asked for.
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", True)
        .load([database.locationUri for database in present])
        .select(F.concat_ws(" ", "path", "length", "modificationTime"))
    )
    return hash_of([*sorted(definitions), *sorted(name for (name,) in files.collect())])


def schemas_of(manifest: Mapping) -> set[str]:
    """Returns the schemas of a manifest, with those of the builds behind published tables."""
    nodes = (*manifest["nodes"].values(), *manifest["sources"].values())
    # Tests have a schema only for the rows that `dbt test --store-failures` stores.
    schemas = {
        node["schema"] for node in nodes if node["resource_type"] not in ("analysis", "test")
    }
    return schemas | {f"{schema}_builds" for schema in schemas}


def requested() -> dict[str, str]:
    """Returns the hashes of all that a run depends on.

    A run of dev depends on the raw data too, because prod may change them at any time.
    """
    return {
        "parameters": hash_of(os.environ.get(name, "") for name in PARAMETERS),
        "input": named.fingerprint if (named := inputs()) else "",
        **{name: contents(paths) for name, paths in FILES.items()},
        **({"raw": table_files(start("last run"), ["raw"])} if PREFIX else {}),
    }


def made(spark: SparkSession, manifest: Mapping) -> dict[str, str]:
    """Returns the hashes of what a run makes."""
    return {
        "raw": table_files(spark, ["raw"]),
        "tables": table_files(spark, schemas_of(manifest) - NOT_COMPARED),
        "site": site_files(),
    }


def changes_go_far(manifest: Mapping) -> bool:
    """Returns whether a PySpark step, or a model that keeps rows, depends on a changed model.

    The exposures of the type `ml` tell what the steps read. dbt finds what has changed: it compares
    the project with the manifest of the last complete run.
    """
    nodes = manifest["nodes"].values()
    far = {
        *(each["name"] for each in manifest["exposures"].values() if each["type"] == "ml"),
        *(each["name"] for each in nodes if "kept_by" in each["config"]["meta"]),
    }
    selection = ["--select", "state:modified+", "--state", str(RECORD)]
    types = ["--resource-type", "exposure", "--resource-type", "model"]
    changed = run_dbt("ls", *selection, *types, "--output", "name")
    return bool(far & set(changed.split()))


def scope_of(changed: set[str], manifest: Mapping) -> str:
    """Returns what has to be done when these parts of the state have changed.

    - `nothing`.
    - `page`: the sites.
    - `models`: the changed models, what depends on them, and the sites.
    - `data`: all steps. They keep the rows and fits that new lines do not change.
    - `tables`: all steps, without kept rows, because a model or a table has changed.
    - `everything`: all steps. They keep a fit only if the same code made it from the same data.
    """
    if not changed:
        return "nothing"
    if changed <= {"page", "site"}:
        return "page"
    if "project" in changed or ("models" in changed and changes_go_far(manifest)):
        return "everything"
    if changed <= {"models", "page", "site"}:
        return "models"
    return "tables" if changed & {"models", "tables"} else "data"


def scope() -> None:
    """Compares the state with the record, and prints what has to be done."""
    if PREFIX and not start("last run").catalog.tableExists(raw_tables.TRANSACTIONS):
        raise StepError("there are no raw data yet; run `make run` without DBT_TARGET first")
    wanted = requested()
    BEGUN.write_text(json.dumps(wanted))
    if os.environ.get("FRESH") or not STATE_FILE.exists():
        print("everything")
        return
    record = json.loads(STATE_FILE.read_text())
    manifest = json.loads((RECORD / "manifest.json").read_text())
    spark = start("last run")
    try:
        now = wanted | made(spark, manifest)
    except AnalysisException:  # a folder of tables is missing
        now = wanted | {"tables": "missing"}
    changed = {name for name in now if now[name] != record["state"].get(name)}
    if table_in_place_has_changed(spark):
        changed.add("input")
    since = f"since the run of {record['ended_at']}"
    names = ", ".join(text for name, text in NAMES.items() if name in changed)
    # stdout is for make, stderr for the user.
    print(
        f"Changed {since}: {names}" if changed else f"Nothing has changed {since}", file=sys.stderr
    )
    print(scope_of(changed, manifest))


def record() -> None:
    """Stores the state of this moment as that of the last complete run.

    Stores nothing if files, or the raw data that dev reads, changed during the run, because it may
    have read their earlier content.
    """
    STATE_FILE.unlink(missing_ok=True)  # first, because a killed rmtree leaves some of the files
    shutil.rmtree(RECORD, ignore_errors=True)
    wanted = requested()
    begun = json.loads(BEGUN.read_text())
    # The files at a path with a scheme are unknown, so their fingerprint differs each time.
    named = inputs()
    if named and any(map(is_remote, named.paths.values())):
        begun["input"] = wanted["input"]
    if wanted != begun:
        log("Files or raw data may have changed during this run, so the next one builds everything")
        return
    manifest = read_manifest()
    state = wanted | made(start("last run"), manifest)
    new = RECORD.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    (new / "manifest.json").write_text(json.dumps(manifest))
    ended_at = f"{datetime.now():%Y-%m-%d %H:%M}"
    (new / STATE_FILE.name).write_text(json.dumps({"ended_at": ended_at, "state": state}))
    new.rename(RECORD)


def main() -> None:
    """Runs the command that the command line names."""
    commands = {"scope": scope, "record": record}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    run(main)
