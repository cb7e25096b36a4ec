"""What every PySpark step shares: its session, the names of its jobs, and its messages.

A step runs unchanged over Spark Connect (`SPARK_REMOTE` names the server, as `make run` does) and
under plain `spark-submit` on any cluster manager.
"""

import gc
import logging
import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Callable
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession, is_remote
from pyspark.sql.connect.client.retries import DefaultPolicy

# Below these a rate or a fit says more of chance than of customers: no lifetime value is modelled,
# and the insight site warns.
FEWEST_BUYERS = 500
FEWEST_DAYS = 180


class StepError(Exception):
    """A mistake that the user can mend: one line that says what, which value, and what to do."""


def start(step: str) -> SparkSession:
    """Returns the session of one step, named `step` in the Spark UI; times and dates are UTC."""
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    # The client logs the engine's errors with their stack traces; run() makes one line of them.
    for logger in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(logger).setLevel(logging.CRITICAL)
    # Over Connect the engine describes jobs by the request, and shows little of it but the user.
    if "SPARK_REMOTE" in os.environ:
        os.environ["SPARK_USER"] = step
        check_server(os.environ["SPARK_REMOTE"])
    spark = SparkSession.builder.appName(step).getOrCreate()
    if is_remote():
        # By default the client asks a server that is gone for ten minutes, and says nothing.
        spark.client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=2000)])
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    describe(spark, "read")
    return spark


def check_server(remote: str) -> None:
    """Raises StepError when nothing answers at a Connect address such as sc://localhost:15002."""
    address = urlsplit(remote)
    try:
        socket.create_connection((address.hostname, address.port or 15002), timeout=10).close()
    except OSError as error:
        raise StepError(
            f"no Spark server answers at {remote} ({error.strerror or error}); "
            "start it with: make up"
        ) from error


def describe(spark: SparkSession, phase: str) -> None:
    """Names the jobs that follow `<step>: <phase>` in the Spark UI and the history server."""
    description = f"{spark.conf.get('spark.app.name')}: {phase}"
    if is_remote():
        # Connect has no call for it: queries heed the setting, and what is none, as the passes of
        # K-Means, has the tag at least.
        spark.conf.set("spark.job.description", description)
        spark.clearTags()
        spark.addTag(description)
    else:
        spark.sparkContext.setJobDescription(description)


def run(main: Callable[[], None]) -> None:
    """Runs a step's `main`; a StepError or an engine error becomes one line and exit code 1."""
    # A fitted model tells the server when it is freed. The collector could free one in the midst of
    # another call, and as late as Python's own exit: both wait for an answer forever. So it runs
    # once, between the two.
    gc.disable()
    try:
        main()
    except StepError as error:
        sys.exit(f"error: {error}")
    except PySparkException as error:
        if "StatusCode.UNAVAILABLE" in str(error):
            sys.exit("error: the Spark server is gone; server.log in STATE_DIR says why")
        sys.exit(f"error: Spark could not do this: {in_one_line(error)}")
    finally:
        gc.collect()
        if session := SparkSession.getActiveSession():
            session.stop()


def in_one_line(error: PySparkException) -> str:
    """What an engine error says first and, in brackets, what began it, such as a full disk."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    # Only Connect's errors have it.
    trace = getattr(error, "getStackTrace", str)() or ""
    causes = re.findall(r"(?m)^Caused by: [\w.$]+: (.+)", trace)
    if causes and causes[-1] not in said:
        said += f" ({causes[-1]})"
    return said or type(error).__name__


def log(text: str) -> None:
    """Prints one line of progress at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def whole_number(name: str, text: str, least: int | None = None) -> int:
    """Returns `text` as an int; StepError names the parameter when it is none or below `least`."""
    bound = "" if least is None else f" of at least {least}"
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or (least is not None and number < least):
        raise StepError(f"{name} must be a whole number{bound}, not '{text}'")
    return number
