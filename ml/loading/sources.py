"""Opens a source: CSV or Parquet, files on this machine or what lies behind a scheme."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from ml.loading.csv_files import BROKEN_LINE, HEAD_LINES, recognise_lines, stage_csv, unique_names
from ml.loading.files import (
    CSV_SUFFIXES,
    STAGING_PREFIX,
    escape_pattern,
    find_files,
    is_remote,
    stage_parquet,
    staging_folder,
)
from ml.loading.mapping import Source, first_line
from ml.session import StepError, log


@contextmanager
def staging(spark: SparkSession) -> Iterator[Path]:
    """A folder that the server's executors see too, for files on their way to Spark.

    It lies in the warehouse where that is a folder, as all machines of a cluster see it.
    """
    warehouse = str(spark.conf.get("spark.sql.warehouse.dir")).removeprefix("file:")
    state = os.environ.get("STATE_DIR")
    parent = next((Path(each) for each in (warehouse, state) if each and Path(each).is_dir()), None)
    if parent:
        # Of a load that was killed.
        for folder in parent.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)
    with staging_folder(parent) as folder:
        yield folder


def read_source(spark: SparkSession, source: Source, folder: Path) -> DataFrame:
    """Returns the rows of a source, which may lie in `folder` until they are used.

    From CSV every column is a text, and BROKEN_LINE is null for a sound line. Raises StepError
    when the source cannot be read or has no rows.
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
        raise StepError(f"{path} cannot be read: {first_line(error)}") from error
    if is_empty:
        raise StepError(f"{path} has no rows")
    return rows


def read_local(spark: SparkSession, source: Source, folder: Path) -> DataFrame:
    """Returns the rows of files on this machine."""
    found = find_files(source.path)
    if found.left_alone:
        log(f"{source.path}: left alone, as they are no data: {found.left_alone_text()}")
    folder.mkdir()
    if not found.is_csv:
        stage_parquet(found.files, folder)
        # mergeSchema: a column that only some of the files have is not lost.
        return spark.read.parquet(str(folder), mergeSchema=True)
    columns = stage_csv(found.files, source.format, source.covers, folder)
    check_repeated(source, columns.repeated)
    if len(found.files) > 1:
        check_every_file_has(source, columns.names, columns.places, [f.path for f in found.files])
    texts = [T.StructField(str(place), T.StringType()) for place in range(len(columns.names))]
    schema = T.StructType([*texts, T.StructField(BROKEN_LINE, T.StringType())])
    return spark.read.schema(schema).parquet(str(folder)).toDF(*columns.names, BROKEN_LINE)


def check_repeated(source: Source, repeated: dict[str, str]) -> None:
    """Raises StepError when a column is needed whose name stands more than once in a header."""
    for name, places in repeated.items():
        if source.needs(name):
            raise StepError(
                f"{source.path} has the column {name} more than once: {places}; rename one, or "
                "name the right one in a mapping by its place, as in _c0"
            )


def check_every_file_has(
    source: Source, names: list[str], places: list[list[int]], paths: list[Path]
) -> None:
    """Raises StepError when a file lacks a column that others have and a required one needs."""
    for path, own in zip(paths, places, strict=True):
        for place, name in enumerate(names):
            without = [names[each] for each in own]
            if place not in own and source.needs(name) and not source.covers(without):
                raise StepError(
                    f"{path} has no column {name}, which other files of the folder have"
                )


def read_remote(spark: SparkSession, source: Source) -> DataFrame:
    """Returns the rows of what lies behind a scheme, which Spark reads, as it has the keys.

    CSV is read line by line: a field with a line break in it is kept as broken lines.
    """
    path = escape_pattern(source.path)
    pattern = f"*{{{','.join(CSV_SUFFIXES)}}}"
    listing = spark.read.format("binaryFile").option("pathGlobFilter", pattern).load(path)
    if listing.select("path").isEmpty():
        return spark.read.parquet(path, mergeSchema=True)
    head = spark.read.text(path, pathGlobFilter=pattern).limit(HEAD_LINES).collect()
    lines = [row.value for row in head]
    encoding = source.format.encoding or "utf-8"
    dialect = recognise_lines(source.path, lines, encoding, source.format, source.covers)
    if dialect.first_line != 1:
        raise StepError(
            f"{source.path}: lines before the header can only be left out of local files"
        )
    names, repeated = unique_names(dialect.names)
    check_repeated(source, repeated)
    fields = [T.StructField(name, T.StringType()) for name in [*names, BROKEN_LINE]]
    # enforceSchema off: files of one folder must agree on the header, not merely on the number.
    # columnPruning off: a line that has too few fields is broken, whichever columns are needed.
    options = {
        "header": True,
        "sep": dialect.delimiter,
        "escape": '"',
        "encoding": encoding,
        "enforceSchema": names != dialect.names,
        "columnPruning": False,
        "columnNameOfCorruptRecord": BROKEN_LINE,
        "pathGlobFilter": pattern,
    }
    return spark.read.schema(T.StructType(fields)).options(**options).csv(path)
