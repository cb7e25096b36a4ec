"""Times the pipeline's steps at a given size, and other ways to do the same: `make bench`.

    PYTHONPATH=tests python -m tests.bench.bench --customers 1000000 [--without baseline_pyspark]

Uses a server of its own, with an empty state. Prints one line at the end of a step, adds the run
to the commit's file in tests/bench/results, and ends with a table (seconds, rows per second of
raw.transactions, most resident memory of the JVM and of all Python processes) and the ratios:
medians of that file's runs. Machines are noisy: compare ratios, each of which comes from one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import duckdb
import psutil
from conftest import PORTS, free_ports
from pyspark.sql import SparkSession
from recomputation import MARTS, prepare

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = Path(__file__).parent / "results"
PYTHON = sys.executable
DBT = str(Path(PYTHON).parent / "dbt")
MEBIBYTE = 2**20
# Short measurements are repeated, and their median counts.
REPETITIONS = 3
AGAIN = "all models again (dbt run)"


def run_or_exit(
    name: str, command: Sequence[str], folder: Path, environment: dict[str, str]
) -> None:
    """Runs a command in a folder; one that fails ends the bench with what it printed."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"error: {name} failed\n{result.stdout}")


@dataclass
class Step:
    """The time and memory of one step: seconds, and the most resident memory in MiB."""

    name: str
    seconds: float
    jvm_mib: int
    python_mib: int


@dataclass
class Bench:
    """One run, on a server of its own."""

    environment: dict[str, str]
    customers: int
    rows: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return Path(self.environment["STATE_DIR"])

    def seconds(self, *names: str) -> float:
        """The sum over the steps `names`, the median of each that was repeated."""
        return sum(
            median(step.seconds for step in self.steps if step.name == name) for name in names
        )

    def time(self, name: str, action: Callable[[], object]) -> None:
        """Runs a step and records its time and memory."""
        memory = Memory(self.state / "server.pid")
        with memory:
            started = time.monotonic()
            action()
            seconds = time.monotonic() - started
        step = Step(name, round(seconds, 2), memory.jvm_mib, memory.python_mib)
        self.steps.append(step)
        print(f"{step.seconds:9.1f} s  {name}", flush=True)

    def run(self, name: str, *command: str) -> None:
        """Times a command; see `run_or_exit`."""

        self.time(name, lambda: run_or_exit(name, command, ROOT, self.environment))


class Memory:
    """Watches the memory of the JVMs and of the Python processes, the server's and the bench's."""

    def __init__(self, pid_file: Path):
        self.pid_file = pid_file
        self.jvm_mib = self.python_mib = 0
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_) -> None:
        self.finished.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.finished.wait(0.5):
            jvm = python = 0
            processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
            if self.pid_file.exists() and psutil.pid_exists(pid := int(self.pid_file.read_text())):
                processes += [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for process in set(processes):
                try:
                    size, name, program = (
                        process.memory_info().rss,
                        process.name(),
                        Path(process.exe()).name,
                    )
                except psutil.NoSuchProcess:
                    continue
                # A JVM that starts a program is there twice for a moment, under a thread's name.
                if program == name == "java":
                    jvm += size
                elif program.startswith("python"):
                    python += size
            self.jvm_mib = max(self.jvm_mib, jvm // MEBIBYTE)
            self.python_mib = max(self.python_mib, python // MEBIBYTE)


def environment(state: str) -> dict[str, str]:
    """The environment of a server and of steps of the bench's own."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    return (
        os.environ
        | ports
        | {
            "DBT_TARGET": "prod",
            "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
            "STATE_DIR": state,
            "DBT_TARGET_PATH": f"{state}/target",
            "DBT_LOG_PATH": f"{state}/logs",
            "SPARK_REMOTE": f"sc://localhost:{ports['CONNECT_PORT']}",
            "AS_OF_DATE": "",
            "MAKEFLAGS": "",
        }
    )


def pipeline(bench: Bench) -> None:
    """Runs the steps of `make run`, one by one."""
    bench.run("start the server", "make", "up")
    bench.environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = (
        bench.state / "connect-token"
    ).read_text()
    size = ["--customers", str(bench.customers), "--seed", "42"]
    bench.run("generate", PYTHON, "-m", "ml.generate", *size)
    bench.run("models before ml, and their tests", "make", "before_ml")
    # BEGIN lets the two run side by side, as in `make run`, without the steps before them.
    side_by_side = "--jobs=2", "BEGIN=raw", "--assume-old=before_ml", "clusters", "lifetime_value"
    bench.run("clusters and lifetime value", "make", *side_by_side)
    bench.run("models after ml, and their tests", "make", "after_ml")
    bench.run("insight site", "make", "site")


def in_spark(bench: Bench) -> None:
    """A plain scan of the transactions, and a plain write of as many rows."""
    os.environ |= {
        name: bench.environment[name]
        for name in ("SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN")
    }
    spark = SparkSession.builder.getOrCreate()
    transactions = spark.table("raw.transactions")
    bench.rows = transactions.count()
    spark.sql("create database bench")

    def write(table: str, rows: int) -> None:
        kinds = {"string": "cast(id as string)", "timestamp": "timestamp_seconds(id)"}
        kinds |= {"date": "date_from_unix_date(cast(id % 20000 as int))"}
        kinds |= {"boolean": "id % 2 = 0"}
        columns = [
            f"{kinds.get(kind, f'cast(id % 1000 as {kind})')} as `{name}`"
            for name, kind in spark.table(table).dtypes
        ]
        spark.range(rows).selectExpr(*columns).write.saveAsTable("bench.written")
        spark.sql("drop table bench.written")

    def write_all() -> None:
        for table in ("truth.customers", "raw.customers", "raw.transactions"):
            write(table, spark.table(table).count())

    for _ in range(REPETITIONS):
        bench.time(
            "plain scan of raw.transactions",
            lambda: transactions.write.format("noop").mode("overwrite").save(),
        )
        bench.time("plain write of as many rows as generated", write_all)
    spark.stop()


def in_duckdb(bench: Bench) -> None:
    """The marts that tests/recomputation.py computes, from the raw tables' Parquet files."""
    database = duckdb.connect(str(bench.state / "bench.duckdb"))
    database.execute("set timezone = 'UTC'")

    def recompute() -> None:
        times = "* replace (ordered_at::timestamp as ordered_at, loaded_at::timestamp as loaded_at)"
        for table in (
            "raw.transactions",
            "raw.customers",
            "ml.lifetime_value",
            "ml.model_evaluation",
            "ml.purchase_forecast",
        ):
            schema, name = table.split(".")
            files = bench.state / "warehouse" / f"{schema}.db" / name / "**/*.parquet"
            columns = times if name == "transactions" else "*"
            database.execute(f"create view {name} as select {columns} from '{files}'")
        prepare(database, None)
        for name, mart in MARTS.items():
            database.execute(f"create table mart_{name} as {mart.sql}")

    bench.time("the marts in DuckDB", recompute)


def baseline_pyspark(bench: Bench) -> None:
    """The analysis as one plain PySpark script."""
    for name in ("SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN"):
        bench.environment.pop(name, None)
    java_home = subprocess.run(
        [PYTHON, "-m", "server", "find-java"],
        cwd=ROOT,
        env=bench.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    bench.environment |= {"JAVA_HOME": java_home, "PYSPARK_PYTHON": PYTHON}
    command = [str(Path(PYTHON).parent / "spark-submit"), "--driver-memory", "6g"]
    command += ["--conf", "spark.ui.enabled=false", "tests/bench/baseline_pyspark.py"]
    bench.run("one plain PySpark script", *command, str(bench.customers), f"{bench.state}/script")


def ratios(bench: Bench) -> dict[str, float]:
    """Returns ratios of two measurements of this run, which a noisy machine changes less."""
    whole = bench.seconds(
        "generate",
        "models before ml, and their tests",
        "clusters and lifetime value",
        "models after ml, and their tests",
        "insight site",
    )
    found = {
        "generate, to a plain write of as many rows": bench.seconds("generate")
        / bench.seconds("plain write of as many rows as generated")
    }
    done = {step.name for step in bench.steps}
    if AGAIN in done:
        again = bench.seconds(AGAIN)
        found["all models, to a plain scan"] = again / bench.seconds(
            "plain scan of raw.transactions"
        )
        if "the marts in DuckDB" in done:
            found["all models, to the marts in DuckDB"] = again / bench.seconds(
                "the marts in DuckDB"
            )
    if "one plain PySpark script" in done:
        script = bench.seconds("one plain PySpark script")
        found["one plain PySpark script, to the whole pipeline"] = script / whole
    return {name: round(value, 2) for name, value in found.items()}


def table(runs: list[dict]) -> str:
    """The steps as a table in Markdown: the medians over the runs, and the most memory."""
    lines = [
        "| step | seconds | rows/s | JVM MiB | Python MiB |",
        "| --- | --: | --: | --: | --: |",
    ]
    all_steps = [step for run in runs for step in run["steps"]]
    for name in dict.fromkeys(step["name"] for step in all_steps):
        steps = [step for step in all_steps if step["name"] == name]
        seconds = median(step["seconds"] for step in steps)
        jvm, python = (max(step[memory] for step in steps) for memory in ("jvm_mib", "python_mib"))
        rate = runs[0]["rows"] / seconds
        lines.append(f"| {name} | {seconds:,.1f} | {rate:,.0f} | {jvm:,} | {python:,} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["again", "duckdb", "baseline_pyspark"]
    )
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        bench = Bench(environment(state), arguments.customers)
        try:
            pipeline(bench)
            if "again" not in arguments.without:
                bench.run(AGAIN, DBT, "run", "--full-refresh")
            in_spark(bench)
        finally:
            subprocess.run(["make", "down"], cwd=ROOT, env=bench.environment, check=True)
        if "duckdb" not in arguments.without:
            in_duckdb(bench)
        if "baseline_pyspark" not in arguments.without:
            baseline_pyspark(bench)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{commit}-{bench.customers}.json"
    # Uncommitted changes may differ in the next run.
    runs = json.loads(path.read_text()) if path.exists() and "dirty" not in commit else []
    runs.append(
        {
            "commit": commit,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "customers": bench.customers,
            "rows": bench.rows,
            "cores": os.cpu_count(),
            "ratios": ratios(bench),
            "steps": [asdict(step) for step in bench.steps],
        }
    )
    path.write_text(json.dumps(runs, indent=2) + "\n")
    print(f"\n{bench.customers:,} customers, {bench.rows:,} lines, runs: {len(runs)}\n")
    print(table(runs) + "\n")
    for name in dict.fromkeys(name for run in runs for name in run["ratios"]):
        found = median(run["ratios"][name] for run in runs if name in run["ratios"])
        print(f"{found:8.2f}  {name}")
    print(f"\nKept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
