"""Fixtures: a Spark server for the tests, `make` on that server, and the data sets.

The server uses free ports and a temporary folder. A test names its data set with
`on_data("cdnow")`. A build takes a minute, so each data set is built once. Its tests run one after
another, and must leave the tables as they found them, except those marked `last_on_data`.

Tests that stop the server, fill the disk or interfere with a run use a second state. They run
in the order of the files, on one complete run.

The Makefile runs two groups of tests at a time (pytest-xdist), in two processes, each with its own
server. The groups are the tests on each quick data set, the tests on the other data sets, the tests
of the second state, those that use the parsed project, and one for each other file. The order
matters, because a server needs minutes to warm up, and two servers that build while they are cold
take twice as long. At the end come groups of a few minutes, so that both processes end together.

To add a data set, write a function that loads and builds it, and list it in DATA_SETS.
"""

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb
import edge_cases
import pyarrow.parquet
import pytest
from pyhive import hive
from pyspark.sql import DataFrame, SparkSession
from tiny_project import TinyProject, run_dbt

from ml import tables
from ml.loading import raw_tables
from ml.loading.input_files import list_files
from ml.loading.mapping import Source
from ml.loading.query_rows import read_rows
from ml.loading.rows import without_ansi

# Tables have the plain names of prod in all tests, as in `make run`.
os.environ["DBT_TARGET"] = "prod"

# Runs SQL on the server, and returns the rows.
Query = Callable[[str], list[tuple]]

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
DATA = ROOT / "tests" / "data"
PORTS = ("THRIFT_PORT", "CONNECT_PORT", "SPARK_UI_PORT", "HISTORY_PORT")
# On small data, adaptive execution and Java's second compiler each take a quarter of the server's
# time and save little. The code of the first compiler is larger and needs a larger cache. Checking
# the classes takes another 6% until the server is warm. The tests of plain spark-submit do without
# these settings.
SETTINGS_FOR_SMALL_DATA = """
spark.sql.adaptive.enabled false
spark.sql.shuffle.partitions 2
spark.driver.defaultJavaOptions -Duser.timezone=UTC -XX:+UseParallelGC -XX:TieredStopAtLevel=1 \
    -XX:ReservedCodeCacheSize=512m -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote
spark.executor.defaultJavaOptions -Duser.timezone=UTC -XX:+UseParallelGC -XX:TieredStopAtLevel=1
"""
PARAMETERS = (
    *("N_CUSTOMERS", "SEED", "AS_OF_DATE", "DBT_SCHEMA_PREFIX", "CUSTOMER_ID", "SPARK_MASTER"),
    *("TRANSACTIONS", "CUSTOMERS", "MAPPING", "FRESH"),
    *("REPLACE", "REPLACE_LOADED", "REPLACE_ORDERS"),
)


def free_ports(count: int) -> list[str]:
    """Returns ports that nothing listens on; all are open together, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables that keep a run away from the user's own server, state and files."""
    state = tmp_path_factory.mktemp("state")
    (state / "small-data.conf").write_text(SETTINGS_FOR_SMALL_DATA)
    inherited = {name: value for name, value in os.environ.items() if name not in PARAMETERS}
    return inherited | {
        **dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
        "STATE_DIR": str(state),
        "SPARK_DRIVER_MEMORY": "3g",
        "SPARK_SETTINGS": str(state / "small-data.conf"),
        "DBT_TARGET_PATH": str(state / "target"),
        "DBT_LOG_PATH": str(state / "logs"),
        "MAKEFLAGS": "",
    }


@contextmanager
def empty_state(environment: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Yields an environment with an empty state in the folder; stops its server afterwards."""
    own = environment | {
        **dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
        "STATE_DIR": str(folder / "state"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    try:
        yield own
    finally:
        subprocess.run([sys.executable, "-m", "server", "down"], cwd=ROOT, env=own, check=True)


@pytest.fixture
def own_state(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Returns an environment with an empty state; its server stops after the test."""
    with empty_state(environment, tmp_path) as own:
        yield own


@pytest.fixture(scope="session")
def second_state(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Returns an environment with a state that several tests use, one after another.

    The state is on a small disk, if this machine allows mounting one.
    """
    with empty_state(environment, tmp_path_factory.mktemp("second")) as second:
        disk = Path(second["STATE_DIR"])
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", disk]
        subprocess.run(mount, check=False, capture_output=True)
        yield second
    if disk.is_mount():
        # Lazy, because the server's Python workers end shortly after the server.
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def finished_run(second_state: dict[str, str]) -> dict[str, str]:
    """Returns the second state after a run of 3,000 customers.

    If the test before has left the tables of such a run, this run has nothing to do.
    """
    run_make(second_state, "run", "N_CUSTOMERS=3000")
    return second_state


@pytest.fixture(scope="session")
def server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Starts the server; returns its environment."""
    command = [sys.executable, "-m", "server"]
    subprocess.run([*command, "up"], cwd=ROOT, env=environment, check=True)
    yield environment
    subprocess.run([*command, "down"], cwd=ROOT, env=environment, check=True)


def with_java(environment: dict[str, str]) -> dict[str, str]:
    """The environment that lets Spark's own programs find Java and Python."""
    found = subprocess.run(
        [sys.executable, "-m", "server", "find-java"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return environment | {
        "JAVA_HOME": found.stdout.strip(),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def step_environment(server: dict[str, str]) -> dict[str, str]:
    """The environment that lets a PySpark step find the server, as the Makefile sets it."""
    return server | {
        "SPARK_REMOTE": f"sc://localhost:{server['CONNECT_PORT']}",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": (
            Path(server["STATE_DIR"]) / "connect-token"
        ).read_text(),
    }


@pytest.fixture(scope="session")
def spark(server: dict[str, str]) -> Iterator[SparkSession]:
    """A Spark Connect session on the tests' server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in step_environment(server).items():
            patch.setenv(name, value)
        session = SparkSession.builder.getOrCreate()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        yield session
        session.stop()


@pytest.fixture
def loader_session(spark: SparkSession) -> Iterator[SparkSession]:
    """The session as the loader sets it; restored after the test."""
    before = spark.conf.get("spark.sql.ansi.enabled")
    without_ansi(spark)
    yield spark
    spark.conf.set("spark.sql.ansi.enabled", before)


@pytest.fixture
def own_raw_tables(loader_session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Lets the loader use raw tables that do not exist yet; yields their database."""
    loader_session.sql("drop database if exists own_raw cascade")
    for section, table in list(tables.RAW_TABLES.items()):
        own = replace(table, name=f"own_raw.{section}")
        monkeypatch.setitem(tables.RAW_TABLES, section, own)
        monkeypatch.setattr(raw_tables, section.upper(), own.name)
    yield "own_raw"
    loader_session.sql("drop database if exists own_raw cascade")


def rows_of(source: Source, spark: SparkSession, folder: Path) -> DataFrame:
    """Returns the rows of all files of a source, staged in a folder below `folder`.

    To Spark, the brackets in the name of that folder are a pattern, unless they are escaped.
    """
    files = list_files(spark, source.path)
    return read_rows(spark, source, folder / f"staged [{time.time_ns()}]", files, 1)


@contextmanager
def query_function(server: dict[str, str]) -> Iterator[Query]:
    """Yields a function that runs SQL on a Thrift server, as an analyst's client does."""
    with hive.connect("localhost", int(server["THRIFT_PORT"]), username="test") as connection:
        cursor = connection.cursor()

        def rows(sql: str) -> list[tuple]:
            cursor.execute(sql)
            return cursor.fetchall()

        yield rows


@pytest.fixture(scope="session")
def query(server: dict[str, str]) -> Iterator[Query]:
    """Runs SQL on the tests' server and returns the rows."""
    with query_function(server) as rows:
        yield rows


def run_make(
    environment: dict[str, str], *arguments: str, check: bool = True, folder: Path = ROOT, **options
) -> subprocess.CompletedProcess:
    """Runs `make` with these arguments; fails the test when make fails, unless check=False."""
    result = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if check and result.returncode:
        pytest.fail(f"make {' '.join(arguments)} failed:\n{result.stdout}\n{result.stderr}")
    return result


@pytest.fixture(scope="session")
def make(server: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `make` on the tests' server, as run_make does."""
    return functools.partial(run_make, server)


@pytest.fixture(scope="session")
def tiny_project(
    server: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TinyProject]:
    """Makes a dbt project of a few models in the database with this name."""
    return lambda name: TinyProject(tmp_path_factory.mktemp(name), name, server)


def published(name: str) -> list[dict]:
    """Returns the rows of a file in tests/data; its README.md has the sources."""
    return pyarrow.parquet.read_table(DATA / f"{name}.parquet").to_pylist()


def shared_file(name: str) -> Path:
    """Returns the path of real data next to the checkout; skips the test if there are none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs the real data {name} in {SHARED.name}/ next to the checkout")
    return path


def file_content(path: Path) -> bytes:
    """Returns the bytes of a file, uncompressed."""
    compression = "zstd" if path.suffix == ".zstd" else None
    with pyarrow.input_stream(str(path), compression=compression) as stream:
        return stream.read()


def dbt(server: dict[str, str], *arguments: str, folder: Path = ROOT) -> str:
    """Runs dbt and returns what it prints; if dbt fails, the test fails with dbt's errors."""
    command = [Path(sys.executable).parent / "dbt", *arguments]
    result = subprocess.run(
        command, cwd=folder, env=server, capture_output=True, text=True, check=False
    )
    if result.returncode:
        # The lines before are those of the nodes that passed.
        errors = result.stdout[max(result.stdout.rfind("Completed with"), 0) :]
        pytest.fail(f"dbt {' '.join(arguments)} failed:\n{errors}\n{result.stderr}")
    return result.stdout


def build(server: dict[str, str], *arguments: str) -> None:
    """Runs dbt inside this process, to avoid starting another one; fails like `dbt`."""
    failed = {
        result.node.name: result.message
        for result in run_dbt(server, ROOT, *arguments)
        if result.status in ("error", "fail")
    }
    assert not failed


@functools.cache
def parsed_project() -> tuple[Path, str]:
    """Parses the project, once per process.

    Returns a folder with dbt's artifacts in `target`, and what dbt printed.
    """
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    folders = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    return folder, dbt(dict(os.environ), "parse", *folders)


def run_step(server: dict[str, str], *arguments: object) -> str:
    """Runs a PySpark step (a module, or -c and a program), and returns what it prints."""
    result = subprocess.run(
        [sys.executable, *(() if arguments[0] == "-c" else ("-m",)), *arguments],
        cwd=ROOT,
        env=step_environment(server),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.fail(f"{arguments[0]} failed:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def build_tables(server: dict[str, str], as_of_date: date | None = None) -> None:
    """Builds the seeds and models only, on the data that are loaded."""
    environment = server | {"AS_OF_DATE": as_of_date.isoformat() if as_of_date else ""}
    build(environment, "build", "--resource-type", "seed", "--resource-type", "model")


# --- data sets --------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """A data set that is loaded and built, and the output of its run."""

    name: str
    as_of_date: date | None = None
    printed: str = ""


@dataclass(frozen=True)
class Fixtures:
    """The fixtures that the functions of DATA_SETS use."""

    make: Callable[..., subprocess.CompletedProcess]
    server: dict[str, str]
    spark: SparkSession
    folder: Path


def generated(fixtures: Fixtures) -> Data:
    """3,000 simulated customers."""
    printed = fixtures.make("run", "N_CUSTOMERS=3000", "REPLACE_LOADED=yes").stdout
    return Data("generated", printed=printed)


def made_of_edge_cases(fixtures: Fixtures) -> Data:
    """Many rare cases, written straight to the raw tables; the loader cannot make all of them."""
    for section, rows in (
        ("transactions", edge_cases.transactions()),
        ("customers", edge_cases.customers()),
        ("loads", []),
    ):
        table = tables.RAW_TABLES[section]
        table.replace(fixtures.spark.createDataFrame(rows, table.columns), {})
    build_tables(fixtures.server, edge_cases.AS_OF_DATE)
    return Data("edge_cases", edge_cases.AS_OF_DATE)


def subscribers(fixtures: Fixtures) -> Data:
    """300 subscribers who pay each month; 60 have canceled. The others tie for the best scores."""
    path = fixtures.folder / "subscribers.csv"
    lines = ["customer_id,ordered_at,amount,payment_method"]
    for number in range(300):
        method = "Card" if number % 2 else "Invoice"
        last_month = 8 if number < 240 else 4 + number % 4
        lines += [
            f"s{number:03},2026-{month:02}-01,9.99,{method}" for month in range(1, last_month + 1)
        ]
    path.write_text("\n".join(lines))
    fixtures.make("run", f"TRANSACTIONS={path}")
    return Data("subscribers")


def cdnow(fixtures: Fixtures) -> Data:
    """The CDNOW master data: 69,659 purchases of 23,570 customers."""
    path = DATA / "cdnow_master.parquet"
    mapping = "MAPPING=ml/mappings/cdnow.yml"
    fixtures.make("run", f"TRANSACTIONS={path}", mapping, "AS_OF_DATE=1998-07-01")
    return Data("cdnow", date(1998, 7, 1))


def online_retail(fixtures: Fixtures) -> Data:
    """The UCI Online Retail data as published: 541,909 lines with returns and guests."""
    path = DATA / "online_retail.parquet"
    fixtures.make("run", f"TRANSACTIONS={path}", "MAPPING=ml/mappings/online_retail.yml")
    return Data("online_retail")


def online_retail_subset(fixtures: Fixtures) -> Data:
    """The purchases of known customers in Online Retail, the subset that most publications use."""
    source = DATA / "online_retail.parquet"
    subset = fixtures.folder / "online_retail_subset.parquet"
    duckdb.sql(
        f"copy (from '{source}' where CustomerID is not null and Quantity > 0 and UnitPrice > 0 "
        f"and InvoiceNo not like 'C%') to '{subset}'"
    )
    mapping = "ml/mappings/online_retail.yml"
    run_step(fixtures.server, "ml.load", "--transactions", subset, "--mapping", mapping)
    build_tables(fixtures.server)
    return Data("online_retail_subset")


def olist(fixtures: Fixtures) -> Data:
    """The Olist sample: 20,000 orders in files that the SQL of a mapping joins."""
    folder = shared_file("data/olist_sample")
    mapping = "MAPPING=ml/mappings/olist.yml"
    fixtures.make("run", f"TRANSACTIONS={folder}", f"CUSTOMERS={folder}", mapping)
    return Data("olist")


def one_line(fixtures: Fixtures) -> Data:
    """The smallest possible load."""
    file = fixtures.folder / "one_line.csv"
    file.write_text("customer_id,ordered_at,amount\nanna,2026-03-02 10:15:00,12.50\n")
    return Data("one_line", printed=fixtures.make("run", f"TRANSACTIONS={file}").stdout)


def nothing(fixtures: Fixtures) -> Data:
    """Empty marts: the only line is later than the as-of date."""
    file = fixtures.folder / "later.csv"
    file.write_text("customer_id,ordered_at,amount\nanna,2026-03-02 10:15:00,12.50\n")
    printed = fixtures.make("run", f"TRANSACTIONS={file}", "AS_OF_DATE=1990-01-01").stdout
    return Data("nothing", date(1990, 1, 1), printed)


DATA_SETS: dict[str, Callable[[Fixtures], Data]] = {
    "generated": generated,
    "edge_cases": made_of_edge_cases,
    "subscribers": subscribers,
    "cdnow": cdnow,
    "online_retail": online_retail,
    "online_retail_subset": online_retail_subset,
    "olist": olist,
    "one_line": one_line,
    "nothing": nothing,
}
# The data sets of `make test`: they find most mistakes, in minutes.
QUICK_DATA_SETS = ("generated", "cdnow")
# The order of the groups. While one server builds its first data set, the other one gets warm with
# tests that build little. Then it builds the second data set. All other files follow.
FIRST_GROUPS = (
    *("generated", "test_load", "test_publishing", "test_ledger", "test_tables_in_place"),
    *("cdnow", "parsed_project", "second_state", "slow_data", "test_incremental"),
    *("test_table_formats", "test_refits", "test_shared_server", "test_orchestrators"),
)
# Tests of the rules and of the page that need no server, but the parsed project.
USE_PARSED_PROJECT = ("test_project", "test_site_states", "test_site_forecasts")


@pytest.fixture(scope="session")
def data(
    request: pytest.FixtureRequest,
    make: Callable[..., subprocess.CompletedProcess],
    server: dict[str, str],
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> Data:
    """The data set that the test is on, loaded and built; see on_data."""
    folder = tmp_path_factory.mktemp(request.param)
    return DATA_SETS[request.param](Fixtures(make, server, spark, folder))


@pytest.fixture(scope="session")
def compiled_manifest(data: Data, server: dict[str, str]) -> dict:
    """Returns dbt's manifest of the run, with the compiled SQL of all models and analyses."""
    return json.loads((Path(server["STATE_DIR"]) / "last-run" / "manifest.json").read_text())


def on_data(*names: str) -> Callable:
    """Marks a test or a class of tests to run on each of the data sets `names`.

    Tests on other data sets than the quick ones run in `make test_all` only.
    """
    sets = [
        pytest.param(name, marks=[] if name in QUICK_DATA_SETS else [pytest.mark.slow])
        for name in names
    ]

    def mark(tests: Callable) -> Callable:
        parametrized = pytest.mark.parametrize("data", sets, indirect=True)(tests)
        return pytest.mark.usefixtures("data")(parametrized)

    return mark


def data_set(item: pytest.Item) -> str | None:
    """The name of the data set that a test is on."""
    return item.callspec.params.get("data") if hasattr(item, "callspec") else None


def group_of(item: pytest.Item) -> str:
    """The name of the test's group; the tests of a group run in the same process."""
    if name := data_set(item):
        return name if name in QUICK_DATA_SETS else "slow_data"
    if "second_state" in item.fixturenames:
        return "second_state"
    return "parsed_project" if item.path.stem in USE_PARSED_PROJECT else item.path.stem


def pytest_itemcollected(item: pytest.Item) -> None:
    """Names the group of the test."""
    item.add_marker(pytest.mark.xdist_group(group_of(item)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests by group.

    Each data set comes by itself, so that it is built once. The tests that change the tables of
    their data set come last on it.
    """
    groups = [*FIRST_GROUPS, *dict.fromkeys(item.path.stem for item in items)]
    data_sets = [None, *DATA_SETS]

    def place(item: pytest.Item) -> tuple[int, int, bool]:
        group, data = groups.index(group_of(item)), data_sets.index(data_set(item))
        return group, data, "last_on_data" in item.keywords

    items.sort(key=place)
