"""Finds the files that a path names. Every character of a path is literal: no patterns."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ml.loading.wording import listed
from ml.session import StepError

CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet",)
# A text file is data where the user names it. In a folder it is ignored.
TEXT_SUFFIXES = (".txt", ".txt.gz")
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods", ".xlsm")
# Before the name of a table.
TABLE = "table:"
# The most ignored files that a message names.
NAMED_FILES = 5
# Hive's name for a missing value in the name of a partition's folder.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class DataFile:
    """One file on this machine, and the key=value folders above it."""

    path: Path
    folders: tuple[str, ...] = ()

    @property
    def partition(self) -> dict[str, str | None]:
        """The columns in the folders' names, decoded as Hive and Spark do (`a%3Ab` is `a:b`)."""
        pairs = (folder.partition("=") for folder in self.folders)
        return {
            unquote(key): None if value == NO_VALUE else unquote(value) for key, _, value in pairs
        }


@dataclass(frozen=True)
class Found:
    """The data files at a path, all of one kind, and the names of the ignored files."""

    files: list[DataFile]
    ignored: list[str] = field(default_factory=list)


def is_table(path: str) -> bool:
    """Returns whether the path is a table of the catalog, as table:shop.order_lines."""
    return path.startswith(TABLE)


def table_name(path: str) -> str:
    """Returns the name of the table that a path names."""
    return path.removeprefix(TABLE)


def locate(path: str) -> str:
    """Returns `path` absolute on this machine; a table or another scheme (s3a://...) unchanged."""
    if path.startswith("file:"):
        path = url2pathname(urlsplit(path).path)
    return path if is_remote(path) or is_table(path) else str(Path(path).absolute())


def is_remote(path: str) -> bool:
    """Returns whether the server opens the path, not this machine."""
    return "://" in path


def escape_pattern(path: str) -> str:
    """Returns a path for Spark in which brackets, braces, stars and the like are literal."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Returns whether the file's name ends in one of the suffixes, in any letter case."""
    return path.name.lower().endswith(suffixes)


class NoFilesError(StepError):
    """A folder has no data files."""


def find_files(path: str) -> Found:
    """Returns the data files at `path`: itself, or those of the folder and its key=value folders.

    Raises StepError when there are none, when one is empty, and when they are of several kinds.
    """
    top = Path(path)
    if not top.exists():
        raise StepError(f"{path} does not exist")
    found = find_file(top) if top.is_file() else find_in_folder(top)
    for file in found.files:
        if file.path.stat().st_size == 0:
            raise StepError(f"{file.path} is empty (zero bytes)")
    return found


def find_file(path: Path) -> Found:
    """Returns the file that the user names; raises StepError when it is not a data file."""
    if has_suffix(path, SPREADSHEET_SUFFIXES):
        raise StepError(f"{path} is a spreadsheet: save the sheet as CSV UTF-8 and load that")
    if not has_suffix(path, (*CSV_SUFFIXES, *TEXT_SUFFIXES, *PARQUET_SUFFIXES)):
        raise StepError(
            f"{path} must be a .csv file (or .tsv, .txt, .csv.gz), a .parquet file or a folder of "
            "either"
        )
    return Found([DataFile(path)])


def find_in_folder(top: Path) -> Found:
    """Returns the data files of a folder and of its key=value folders; see find_files."""
    data: list[DataFile] = []
    ignored = []
    for file in sorted(files_below(top)):
        parts = file.relative_to(top).parts
        is_plain = file.name[0] not in "._" and all("=" in part for part in parts[:-1])
        if is_plain and has_suffix(file, (*CSV_SUFFIXES, *PARQUET_SUFFIXES)):
            data.append(DataFile(file, parts[:-1]))
        elif file.name != "_SUCCESS" and file.suffix != ".crc":  # Spark's own files
            ignored.append(str(file.relative_to(top)))
    if not data:
        others = f": it holds only {listed(ignored, NAMED_FILES)}" if ignored else ""
        raise NoFilesError(f"{top} is a folder without .csv, .tsv or .parquet files{others}")
    kinds = {has_suffix(file.path, CSV_SUFFIXES) for file in data}
    if len(kinds) > 1:
        raise StepError(f"{top} holds both .csv and .parquet files: give a folder of one kind")
    return Found(data, ignored)


def files_below(top: Path) -> Iterator[Path]:
    """Yields the files of a folder and its subfolders, also of links to folders.

    Raises StepError for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise StepError(f"{error.filename} cannot be read: {error.strerror}")

    seen = set()
    for folder, folders, names in os.walk(top, onerror=refuse, followlinks=True):
        # A link can lead back to a folder above it.
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (path for name in names if (path := Path(folder, name)).is_file())
