"""Shared by all PySpark steps: the session, the names of jobs in the Spark UI, and messages.

A step runs unchanged over Spark Connect (`SPARK_REMOTE` names the server, as in `make run`) and
under plain `spark-submit` on any cluster manager.
"""

import gc
import logging
import os
import re
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from urllib.parse import urlsplit

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession, is_remote


class StepError(Exception):
    """A mistake that the user can correct; its one line names the value and what to do."""


def start(step: str) -> SparkSession:
    """Returns the session of one step, named `step` in the Spark UI; times and dates are UTC."""
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    # The client logs errors of the engine with stack traces; run() prints them as one line.
    for logger in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(logger).setLevel(logging.CRITICAL)
    # For a request over Connect, the Spark UI shows little more than the name of the user. So the
    # name of the step is given as the user.
    if "SPARK_REMOTE" in os.environ:
        os.environ["SPARK_USER"] = step
        check_server(os.environ["SPARK_REMOTE"])
    spark = SparkSession.builder.appName(step).getOrCreate()
    if is_remote():
        # Imported here because it takes more than a second, and not every program starts a session.
        from pyspark.sql.connect.client.retries import DefaultPolicy

        # By default the client silently retries for ten minutes when the server is gone.
        spark.client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=2000)])
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # Spark compresses the rows that a step collects, so that they fit into
    # spark.driver.maxResultSize.
    spark.conf.set("spark.sql.execution.arrow.compression.codec", "zstd")
    describe(spark, "read")
    return spark


def check_server(remote: str) -> None:
    """Raises StepError when nothing answers at a Connect address such as sc://localhost:15002."""
    try:
        address = urlsplit(remote)
        socket.create_connection((address.hostname, address.port or 15002), timeout=10).close()
    except (OSError, ValueError) as error:  # ValueError: no port, such as abc or 99999
        reason = getattr(error, "strerror", None) or error
        named = remote.partition("/;")[0]  # what follows may be a token
        raise StepError(
            f"no Spark server answers at {named} ({reason}); start it with: make up"
        ) from error


def describe(spark: SparkSession, phase: str) -> None:
    """Names the following jobs `<step>: <phase>` in the Spark UI and the history server."""
    description = f"{spark.conf.get('spark.app.name')}: {phase}"
    if is_remote():
        # Connect has no call for it. Queries use the setting; other jobs, such as the passes of
        # K-Means, ignore it but carry the tag.
        spark.conf.set("spark.job.description", description)
        spark.clearTags()
        spark.addTag(description)
    else:
        spark.sparkContext.setJobDescription(description)


def run(main: Callable[[], None]) -> None:
    """Runs a step's `main`; a mistake or an engine error becomes one line and exit code 1."""
    # When Python frees a fitted model, it sends a request to the server. Inside another call, or at
    # the exit of Python, that request would wait forever. So garbage is collected after `main`.
    gc.disable()
    # Without a handler, a signal would end Python and leave its query running on the server.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        main()
    except (StepError, OSError) as error:
        sys.exit(f"error: {error}")
    except PySparkException as error:
        if "StatusCode.UNAVAILABLE" in str(error):
            sys.exit("error: the Spark server is gone; see server.log in STATE_DIR for the reason")
        sys.exit(f"error: Spark failed: {in_one_line(error)}")
    except Py4JJavaError as error:  # without Spark Connect
        sys.exit(f"error: Spark failed: {engine_message(error)}")
    finally:
        gc.collect()
        if session := SparkSession.getActiveSession():
            session.stop()


def in_one_line(error: PySparkException) -> str:
    """Returns an engine error's first line and, in parentheses, its root cause."""
    line = first_line(str(error))
    # Only errors of Connect have a stack trace.
    trace = error.getStackTrace() if hasattr(error, "getStackTrace") else None
    causes = re.findall(r"(?m)^Caused by: [\w.$]+: (.+)", trace or "")
    if causes and causes[-1] not in line:
        line += f" ({causes[-1]})"
    return line or type(error).__name__


def engine_message(error: Exception) -> str:
    """Returns the first line of an engine error, without its code and its position."""
    # Without Spark Connect, an error inside a task comes as a bare Java exception.
    line = first_line(str(getattr(error, "java_exception", error))) or type(error).__name__
    return re.sub(r"^.*?\[[A-Z0-9_.]+\]\s*|\s*SQLSTATE:.*$", "", line)


def first_line(text: str) -> str:
    """Returns the first line that is not blank, stripped; an empty string without one."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def log(text: str) -> None:
    """Prints one line of progress, with the time, and flushes it."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def whole_number(name: str, text: str, least: int | None = None) -> int:
    """Returns `text` as an int; raises StepError with the parameter's name unless it fits."""
    bound = "" if least is None else f" of at least {least}"
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or (least is not None and number < least):
        raise StepError(f"{name} must be a whole number{bound}, not '{text}'")
    if abs(number) >= 10**18:  # Spark's integers have 64 bits
        raise StepError(f"{name} must have at most 18 digits, not '{text}'")
    return number
