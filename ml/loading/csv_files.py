"""Reads CSV files of this machine strictly: each physical line is a row, or is kept as its text.

Readers of CSV take an open quote for the begin of a field that goes on, over as many lines as it
takes to find another quote, and so swallow lines without a word. Here a line is a record only when
its quotes say so (RFC 4180: a quoted field ends where a delimiter or the line ends; inside it a
quote is doubled); a line that is none is set aside with its text, and reading goes on with the next
one. pyarrow reads the fields of the records; the result lies in Parquet files, which Spark reads in
parallel.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ml.loading.files import DataFile
from ml.loading.formats import DELIMITERS, Format, proposal
from ml.session import StepError, log

# The column with the text of a line whose fields cannot be told apart; null for a sound line.
BROKEN_LINE = "_corrupt_record"
# Bytes read at a time, and looked at to recognise how a file is written.
CHUNK = 16 * 2**20
HEAD = 2**20
# Lines that are looked at, and among them those that may stand before the header.
HEAD_LINES = 1000
MOST_LINES_BEFORE = 30
MOST_HEADER_LINES = 10
# A record of more bytes is none: one of its quotes is open.
MOST_RECORD = 2**20
# Real texts shrink to a tenth when they are packed.
MOST_PACKING = 200
# Blocks of lines that are read at the same time.
READERS = 2
# Python's own limit of a field is shorter than a header of ten thousand columns.
csv.field_size_limit(2 * HEAD)

LINE_END = rb"(?:\r\n|\n|\r)"


# --- how a file is written --------------------------------------------------------------


@dataclass(frozen=True)
class Dialect:
    """How one file is written: what its first lines show."""

    encoding: str
    delimiter: str
    # Physical lines up to the header, with it.
    first_line: int
    names: list[str]
    # Fields of a line: the names, and blank ones after them where all lines end in delimiters.
    width: int
    # Columns that mostly hold numbers or times.
    typed: frozenset[int]

    def fits(self, fields: list[str]) -> bool:
        """True for the fields of a record: one for each name, and blank ones after these."""
        given = len(self.names)
        return len(fields) >= given and not any(text.strip() for text in fields[given:])


Covers = Callable[[list[str]], bool]


def open_stream(path: Path) -> io.BufferedIOBase:
    """Returns the file's bytes, unpacked."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")


def recognise_encoding(head: bytes, given: Format) -> str:
    """Returns the name of the encoding: as given, by a byte order mark, by the zeros of UTF-16."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    if given.encoding:
        return codecs.lookup(given.encoding).name
    start = head[:1000]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[offset::2].count(0)
        if zeros > 0.4 * len(start) / 2 and start[1 - offset :: 2].count(0) < zeros / 10:
            return name
    return "utf-8"


def utf8_chunks(path: Path, stream: io.BufferedIOBase, encoding: str) -> Iterator[bytes]:
    """Yields the file as UTF-8; raises StepError for bytes that the encoding does not have."""
    if encoding not in ("utf-8", "utf-8-sig"):
        yield from decoded_chunks(path, stream, encoding)
        return
    pending, lines = b"", 0
    for chunk in read_chunks(path, stream):
        if not lines and not pending:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        # Whole lines: a character may be cut in two at the end of a chunk.
        pending += chunk
        end = max(pending.rfind(b"\n"), pending.rfind(b"\r")) + 1
        check_utf8(path, pending[:end], lines)
        lines += count_lines(pending[:end])
        pending = pending[end:]
        yield chunk
    check_utf8(path, pending, lines)


def decoded_chunks(path: Path, stream: io.BufferedIOBase, encoding: str) -> Iterator[bytes]:
    """Yields the file, which is in another encoding, as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 0
    for chunk in read_chunks(path, stream):
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            before = codecs.decode(chunk[: error.start], encoding, "replace").encode()
            raise StepError(
                f"line {lines + count_lines(before) + 1:,} of {path} is not {encoding}: "
                f"{error.reason}; set another encoding in the mapping's format:"
            ) from error
        yield (data := text.encode())
        lines += count_lines(data)


def count_lines(data: bytes) -> int:
    """Returns the number of line ends, of either of the two kinds of byte."""
    return max(data.count(b"\n"), data.count(b"\r"))


def read_chunks(path: Path, stream: io.BufferedIOBase) -> Iterator[bytes]:
    """Yields the file's bytes; raises StepError for a packed file that is broken or a bomb."""
    most = max(MOST_PACKING * path.stat().st_size, 100 * CHUNK)
    total = 0
    try:
        while chunk := stream.read(CHUNK):
            total += len(chunk)
            if isinstance(stream, gzip.GzipFile) and total > most:
                raise StepError(
                    f"{path} unpacks to more than {MOST_PACKING} times its size, "
                    "which no real data do"
                )
            yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise StepError(f"{path} cannot be read: {error}") from error


def check_utf8(path: Path, block: bytes, lines_before: int) -> None:
    """Raises StepError for the first line that is not UTF-8, with the encoding it may have."""
    try:
        block.isascii() or block.decode()
    except UnicodeDecodeError as error:
        line_number = lines_before + count_lines(block[: error.start]) + 1
        start = max(block.rfind(b"\n", 0, error.start), block.rfind(b"\r", 0, error.start)) + 1
        line = re.split(rb"[\r\n]", block[start : start + 2000])[0]
        as_windows = line.decode("windows-1252", "replace")
        raise StepError(
            f"line {line_number:,} of {path} is not UTF-8; if it is Windows-1252, where it reads "
            f"{as_windows[:80]!r}, write into the mapping: {proposal(encoding='windows-1252')}"
        ) from error


def recognise(path: Path, given: Format, covers: Covers) -> Dialect:
    """Returns how the file is written; `covers` tells whether names hold what the mapping needs.

    Raises StepError, with the `format:` to write, where that is not certain.
    """
    with open_stream(path) as stream:
        try:
            start = stream.read(HEAD)
        except (OSError, EOFError) as error:
            raise StepError(f"{path} cannot be read: {error}") from error
    encoding = recognise_encoding(start, given)
    if encoding in ("utf-8", "utf-8-sig"):
        # The head may end in the midst of a character.
        check_utf8(path, start[: start.rfind(b"\n") + 1] or start[:-4], 0)
    head = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    lines = re.split("\r\n|\n|\r", head.removeprefix("\ufeff"))[:HEAD_LINES]
    if len(start) == HEAD:
        lines = lines[:-1] or lines
    return recognise_lines(str(path), lines, encoding, given, covers)


def recognise_lines(
    path: str, lines: list[str], encoding: str, given: Format, covers: Covers
) -> Dialect:
    """Returns how a file with these first lines is written; see `recognise`."""
    skipped = given.skip_lines or 0
    delimiters = [given.delimiter] if given.delimiter else list(DELIMITERS)
    # Excel's own mark of the delimiter.
    if lines and (mark := re.fullmatch("sep=(.)", lines[0].strip('"'))) and skipped == 0:
        delimiters, skipped = [mark[1]], 1
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    if skipped >= len(lines):
        raise StepError(f"{path} has no rows")
    delimiter, header = choose_header(path, lines, skipped, delimiters, given, covers)
    if header > skipped:
        log(f"{path}: the header is line {header + 1}, the lines before it are left out")
    names, first_line = header_at(lines, header, delimiter)
    rows = [fields_of(line, delimiter) for line in lines[first_line:] if line.strip()]
    return Dialect(
        encoding,
        delimiter,
        first_line,
        names,
        common_width(names, rows),
        typed_columns(names, rows),
    )


def choose_header(
    path: str, lines: list[str], skipped: int, delimiters: list[str], given: Format, covers: Covers
) -> tuple[str, int]:
    """Returns the delimiter, and the place of the header line; StepError with what to write."""
    last = skipped if given.skip_lines is not None else skipped + MOST_LINES_BEFORE
    for place in range(skipped, min(last + 1, len(lines))):
        fitting = [each for each in delimiters if covers(header_at(lines, place, each)[0])]
        if len(fitting) == 1:
            return fitting[0], place
    # No line has the columns that are needed: the shape of the lines tells the delimiter.
    shapes = {each: shape(lines, skipped, each) for each in delimiters}
    widest = max(width for width, _ in shapes.values())
    fitting = [each for each, (width, _) in shapes.items() if width == widest]
    if widest < 2 or (len(fitting) == 1 and shapes[fitting[0]][1] == skipped):
        return fitting[0], skipped
    if len(fitting) > 1:
        names = " or ".join(proposal(delimiter=each) for each in fitting)
        raise StepError(
            f"{path}: it is not certain what parts its fields; write into the mapping: {names}"
        )
    header = shapes[fitting[0]][1]
    values = {"skip_lines": header}
    if given.delimiter is None and fitting[0] != ",":
        values["delimiter"] = fitting[0]
    raise StepError(
        f"{path} begins with {lines[skipped][:60]!r}, which is no header; if that is line "
        f"{header + 1}, {lines[header][:60]!r}, write into the mapping: {proposal(**values)}"
    )


def shape(lines: list[str], skipped: int, delimiter: str) -> tuple[int, int]:
    """Returns the number of fields that nearly all lines have, and the first full line of these.

    One field where the lines do not agree.
    """
    rows = [fields_of(line, delimiter) for line in lines[skipped:]]
    filled = [len(row) for row in rows if any(row)]
    for place, row in enumerate(rows):
        alike = sum(width == len(row) for width in filled)
        is_filled = len(row) > 1 and sum(map(bool, row)) >= len(row) / 2
        if is_filled and alike >= 0.8 * (len(filled) - min(place, MOST_LINES_BEFORE)):
            return len(row), skipped + place
    return 1, skipped


def fields_of(line: str, delimiter: str) -> list[str]:
    """Returns the fields of one line, without blanks around."""
    return [text.strip() for text in next(csv.reader([line], delimiter=delimiter), [])]


def header_at(lines: list[str], place: int, delimiter: str) -> tuple[list[str], int]:
    """Returns the names in the header that begins there, and the place of the line after it.

    A name in quotes may have a line break in it.
    """
    reader = csv.reader((f"{line}\n" for line in lines[place:]), delimiter=delimiter)
    names = [" ".join(name.split()) for name in next(reader, [])]
    if reader.line_num > MOST_HEADER_LINES:  # a quote that nobody closes
        return fields_of(lines[place], delimiter), place + 1
    return names, place + reader.line_num


def common_width(names: list[str], rows: list[list[str]]) -> int:
    """Returns how many fields the lines have: more than names where the rest is always blank."""
    widths = {len(row) for row in rows if len(row) >= len(names) and not any(row[len(names) :])}
    return max(widths, default=len(names), key=lambda width: sum(len(r) == width for r in rows))


def typed_columns(names: list[str], rows: list[list[str]]) -> frozenset[int]:
    """Returns the places of columns whose filled values are mostly numbers or times."""
    typed = set()
    for place in range(len(names)):
        values = [row[place] for row in rows if len(row) >= len(names) and row[place]]
        if sum(map(is_typed, values)) > len(values) / 2:
            typed.add(place)
    return frozenset(typed)


def is_typed(text: str) -> bool:
    """True for what may be a number or a time."""
    return any(c.isdigit() for c in text) and not re.search("[A-SU-Za-su-z]{2}", text)


# --- columns of all files ---------------------------------------------------------------


def unique_names(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Returns names that differ in more than letter case, and of those that were no names why.

    A blank name becomes `_c` and its place, from 0; so does each of several that are alike.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name.lower(), []).append(place)
    taken = {name for name, found in places.items() if name and len(found) == 1}
    result, unusable = [], {}
    for place, name in enumerate(names):
        if name and len(places[name.lower()]) == 1:
            result.append(name)
            continue
        own = f"_c{place}"
        while own in taken:
            own += "_"
        taken.add(own)
        result.append(own)
        if name:
            unusable[name.lower()] = " and ".join(
                f"{names[each]!r} (column {each + 1}, here _c{each})"
                for each in places[name.lower()]
            )
    return result, unusable


@dataclass(frozen=True)
class Columns:
    """The columns of all files of a source, and names that stand more than once in a header."""

    names: list[str]
    repeated: dict[str, str]
    # Of each file: the places among `names` of its own columns.
    places: list[list[int]]


def columns_of(files: list[DataFile], dialects: list[Dialect]) -> Columns:
    """Returns the columns of all files by name, in any letter case, in the order they appear."""
    names: dict[str, str] = {}
    repeated: dict[str, str] = {}
    own_names = []
    for file, dialect in zip(files, dialects, strict=True):
        own, unusable = unique_names(dialect.names)
        repeated |= unusable
        own_names.append([*own, *file.partition])
        for name in own_names[-1]:
            names.setdefault(name.lower(), name)
    order = list(names)
    places = [[order.index(name.lower()) for name in own] for own in own_names]
    return Columns(list(names.values()), repeated, places)


# --- records and broken lines -----------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Consecutive lines of a file: the records among them, and the lines that are none."""

    records: bytes
    broken: list[bytes]


class Framer:
    """Cuts a file, given in chunks, into blocks of whole records.

    Memory is that of a chunk and the longest record.
    """

    def __init__(self, dialect: Dialect):
        mark = re.escape(dialect.delimiter.encode())
        plain = rb'(?!")[^%b\r\n]*+' % mark
        one_line = rb'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|%b)' % plain
        any_lines = rb'(?:"[^"]*+(?:""[^"]*+)*+"|%b)' % plain
        self.sound_lines = re.compile(
            rb"(?:%b(?:%b%b)*+%b)*+" % (one_line, mark, one_line, LINE_END)
        )
        self.record = re.compile(rb"%b(?:%b%b)*+%b" % (any_lines, mark, any_lines, LINE_END))
        self.line = re.compile(rb"[^\r\n]*+%b" % LINE_END)
        self.dialect = dialect

    def blocks(self, chunks: Iterator[bytes]) -> Iterator[Block]:
        """Yields the blocks of the file whose UTF-8 bytes are `chunks`."""
        rest = b""
        for chunk in chunks:
            # A line end of two bytes may be cut in two.
            held = chunk[-1:] if chunk.endswith(b"\r") else b""
            block, rest = self.cut(rest + chunk[: len(chunk) - len(held)], is_end=False)
            rest += held
            yield block
        if rest:
            yield self.cut(rest if rest.endswith((b"\n", b"\r")) else rest + b"\n", is_end=True)[0]

    def cut(self, data: bytes, *, is_end: bool) -> tuple[Block, bytes]:
        """Returns the block of whole records at the start of `data`, and what is left."""
        if b'"' not in data:
            end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            return Block(data[:end], []), data[end:]
        sound, broken = [], []
        place = 0
        while True:
            end = self.sound_lines.match(data, place).end()
            sound.append(data[place:end])
            place = end
            if place == len(data):
                break
            record = self.record.match(data, place)
            if record and self.is_sound(record[0]):
                sound.append(record[0])
                place = record.end()
                continue
            if not record and not is_end and len(data) - place < MOST_RECORD:
                break
            line = self.line.match(data, place)
            if not line:
                break
            broken.append(line[0].rstrip(b"\r\n"))
            place = line.end()
        return Block(b"".join(sound), broken), data[place:]

    def is_sound(self, record: bytes) -> bool:
        """True for a record of several lines that has swallowed none.

        Such a line has all that a line of its own has. So has the last line of a record whose first
        field goes on over several lines, which is why that one counts only if the first does too.
        """
        if len(record) > MOST_RECORD:
            return False
        text = io.StringIO(record.decode(), newline="")
        if not self.dialect.fits(next(csv.reader(text, delimiter=self.dialect.delimiter))):
            return False
        first, *between, last = re.split(LINE_END, record.rstrip(b"\r\n"))
        if any(self.is_own_record(line) for line in between):
            return False
        return not (self.is_own_record(first) and self.is_own_record(last))

    def is_own_record(self, line: bytes) -> bool:
        """True when a line has a field for each column, and numbers and times only in theirs."""
        fields = line.replace(b'"', b"").decode().split(self.dialect.delimiter)
        if not self.dialect.fits(fields):
            return False
        texts = [fields[place].strip() for place in self.dialect.typed]
        return any(texts) and all(is_typed(text) for text in texts if text)


# --- reading ----------------------------------------------------------------------------


def read_block(block: Block, dialect: Dialect) -> pa.Table:
    """Returns the fields of a block's records, a text each, and BROKEN_LINE.

    The columns are called by their places. A record with more or fewer fields than the header is
    broken too, unless what it has more of is blank.
    """
    width, given = dialect.width, len(dialect.names)
    broken = [line.decode() for line in block.broken]
    repaired: list[list[str]] = []

    def judge(row: pyarrow.csv.InvalidRow) -> str:
        fields = next(csv.reader(io.StringIO(row.text), delimiter=dialect.delimiter), [])
        if dialect.fits(fields):
            repaired.append(fields[:given])
        elif row.text.strip():
            broken.append(row.text)
        return "skip"

    names = [str(place) for place in range(width)]
    texts = dict.fromkeys(names, pa.string())
    if block.records.strip():
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block.records),
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(block.records) + 1, column_names=names
            ),
            pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=judge
            ),
            pyarrow.csv.ConvertOptions(column_types=texts, null_values=[], check_utf8=False),
        ).select(names[:given])
    else:
        table = pa.schema([(name, pa.string()) for name in names[:given]]).empty_table()
    schema = pa.schema([*table.schema, (BROKEN_LINE, pa.string())])
    parts = [table.append_column(BROKEN_LINE, pa.nulls(len(table), pa.string()))]
    for rows in ([[*fields, None] for fields in repaired], [[None] * given + [t] for t in broken]):
        columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        if rows:
            parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts)


def without_first_lines(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yields the chunks without their first `count` physical lines."""
    start = b""
    lines = re.compile(rb"(?:[^\r\n]*+%b){%d}" % (LINE_END, count))
    for chunk in chunks:
        start += chunk
        # One byte more, since a line end may have two.
        if (found := lines.match(start)) and found.end() < len(start):
            yield start[found.end() :]
            yield from chunks
            return
    if found := lines.match(start):
        yield start[found.end() :]


def blocks_of(path: Path, dialect: Dialect) -> Iterator[Block]:
    """Yields the blocks of a file below its header."""
    with open_stream(path) as stream:
        chunks = utf8_chunks(path, stream, dialect.encoding)
        yield from Framer(dialect).blocks(without_first_lines(chunks, dialect.first_line))


def stage_csv(files: list[DataFile], given: Format, covers: Covers, folder: Path) -> Columns:
    """Reads the files into Parquet files in `folder`, all with the columns that are returned.

    The Parquet columns are called by their places among `Columns.names`, all texts, and
    BROKEN_LINE. Raises StepError for a file that cannot be read.
    """
    dialects = [recognise(file.path, given, covers) for file in files]
    columns = columns_of(files, dialects)
    with ThreadPoolExecutor(READERS) as pool:
        for number, (file, dialect, places) in enumerate(
            zip(files, dialects, columns.places, strict=True)
        ):
            tables = in_order(
                pool, lambda block, dialect=dialect: read_block(block, dialect),
                blocks_of(file.path, dialect),
            )  # fmt: skip
            write_parquet(
                tables, [*file.partition.values()], places, len(columns.names),
                folder / f"part-{number:05}.parquet",
            )  # fmt: skip
    return columns


def in_order(pool: ThreadPoolExecutor, work: Callable, items: Iterator) -> Iterator:
    """Yields work(item) of each item in order, READERS of them under way at a time."""
    waiting: list[Future] = []
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > READERS:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def write_parquet(
    tables: Iterator[pa.Table],
    partition: list[str | None],
    places: list[int],
    width: int,
    path: Path,
) -> None:
    """Writes the rows of one file with its columns at `places` of `width`; the others are null."""
    schema = pa.schema([(str(n), pa.string()) for n in range(width)] + [(BROKEN_LINE, pa.string())])
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
        for table in tables:
            own = table.columns[:-1] + [
                pa.array([value] * len(table), pa.string()) for value in partition
            ]
            columns = [pa.nulls(len(table), pa.string())] * width + [table[BROKEN_LINE]]
            for place, column in zip(places, own, strict=True):
                columns[place] = column
            writer.write_table(pa.table(columns, schema=schema))
