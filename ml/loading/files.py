"""Which files a path names: a path means itself, whatever characters it holds."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.parquet as pq

from ml.session import StepError

CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet",)
# A file of these is data when it is named itself; beside others in a folder it is left alone.
TEXT_SUFFIXES = (".txt", ".txt.gz")
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods", ".xlsm")
# What no real file reaches: rows, and bytes before compression, for each byte of a Parquet file.
MOST_ROWS_PER_BYTE = 10
MOST_COMPRESSION = 1000
# Files left alone that a message names.
NAMED_FILES = 5
# What Hive calls a missing value in the name of a partition's folder.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class DataFile:
    """One file on this machine, and the key=value folders above it."""

    path: Path
    folders: tuple[str, ...] = ()

    @property
    def partition(self) -> dict[str, str | None]:
        """What the folders say, as Hive and Spark write them (`a%3Ab` is `a:b`)."""
        pairs = (folder.partition("=") for folder in self.folders)
        return {
            unquote(key): None if value == NO_VALUE else unquote(value) for key, _, value in pairs
        }


@dataclass(frozen=True)
class Found:
    """The data files at a path, all of one kind, and the names of what lies beside them."""

    files: list[DataFile]
    is_csv: bool
    left_alone: list[str] = field(default_factory=list)

    def left_alone_text(self) -> str:
        """Names the files left alone, the first few in full."""
        more = len(self.left_alone) - NAMED_FILES
        return ", ".join(self.left_alone[:NAMED_FILES]) + (
            f" and {more:,} more" if more > 0 else ""
        )


def locate(path: str) -> str:
    """Returns `path` absolute on this machine; with another scheme (s3a://...) as it is."""
    if path.startswith("file:"):
        return url2pathname(urlsplit(path).path)
    return path if is_remote(path) else str(Path(path).absolute())


def is_remote(path: str) -> bool:
    """True when the server, not this machine, has to open the path."""
    return "://" in path


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """True when the file's name ends in one of the suffixes, in any letter case."""
    return path.name.lower().endswith(suffixes)


def find_files(path: str) -> Found:
    """Returns the data files at `path`: itself, or those of the folder and its key=value folders.

    Raises StepError when there are none, when one is empty, and when they are of several kinds.
    """
    top = Path(path)
    if not top.exists():
        raise StepError(f"{path} does not exist")
    found = single_file(top) if top.is_file() else find_in_folder(top)
    for file in found.files:
        if file.path.stat().st_size == 0:
            raise StepError(f"{file.path} is empty (zero bytes)")
    return found


def single_file(path: Path) -> Found:
    """Returns the file that the user names; raises StepError when it is no data."""
    if has_suffix(path, SPREADSHEET_SUFFIXES):
        raise StepError(f"{path} is a spreadsheet: save the sheet as CSV UTF-8 and load that")
    is_csv = has_suffix(path, (*CSV_SUFFIXES, *TEXT_SUFFIXES))
    if not is_csv and not has_suffix(path, PARQUET_SUFFIXES):
        raise StepError(
            f"{path} must be a .csv file (or .tsv, .txt, .csv.gz), a .parquet file or a folder of "
            "either"
        )
    return Found([DataFile(path)], is_csv)


def find_in_folder(top: Path) -> Found:
    """Returns the data files of a folder and of its key=value folders; raises StepError."""
    data: list[DataFile] = []
    left_alone = []
    for file in sorted(top.rglob("*")):
        parts = file.relative_to(top).parts
        if not file.is_file():
            continue
        is_plain = file.name[0] not in "._" and all("=" in part for part in parts[:-1])
        if is_plain and has_suffix(file, (*CSV_SUFFIXES, *PARQUET_SUFFIXES)):
            data.append(DataFile(file, parts[:-1]))
        elif file.name != "_SUCCESS" and file.suffix != ".crc":  # what Spark leaves behind
            left_alone.append(str(file.relative_to(top)))
    if not data:
        beside = f": it holds only {Found([], True, left_alone).left_alone_text()}"
        raise StepError(
            f"{top} is a folder without .csv, .tsv or .parquet files{beside if left_alone else ''}"
        )
    kinds = {has_suffix(file.path, CSV_SUFFIXES) for file in data}
    if len(kinds) > 1:
        raise StepError(f"{top} holds both .csv and .parquet files: give a folder of one kind")
    return Found(data, kinds.pop(), left_alone)


# --- Parquet ----------------------------------------------------------------------------


def check_expansion(file: Path) -> None:
    """Raises StepError when a Parquet file holds so much that it can only be there to do harm."""
    try:
        metadata = pq.read_metadata(file)
    except (pa.ArrowException, OSError):
        return  # Spark will say what is wrong with it
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size, unpacked = file.stat().st_size, sum(group.total_byte_size for group in groups)
    if max(metadata.num_rows / MOST_ROWS_PER_BYTE, unpacked / MOST_COMPRESSION) > size:
        raise StepError(
            f"{file} holds {metadata.num_rows:,} rows in {size:,} bytes, {unpacked:,} unpacked, "
            "which no real data do: write it again if it is what you mean to load"
        )


def stage_parquet(files: list[DataFile], folder: Path) -> None:
    """Puts the files into `folder` under names that Spark reads, in their key=value folders.

    Spark takes brackets and braces in a path for a pattern and refuses a colon, so each file is
    linked under a plain name. Spark reads no times in nanoseconds, which pandas writes by default:
    such a file is written again, in microseconds.
    """
    for number, file in enumerate(files):
        check_expansion(file.path)
        target = folder.joinpath(*file.folders, f"part-{number:05}.parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        if nanosecond_columns(file.path):
            write_in_microseconds(file.path, target)
        else:
            target.symlink_to(file.path)


def nanosecond_columns(file: Path) -> list[str]:
    """Returns the columns of a Parquet file that are times in nanoseconds, but for INT96."""
    try:
        schema = pq.ParquetFile(file).schema
    except (pa.ArrowException, OSError):
        return []  # Spark will say what is wrong with it
    columns = [schema.column(place) for place in range(len(schema))]
    return [
        column.path
        for column in columns
        if column.physical_type == "INT64" and "timeUnit=nanoseconds" in str(column.logical_type)
        if column.max_repetition_level == 0 and column.path == column.name
    ]


def write_in_microseconds(source: Path, target: Path) -> None:
    """Copies a Parquet file with its times cut to microseconds."""
    file = pq.ParquetFile(source)

    def in_microseconds(column: pa.Field) -> pa.Field:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            return column.with_type(pa.timestamp("us", column.type.tz))
        return column

    schema = pa.schema([in_microseconds(column) for column in file.schema_arrow])
    with pq.ParquetWriter(target, schema) as writer:
        for batch in file.iter_batches():
            columns = [
                column.cast(kind, safe=False) if column.type != kind else column
                for column, kind in zip(batch.columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


# --- where files wait for Spark ---------------------------------------------------------

STAGING_PREFIX = "incoming-"


@contextmanager
def staging_folder(parent: Path | None) -> Iterator[Path]:
    """A folder that is gone in the end, in `parent`, else where this machine keeps such folders."""
    with TemporaryDirectory(prefix=STAGING_PREFIX, dir=parent) as folder:
        yield Path(folder)


def escape_pattern(path: str) -> str:
    """Returns a path for Spark in which brackets, braces, stars and the like mean themselves."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
