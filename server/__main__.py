"""The commands of the Spark server.

    python -m server up | down | status | sql | history | forget | find-java

The settings come from the environment variables of the README; all files go to STATE_DIR. A
failure prints one line, with its cause and what to do, and ends with exit code 1.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable

from server import history, spark_server
from server.environment import EVENTS, HISTORY_PORT, PORTS, SPARK_HOME, STATE, ServerError
from server.history import HISTORY
from server.java import find_java
from server.settings import written_setting
from server.spark_server import SERVER, addresses


def down() -> None:
    """Stops both servers and returns when they are gone."""
    SERVER.stop()
    HISTORY.stop()


def status() -> None:
    """Prints what runs where; raises ServerError when the Spark server does not answer."""
    if HISTORY.running_pid() and history.answers():
        print(f"Spark history server is up: http://localhost:{HISTORY_PORT}")
    pid = SERVER.running_pid()
    if not pid:
        raise ServerError("the Spark server is not running; start it with: make up")
    if not spark_server.answers():
        raise ServerError(
            f"the Spark server (process {pid}) does not answer; see {SERVER.log_file}"
        )
    print(f"Spark server is up (process {pid}): {addresses()}")
    print(
        f"state: {STATE}   master: {written_setting('spark.master')}   "
        f"memory: {written_setting('spark.driver.memory')}   log: {SERVER.log_file}"
    )


def sql() -> None:
    """Opens a SQL prompt on the marts: the beeline that comes with Spark."""
    status()
    url = f"jdbc:hive2://localhost:{PORTS['THRIFT_PORT']}/marts"
    environment = os.environ | {"JAVA_HOME": find_java(), "SPARK_HOME": str(SPARK_HOME)}
    beeline = SPARK_HOME / "bin" / "beeline"
    os.execve(beeline, [str(beeline), "--silent=true", "-u", url, "-n", "analyst"], environment)


def forget() -> None:
    """Removes the event logs, whose queries may name customers, and starts a new one."""
    down()
    shutil.rmtree(EVENTS, ignore_errors=True)
    spark_server.start()


COMMANDS: dict[str, Callable[[], None]] = {
    "up": spark_server.start,
    "down": down,
    "status": status,
    "sql": sql,
    "history": history.start,
    "forget": forget,
    "find-java": lambda: print(find_java()),
}


def main() -> None:
    """Runs the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m server", description="The Spark server.")
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except ServerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
