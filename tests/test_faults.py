"""Tests that a run gives the correct tables after a full disk and after any process was killed."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, on_data, query_function, run_make
from test_pipeline import all_tables, fingerprint

# The processes to kill: a part of the command, and the number of seconds after its start from which
# the moment is drawn.
TARGETS = {
    "generate": ("ml.generate", 8),
    "dbt": ("dbt build", 30),
    "server": ("HiveThriftServer2", 60),
    "make": ("BEGIN=raw", 60),
    "cluster": ("ml.cluster", 8),
    "lifetime value": ("ml.lifetime_value", 8),
    "insight site": ("reports.build_site", 8),
}


def start_run(environment: dict[str, str], seed: int) -> subprocess.Popen:
    """Starts a run on 3,000 generated customers."""
    return subprocess.Popen(
        ["make", "run", "N_CUSTOMERS=3000", f"SEED={seed}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def find(command_part: str, run: subprocess.Popen, state: str) -> psutil.Process | None:
    """Returns the process of the run, or of its server, whose command contains `command_part`.

    The shells in which make runs a command contain it too, and do not count.
    """
    processes = psutil.Process(run.pid).children(recursive=True) if run.poll() is None else []
    pid_file = Path(state) / "server.pid"
    if pid_file.exists() and psutil.pid_exists(pid := int(pid_file.read_text() or 0)):
        processes.append(psutil.Process(pid))
    for process in processes:
        try:
            if process.name() != "sh" and command_part in " ".join(process.cmdline()):
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def kill_in_a_run(
    target: str, draw: random.Random, environment: dict[str, str], part: float = 1
) -> str:
    """Starts a run and kills the target in it; returns the moment and the result of the run.

    The moment is drawn from the first `part` of the target's seconds.
    """
    command_part, seconds = TARGETS[target]
    # A new seed, so that the run generates data.
    run = start_run(environment, seed=draw.randint(1, 10**6))
    started = time.monotonic()
    delay = draw.uniform(0, seconds * part)
    appeared = None
    while run.poll() is None:
        process = find(command_part, run, environment["STATE_DIR"])
        if process and appeared is None:
            appeared = time.monotonic()
        if process and time.monotonic() - appeared >= delay:
            process.kill()
            moment = time.monotonic() - started
            break
        time.sleep(0.05)
    else:
        return f"{target}: ended before it was killed"
    try:
        printed, _ = run.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        # A killed `make` leaves processes that would otherwise complete the run.
        os.killpg(run.pid, signal.SIGKILL)
        printed, _ = run.communicate()
    errors = [line for line in printed.splitlines() if re.match("error|.*Error", line)]
    return f"{target} after {moment:.1f} s: exit code {run.returncode}, {errors[:1]}"


def assert_tables_are_complete(
    environment: dict[str, str], expected: dict[str, tuple], killed: list[str]
) -> None:
    """Asserts that an undisturbed run gives the expected tables and leaves no other files."""
    run = start_run(environment, seed=42)
    printed, _ = run.communicate()
    assert run.returncode == 0, [*killed, printed]
    with query_function(environment) as query:
        assert fingerprint(query, all_tables()) == expected, killed
        warehouse = Path(environment["STATE_DIR"]) / "warehouse"
        for database in sorted(warehouse.glob("*.db")):
            tables = {name for (_, name, _) in query(f"show tables in {database.stem}")}
            assert {folder.name for folder in database.iterdir()} <= tables, killed
            assert not [name for name in tables if name.endswith("__next")], killed
            if database.stem.endswith("_builds"):
                builds = [name.rpartition("__")[0] for name in tables]
                assert max(map(builds.count, builds)) <= 2, killed
        for table in ("raw.transactions", "staging.stg_checked_transactions"):
            folder = warehouse / table.replace(".", ".db/")
            known = query(f"show partitions {table}")
            assert len(list(folder.glob("*=*"))) == len(known), killed
        assert not list(warehouse.rglob("_temporary")), killed


def table_fingerprints(state: dict[str, str]) -> dict[str, tuple]:
    """Returns the fingerprint of every table."""
    with query_function(state) as query:
        return fingerprint(query, all_tables())


def mart_rows(state: dict[str, str]) -> dict[str, list[tuple]]:
    """Returns hashes of the rows of the marts that can be read without disk space.

    The joins and windows of some views need space for a shuffle.
    """
    shuffled = {"data_test_results", "table_history"}
    with query_function(state) as query:
        return {
            name: sorted(query(f"select xxhash64(*) from marts.{name}"))
            for _, name, _ in query("show tables in marts")
            if name not in shuffled
        }


def assert_most_were_killed(killed: list[str]) -> None:
    assert sum("ended before" in each for each in killed) < len(killed) / 2, killed


@pytest.fixture(scope="module")
def tables_before(second_state: dict[str, str]) -> dict[str, tuple]:
    """The fingerprints of all tables after an undisturbed run."""
    run_make(second_state, "run", "N_CUSTOMERS=3000")
    return table_fingerprints(second_state)


@pytest.mark.slow
def test_full_disk_is_one_clear_line_and_the_marts_answer(
    second_state: dict[str, str], tables_before: dict[str, tuple]
):
    """The next test shows that a run with enough space then gives the correct tables."""
    small_disk = Path(second_state["STATE_DIR"])
    if not small_disk.is_mount():
        pytest.skip("needs root and a machine that allows mounting a disk")
    marts_before = mart_rows(second_state)
    filler = small_disk / "filler"
    try:
        for left in (3 * 2**20, 2**20 // 2):
            filler.unlink(missing_ok=True)
            with filler.open("wb") as file:
                file.truncate(0)
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - left)
            result = run_make(second_state, "run", "N_CUSTOMERS=20000", check=False)
            assert result.returncode != 0
            assert "No space left on device" in result.stdout + result.stderr
            assert mart_rows(second_state) == marts_before
    finally:
        filler.unlink()


@pytest.mark.slow
def test_the_run_after_five_kills_gives_the_tables_of_an_undisturbed_one(
    second_state: dict[str, str], tables_before: dict[str, tuple]
):
    draw = random.Random()  # noqa: S311
    # To save time, the targets do not include the late steps of a run.
    targets = ["generate", "dbt", "server", "make", "dbt"]
    draw.shuffle(targets)
    killed = []
    for target in targets:
        killed.append(kill_in_a_run(target, draw, second_state, part=0.4))
        print(time.strftime("%X"), killed[-1], flush=True)
    assert_tables_are_complete(second_state, tables_before, killed)
    assert_most_were_killed(killed)


@pytest.mark.hours
@on_data("generated")
def test_runs_among_fifty_kills_give_the_tables_of_an_undisturbed_one(
    query: Callable, own_state: dict[str, str]
):
    """After two of five kills comes an undisturbed run, after the others the next kill."""
    draw = random.Random()  # noqa: S311
    expected = fingerprint(query, all_tables())
    targets = list(islice(cycle(TARGETS), 50))
    draw.shuffle(targets)
    killed = []
    for target in targets:
        killed.append(kill_in_a_run(target, draw, own_state))
        print(time.strftime("%X"), killed[-1], flush=True)
        if draw.random() < 0.4 or len(killed) == len(targets):
            assert_tables_are_complete(own_state, expected, killed)
            print(time.strftime("%X"), "the next run: all tables equal, no other files")
    assert_most_were_killed(killed)


def test_a_run_waits_for_another_that_builds_the_same_tables(tmp_path: Path):
    """It also waits for processes that a killed run has left."""
    lock = [sys.executable, "-m", "server.lock", tmp_path / "at-work"]
    first = subprocess.Popen(
        [*lock, "bash", "-c", "exec 9<&0; cat <&9 & echo at work; wait"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "at work\n"
    second = subprocess.Popen(
        [*lock, "echo", "done"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert f"Waiting for process {first.pid}, which has worked in" in second.stderr.readline()
    first.kill()
    first.wait()
    assert second.poll() is None
    first.stdin.close()
    printed, errors = second.communicate()
    assert (printed, errors) == ("done\n", "")


@pytest.mark.parametrize(
    "content", ["", "no number", str(os.getpid())], ids=["empty", "no number", "another process"]
)
def test_a_stale_pid_file_is_no_server(tmp_path: Path, content: str):
    """For example, another process may have the number by now."""
    (tmp_path / "server.pid").write_text(content)
    command = [sys.executable, "-m", "server", "status"]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "error: the Spark server is not running; start it with: make up\n"


@pytest.mark.slow
def test_an_interrupted_installation_is_repeated(tmp_path: Path):
    files = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in files.rstrip("\0").split("\0"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    setup = subprocess.Popen(["make", "setup"], cwd=tmp_path, start_new_session=True)
    while not list(tmp_path.glob(".venv/lib/python*/site-packages/py4j")):
        assert setup.poll() is None
        time.sleep(0.01)
    os.killpg(setup.pid, signal.SIGKILL)
    setup.wait()
    subprocess.run(["make", "setup"], cwd=tmp_path, check=True)
    command = [tmp_path / ".venv" / "bin" / "python", "-c", "import pyspark, dbt.adapters.spark"]
    subprocess.run(command, check=True)


@pytest.mark.slow
def test_a_server_killed_while_it_creates_the_metastore_starts_again(own_state: dict[str, str]):
    state = Path(own_state["STATE_DIR"])
    command = [sys.executable, "-m", "server", "up"]
    first = subprocess.Popen(command, cwd=ROOT, env=own_state)
    while not (state / "metastore").exists():
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(int((state / "server.pid").read_text()), signal.SIGKILL)
    first.wait()
    assert not (state / "metastore" / "service.properties").exists()
    subprocess.run(command, cwd=ROOT, env=own_state, check=True)
