"""Tests that Spark's UI and history server name the step of each job; tests of `make profile`."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from conftest import on_data

from server import profile_run

Make = Callable[..., subprocess.CompletedProcess]


def rest(port: str, path: str) -> list[dict]:
    """Returns an answer of the REST API of Spark's UI or of its history server."""
    with urllib.request.urlopen(f"http://localhost:{port}/api/v1/applications{path}") as answer:
        return json.load(answer)


def of_application(server: dict[str, str], path: str) -> list[dict]:
    """Returns what Spark's UI answers about the server's application."""
    (application,) = rest(server["SPARK_UI_PORT"], "")
    return rest(server["SPARK_UI_PORT"], f"/{application['id']}/{path}")


def steps(jobs: list[dict]) -> set[str]:
    """Returns the dbt nodes, and the PySpark steps with their phases, that describe the jobs."""
    named = re.compile(r'/\* (.+?) \*/|(\w+: [\w. ]+)$|Spark Connect.*user_id: "(\w+)"', re.DOTALL)
    return {
        next(filter(None, match.groups()))
        for job in jobs
        if (match := named.match(job.get("description", "")))
    }


@pytest.fixture(scope="module")
def models(server: dict[str, str]) -> set[str]:
    """Returns the models that Spark builds with a job: all but views."""
    manifest = json.loads((Path(server["DBT_TARGET_PATH"]) / "manifest.json").read_text())
    nodes = manifest["nodes"].values()
    return {
        f"model {node['name']}"
        for node in nodes
        if node["resource_type"] == "model" and node["config"]["materialized"] != "view"
    }


@on_data("generated")
class TestGenerated:
    """The run of 3,000 generated customers, as Spark saw it."""

    PHASES = frozenset(
        {
            "generate: raw.transactions",
            "cluster",
            "cluster: 4 clusters",
            "cluster: ml.customer_clusters",
            "lifetime_value: read",
            "lifetime_value: ml.lifetime_value",
        }
    )

    def test_ui_names_the_model_or_step_of_each_job(self, server: dict[str, str], models: set):
        jobs = of_application(server, "jobs")
        assert models | self.PHASES <= steps(jobs)

    @pytest.mark.slow
    def test_history_server_shows_the_run(self, make: Make, server: dict[str, str], models: set):
        make("history")
        port = server["HISTORY_PORT"]
        application = rest(port, "")[0]["id"]
        jobs = rest(port, f"/{application}/jobs")
        assert models | self.PHASES <= steps(jobs)
        queries = rest(port, f"/{application}/sql?length=3000&details=false&planDescription=false")
        assert models <= steps(queries)
        # A second call leaves it running.
        process = (Path(server["STATE_DIR"]) / "history.pid").read_text()
        assert f"http://localhost:{port}" in make("history").stdout
        assert (Path(server["STATE_DIR"]) / "history.pid").read_text() == process
        assert f"http://localhost:{port}" in make("status").stdout

    def test_profile_has_the_sums_of_the_ui(self, make: Make, server: dict[str, str]):
        ui = {
            (stage["stageId"], stage["attemptId"]): (
                stage["numCompleteTasks"],
                stage["executorRunTime"],
                stage["jvmGcTime"],
                stage["shuffleReadBytes"],
                stage["shuffleWriteBytes"],
                stage["diskBytesSpilled"],
                stage["inputRecords"],
                stage["outputRecords"],
            )
            for stage in of_application(server, "stages?status=complete")
        }
        log_files = profile_run.last_log(Path(server["STATE_DIR"]) / "events")
        sums = profile_run.read(log_files).execute(
            "select stage_id, attempt, count(*), sum(run_ms), sum(collection_ms), "
            "sum(shuffle_read), sum(shuffle_write), sum(spilled), sum(rows_read), "
            "sum(rows_written) from tasks group by stage_id, attempt"
        )
        log = {(stage, attempt): tuple(rest) for stage, attempt, *rest in sums.fetchall()}
        assert ui
        assert {stage: log[stage] for stage in ui} == ui

        printed = make("profile").stdout
        assert "The 15 slowest of" in printed
        elapsed, *parts = map(int, re.findall(r"(\d+) s ", printed.splitlines()[0]))
        assert sum(parts) == pytest.approx(elapsed, abs=2)


# --- the profile of a log whose numbers can be computed by hand -------------------------

THRIFT = "org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServer"
CONNECT = "org.apache.spark.sql.connect.service.SparkListenerConnect"


def statement(group: str, sql: str, started: int, finished: int | None) -> list[dict]:
    operation = {"Event": f"{THRIFT}OperationStart", "id": group, "groupId": group}
    start = operation | {"statement": sql, "userName": "ann", "startTime": started}
    end = {"Event": f"{THRIFT}OperationFinish", "id": group, "finishTime": finished}
    return [start, end] if finished else [start]


def job(number: int, properties: dict, started: int, finished: int, tasks: list[int]) -> list[dict]:
    """Returns the events of a job with one stage; `tasks` are their milliseconds."""
    stage = {"Stage ID": number, "Stage Attempt ID": 0}
    metrics = {
        "JVM GC Time": 10,
        "Shuffle Read Metrics": {"Remote Bytes Read": 1, "Local Bytes Read": 2},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": 1000},
        "Disk Bytes Spilled": 0,
        "Input Metrics": {"Records Read": 50},
        "Output Metrics": {"Records Written": 5},
    }
    return [
        {
            "Event": "SparkListenerJobStart",
            "Job ID": number,
            "Submission Time": started,
            "Properties": properties,
        },
        {"Event": "SparkListenerStageSubmitted", "Stage Info": stage, "Properties": properties},
        *(
            {"Event": "SparkListenerTaskEnd", **stage}
            | {"Task Metrics": metrics | {"Executor Run Time": milliseconds}}
            for milliseconds in tasks
        ),
        {"Event": "SparkListenerJobEnd", "Job ID": number, "Completion Time": finished},
    ]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Writes a log in two files; the server was killed while it wrote the last line."""
    tag = "SparkConnect_OperationTag_User_generate_Session_1_Operation_2"
    before = statement("old", "/* model old */ select 1", 0, 500)
    session = {"Event": f"{CONNECT}SessionStarted", "userId": "generate", "eventTime": 1000}
    request = {
        "Event": f"{CONNECT}OperationStarted",
        "jobTag": tag,
        "operationId": "2",
        "eventTime": 1000,
        "sparkSessionTags": ["generate: raw.customers"],
    }
    answer = {"Event": f"{CONNECT}OperationFinished", "operationId": "2", "eventTime": 3000}
    files = (
        [*before, session, request, *job(1, {"spark.job.tags": f"x,{tag}"}, 1500, 2500, [900])],
        [
            answer,
            # Two statements of one model, which overlap by a second, and an analyst's.
            *statement("a", "/* model customers */\ninsert", 5000, 8000),
            *statement("b", "/* model customers */\nselect", 7000, 9000),
            *job(2, {"spark.jobGroup.id": "a"}, 5000, 7000, [100, 200, 900]),
            *job(3, {"spark.jobGroup.id": "b"}, 8000, 8500, [50]),
            *statement("c", "select 1", 9500, None),
            *job(4, {"spark.jobGroup.id": "c"}, 9600, 10000, [300]),
            *statement("d", "select 2", 10500, 11000),
        ],
    )
    folder = tmp_path / "events" / "eventlog_v2_local-1"
    folder.mkdir(parents=True)
    for number, events in enumerate(files, start=1):
        text = "".join(json.dumps(event) + "\n" for event in events)
        (folder / f"events_{number}_local-1.zstd").write_bytes(zstandard.compress(text.encode()))
    # Spark ends a zstd frame with each flush; the kill left this one open.
    with (folder / "events_2_local-1.zstd").open("ab") as last:
        last.write(zstandard.compress(b'{"Event":"SparkListenerTaskEnd","Stage ID":')[:-4])
    return folder.parent


def test_profile_counts_each_moment_of_a_step_once(log: Path):
    database = profile_run.read(profile_run.last_log(log))
    found = {row[0]: row for row in database.execute("from steps").fetchall()}
    assert set(found) == {"all", "jobs", "generate: raw.customers", "model customers", "SQL of ann"}
    # step, seconds, jobs, tasks, task seconds, of collection, shuffle read and written, spilled,
    # rows read and written, skew
    customers = ("model customers", 4.0, 2, 4, 1.25, 0.04, 12, 4000, 0, 200, 20)
    assert found["model customers"][:11] == pytest.approx(customers)
    assert found["model customers"][11] == 4.5  # 900 by the median of 200
    # An operation without an end lasts until the end of the log.
    assert found["SQL of ann"][1] == pytest.approx(1.5)
    assert found["all"][1:5] == pytest.approx((7.5, 4, 6, 2.45))
    assert found["jobs"][1] == pytest.approx(1.0 + 2.0 + 0.5 + 0.4)
    report = profile_run.report(list(found.values()))
    assert "10 s from 1970-01-01 00:00:01 to 00:00:11 UTC: 4 s in jobs" in report


def test_profile_without_a_log_is_one_clear_line(make: Make, tmp_path: Path):
    missing = make("profile", f"STATE_DIR={tmp_path}", check=False)
    assert missing.returncode != 0
    assert "error: there is no event log in" in missing.stderr
    assert "make run" in missing.stderr
