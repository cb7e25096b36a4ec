"""The Spark server: one JVM with the Thrift server (dbt, analysts) and Spark Connect (ml/)."""

import os
import re
import shutil
import socket
import sys
from pathlib import Path

from pyhive import hive

from server import missing_class
from server.daemon import Daemon, command_line
from server.environment import EVENTS, PORTS, SPARK_HOME, STATE, ServerError, check_port
from server.java import find_java
from server.packages import jars_of_packages
from server.settings import SCRATCH, connect_token, write_settings, written_settings

SERVER = Daemon(
    "Spark server", "server", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
)
KEPT_EVENT_LOGS = 20


def start() -> None:
    """Starts the server, unless it runs, and returns when both of its ports answer."""
    pid = SERVER.running_pid()
    if pid:
        check_ports(pid)
    if pid and answers():
        print(f"Spark server is up: {addresses()}")
        return
    SERVER.stop()  # it may run without answering
    for name, port in PORTS.items():
        check_port(name, port)
    prepare_state()
    settings = write_settings()
    SERVER.start(server_command(settings), server_environment(), answers)
    remove_leftovers()
    print(f"Spark server started: {addresses()}")


def check_ports(pid: int) -> None:
    """Raises ServerError when the server was started with another THRIFT_PORT or CONNECT_PORT."""
    thrift_port = f"hive.server2.thrift.port={PORTS['THRIFT_PORT']}"
    connect_port = written_settings().get("spark.connect.grpc.binding.port")
    if thrift_port not in command_line(pid).split() or connect_port != PORTS["CONNECT_PORT"]:
        raise ServerError(
            f"the Spark server of {STATE} runs on other ports; set THRIFT_PORT and CONNECT_PORT to "
            "its ports, or stop it first with: make down"
        )


def addresses() -> str:
    """Returns the three addresses of the server, as one line."""
    return (
        f"Thrift localhost:{PORTS['THRIFT_PORT']}, Connect localhost:{PORTS['CONNECT_PORT']}, "
        f"UI http://localhost:{written_settings()['spark.ui.port']}"
    )


def connect() -> hive.Connection:
    """Returns a session on the Thrift server."""
    return hive.connect("localhost", int(PORTS["THRIFT_PORT"]), username="server")


def answers() -> bool:
    """Returns true when both ports are open and the Thrift server answers a query."""
    try:
        for name in ("THRIFT_PORT", "CONNECT_PORT"):
            socket.create_connection(("127.0.0.1", int(PORTS[name])), timeout=5).close()
        with connect() as connection:
            cursor = connection.cursor()
            cursor.execute("select 1")
            return cursor.fetchone() == (1,)
    except Exception:  # the client library raises errors of many kinds
        return False


def prepare_state() -> None:
    """Makes the folders of STATE_DIR, and drops the oldest event logs before they fill the disk."""
    shutil.rmtree(SCRATCH, ignore_errors=True)  # of a server that was killed
    for folder in (EVENTS, SCRATCH):
        folder.mkdir(parents=True, exist_ok=True)
    # Tables and logs hold customers: other accounts of this machine must not read them.
    STATE.chmod(0o700)
    missing_class.write(STATE / "classes")
    # A server that was killed while it created its metastore leaves an incomplete folder. Derby
    # writes service.properties last, and refuses a folder without it. A database that has held
    # tables has this file or its backup, so no table is lost here.
    metastore = STATE / "metastore"
    if metastore.exists() and not list(metastore.glob("service.properties*")):
        shutil.rmtree(metastore)
    logs = sorted(EVENTS.glob("eventlog_v2_*"), key=lambda log: log.stat().st_mtime, reverse=True)
    for log in logs[KEPT_EVENT_LOGS - 1 :]:
        shutil.rmtree(log)


def server_command(settings: Path) -> list[str]:
    """Returns the command that starts the server with these settings."""
    thrift_settings = {
        "hive.server2.thrift.bind.host": "127.0.0.1",
        "hive.server2.thrift.port": PORTS["THRIFT_PORT"],
        # A session without an open statement ends an hour after its last use, even if its client
        # went away without closing it.
        "hive.server2.session.check.interval": "1m",
        "hive.server2.idle.session.timeout": "1h",
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--class", SERVER.main_class]
    command += ["--name", "customer-behavior", "--properties-file", str(settings)]
    command += ["spark-internal"]
    for name, value in thrift_settings.items():
        command += ["--hiveconf", f"{name}={value}"]
    return command


def server_environment() -> dict[str, str]:
    """Returns the environment of the server's process."""
    java_home = find_java()
    jars = jars_of_packages(written_settings(), java_home)
    environment = os.environ | {
        "JAVA_HOME": java_home,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DIST_CLASSPATH": ":".join([str(STATE / "classes"), *jars]),
        # Every user of the machine can read a command line, but not an environment.
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": connect_token(),
        "PYSPARK_PYTHON": sys.executable,
    }
    environment.pop("SPARK_REMOTE", None)
    return environment


def remove_leftovers() -> None:
    """Removes unfinished files that a killed server has left.

    Spark refuses to create a table whose folder exists already.
    """
    warehouse = STATE / "warehouse"
    with connect() as connection:
        cursor = connection.cursor()

        def column(number: int, sql: str) -> set[str]:
            cursor.execute(sql)
            return {row[number] for row in cursor.fetchall()}

        # The warehouse of a cluster is outside STATE_DIR.
        if column(1, "set spark.sql.warehouse.dir") != {f"file:{warehouse}"}:
            return
        for database in column(0, "show databases"):
            tables = column(1, f"show tables in {database}")
            folders = (warehouse / f"{database}.db").glob("*/")
            if unknown := [folder for folder in folders if folder.name not in tables]:
                # A table of the user can have a folder of another name.
                described = "\n".join(column(3, f"show table extended in {database} like '*'"))
                for folder in unknown:
                    if not re.search(rf"(?m)file:{re.escape(str(folder))}(/|$)", described):
                        shutil.rmtree(folder)
            for pattern in ("*/_temporary", "*/.spark-staging-*"):
                for folder in (warehouse / f"{database}.db").glob(pattern):
                    shutil.rmtree(folder)
