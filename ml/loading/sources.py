"""Opens a source: CSV or Parquet, files on this machine or a path with a scheme."""

import csv
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.columns import BROKEN_LINE, FILE_NUMBER
from ml.loading.csv_columns import Columns, unique_names
from ml.loading.csv_dialect import HEAD, HEAD_LINES, Dialect, recognize_lines
from ml.loading.csv_staging import stage_csv
from ml.loading.files import CSV_SUFFIXES, PARQUET_SUFFIXES, escape_pattern, has_suffix, is_remote
from ml.loading.input_files import CSV_PATTERN, InputFile
from ml.loading.mapping import Source
from ml.loading.parquet_files import stage_parquet
from ml.session import StepError, engine_message

STAGING_PREFIX = "incoming-"


@contextmanager
def staging(spark: SparkSession) -> Iterator[Path]:
    """Yields a temporary folder for files that Spark then reads.

    It is in the warehouse if that is a local folder, because all executors see the warehouse.
    """
    remove_staged_files(spark)
    with TemporaryDirectory(prefix=STAGING_PREFIX, dir=staging_parent(spark)) as name:
        yield Path(name)


def staging_parent(spark: SparkSession) -> Path | None:
    """Returns the parent of the staging folder, or None for the system's temporary folder."""
    warehouse = str(spark.conf.get("spark.sql.warehouse.dir")).removeprefix("file:")
    state = os.environ.get("STATE_DIR")
    return next((Path(each) for each in (warehouse, state) if each and Path(each).is_dir()), None)


def remove_staged_files(spark: SparkSession) -> None:
    """Removes the files that a killed load has staged."""
    if parent := staging_parent(spark):
        for folder in parent.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)


def uri_of(folder: Path) -> str:
    """Returns the URI of a local folder. Without `file:`, Spark uses its default file system."""
    return f"file:{folder.resolve()}"


class NoRowsError(StepError):
    """The files of a source have no rows."""


def read_source(
    spark: SparkSession,
    source: Source,
    folder: Path,
    files: list[InputFile],
    first_number: int,
    may_be_empty: bool = False,
) -> DataFrame:
    """Returns the rows of files of a source.

    Spark may read the rows from `folder` when they are used. From CSV every column is a text, and
    BROKEN_LINE is null for a sound line. FILE_NUMBER counts the files from `first_number`. Raises
    NoRowsError when there are no rows, unless they `may_be_empty`, and StepError when the files
    cannot be read.
    """
    path = source.path
    try:
        if is_remote(path):
            rows = read_remote(spark, source, files, first_number)
        else:
            rows = read_local(spark, source, files, first_number, folder)
        is_empty = rows.isEmpty()
    except (PySparkException, Py4JJavaError) as error:
        if "TIMESTAMP(NANOS" in str(error):
            raise StepError(
                f"{path} has times in nanoseconds, which Spark does not read: write them in "
                "microseconds (pandas: to_parquet(..., coerce_timestamps='us'))"
            ) from error
        raise StepError(f"{path} cannot be read: {engine_message(error)}") from error
    if is_empty and not may_be_empty:
        raise NoRowsError(f"{path} has no rows")
    return rows


def read_local(
    spark: SparkSession, source: Source, files: list[InputFile], first_number: int, folder: Path
) -> DataFrame:
    """Returns the rows of files on this machine, staged in `folder`, and FILE_NUMBER."""
    data = [file.data for file in files if file.data]
    folder.mkdir()
    # The names of staged files count them from 0.
    position = F.regexp_extract("_metadata.file_name", r"^part-(\d+)", 1).cast("int")
    number = (position + first_number).alias(FILE_NUMBER)
    if has_suffix(data[0].path, PARQUET_SUFFIXES):
        stage_parquet(data, folder)
        # mergeSchema keeps a column that only some of the files have.
        staged = spark.read.parquet(escape_pattern(uri_of(folder)), mergeSchema=True)
        return staged.select("*", number)
    columns = stage_csv(data, source.format, source.covers, folder)
    check_repeated(source, columns.repeated)
    check_every_file_has(source, columns, [file.path for file in data])
    texts = [T.StructField(str(place), T.StringType()) for place in range(len(columns.names))]
    schema = T.StructType([*texts, T.StructField(BROKEN_LINE, T.StringType())])
    staged = spark.read.schema(schema).parquet(escape_pattern(uri_of(folder)))
    return staged.select("*", number).toDF(*columns.names, BROKEN_LINE, FILE_NUMBER)


def check_repeated(source: Source, repeated: dict[str, str]) -> None:
    """Raises StepError when a header has the name of a needed column more than once."""
    for name, places in repeated.items():
        if source.needs(name):
            raise StepError(
                f"{source.path} has the column {name} more than once: {places}; rename one, or "
                "name the right one in a mapping by its place, as in _c0"
            )


def check_every_file_has(source: Source, columns: Columns, paths: list[Path]) -> None:
    """Raises StepError when a file has no source for a required column, and others have one."""
    for path, own in zip(paths, columns.places, strict=True):
        names = [columns.names[each] for each in own]
        missing = [
            name
            for place, name in enumerate(columns.names)
            if place not in own and source.needs(name)
        ]
        if missing and not source.covers(names):
            raise StepError(
                f"{path} has no column {' and no column '.join(missing)}; other files of the "
                "folder have them"
            )


def read_remote(
    spark: SparkSession, source: Source, files: list[InputFile], first_number: int
) -> DataFrame:
    """Returns the rows at a path with a scheme. Spark reads them, because it has the access keys.

    CSV is read line by line: a field with a line break becomes broken lines.
    """
    path = escape_pattern(source.path)
    numbers = {file.uri: number for number, file in enumerate(files, first_number)}
    if not has_suffix(Path(files[0].path), CSV_SUFFIXES):
        return numbered(spark.read.parquet(path, mergeSchema=True), numbers)
    dialect, header = remote_dialect(spark, source, path, numbers)
    names, repeated = unique_names(dialect.names)
    check_repeated(source, repeated)
    fields = [T.StructField(name, T.StringType()) for name in [*names, BROKEN_LINE]]
    options: dict[str, bool | str] = {
        "header": True,
        "sep": dialect.delimiter,
        "escape": '"',
        "encoding": dialect.encoding,
        # Spark then checks that all files have this header. It cannot check changed names.
        "enforceSchema": names != header,
        # With pruning, a line with too few fields would be sound if no used field is missing.
        "columnPruning": False,
        "columnNameOfCorruptRecord": BROKEN_LINE,
        "pathGlobFilter": CSV_PATTERN,
    }
    rows = spark.read.schema(T.StructType(fields)).options(**options).csv(path)
    return numbered(rows, numbers)


def numbered(rows: DataFrame, numbers: dict[str | None, int]) -> DataFrame:
    """Returns the rows of the files in `numbers`, a map of `_metadata.file_path` to FILE_NUMBER."""
    spark = rows.sparkSession
    files = spark.createDataFrame(list(numbers.items()), f"__uri string, {FILE_NUMBER} int")
    # The filter lets Spark skip the other files; the join would read them.
    own = rows.select("*", F.col("_metadata.file_path").alias("__uri"))
    own = own.where(F.col("__uri").isin(list(numbers)))
    return own.join(F.broadcast(files), "__uri").drop("__uri")


def remote_dialect(
    spark: SparkSession, source: Source, path: str, numbers: dict[str | None, int]
) -> tuple[Dialect, list[str]]:
    """Returns how the CSV files at an escaped path are written, and the header as Spark reads it.

    Raises StepError where that is not certain, and for a header that is not the first line.
    """
    texts = numbered(spark.read.text(path, pathGlobFilter=CSV_PATTERN), numbers)
    # As much as of a local file. Python's csv module raises an error for a longer field.
    first = texts.select(F.col("value").cast("binary")).limit(HEAD_LINES).collect()
    encoding = source.format.encoding or "utf-8"
    head = b"\n".join(row.value for row in first)[:HEAD]
    lines = head.decode(encoding, "replace").split("\n")
    dialect = recognize_lines(source.path, lines, encoding, source.format, source.covers)
    if dialect.header_end != 1:
        raise StepError(
            f"{source.path}: at a path with a scheme, the header must be the first line, and one "
            "line; change the files, or load a local copy"
        )
    return dialect, next(csv.reader(lines[:1], delimiter=dialect.delimiter))
