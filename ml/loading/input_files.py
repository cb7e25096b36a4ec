"""The files of an input as they are now, and which of them are loaded already."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.loading.files import (
    CSV_SUFFIXES,
    NAMED_FILES,
    DataFile,
    escape_pattern,
    find_files,
    is_remote,
)
from ml.loading.wording import counted, listed
from ml.session import StepError, engine_message, log

# Hadoop's pattern for the names of CSV files, in any letter case.
CSV_PATTERN = "*{{{}}}".format(
    ",".join("".join(f"[{c}{c.upper()}]" if c != "." else c for c in name) for name in CSV_SUFFIXES)
)


@dataclass(frozen=True)
class InputFile:
    """A file as it is now; its size is in bytes, its time in microseconds since 1970."""

    path: str
    size: int
    modified_at: int
    # How the loader finds it: on this machine, or as Spark names it in `_metadata.file_path`.
    data: DataFile | None = None
    uri: str | None = None

    @cached_property
    def checksum(self) -> str | None:
        """The SHA-256 of the content; None at a path with a scheme, which only the server reads."""
        if self.data is None:
            return None
        with self.data.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True)
class LoadedFile:
    """A row of raw.loads: a file as it was when it was loaded, in the units of InputFile."""

    number: int
    section: str
    path: str
    size: int
    modified_at: int
    checksum: str | None
    mapping_checksum: str | None
    rows: int
    loaded_at: datetime


@dataclass(frozen=True)
class Comparison:
    """The files of an input: new ones, those changed since they were loaded, and unchanged ones."""

    new: list[InputFile]
    changed: list[InputFile]
    loaded: list[LoadedFile]


def compare(files: list[InputFile], loaded: list[LoadedFile]) -> Comparison:
    """Compares files with the loaded files of the same section, by path.

    A file of this machine that was only touched counts as loaded. Its row in the result has the new
    time. Once a load has written that row to raw.loads, the content is not read again. At a path
    with a scheme, a touched file counts as changed, because its content is not compared.
    """
    by_path = {file.path: file for file in loaded}
    result = Comparison([], [], [])
    for file in files:
        earlier = by_path.get(file.path)
        if earlier is None:
            result.new.append(file)
        elif has_same_content(file, earlier):
            result.loaded.append(replace(earlier, modified_at=file.modified_at))
        else:
            result.changed.append(file)
    return result


def has_same_content(file: InputFile, earlier: LoadedFile) -> bool:
    """Returns whether a file is as it was when it was loaded; reads it only if its time differs."""
    if file.size != earlier.size:
        return False
    if file.modified_at == earlier.modified_at:
        return True
    return file.checksum is not None and file.checksum == earlier.checksum


def check_changed(changed: list[InputFile]) -> None:
    """Raises StepError if files have other content than the lines that were loaded from them."""
    if not changed:
        return
    names = listed([file.path for file in changed], NAMED_FILES)
    if len(changed) == 1:
        raise StepError(
            f"{names} has changed since it was loaded: load it under another name if all its lines "
            "are new, or replace the lines that were loaded from it with REPLACE=yes"
        )
    raise StepError(
        f"{counted(len(changed), 'file')} have changed since they were loaded ({names}): load them "
        "under other names if all their lines are new, or replace the lines that were loaded from "
        "them with REPLACE=yes"
    )


def check_unchanged(files: list[InputFile]) -> None:
    """Raises StepError for a file of this machine that has changed since it was listed."""
    for file in files:
        if file.data is None:
            continue
        status = file.data.path.stat()
        if (status.st_size, status.st_mtime_ns // 1000) != (file.size, file.modified_at):
            raise StepError(f"{file.path} changed while it was read; load it when it is complete")


def log_comparison(section: str, found: Comparison, mapping_checksum: str | None) -> None:
    """Prints which files of a section are read, and whether others had another mapping."""
    parts = [
        f"{counted(len(files), f'{kind} file')} ({listed(file_names(files), NAMED_FILES)})"
        for kind, files in (("new", found.new), ("changed", found.changed))
        if files
    ]
    log(f"{section}: {', '.join([*parts, f'{len(found.loaded):,} loaded already'])}")
    others = sum(file.mapping_checksum != mapping_checksum for file in found.loaded)
    if others:
        log(
            f"{section}: {counted(others, 'loaded file')} had another mapping and "
            f"{'is' if others == 1 else 'are'} not read again; make run TRANSACTIONS=... replaces "
            "everything and reads all files with this mapping"
        )


def file_names(files: list[InputFile]) -> list[str]:
    """Returns the names of files, without their folders."""
    return [file.path.rpartition("/")[2] for file in files]


# --- listing ----------------------------------------------------------------------------


def list_files(spark: SparkSession, path: str) -> list[InputFile]:
    """Returns the data files at a path, in a fixed order; raises StepError as find_files does."""
    return list_remote(spark, path) if is_remote(path) else list_local(path)


def list_local(path: str) -> list[InputFile]:
    """Returns the data files at a path of this machine, and prints which others are ignored.

    Their paths have no symbolic links, so that a file has the same path wherever the user starts,
    and is read once if links give it several names.
    """
    found = find_files(path)
    if found.ignored:
        log(f"{path}: ignored, not data files: {listed(found.ignored, NAMED_FILES)}")
    files: dict[str, InputFile] = {}
    for data in found.files:
        status = data.path.stat()
        resolved = str(data.path.resolve())
        if resolved in files:
            log(f"{data.path} is another name of {resolved}, which is read once")
            continue
        files[resolved] = InputFile(resolved, status.st_size, status.st_mtime_ns // 1000, data)
    return list(files.values())


def list_remote(spark: SparkSession, path: str) -> list[InputFile]:
    """Returns the CSV files at a path with a scheme, or all its files if none is CSV.

    Raises StepError when there is none, or when the server cannot read the path.
    """
    try:
        files = status_of_files(spark, path, CSV_PATTERN).collect()
        if not files:
            files = status_of_files(spark, path, "*").collect()
    except (PySparkException, Py4JJavaError) as error:
        raise StepError(f"{path} cannot be read: {engine_message(error)}") from error
    if not files:
        raise StepError(f"{path} has no files")
    return [
        InputFile(file.path, file.length, file.modified_at, uri=file.file_path)
        for file in sorted(files)
    ]


def status_of_files(spark: SparkSession, path: str, pattern: str) -> DataFrame:
    """Returns path, size, time and `_metadata.file_path` of the files whose names fit a pattern."""
    # This format reads the content of a file only if its column is asked for.
    files = spark.read.format("binaryFile").option("pathGlobFilter", pattern)
    return files.load(escape_pattern(path)).select(
        "path",
        "length",
        F.unix_micros("modificationTime").alias("modified_at"),
        "_metadata.file_path",
    )
