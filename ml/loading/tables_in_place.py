"""Reads a table of the catalog where it is: the raw table is then a view of it.

Nothing is copied: the view has the same selects as a load of files (see rows.py). Its properties
tell what a run has read:

- `definition`, a hash of the selects. With other selects, all lines count as new.
- `read_until`, the last value of the watermark. The view ends there, so all models of a run see the
  same lines. The next run reads only the lines after it.
- `content`, a hash of the rows of a table without a watermark. If it differs, everything is read
  again.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from ml.loading.columns import WATERMARK
from ml.loading.expressions import checked_mapping, sql_name
from ml.loading.files import table_name
from ml.loading.mapping import Source
from ml.loading.queries import ALL_FILES
from ml.loading.query_rows import check_columns, checked_query
from ml.loading.reading import given_reading
from ml.loading.rows import Selects, canonical, lines, one_per_customer_sql, utc_literal
from ml.loading.sources import NoRowsError
from ml.loading.wording import counted
from ml.session import StepError, engine_message
from ml.sql_text import identifier
from ml.tables import content, table_properties

WATERMARK_TYPES = (T.TimestampType, T.TimestampNTZType)
# The views themselves, and the list of files.
OWN_TABLES = (["raw", "transactions"], ["raw", "customers"], ["raw", "loads"])
BEFORE_ALL = "0001-01-01 00:00:00"


@dataclass(frozen=True)
class View:
    """A raw table that is a view: its rows that are new, its SQL and its properties."""

    new_rows: DataFrame
    sql: str
    properties: dict[str, str]

    @property
    def is_increment(self) -> bool:
        """Whether an earlier run has read this view up to a watermark.

        If so, only rows that are new since then count, and the view keeps its version.
        """
        return "version" in self.properties


@dataclass(frozen=True)
class Table:
    """A table in place: its rows, or those of the mapping's select, and the SQL that gives them."""

    source: Source
    rows: DataFrame
    sql: str

    @property
    def watermark(self) -> str | None:
        """The expression of the watermark in the mapping, or the column of that name."""
        if self.source.section != "transactions":
            return None
        if self.source.mapping is not None:
            return self.source.mapping.get(WATERMARK)
        names = (name for name in self.rows.columns if name.lower() == WATERMARK)
        return next(map(sql_name, names), None)

    def newest(self, after: str | None) -> str | None:
        """Returns the greatest watermark after `after`, as a text; None if no row is later.

        Rows with a watermark in the future wait until that time: otherwise one wrong time would
        keep out all rows up to it. Raises StepError for a type other than a time and, if `after` is
        None, for a null.
        """
        expression = self.watermark
        rows = self.rows.selectExpr(f"({expression}\n) as {WATERMARK}")
        kind = rows.schema[0].dataType
        if not isinstance(kind, WATERMARK_TYPES):
            raise StepError(
                f"transactions.{WATERMARK}: {expression} gives {kind.simpleString()}; it must be "
                "a timestamp: cast it, or write a mapping without it"
            )
        if after is not None:
            rows = rows.where(f"{WATERMARK} > timestamp'{after}'")
        newest = f"max({WATERMARK}) filter (where {WATERMARK} <= current_timestamp())"
        (found,) = rows.selectExpr(
            f"string(cast({newest} as timestamp)) as newest",
            f"count_if({WATERMARK} is null) as missing",
        ).collect()
        if found.missing:
            raise StepError(
                f"transactions.{WATERMARK}: {self.source.path} has "
                f"{counted(found.missing, 'row')} without a value; no run would find them: give "
                f"another column, or leave out {WATERMARK}"
            )
        return found.newest


def open_table(spark: SparkSession, source: Source) -> Table:
    """Returns the table that a source names; raises StepError when it cannot be read.

    If the mapping is a select over several tables, the source names their schema.
    """
    name, query = table_name(source.path), source.query
    names = {ALL_FILES: name}
    if query and query.tables != {ALL_FILES}:
        names = {each: f"{name}.{identifier(each)}" for each in sorted(query.tables)}
    for each in names.values():
        parts = each.replace("`", "").lower().split(".")
        if parts[-2:] in OWN_TABLES and parts[:-2] in ([], ["spark_catalog"]):
            raise StepError(f"{each} is a table of this project: name one of your own")
    tables = [rows_of(spark, source.path, each) for each in names.values()]
    if query is None:
        return Table(source, tables[0], f"select * from {name}")
    heads = [f"{identifier(key)} as (select * from {each})" for key, each in names.items()]
    sql = f"with {', '.join(heads)} select * from (\n{query.text}\n)"
    rows = checked_query(spark, query, sql)
    check_columns(query, source.section, [n for n in rows.columns if n.lower() != WATERMARK])
    return Table(source, rows, sql)


def rows_of(spark: SparkSession, path: str, name: str) -> DataFrame:
    """Returns the rows of a table of this name; raises StepError when it cannot be read."""
    try:
        rows = spark.table(name)
        rows.schema  # noqa: B018 -- the server analyzes it only now
    except ParseException as error:
        raise StepError(
            f"{path} is not the name of a table; write it as in table:shop.order_lines"
        ) from error
    except PySparkException as error:
        raise StepError(f"{path} cannot be read: {engine_message(error)}") from error
    return rows


def has_changed(spark: SparkSession, source: Source, raw: str, known: dict[str, str]) -> bool:
    """Returns whether a table has changed since the run that left the properties `known`."""
    table = open_table(spark, source)
    if table.watermark:
        return table.newest(known.get("read_until", BEFORE_ALL)) is not None
    try:
        return content(spark.table(raw).drop(WATERMARK)) != known.get("content")
    except AnalysisException:  # a column of the table is gone
        return True


def view_of(
    spark: SparkSession, source: Source, loaded_at: datetime, known: dict[str, str]
) -> View:
    """Returns the view of a table; `known` are the properties of the raw table as it is now.

    `loaded_at` is the loading time of all lines if the table has no watermark. Raises NoRowsError
    for an empty table, and StepError for one that the mapping does not fit.
    """
    table = open_table(spark, source)
    expressions = checked_mapping(table.rows, source.section, source.mapping)
    reading = given_reading(table.rows, expressions, source.format)
    if not table.watermark and table.rows.isEmpty():
        raise NoRowsError(f"{source.path} has no rows")
    if source.section == "customers":
        rows = canonical(table.rows, "customers", expressions, reading)
        sql = one_per_customer_sql(rows.sql(table.sql))
        return View(rows.rows, sql, {"content": content(spark.sql(sql))})
    if table.watermark:
        expressions = expressions | {WATERMARK: table.watermark}
        rows = lines(table.rows, expressions, reading, None)
        return view_until(table, rows, known)
    rows = lines(table.rows, expressions, reading, utc_literal(loaded_at))
    return View(rows.rows, rows.sql(table.sql), {"content": content(rows.rows.drop(WATERMARK))})


def all_rows(spark: SparkSession, view: str) -> DataFrame:
    """Returns the rows of a view, with those that are too new for it; see view_until."""
    described = spark.sql(f"describe extended {view}").where("col_name = 'View Text'").collect()
    read_until = table_properties(spark, view).get("read_until")
    return spark.sql(described[0]["data_type"].removesuffix(f"\nwhere {is_read(read_until)}"))


def is_read(read_until: str | None) -> str:
    """Returns the condition of the rows that a view with a watermark shows."""
    return f"{WATERMARK} <= timestamp'{read_until}'"


def view_until(table: Table, rows: Selects, known: dict[str, str]) -> View:
    """Returns the view of all rows until the newest; with the same selects it keeps its version."""
    sql = rows.sql(table.sql)
    properties = {"definition": hashlib.sha256(sql.encode()).hexdigest()}
    after = None
    if known.get("definition") == properties["definition"]:
        after, properties["version"] = known["read_until"], known["version"]
    # Without a new row the view stays as it is.
    read_until = table.newest(after) or after
    if read_until is None:
        raise NoRowsError(f"{table.source.path} has no rows")
    properties["read_until"] = read_until
    new_rows = rows.rows.where(is_read(read_until))
    if after:
        new_rows = new_rows.where(f"{WATERMARK} > timestamp'{after}'")
    shown = f"select * from (\n{sql}\n)\nwhere {is_read(read_until)}"
    return View(new_rows, shown, properties)
