"""What every PySpark step shares: session, shape of the raw tables, safe replacement, messages.

A step runs unchanged over Spark Connect (`SPARK_REMOTE` names the server, as `make run` does) and
under plain `spark-submit` on any cluster manager.
"""

import gc
import hashlib
import logging
import os
import re
import socket
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession, is_remote
from pyspark.sql import functions as F
from pyspark.sql.connect.client.retries import DefaultPolicy

# Below these a rate or a fit says more of chance than of customers: no lifetime value is modelled,
# and the insight site warns.
FEWEST_BUYERS = 500
FEWEST_DAYS = 180

CUSTOMERS_COLUMNS = """
    customer_id string comment 'Key of the customer.',
    registered_on date comment 'Day of registration; null when unknown.',
    age int comment 'Age in years; null when unknown.',
    gender string comment 'Gender as the source gives it; null when unknown.',
    region string comment 'Region as the source gives it; null when unknown.',
    membership_level string comment 'Level of the loyalty programme; null when unknown.'
"""

TRANSACTIONS_COLUMNS = """
    transaction_id string comment 'Key of the line; null when the source has none.',
    order_id string comment 'Key of the order within its customer; null when the source has none.',
    customer_id string comment 'Key of the customer; null for a guest.',
    ordered_at timestamp comment 'Time of the purchase or return, UTC.',
    product_id string comment 'Key of the product; null when unknown.',
    product_category string comment 'Category of the product; null when unknown.',
    quantity decimal(18,3) comment 'Units, or weight; negative for a return.',
    amount decimal(18,2) comment 'Total of the line, rounded half up; negative for a return.',
    payment_method string comment 'How it was paid; null when unknown.',
    unparsed_values string comment 'JSON of column to source text where it did not fit.',
    loaded_at timestamp comment 'When the line was loaded; generated: end of the simulation.'
"""


# One folder per load: adding one is a single step, and what reads the new lines reads nothing else.
TRANSACTIONS_PARTITION = "loaded_at"


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


def say(text: str) -> None:
    """Prints one line of progress at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def replace_table(
    data: DataFrame,
    table: str,
    columns: str,
    comment: str,
    properties: dict[str, str] | None = None,
    partitioned_by: str | None = None,
) -> int:
    """Writes `data` as the Parquet table `table` (`database.name`) and returns its number of rows.

    The new table is written beside the old one and takes its place when it is whole, so that a
    failure half-way leaves the old one as it was. `columns` is the DDL of the columns, in order,
    that of `partitioned_by` last; `properties` are stored on the table, and a `version` that no
    other table has.
    """
    spark = data.sparkSession
    describe(spark, table)
    database, _, _ = table.partition(".")
    beside = f"{table}__next"
    spark.sql(f"create database if not exists {database}")
    spark.sql(f"drop table if exists {beside}")
    # Registered before it is filled: the drop above then also removes what a killed run wrote.
    partitions = f"partitioned by ({partitioned_by})" if partitioned_by else ""
    spark.sql(
        f"create table {beside} ({columns}) using parquet {partitions} comment {quote(comment)}"
    )
    data.write.insertInto(beside, overwrite=True)
    noted = (properties or {}) | {"version": uuid.uuid4().hex}
    pairs = ", ".join(f"{quote(key)} = {quote(value)}" for key, value in noted.items())
    spark.sql(f"alter table {beside} set tblproperties ({pairs})")
    rows = spark.table(beside).count()
    spark.sql(f"drop table if exists {table}")
    spark.sql(f"alter table {beside} rename to {table}")
    return rows


def finish_replacement(spark: SparkSession, table: str) -> None:
    """Puts the new table in its place, if a run was killed when it had just dropped the old one."""
    beside = f"{table}__next"
    # The version is noted last, and so tells that the table is whole.
    if not spark.catalog.tableExists(table) and "version" in table_properties(spark, beside):
        spark.sql(f"alter table {beside} rename to {table}")


def run_name(*inputs: object) -> str:
    """Names a run by what goes into it, data and code: the same inputs give the same results."""
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]


def holds_run(spark: SparkSession, tables: Sequence[str], run_id: str) -> bool:
    """True when every row of the `ml` tables, and at least one of each, is of that run."""
    return all(
        {row.run_id for row in spark.table(table).select("run_id").distinct().collect()} == {run_id}
        for table in tables
    )


def replace_rows(
    spark: SparkSession, table: str, rows: DataFrame, run_id: str, as_of: date
) -> None:
    """Replaces the contents of an `ml` table; each row says which run and as-of date it is of."""
    describe(spark, table)
    stamped = rows.withColumns({"run_id": F.lit(run_id), "as_of_date": F.lit(as_of)})
    fields = [F.col(field.name).cast(field.dataType) for field in spark.table(table).schema]
    stamped.select(*fields).write.insertInto(table, overwrite=True)


def table_properties(spark: SparkSession, table: str) -> dict[str, str]:
    """Returns the properties stored on `table`; an empty dict when there is no such table."""
    if not spark.catalog.tableExists(table):
        return {}
    return {row.key: row.value for row in spark.sql(f"show tblproperties {table}").collect()}


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


def is_path(source: str) -> bool:
    """True when the property `source` of raw.transactions names a user's own file or folder."""
    return "/" in source


def quote(text: str) -> str:
    """Returns `text` as a SQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
