"""Prints where the time of the last run went, by dbt node and PySpark step: `make profile`.

    python -m server.profile_run

Unlike the history server, it sums jobs by step, and separates the time of jobs from that of
planning and of clients. The report begins at the last step `generate` or `load` in the log, or at
the start of the server. So a run without these steps appears together with the runs before it. The
event log may be that of a running server, or of a server that was killed.
"""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import duckdb

from ml.session import run
from reports.summary import table
from server.environment import EVENTS, ServerError

TABLES = Path(__file__).with_suffix(".sql")
MAX_STEPS = 15
HEADER = (
    *("step", "seconds", "jobs", "tasks", "task s", "GC s"),
    *("shuffle read", "shuffle written", "spilled", "rows read", "rows written", "skew"),
)


def last_log(events: Path) -> list[str]:
    """Returns the files of the newest event log; raises ServerError when there is none."""
    logs = sorted(events.glob("eventlog_v2_*"), key=lambda log: log.stat().st_mtime)
    files = [str(file) for log in logs[-1:] for file in log.glob("events_*")]
    if not files:
        raise ServerError(f"there is no event log in {events}; write one with: make run")
    return files


def read(files: list[str]) -> duckdb.DuckDBPyConnection:
    """Returns a database with the tables and the view `steps` of one event log."""
    database = duckdb.connect()
    database.execute("set variable files = $files", {"files": files})
    database.execute(TABLES.read_text())
    return database


def short(number: float | None) -> str:
    """Returns a number of rows or bytes as text; from 1,000 on with a unit, as in 12.3M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        # 999,950 is rounded to the next unit.
        if number and number >= 0.99995 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number}" if number else "-"


def cells(row: tuple) -> tuple[str, ...]:
    """Returns a row of `steps` as text; a step without jobs has 0 or -."""
    step, seconds, jobs, tasks, task_seconds, collection_seconds, *sizes, skew, _, _ = row
    times = (f"{each or 0:.1f}" for each in (task_seconds, collection_seconds))
    skew = f"{skew:.1f}" if skew else "-"
    return (
        *(step, f"{seconds:.1f}", f"{jobs or 0}", f"{tasks or 0}"),
        *(*times, *map(short, sizes), skew),
    )


def report(rows: list[tuple]) -> str:
    """Returns the text: where the time went, and the slowest steps as a table."""
    steps = {row[0]: row for row in rows}
    total, jobs = steps.pop("all"), steps.pop("jobs", ("jobs", 0.0))
    started, finished = (datetime.fromtimestamp(each, UTC) for each in total[-2:])
    elapsed = (finished - started).total_seconds()
    busy, in_jobs = total[1], jobs[1]
    shown = [HEADER, *map(cells, islice(steps.values(), MAX_STEPS)), cells(total)]
    return (
        f"{elapsed:.0f} s from {started:%Y-%m-%d %H:%M:%S} to {finished:%H:%M:%S} UTC: "
        f"{in_jobs:.0f} s in jobs, {busy - in_jobs:.0f} s of planning and catalog, "
        f"{elapsed - busy:.0f} s without a request (dbt, Python, idle).\n\n"
        + table(shown, "<" + ">" * (len(HEADER) - 1))
        + f"\n\nThe {len(shown) - 2} slowest of {len(steps)} steps; steps overlap. "
        "Skew: longest task divided by\n"
        "median task, in the stage that loses most time to its longest task."
    )


def main() -> None:
    """Prints the report; raises ServerError when there is nothing to report."""
    rows = read(last_log(EVENTS)).sql("from steps").fetchall()
    if not rows:
        raise ServerError("the server has had no request yet; try: make run")
    print(report(rows))


if __name__ == "__main__":
    run(main)
