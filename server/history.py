"""Spark's history server: the jobs of past runs, from the recorded event logs."""

import json
import os
import urllib.request

from server.daemon import Daemon
from server.environment import EVENTS, HISTORY_PORT, SPARK_HOME, ServerError, check_port
from server.java import find_java
from server.settings import DEFAULTS

HISTORY = Daemon("Spark history server", "history", "org.apache.spark.deploy.history.HistoryServer")


def start() -> None:
    """Starts the history server, unless it runs, and returns when it lists the recorded logs."""
    if not any(EVENTS.glob("eventlog_v2_*")):
        raise ServerError(f"there is no event log in {EVENTS} yet; make one with: make run")
    if not (HISTORY.running_pid() and answers()):
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
        command = [spark_class, HISTORY.main_class, "--properties-file", str(DEFAULTS)]
        HISTORY.start(command, environment, answers)
    print(f"Spark history server is up: http://localhost:{HISTORY_PORT}")


def answers() -> bool:
    """Returns true when the history server lists a recorded log."""
    address = f"http://localhost:{HISTORY_PORT}/api/v1/applications?limit=1"
    try:
        # Without the proxy of the environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=5) as answer:
            return bool(json.load(answer))
    except Exception:  # errors of many kinds, while it starts
        return False
