"""Times this commit against another one: `make bench AGAINST=COMMIT`.

    PYTHONPATH=tests python -m tests.bench.against COMMIT --customers 100000 [--pairs 1]

Clones both commits, and runs both through what users wait for: the first `make run` of a clone,
which installs and generates; a first run on files; a run with nothing new; the load of a file with
1% more lines, dated one day later, and the run after it; and a warm `dbt run --full-refresh`. The
files hold the generated data. Each pair of runs takes
the two commits in turn. Prints a table of medians and their ratios, and keeps the run in
tests/bench/results. Uncommitted changes are not in the clone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import duckdb

from tests.bench.bench import RESULTS, ROOT, environment, run_or_exit

CLONE, FIRST, NOTHING, NEW, MODELS = (
    "fresh clone, with installation",
    "first run",
    "nothing new",
    "1% new lines",
    "all models again (dbt run)",
)
STEPS = (CLONE, FIRST, NOTHING, NEW, MODELS)
NEW_LINES_IN = 100


@dataclass
class Side:
    """A clone of one commit, with a state of its own, and the seconds of each step."""

    commit: str
    folder: Path
    customers: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = environment(str(self.folder / "state")) | {
            "PATH": os.environ["PATH"],
            "N_CUSTOMERS": str(self.customers),
        }

    def run(self, *command: str) -> None:
        """Runs a command in the clone; see `run_or_exit`."""
        name = f"{' '.join(command)} at {self.commit}"
        run_or_exit(name, command, self.folder / "clone", self.environment)

    def time(self, step: str, *commands: tuple[str, ...]) -> None:
        """Runs commands and keeps their seconds."""
        started = time.monotonic()
        for command in commands:
            self.run(*command)
        seconds = round(time.monotonic() - started, 1)
        self.seconds.setdefault(step, []).append(seconds)
        print(f"{seconds:9.1f} s  {self.commit}  {step}", flush=True)

    def clone(self) -> None:
        """Clones the commit, and times its first `make run`, which installs and generates."""
        (self.folder / "clone").mkdir(parents=True)
        self.run("git", "clone", "--quiet", str(ROOT), ".")
        self.run("git", "checkout", "--quiet", self.commit)
        # Older commits have one target, with another name.
        if "prod:" not in (self.folder / "clone" / "profiles.yml").read_text():
            del self.environment["DBT_TARGET"]
        self.time(CLONE, ("make", "run"))

    def measure(self, files: dict[str, Path]) -> None:
        """Runs all other steps, from an empty state."""
        self.stop()
        shutil.rmtree(self.folder / "state")
        load = [f"TRANSACTIONS={files['lines']}", f"CUSTOMERS={files['customers']}"]
        self.time(FIRST, ("make", "run", *load))
        self.time(NOTHING, ("make", "run", *load))
        self.time(NEW, ("make", "load", f"TRANSACTIONS={files['new']}"), ("make", "run"))
        warm = (".venv/bin/dbt", "run", "--full-refresh")
        self.run(*warm)
        self.time(MODELS, warm)

    def stop(self) -> None:
        """Stops the server."""
        self.run("make", "down")


def write_files(state: Path, folder: Path) -> dict[str, Path]:
    """Writes the generated data as files, and a file of new lines that are dated one day later."""
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    names = ("transactions", "customers")
    for name in names:
        source = state / "warehouse" / "raw.db" / name / "**/*.parquet"
        hidden = [
            column
            for (column, *_) in database.sql(f"describe from '{source}'").fetchall()
            if column in ("loaded_at", "file_number", "unparsed_values")
        ]
        columns = f"* exclude ({', '.join(hidden)})" if hidden else "*"
        database.execute(f"create view {name} as select {columns} from '{source}'")
    queries = {
        "lines": "from transactions",
        "customers": "from customers",
        "new": f"""
            select * replace (
                'new-' || transaction_id as transaction_id,
                'new-' || order_id as order_id,
                (select max(ordered_at)::date + 1 from transactions)::timestamp as ordered_at
            )
            from transactions
            where hash(order_id) % {NEW_LINES_IN} = 0
        """,
    }
    files = {name: folder / f"{name}.parquet" for name in queries}
    for name, query in queries.items():
        database.execute(f"copy ({query}) to '{files[name]}'")
    return files


def table(before: Side, after: Side) -> str:
    """The medians of both commits and their ratio, as a table in Markdown."""
    lines = [
        f"| seconds, {before.customers:,} customers | {before.commit} | {after.commit} | ratio |",
        "| --- | --: | --: | --: |",
    ]
    for step in STEPS:
        old, new = (median(side.seconds[step]) for side in (before, after))
        lines.append(f"| {step} | {old:,.0f} | {new:,.0f} | {new / old:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Clones both commits, measures them in turn, and reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument("--pairs", type=int, default=1, help="pairs of runs (default %(default)s)")
    arguments = parser.parse_args()
    describe = ["git", "rev-parse", "--short"]
    commits = [
        subprocess.check_output([*describe, name], cwd=ROOT, text=True).strip()
        for name in (arguments.commit, "HEAD")
    ]
    if commits[0] == commits[1]:
        sys.exit(f"error: {arguments.commit} is the commit of this clone; name another one")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        before, after = (Side(commit, folder / commit, arguments.customers) for commit in commits)
        sides = [before, after]
        try:
            for side in sides:
                side.clone()
                side.stop()
            files = write_files(after.folder / "state", folder)
            for _ in range(arguments.pairs):
                for side in sides:
                    side.measure(files)
                    side.stop()
                sides.reverse()
        finally:
            for side in (before, after):
                if (side.folder / "clone" / ".venv").exists():
                    side.stop()
    kept = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "customers": arguments.customers,
        "cores": os.cpu_count(),
        "seconds": {side.commit: side.seconds for side in (before, after)},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{after.commit}-against-{before.commit}-{arguments.customers}.json"
    path.write_text(json.dumps(kept, indent=2) + "\n")
    print(f"\n{table(before, after)}\n\nKept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
