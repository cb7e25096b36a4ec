"""A Spark server and a `make` of the tests' own: free ports, state in a temporary folder."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyhive import hive
from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
PORTS = ("THRIFT_PORT", "CONNECT_PORT", "SPARK_UI_PORT")
PARAMETERS = ("N_CUSTOMERS", "SEED", "AS_OF_DATE", "TRANSACTIONS", "CUSTOMERS", "MAPPING")


def free_ports(count: int) -> list[str]:
    """Port numbers that nothing listens on; all held at once, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables that keep a run away from the user's own server, state and files."""
    state = tmp_path_factory.mktemp("state")
    inherited = {name: value for name, value in os.environ.items() if name not in PARAMETERS}
    return inherited | {
        **dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
        "STATE_DIR": str(state),
        "SPARK_DRIVER_MEMORY": "3g",
        "DBT_TARGET_PATH": str(state / "target"),
        "DBT_LOG_PATH": str(state / "logs"),
        "MAKEFLAGS": "",
    }


@pytest.fixture(scope="session")
def server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a running server, which stops with the tests."""
    command = [sys.executable, str(ROOT / "bin" / "server.py")]
    subprocess.run([*command, "up"], env=environment, check=True)
    yield environment
    subprocess.run([*command, "down"], env=environment, check=True)


def step_environment(server: dict[str, str]) -> dict[str, str]:
    """The environment in which a PySpark step finds the server, as the Makefile sets it."""
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


@pytest.fixture(scope="session")
def query(server: dict[str, str]) -> Iterator[Callable[[str], list[tuple]]]:
    """Runs SQL on the Thrift server, as an analyst's client does, and returns the rows."""
    with hive.connect("localhost", int(server["THRIFT_PORT"]), username="test") as connection:
        cursor = connection.cursor()

        def rows(sql: str) -> list[tuple]:
            cursor.execute(sql)
            return cursor.fetchall()

        yield rows


@pytest.fixture(scope="session")
def make(server: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `make` with the given words; fails the test when it fails, unless check=False."""

    def run(*words: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        result = subprocess.run(
            ["make", "--no-print-directory", *words],
            cwd=ROOT,
            env=server,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        if check and result.returncode:
            pytest.fail(f"make {' '.join(words)} failed:\n{result.stdout}\n{result.stderr}")
        return result

    return run


def shared_file(name: str) -> Path:
    """A file of the real data beside the checkout; skips the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs the real data {name} in {SHARED.name}/ beside the checkout")
    return path
