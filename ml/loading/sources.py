"""Opens a source: CSV or Parquet, files on this machine or a path with a scheme."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from ml.loading.columns import BROKEN_LINE
from ml.loading.csv_columns import Columns, unique_names
from ml.loading.csv_dialect import HEAD_LINES, Dialect, recognize_lines
from ml.loading.csv_staging import stage_csv
from ml.loading.files import (
    CSV_SUFFIXES,
    NAMED_FILES,
    escape_pattern,
    find_files,
    is_remote,
)
from ml.loading.mapping import Source
from ml.loading.parquet_files import stage_parquet
from ml.loading.wording import listed
from ml.session import StepError, engine_message, log

STAGING_PREFIX = "incoming-"


@contextmanager
def staging(spark: SparkSession) -> Iterator[Path]:
    """Yields a temporary folder for files that Spark then reads.

    It is in the warehouse if that is a local folder, because all executors see the warehouse.
    """
    warehouse = str(spark.conf.get("spark.sql.warehouse.dir")).removeprefix("file:")
    state = os.environ.get("STATE_DIR")
    parent = next((Path(each) for each in (warehouse, state) if each and Path(each).is_dir()), None)
    if parent:
        # A load that was killed leaves its folder.
        for folder in parent.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)
    with TemporaryDirectory(prefix=STAGING_PREFIX, dir=parent) as name:
        yield Path(name)


def read_source(
    spark: SparkSession, source: Source, folder: Path, may_be_empty: bool = False
) -> DataFrame:
    """Returns the rows of a source, which Spark may read from `folder` when they are used.

    From CSV every column is a text, and BROKEN_LINE is null for a sound line. Raises StepError
    when the source cannot be read, or has no rows unless it `may_be_empty`.
    """
    path = source.path
    try:
        rows = read_remote(spark, source) if is_remote(path) else read_local(spark, source, folder)
        is_empty = rows.isEmpty()
    except (PySparkException, Py4JJavaError) as error:
        if "TIMESTAMP(NANOS" in str(error):
            raise StepError(
                f"{path} has times in nanoseconds, which Spark does not read: write them in "
                "microseconds (pandas: to_parquet(..., coerce_timestamps='us'))"
            ) from error
        raise StepError(f"{path} cannot be read: {engine_message(error)}") from error
    if is_empty and not may_be_empty:
        raise StepError(f"{path} has no rows")
    return rows


def read_local(spark: SparkSession, source: Source, folder: Path) -> DataFrame:
    """Returns the rows of files on this machine, staged in `folder`."""
    found = find_files(source.path)
    if found.ignored:
        log(f"{source.path}: ignored, not data files: {listed(found.ignored, NAMED_FILES)}")
    folder.mkdir()
    if not found.is_csv:
        stage_parquet(found.files, folder)
        # mergeSchema keeps a column that only some of the files have.
        return spark.read.parquet(str(folder), mergeSchema=True)
    columns = stage_csv(found.files, source.format, source.covers, folder)
    check_repeated(source, columns.repeated)
    check_every_file_has(source, columns, [file.path for file in found.files])
    texts = [T.StructField(str(place), T.StringType()) for place in range(len(columns.names))]
    schema = T.StructType([*texts, T.StructField(BROKEN_LINE, T.StringType())])
    return spark.read.schema(schema).parquet(str(folder)).toDF(*columns.names, BROKEN_LINE)


def check_repeated(source: Source, repeated: dict[str, str]) -> None:
    """Raises StepError when the source needs a column whose name a header has several times."""
    for name, places in repeated.items():
        if source.needs(name):
            raise StepError(
                f"{source.path} has the column {name} more than once: {places}; rename one, or "
                "name the right one in a mapping by its place, as in _c0"
            )


def check_every_file_has(source: Source, columns: Columns, paths: list[Path]) -> None:
    """Raises StepError when a file lacks a column that others have and a required one needs."""
    for path, own in zip(paths, columns.places, strict=True):
        for place, name in enumerate(columns.names):
            names = [columns.names[each] for each in own]
            if place not in own and source.needs(name) and not source.covers(names):
                raise StepError(
                    f"{path} has no column {name}, which other files of the folder have"
                )


def read_remote(spark: SparkSession, source: Source) -> DataFrame:
    """Returns the rows at a path with a scheme, which Spark reads because it has the keys.

    CSV is read line by line: a field with a line break becomes broken lines.
    """
    path = escape_pattern(source.path)
    csv_files = f"*{{{','.join(CSV_SUFFIXES)}}}"
    listing = spark.read.format("binaryFile").option("pathGlobFilter", csv_files).load(path)
    if listing.select("path").isEmpty():
        return spark.read.parquet(path, mergeSchema=True)
    dialect = remote_dialect(spark, source, path, csv_files)
    names, repeated = unique_names(dialect.names)
    check_repeated(source, repeated)
    fields = [T.StructField(name, T.StringType()) for name in [*names, BROKEN_LINE]]
    options: dict[str, bool | str] = {
        "header": True,
        "sep": dialect.delimiter,
        "escape": '"',
        "encoding": dialect.encoding,
        # Files of one folder must have the same header, not only the same number of columns.
        "enforceSchema": names != dialect.names,
        # With pruning, a line with too few fields would be sound if no used field is missing.
        "columnPruning": False,
        "columnNameOfCorruptRecord": BROKEN_LINE,
        "pathGlobFilter": csv_files,
    }
    return spark.read.schema(T.StructType(fields)).options(**options).csv(path)


def remote_dialect(spark: SparkSession, source: Source, path: str, csv_files: str) -> Dialect:
    """Returns how the CSV files at an escaped path are written; raises StepError."""
    head = spark.read.text(path, pathGlobFilter=csv_files).limit(HEAD_LINES).collect()
    lines = [row.value for row in head]
    encoding = source.format.encoding or "utf-8"
    dialect = recognize_lines(source.path, lines, encoding, source.format, source.covers)
    if dialect.header_end != 1:
        raise StepError(f"{source.path}: lines before the header are skipped only in local files")
    return dialect
