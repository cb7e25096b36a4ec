"""Runs the select of a mapping over the files of a source."""

import re
from dataclasses import replace
from functools import reduce
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.columns import BROKEN_LINE, CANONICAL, FILE_NUMBER, REQUIRED
from ml.loading.files import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    TEXT_SUFFIXES,
    escape_pattern,
    is_remote,
)
from ml.loading.input_files import InputFile
from ml.loading.mapping import Source
from ml.loading.queries import ALL_FILES, Query
from ml.loading.sources import NoRowsError, read_source, uri_of
from ml.loading.wording import listed
from ml.session import StepError, engine_message
from ml.sql_text import identifier

# The most tables that a message names.
NAMED_TABLES = 20


def read_rows(
    spark: SparkSession,
    source: Source,
    folder: Path,
    files: list[InputFile],
    first_number: int,
) -> DataFrame:
    """Returns the rows of files of a source, or those that its select gives; see read_source.

    The select reads one file at a time, or one file per table. Rows of several tables have the
    FILE_NUMBER of the first file. The broken lines of the files are rows too: BROKEN_LINE has
    their text. Raises StepError when the select does not give the columns of its section.
    """
    if source.query is None:
        return read_source(spark, source, folder, files, first_number)
    folder.mkdir()
    rows = reduce(
        DataFrame.unionByName,
        [
            rows_of_select(spark, source, source.query, folder, tables)
            for tables in tables_of_selects(source, source.query, files, first_number)
        ],
    )
    if not is_remote(source.path):
        rows = stored(rows, folder / "rows-of-select")  # no table has a hyphen in its name
    # isEmpty would read only BROKEN_LINE. Spark refuses that for a CSV file, so one row is taken.
    if not rows.take(1):
        raise NoRowsError(f"{source.query.path} gives no rows from {source.path}")
    return rows


def rows_of_select(
    spark: SparkSession,
    source: Source,
    query: Query,
    folder: Path,
    files: dict[str, tuple[int, InputFile]],
) -> DataFrame:
    """Returns the rows that the select of a source gives from `files`, by the name of the table.

    All rows have the columns that the select gives, and BROKEN_LINE and FILE_NUMBER.
    """
    first_number = min(number for number, _ in files.values())
    tables = {
        name: read_source(
            spark,
            source if is_remote(source.path) else replace(source, path=file.path),
            folder / f"{first_number}_{name}",
            [file],
            number,
            may_be_empty=True,
        )
        for name, (number, file) in files.items()
    }
    rows = selected(spark, query, f"{source.section}_{first_number}", tables)
    check_columns(query, source.section, rows.columns)
    rows = rows.withColumns({BROKEN_LINE: F.lit(None), FILE_NUMBER: F.lit(first_number)})
    for table in tables.values():
        if BROKEN_LINE in table.columns:
            rows = rows.unionByName(broken_lines(table), allowMissingColumns=True)
    return rows


def broken_lines(table: DataFrame) -> DataFrame:
    """Returns BROKEN_LINE and FILE_NUMBER of the lines that cannot be split into fields."""
    # Spark refuses to read only BROKEN_LINE from a CSV file. So the text gets an empty part of
    # another column. The condition uses this text, so the optimizer cannot drop that column.
    other = F.coalesce(F.col(identifier(table.columns[0])), F.lit(""))
    text = F.concat(BROKEN_LINE, F.substring(other, 1, 0))
    return table.where(F.length(text) > 0).select(text.alias(BROKEN_LINE), FILE_NUMBER)


def stored(rows: DataFrame, folder: Path) -> DataFrame:
    """Returns the rows as Parquet files in a folder, because a load reads them several times."""
    kinds = {field.name: field.dataType for field in rows.schema.fields}
    # Parquet has no type for a column of nulls.
    columns = [
        F.col(identifier(name)).cast("string" if isinstance(kind, T.NullType) else kind)
        for name, kind in kinds.items()
    ]
    rows.select(columns).write.parquet(uri_of(folder))
    return rows.sparkSession.read.parquet(escape_pattern(uri_of(folder)))


def tables_of_selects(
    source: Source, query: Query, files: list[InputFile], first_number: int
) -> list[dict[str, tuple[int, InputFile]]]:
    """Returns, for each run of the select, the number and the file of each table that it reads.

    Raises StepError if a table has no file.
    """
    numbered = list(enumerate(files, first_number))
    if query.tables == {ALL_FILES}:
        return [{ALL_FILES: each} for each in numbered]
    if is_remote(source.path):
        raise StepError(
            f"{query.path} reads {', '.join(sorted(query.tables))}; at a path with a scheme, as "
            f"{source.path}, a select can read only `{ALL_FILES}`"
        )
    found: dict[str, tuple[int, InputFile]] = {}
    for number, file in numbered:
        # The user's name for the file; its path has no links.
        name = table_of_file(file.data.path if file.data else Path(file.path))
        if name in query.tables and name in found:
            other = found[name][1].path
            raise StepError(f"{other} and {file.path} are both the table {name}: rename one")
        found[name] = number, file
    if missing := sorted(query.tables - set(found)):
        raise StepError(
            f"{query.path} reads {', '.join(missing)}, but no file has that name. The files are "
            f"the tables {listed(sorted(found), NAMED_TABLES)}: use these names, or `{ALL_FILES}` "
            "for each file by itself. A select over several tables needs all files together: make "
            "run TRANSACTIONS=..."
        )
    return [{name: found[name] for name in sorted(query.tables)}]


def table_of_file(path: Path) -> str:
    """Returns the table of a file: its name without suffix, lowercase, and _ for odd characters."""
    suffixes = sorted((*CSV_SUFFIXES, *TEXT_SUFFIXES, *PARQUET_SUFFIXES), key=len, reverse=True)
    name = path.name.lower()
    suffix = next((each for each in suffixes if name.endswith(each)), "")
    return re.sub(r"\W", "_", name.removesuffix(suffix), flags=re.ASCII)


def selected(
    spark: SparkSession, query: Query, prefix: str, tables: dict[str, DataFrame]
) -> DataFrame:
    """Returns what the select gives from the sound lines of `tables`; raises StepError.

    `prefix` makes the names of views unique, because Spark Connect looks them up at each use.
    """
    heads = []
    for name, table in tables.items():
        view = f"__{prefix}_{name}"
        sound = table.where(F.col(BROKEN_LINE).isNull()) if BROKEN_LINE in table.columns else table
        sound.drop(BROKEN_LINE, FILE_NUMBER).createOrReplaceTempView(view)
        heads.append(f"{identifier(name)} as (select * from {identifier(view)})")
    return checked_query(spark, query, f"with {', '.join(heads)} select * from (\n{query.text}\n)")


def checked_query(spark: SparkSession, query: Query, sql: str) -> DataFrame:
    """Returns the rows of a statement that has the select; raises StepError."""
    try:
        check_deterministic(spark, sql)
        rows = spark.sql(sql)
        rows.schema  # noqa: B018 -- the server analyzes it only now
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
    """Raises StepError unless all columns are canonical, and each required one is there, once."""
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
