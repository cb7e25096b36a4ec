"""Tests that analysts and builds on one server do not block each other."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import build_tables, dbt, on_data, run_step
from pyhive import hive
from pyhive.exc import OperationalError
from TCLIService.ttypes import TOperationState

pytestmark = pytest.mark.slow

ANALYSTS = 20
SECONDS_TO_READ_AN_ANSWER = 10
# A query that no machine can answer during a build: it has 10^16 pairs.
RUNAWAY = "select max(a.id * b.id % 7) from range(100000000) a cross join range(100000000) b"


@pytest.fixture(scope="module")
def analyses(compiled_manifest: dict) -> list[str]:
    """The query library as dbt compiles it."""
    return [
        node["compiled_code"]
        for node in compiled_manifest["nodes"].values()
        if node["resource_type"] == "analysis"
    ]


def connect(server: dict[str, str]) -> hive.Connection:
    return hive.connect("localhost", int(server["THRIFT_PORT"]), username="analyst")


def ask(
    server: dict[str, str], queries: list[str], enough: threading.Event
) -> tuple[list[float], list[str]]:
    """Lets the analysts run queries until `enough`; returns seconds per answer, and failures."""
    seconds, failures = [], []

    def analyst(number: int) -> None:
        draw = random.Random(number)  # noqa: S311
        turn = number
        with connect(server) as connection:
            cursor = connection.cursor()
            # Each waits before the first query too, because analysts do not all arrive together.
            while not enough.wait(draw.uniform(0, 2 * SECONDS_TO_READ_AN_ANSWER)):
                started = time.monotonic()
                try:
                    cursor.execute(queries[turn % len(queries)])
                    cursor.fetchall()
                except Exception as error:  # any error is a failure
                    failures.append(str(error)[:500])
                seconds.append(time.monotonic() - started)
                turn += 1

    threads = [threading.Thread(target=analyst, args=(number,)) for number in range(ANALYSTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, failures


@on_data("generated")
def test_twenty_analysts_are_answered_while_everything_is_built(
    server: dict[str, str], analyses: list[str]
):
    built = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(build_tables, server)
        build.add_done_callback(lambda _: built.set())
        during_build, failures = ask(server, analyses, built)
        build.result()
    assert not failures
    assert len(during_build) > ANALYSTS


@on_data("generated")
def test_a_query_without_end_is_ended_and_a_build_goes_on(server: dict[str, str]):
    with connect(server) as connection:
        cursor = connection.cursor()
        cursor.execute("set spark.sql.thriftServer.queryTimeout")
        ((_, limit),) = cursor.fetchall()
        # Otherwise a query that waits for a core would fail after spark.sql.broadcastTimeout.
        assert 0 < int(limit.removesuffix("s")) < 300

        cursor.execute("set spark.sql.thriftServer.queryTimeout=20s")
        cursor.execute(RUNAWAY, async_=True)
        started = time.monotonic()
        dbt(server, "run", "--select", "customers")
        print(f"the build finished after {time.monotonic() - started:.0f} s")
        while (state := cursor.poll().operationState) == TOperationState.RUNNING_STATE:
            assert time.monotonic() < started + 60
        assert state == TOperationState.TIMEDOUT_STATE


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("spark.sql.thriftserver.scheduler.pool", "build"),
        ("spark.sql.thriftServer.queryTimeout", "0"),
    ],
)
def test_builds_have_cores_and_time_that_analysts_do_not(
    server: dict[str, str], setting: str, value: str
):
    """A model of ten million customers takes longer than an analyst's query may."""
    with connect(server) as connection:
        cursor = connection.cursor()
        cursor.execute(f"set {setting}")
        assert cursor.fetchall() != [(setting, value)]
    found = f"{{{{ run_query('set {setting}').rows[0]['value'] if execute }}}}"
    asked = f"select '{found}' as found"
    shown = dbt(server, "show", "--quiet", "--output", "json", "--inline", asked)
    assert json.loads(shown)["show"] == [{"found": value}]


def test_an_answer_too_large_is_refused_and_the_server_goes_on(server: dict[str, str]):
    with connect(server) as connection:
        cursor = connection.cursor()
        with pytest.raises(OperationalError, match=r"bigger than spark\.driver\.maxResultSize"):
            cursor.execute("select id, uuid() from range(0, 30000000, 1, 100)")
        cursor.execute("select 1")
        assert cursor.fetchall() == [(1,)]


def test_a_step_reads_more_than_an_answer_may_hold(server: dict[str, str]):
    """4.5 million rows of twelve columns have 430 MB; compressed, they are below the limit."""
    columns = ", ".join(f"id div {1_000 + number} % 700 as column_{number}" for number in range(12))
    program = (
        "from ml.session import start; "
        f"print(start('read').sql('select {columns} from range(4500000)').toArrow().num_rows)"
    )
    assert run_step(server, "-c", program) == "4500000\n"
