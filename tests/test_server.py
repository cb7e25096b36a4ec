"""Tests of the server's memory, of the order of a run's steps, and of the check of parameters."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PARAMETERS, ROOT, free_ports, run_make

from ml.session import StepError, check_server
from server import memory
from server.environment import ServerError
from server.java import find_java
from server.packages import jars_of_packages
from server.parameters import check
from server.settings import write_settings, written_settings
from server.spark_server import check_ports

GIBIBYTE = 2**30
# A word of each step's command, in the order of the flow.
STEPS = (
    *("server.parameters", "server up", "last_run scope", "ml.generate", "before_ml", "ml.cluster"),
    *("ml.lifetime_value", "after_ml", "reports.build_site", "reports.summary"),
)


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the file with the memory limit of a container; SPARK_DRIVER_MEMORY is unset."""
    monkeypatch.setattr(memory, "CONTAINER_LIMITS", (tmp_path / "memory.max",))
    monkeypatch.delenv("SPARK_DRIVER_MEMORY", raising=False)
    return tmp_path / "memory.max"


def machine(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Lets the machine have `size` bytes of memory."""
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": size // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


@pytest.mark.parametrize(
    ("gibibytes", "expected"), [(64, "6144m"), (12, "6144m"), (8, "4096m"), (1.5, "1024m")]
)
def test_default_memory_is_6_gib_or_half_of_the_machine(
    limit: Path, monkeypatch: pytest.MonkeyPatch, gibibytes: float, expected: str
):
    machine(monkeypatch, int(gibibytes * GIBIBYTE))
    assert memory.driver_memory() == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("max", "6144m"), (str(4 * GIBIBYTE), "2048m"), (str(2**63), "6144m")]
)
def test_default_memory_fits_the_container(
    limit: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
):
    machine(monkeypatch, 64 * GIBIBYTE)
    limit.write_text(f"{text}\n")
    assert memory.driver_memory() == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("much", "must be a size such as 4g, not 'much'"),
        ("512m", "is too little"),
        ("9g", "more than this machine's 8192 MiB"),
    ],
)
def test_wrong_memory_is_one_clear_line(
    limit: Path, monkeypatch: pytest.MonkeyPatch, size: str, message: str
):
    machine(monkeypatch, 8 * GIBIBYTE)
    monkeypatch.setenv("SPARK_DRIVER_MEMORY", size)
    with pytest.raises(ServerError, match=message):
        memory.driver_memory()


def run_steps(program: str, folder: Path, *options: str) -> tuple[int, list[str]]:
    """Runs `make run` with a shell program in place of Python and dbt.

    Returns the exit code, and the lines that the program has written to descriptor 3.
    """
    log, file = folder / "log", folder / "program"
    file.write_text(f"#!/bin/sh\nexec 3>>{log}\n{program}")
    file.chmod(0o755)
    (folder / "connect-token").touch()
    environment = {name: text for name, text in os.environ.items() if name not in PARAMETERS}
    programs = f"PYTHON={file}", f"DBT={file}", f"STATE_DIR={folder}"
    result = run_make(environment | {"MAKEFLAGS": ""}, *options, "run", *programs, check=False)
    return result.returncode, log.read_text().splitlines()


@pytest.mark.parametrize("jobs", [(), ("-j1",), ("-j",), ("-j4",)])
def test_a_run_has_its_steps_in_order_with_any_number_of_jobs(tmp_path: Path, jobs: tuple):
    """Everything has changed since the last complete run."""
    program = 'echo everything; echo "begin $*" >&3; sleep 0.2; echo "end $*" >&3'
    code, lines = run_steps(program, tmp_path, *jobs)
    assert code == 0
    noted = [(line.split()[0], name) for line in lines for name in STEPS if name in line]
    side_by_side = {"ml.cluster", "ml.lifetime_value"}
    others = [(what, name) for what, name in noted if name not in side_by_side]
    one_by_one = [name for name in STEPS if name not in side_by_side]
    assert others == [(what, name) for name in one_by_one for what in ("begin", "end")]
    place = noted.index(("end", "before_ml")) + 1
    assert {name for _, name in noted[place : place + 2]} == side_by_side
    assert [what for what, _ in noted[place : place + 4]] == ["begin", "begin", "end", "end"]


def test_no_step_follows_one_that_fails_even_if_make_keeps_going(tmp_path: Path):
    """Models have changed since the last complete run."""
    program = 'echo models; echo "$*" >&3; case "$*" in build*) exit 1; esac'
    code, lines = run_steps(program, tmp_path, "--keep-going")
    assert code
    assert lines[-1].startswith("build --select state:modified+")


def test_a_server_without_its_installation_is_not_forgotten(tmp_path: Path):
    """Its process number is in STATE_DIR, which `make clean` would remove."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".spark").mkdir()
    (tmp_path / ".spark" / "server.pid").write_text("1")
    environment = {name: text for name, text in os.environ.items() if name != "STATE_DIR"}
    with pytest.raises(pytest.fail.Exception, match="run make setup first, to stop the server"):
        run_make(environment | {"MAKEFLAGS": ""}, "clean", folder=tmp_path)
    assert (tmp_path / ".spark" / "server.pid").exists()


@pytest.mark.parametrize("text", ["foo", "2026-2-3", "2026-02-30", "2025-02-29", "2026-13-01", "'"])
def test_only_a_date_is_an_as_of_date(text: str):
    parameters = {"N_CUSTOMERS": "1", "SEED": "1"}
    for right in ("", "2024-02-29", "9999-12-31"):
        check(parameters | {"AS_OF_DATE": right})
    with pytest.raises(StepError, match=f"must be a date such as 2026-06-30, not '{text}'"):
        check(parameters | {"AS_OF_DATE": text})


@pytest.mark.parametrize("name", ["CUSTOMER_ID", "STATE_DIR"])
@pytest.mark.parametrize("on_command_line", [True, False])
def test_make_keeps_a_dollar_sign(name: str, on_command_line: bool):
    environment = {name: value for name, value in os.environ.items() if name not in PARAMETERS}
    printed = run_make(
        environment | {name: "US$1001", "MAKEFLAGS": ""},
        *(f"--eval=shown: ; @printenv {name}", "shown"),
        *([f"{name}=US$1001"] if on_command_line else []),
    )
    assert printed.stdout == "US$1001\n"


def test_a_setting_ends_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = tmp_path / "server.conf"
    settings.write_text("spark.jars.packages=\n  spark.master local[4] \nspark.ui.port: 4040\n")
    monkeypatch.setattr("server.settings.WRITTEN", settings)
    assert written_settings() == {"spark.master": "local[4]", "spark.ui.port": "4040"}


def test_an_error_does_not_show_a_token():
    remote = f"sc://localhost:{free_ports(1)[0]}/;token=secret"
    with pytest.raises(StepError, match="no Spark server answers at sc://localhost:") as error:
        check_server(remote)
    assert "secret" not in str(error.value)


DEV = {"DBT_TARGET": "dev", "DBT_SCHEMA_PREFIX": "alice"}
PREFIX = "DBT_SCHEMA_PREFIX must contain only lowercase letters"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"SEED": "x"}, "SEED must be a whole number, not 'x'"),
        ({"SEED": "9" * 19}, "SEED must have at most 18 digits"),
        ({"REPLACE_LOADED": "no"}, "REPLACE_LOADED must be yes or empty, not 'no'"),
        ({"REPLACE": "1"}, "REPLACE must be yes or empty, not '1'"),
        ({"MAPPING": "cdnow.yml"}, "needs TRANSACTIONS too"),
        ({"BEGIN": "added"}, "make load needs files to load"),
        ({"DBT_TARGET": "ci"}, "DBT_TARGET must be prod or dev, not 'ci'"),
        *((DEV | {"DBT_SCHEMA_PREFIX": each}, PREFIX) for each in ("My-Team", "", "alice_")),
        (DEV | {"TRANSACTIONS": "lines.csv"}, "all environments share the raw data"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, str], message: str):
    with pytest.raises(StepError, match=message):
        check({"N_CUSTOMERS": "1", "SEED": "1"} | parameters)


def test_settings_in_another_encoding_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = tmp_path / "own.conf"
    settings.write_bytes("# für alle\n".encode("latin-1"))
    monkeypatch.setenv("SPARK_SETTINGS", str(settings))
    with pytest.raises(ServerError, match=r"own\.conf: the file is not UTF-8"):
        write_settings()


def test_a_server_is_known_by_its_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = tmp_path / "server.conf"
    settings.write_text("spark.connect.grpc.binding.port 15002\n")
    monkeypatch.setattr("server.settings.WRITTEN", settings)
    program = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, "hive.server2.thrift.port=10000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as it:
        # Before its first line, the process may not have its command line yet.
        it.stdout.readline()
        for thrift_port, connect_port in (("10000", "15002"), ("10001", "15002"), ("10000", "1")):
            ports = {"THRIFT_PORT": thrift_port, "CONNECT_PORT": connect_port}
            monkeypatch.setattr("server.spark_server.PORTS", ports)
            if (thrift_port, connect_port) == ("10000", "15002"):
                check_ports(it.pid)
                continue
            with pytest.raises(ServerError, match="runs on other ports"):
                check_ports(it.pid)
        it.kill()


def test_java_of_a_version_manager_is_asked_for_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shim = tmp_path / "shims" / "java"
    shim.parent.mkdir()
    shim.write_text(
        "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\necho '    java.home = /opt/jdk 21' >&2\n"
    )
    shim.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=":")
    assert find_java() == "/opt/jdk 21"
    # A home that the user gives may be a wrapper, so it stays.
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "wrapper"))
    shutil.copytree(shim.parent, tmp_path / "wrapper" / "bin")
    assert find_java() == str(tmp_path / "wrapper")


@pytest.mark.slow
def test_a_package_that_is_not_found_is_one_line():
    settings = {"spark.jars.packages": "com.example:no-such-package:1.0"}
    with pytest.raises(ServerError, match=r"no-such-package:1\.0 cannot be fetched: ") as error:
        jars_of_packages(settings, find_java())
    assert "\n" not in str(error.value)
    assert jars_of_packages({}, find_java()) == []
