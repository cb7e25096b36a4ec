"""The commands of the Spark server.

    python -m server up | down | status | sql | history | forget | find-java

The settings come from the environment variables in docs/parameters.md; all files go to STATE_DIR. A
failure prints one line, with its cause and what to do, and ends with exit code 1.
"""

import argparse
import os
import shutil
from collections.abc import Callable

from pyhive.exc import OperationalError

from ml.environment import PREFIX, in_environment
from ml.session import run
from server import history, spark_server
from server.environment import EVENTS, HISTORY_PORT, PORTS, SPARK_HOME, STATE, ServerError
from server.history import HISTORY
from server.java import find_java
from server.settings import written_settings
from server.spark_server import SERVER, addresses


def down() -> None:
    """Stops both servers and returns when they are gone."""
    SERVER.stop()
    HISTORY.stop()


def servers() -> None:
    """Prints what runs where; raises ServerError when the Spark server does not answer."""
    if HISTORY.running_pid() and history.answers():
        print(f"Spark history server is up: http://localhost:{HISTORY_PORT}")
    pid = SERVER.running_pid()
    if not pid:
        raise ServerError("the Spark server is not running; start it with: make up")
    spark_server.check_ports(pid)
    if not spark_server.answers():
        raise ServerError(
            f"the Spark server (process {pid}) does not answer; see {SERVER.log_file}"
        )
    print(f"Spark server is up (process {pid}): {addresses()}")
    settings = written_settings()
    print(
        f"state: {STATE}   master: {settings['spark.master']}   "
        f"memory: {settings['spark.driver.memory']}   log: {SERVER.log_file}"
    )


def loads() -> list[str]:
    """Returns a line for each of the last loads, or one line if there is none."""
    with spark_server.connect() as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(
                "select date_format(loaded_at, 'yyyy-MM-dd HH:mm'), datediff(now(), loaded_at), "
                "lines, rejected_lines, first_ordered_on, last_ordered_on "
                f"from {in_environment('staging.stg_loads')} order by loaded_at desc limit 5"
            )
        except OperationalError as error:
            if "TABLE_OR_VIEW_NOT_FOUND" in str(error):
                return ["no data yet; build them with: make run"]
            raise ServerError(f"the loads cannot be read; see {SERVER.log_file}") from error
        return [
            f"loaded {at} UTC, {ago(days)}: {lines:,} lines, {rejected:,} rejected, "
            + (f"orders from {first} to {last}" if first else "no usable line")
            for at, days, lines, rejected, first, last in cursor.fetchall()
        ]


def ago(days: int) -> str:
    """Returns a number of days before today in words."""
    return {0: "today", 1: "yesterday"}.get(days, f"{days:,} days ago")


def status() -> None:
    """Prints what runs where, and when the data were loaded."""
    servers()
    print("\n".join(loads()))


def sql() -> None:
    """Opens a SQL prompt on the marts: the beeline that comes with Spark."""
    servers()
    url = f"jdbc:hive2://localhost:{PORTS['THRIFT_PORT']}/{PREFIX}marts"
    environment = os.environ | {"JAVA_HOME": find_java(), "SPARK_HOME": str(SPARK_HOME)}
    beeline = SPARK_HOME / "bin" / "beeline"
    os.execve(beeline, [str(beeline), "--silent=true", "-u", url, "-n", "analyst"], environment)


def forget() -> None:
    """Removes the event logs, whose queries may name customers, and restarts the server."""
    down()
    if EVENTS.exists():
        shutil.rmtree(EVENTS)
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
    COMMANDS[parser.parse_args().command]()


if __name__ == "__main__":
    run(main)
