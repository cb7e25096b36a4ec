"""Stages CSV files for Spark: every record and every broken line becomes a row of Parquet."""

import csv
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ml.loading.columns import BROKEN_LINE
from ml.loading.csv_columns import Columns, combine_columns
from ml.loading.csv_dialect import Covers, Dialect, recognize
from ml.loading.csv_records import Block, Framer
from ml.loading.csv_text import text_below
from ml.loading.files import DataFile
from ml.loading.formats import Format

# Blocks that are parsed at the same time.
READERS = 2


def stage_csv(files: list[DataFile], file_format: Format, covers: Covers, folder: Path) -> Columns:
    """Writes one Parquet file per CSV file into `folder`, all with the columns that are returned.

    A Parquet column is a text named by its place among `Columns.names`; the last is BROKEN_LINE.
    Raises StepError for a file that cannot be read.
    """
    dialects = [recognize(file.path, file_format, covers) for file in files]
    columns = combine_columns(
        [dialect.names for dialect in dialects], [list(file.partition) for file in files]
    )
    with ThreadPoolExecutor(READERS) as pool:
        for number, (file, dialect, places) in enumerate(
            zip(files, dialects, columns.places, strict=True)
        ):
            chunks = text_below(file.path, dialect.encoding, dialect.header_end)
            blocks = Framer(dialect).blocks(chunks)
            tables = in_order(pool, partial(parse_block, dialect=dialect), blocks)
            target = folder / f"part-{number:05}.parquet"
            write_parquet(tables, list(file.partition.values()), places, len(columns.names), target)
    return columns


def parse_block(block: Block, dialect: Dialect) -> pa.Table:
    """Returns the fields of a block as texts in columns named by their places, and BROKEN_LINE.

    A record with more or fewer fields than the header is a broken line too, unless all the fields
    beyond the header are blank.
    """
    count = len(dialect.names)
    broken = [line.decode() for line in block.broken]
    fitting: list[list[str]] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        try:
            fields = next(csv.reader(io.StringIO(row.text), delimiter=dialect.delimiter), [])
        except csv.Error:  # a field is longer than csv accepts
            fields = []
        if dialect.fits(fields):
            fitting.append(fields[:count])
        elif row.text.strip():
            broken.append(row.text)
        return "skip"

    table = parse_records(block.records, dialect.delimiter, dialect.width, set_aside)
    if any(is_filled(column) for column in table.columns[count:]):
        # A record has more values than the header has names. All such records are set aside.
        fitting.clear()
        broken[len(block.broken) :] = []
        table = parse_records(block.records, dialect.delimiter, count, set_aside)
    table = table.select(range(count))
    schema = pa.schema([*table.schema, (BROKEN_LINE, pa.string())])
    parts = [table.append_column(BROKEN_LINE, pa.nulls(len(table), pa.string()))]
    for rows in ([[*fields, None] for fields in fitting], [[None] * count + [t] for t in broken]):
        columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        if rows:
            parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts)


def is_filled(column: pa.ChunkedArray) -> bool:
    """Returns whether the column has a text that is not blank."""
    return pc.any(pc.not_equal(pc.utf8_trim_whitespace(column), "")).as_py() is True


def parse_records(
    records: bytes, delimiter: str, width: int, set_aside: Callable[[pyarrow.csv.InvalidRow], str]
) -> pa.Table:
    """Returns the fields of records as texts; `set_aside` gets records of another width."""
    names = [str(place) for place in range(width)]
    if not records.strip():
        return pa.schema([(name, pa.string()) for name in names]).empty_table()
    return pyarrow.csv.read_csv(
        pa.BufferReader(records),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=len(records) + 1, column_names=names),
        pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[], check_utf8=False
        ),
    )


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Block], pa.Table], blocks: Iterator[Block]
) -> Iterator[pa.Table]:
    """Yields the table of each block in order; a few blocks are parsed at the same time."""
    waiting: list[Future[pa.Table]] = []
    for block in blocks:
        waiting.append(pool.submit(work, block))
        if len(waiting) > READERS:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def write_parquet(
    tables: Iterator[pa.Table],
    partition: list[str | None],
    places: list[int],
    width: int,
    target: Path,
) -> None:
    """Writes the rows of one file.

    Its columns go to `places` among the `width` columns of all files; the others are null.
    """
    schema = pa.schema([(str(n), pa.string()) for n in range(width)] + [(BROKEN_LINE, pa.string())])
    with pq.ParquetWriter(target, schema, compression="lz4", use_dictionary=False) as writer:
        for table in tables:
            own = table.columns[:-1] + [
                pa.array([value] * len(table), pa.string()) for value in partition
            ]
            columns = [pa.nulls(len(table), pa.string())] * width + [table[BROKEN_LINE]]
            for place, column in zip(places, own, strict=True):
                columns[place] = column
            writer.write_table(pa.table(columns, schema=schema))
