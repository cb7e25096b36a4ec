"""Runs the select of a mapping over the files of a source."""

import re
from dataclasses import replace
from pathlib import Path

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import identifier
from ml.loading.columns import BROKEN_LINE, CANONICAL, REQUIRED
from ml.loading.files import CSV_SUFFIXES, PARQUET_SUFFIXES, TEXT_SUFFIXES, find_files, is_remote
from ml.loading.mapping import Source
from ml.loading.queries import ALL_FILES, Query
from ml.loading.sources import read_source
from ml.loading.wording import listed
from ml.session import StepError, engine_message

# The most tables that a message names.
NAMED_TABLES = 20


def read_rows(spark: SparkSession, source: Source, folder: Path) -> DataFrame:
    """Returns the rows of a source: those of its files, or those that its select gives.

    The broken lines of the files are rows too: BROKEN_LINE has their text. Raises StepError when
    the source cannot be read, or when the select does not give the columns of its section.
    """
    if source.query is None:
        return read_source(spark, source, folder)
    folder.mkdir()
    tables = {
        name: read_source(spark, replace(source, path=path), folder / name, may_be_empty=True)
        for name, path in paths_of_tables(source, source.query).items()
    }
    rows = selected(spark, source.query, source.section, tables)
    check_columns(source.query, source.section, rows.columns)
    broken = [
        table.where(F.col(BROKEN_LINE).isNotNull()).select(BROKEN_LINE)
        for table in tables.values()
        if BROKEN_LINE in table.columns
    ]
    for lines in broken:
        rows = rows.unionByName(lines, allowMissingColumns=True)
    if not is_remote(source.path):
        rows = stored(rows, folder / "rows-of-select")  # no table has a hyphen in its name
    if rows.isEmpty():
        raise StepError(f"{source.query.path} gives no rows from {source.path}")
    return rows


def stored(rows: DataFrame, folder: Path) -> DataFrame:
    """Returns the rows as Parquet files in a folder, because a load reads them several times."""
    kinds = {field.name: field.dataType for field in rows.schema.fields}
    # Parquet has no type for a column of nulls.
    columns = [
        F.col(identifier(name)).cast("string" if isinstance(kind, T.NullType) else kind)
        for name, kind in kinds.items()
    ]
    rows.select(columns).write.parquet(str(folder))
    return rows.sparkSession.read.parquet(str(folder))


def paths_of_tables(source: Source, query: Query) -> dict[str, str]:
    """Returns table -> path for each table that the select reads; raises StepError without one."""
    if query.tables == {ALL_FILES}:
        return {ALL_FILES: source.path}
    if is_remote(source.path):
        raise StepError(
            f"{query.path} reads {', '.join(sorted(query.tables))}; of a path with a scheme, as "
            f"{source.path}, it can read only `{ALL_FILES}`"
        )
    paths: dict[str, str] = {}
    for file in find_files(source.path).files:
        name = table_name(file.path)
        if name in query.tables and name in paths:
            raise StepError(f"{paths[name]} and {file.path} are both the table {name}: rename one")
        paths[name] = str(file.path)
    if missing := sorted(query.tables - set(paths)):
        raise StepError(
            f"{query.path} reads {', '.join(missing)}; {source.path} has the tables "
            f"{listed(sorted(paths), NAMED_TABLES)}, or all files as one: `{ALL_FILES}`"
        )
    return {name: paths[name] for name in sorted(query.tables)}


def table_name(path: Path) -> str:
    """Returns the table of a file: its name without suffix, lowercase, and _ for odd characters."""
    suffixes = sorted((*CSV_SUFFIXES, *TEXT_SUFFIXES, *PARQUET_SUFFIXES), key=len, reverse=True)
    name = path.name.lower()
    suffix = next((each for each in suffixes if name.endswith(each)), "")
    return re.sub(r"\W", "_", name.removesuffix(suffix), flags=re.ASCII)


def selected(
    spark: SparkSession, query: Query, section: str, tables: dict[str, DataFrame]
) -> DataFrame:
    """Returns what the select gives from the sound lines of `tables`; raises StepError.

    Names of views are unique per section, because Spark Connect looks them up at each use.
    """
    heads = []
    for name, table in tables.items():
        view = f"__{section}_{name}"
        sound = table.where(F.col(BROKEN_LINE).isNull()) if BROKEN_LINE in table.columns else table
        sound.drop(BROKEN_LINE).createOrReplaceTempView(view)
        heads.append(f"{identifier(name)} as (select * from {identifier(view)})")
    sql = f"with {', '.join(heads)} select * from (\n{query.text}\n)"
    try:
        check_deterministic(spark, sql)
        rows = spark.sql(sql)
        rows.schema  # noqa: B018 -- the server analyzes it only now
    except ParseException as error:
        parts = error.getMessageParameters() or {}
        raise StepError(f"{query.path}: syntax error at {parts.get('error')}") from error
    except AnalysisException as error:
        if str(error.getCondition()).startswith("INVALID_NON_DETERMINISTIC"):
            raise StepError(
                f"{query.path} has a random or reflective function; each load must give the same "
                "rows"
            ) from error
        raise StepError(f"{query.path} is not possible: {engine_message(error)}") from error
    return rows


def check_deterministic(spark: SparkSession, sql: str) -> None:
    """Raises AnalysisException when a select may give other rows the next time.

    The analyzer refuses random and reflective functions in the condition of a join.
    """
    probe = "(select 1 as `__left`) inner join (select 1 as `__right`)"
    spark.sql(f"select 1 from {probe} on exists (\n{sql}\n)").schema  # noqa: B018


def check_columns(query: Query, section: str, columns: list[str]) -> None:
    """Raises StepError unless the columns are canonical, without repeats, and none is missing."""
    names = [name.lower() for name in columns]
    known = ", ".join(CANONICAL[section])
    if unknown := [name for name in columns if name.lower() not in CANONICAL[section]]:
        raise StepError(
            f"{query.path} gives {', '.join(unknown)}; the columns of {section} are {known}"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise StepError(f"{query.path} gives {', '.join(repeated)} more than once")
    if missing := [name for name in REQUIRED[section] if name not in names]:
        raise StepError(
            f"{query.path} does not give {', '.join(missing)}; the columns of {section} are {known}"
        )
