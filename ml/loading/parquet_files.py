"""Makes Parquet files of this machine readable for Spark."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml.loading.files import DataFile
from ml.session import StepError

# Limits that no real file reaches: rows, and uncompressed bytes, for each byte of a Parquet file.
MAX_ROWS_PER_BYTE = 10
MAX_COMPRESSION = 1000


def stage_parquet(files: list[DataFile], folder: Path) -> None:
    """Puts the files into `folder` under names that Spark reads, in their key=value folders.

    Spark treats brackets and braces in a path as a pattern and refuses a colon, so each file is
    linked under a plain name. Spark does not read times in nanoseconds, which pandas writes by
    default, so such a file is copied with times in microseconds.
    """
    for number, file in enumerate(files):
        try:
            metadata = pq.read_metadata(file.path)
        except (pa.ArrowException, OSError):
            metadata = None  # Spark reports the error
        if metadata:
            check_expansion(file.path, metadata)
        target = folder.joinpath(*file.folders, f"part-{number:05}.parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        if metadata and has_nanoseconds(metadata.schema):
            try:
                write_in_microseconds(file.path, target)
            except (pa.ArrowException, OSError) as error:
                raise StepError(f"{file.path} cannot be read: {error}") from error
        else:
            target.symlink_to(file.path)


def check_expansion(file: Path, metadata: pq.FileMetaData) -> None:
    """Raises StepError for a small Parquet file that unpacks to so much that it must be a bomb."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size, unpacked = file.stat().st_size, sum(group.total_byte_size for group in groups)
    if max(metadata.num_rows / MAX_ROWS_PER_BYTE, unpacked / MAX_COMPRESSION) > size:
        raise StepError(
            f"{file} holds {metadata.num_rows:,} rows in {size:,} bytes, {unpacked:,} unpacked, "
            "which no real data do; if you want to load it, write it again with less compression"
        )


def has_nanoseconds(schema: pq.ParquetSchema) -> bool:
    """Returns whether a Parquet file has a top-level column of times in nanoseconds, not INT96."""
    columns = [schema.column(place) for place in range(len(schema))]
    return any(
        column.physical_type == "INT64"
        and "timeUnit=nanoseconds" in str(column.logical_type)
        and column.max_repetition_level == 0
        and column.path == column.name
        for column in columns
    )


def write_in_microseconds(source: Path, target: Path) -> None:
    """Copies a Parquet file with its times truncated to microseconds."""
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
