"""The lists of customers that the insight site offers, one for each audience of an action."""

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from pyspark.sql import SparkSession

from ml.environment import in_environment
from reports.query import Row

# A list has at most this many customers. No campaign writes to more at once, and this process
# holds all lists in memory.
LIST_LENGTH = 100_000


def read_audiences(spark: SparkSession) -> pa.Table:
    """Reads the first LIST_LENGTH customers of each audience, in the order of their places."""
    rows = (
        spark.table(in_environment("marts.recommended_customers"))
        .where(f"place <= {LIST_LENGTH}")
        .drop("audience")
        .toArrow()
    )
    return rows.sort_by("place")


def write_audiences(
    members: pa.Table, recommendations: Iterable[Row], site: Path
) -> dict[int, str]:
    """Writes a file for each audience with members; returns the names of the files by priority."""
    listed = set(members["priority"].unique().to_pylist())
    files = {row.priority: file_name(row) for row in recommendations if row.priority in listed}
    for priority, file in files.items():
        write_audience(members.filter(pc.field("priority") == priority), site / file)
    return files


def write_audience(rows: pa.Table, path: Path) -> None:
    """Writes the customers of one audience as CSV.

    A spreadsheet treats a text that begins with = + - @, a tab or a carriage return as a formula,
    unless an apostrophe precedes it.
    """
    for column in ("customer_id", "reason"):
        safe = pc.replace_substring_regex(rows[column], r"^([=+@\t\r-])", r"'\1")
        rows = rows.set_column(rows.schema.get_field_index(column), column, safe)
    pyarrow.csv.write_csv(rows.drop_columns(["priority", "place"]), path)


def file_name(row: Row) -> str:
    """Names the file of an audience: `audiences/03-at-risk.csv`; a category may be long."""
    name = re.sub(r"[^a-z0-9]+", "-", row.audience.lower())[:80].strip("-")
    return f"audiences/{row.priority:02}-{name}.csv"
