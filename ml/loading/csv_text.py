"""The text of a CSV file of this machine, in chunks of UTF-8."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ml.loading.formats import Format, format_line
from ml.session import StepError

# Bytes that are read at a time.
CHUNK = 16 * 2**20
# A large file that unpacks to more than this many times its size is a bomb. Real files reach ten
# times.
MAX_COMPRESSION = 200
LINE_END = rb"(?>\r\n|\n|\r)"


def open_stream(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Returns the uncompressed bytes of the file."""
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_compressed else path.open("rb")


def recognize_encoding(head: bytes, file_format: Format) -> str:
    """Returns the encoding, from a byte order mark, the mapping, or the zero bytes of UTF-16."""
    # The mark of UTF-32 begins with that of UTF-16.
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    if file_format.encoding:
        return codecs.lookup(file_format.encoding).name
    start = head[:1000]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[offset::2].count(0)
        if zeros > 0.4 * len(start) / 2 and start[1 - offset :: 2].count(0) < zeros / 10:
            return name
    return "utf-8"


def text_below(path: Path, encoding: str, lines: int) -> Iterator[bytes]:
    """Yields the file below its first `lines` physical lines, as chunks of UTF-8.

    Raises StepError for bytes that the encoding does not have.
    """
    with open_stream(path) as stream:
        chunks = read_chunks(path, stream)
        if encoding in ("utf-8", "utf-8-sig"):
            yield from without_first_lines(checked_chunks(path, chunks), lines)
        else:
            yield from without_first_lines(decoded_chunks(path, chunks, encoding), lines)


def read_chunks(path: Path, stream: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
    """Yields the bytes; raises StepError for a compressed file that is damaged or a bomb."""
    most = max(MAX_COMPRESSION * path.stat().st_size, 100 * CHUNK)
    total = 0
    try:
        while chunk := stream.read(CHUNK):
            total += len(chunk)
            if isinstance(stream, gzip.GzipFile) and total > most:
                raise StepError(
                    f"{path} unpacks to more than {MAX_COMPRESSION} times its size, "
                    "which no real data do"
                )
            yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise StepError(f"{path} cannot be read: {error}") from error


def checked_chunks(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the chunks without a byte order mark; raises StepError where they are not UTF-8."""
    pending, lines = b"", 0
    for chunk in chunks:
        if not lines and not pending:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        # Checks only complete lines, because a chunk may end within a character or a CR LF.
        pending += chunk
        end = max(pending.rfind(b"\n"), pending.rfind(b"\r", 0, -1)) + 1
        check_utf8(path, pending[:end], lines)
        lines += count_lines(pending[:end])
        pending = pending[end:]
        yield chunk
    check_utf8(path, pending, lines)


def decoded_chunks(path: Path, chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yields the chunks as UTF-8; raises StepError for bytes that are not valid in `encoding`."""
    # The outer decoder keeps the CR at the end of a chunk, which may be half of a line end.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), False)
    lines = 0
    for chunk in chain(chunks, (b"",)):
        state = decoder.getstate()
        try:
            # The empty chunk ends the file, which must not end within a character.
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            # `error.object` begins with the bytes that the decoder kept from the previous chunk.
            right = max(0, error.start - len(error.object) + len(chunk))
            decoder.setstate(state)
            before = decoder.decode(chunk[:right]).encode()
            raise StepError(
                f"line {lines + count_lines(before) + 1:,} of {path} is not {encoding}: "
                f"{error.reason}; write the encoding into the mapping, as in: "
                + format_line(encoding="windows-1252")
            ) from error
        yield (data := text.encode())
        lines += count_lines(data)


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
            f"line {line_number:,} of {path} is not UTF-8; in Windows-1252 it is "
            f"{as_windows[:80]!r}; if that is right, write into the mapping: "
            + format_line(encoding="windows-1252")
        ) from error


def count_lines(data: bytes) -> int:
    """Returns the number of line ends, if all are of one kind: LF, CR or CR LF."""
    return max(data.count(b"\n"), data.count(b"\r"))


def without_first_lines(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yields the chunks without their first `count` physical lines."""
    start = b""
    lines = re.compile(rb"(?:[^\r\n]*+%b){%d}" % (LINE_END, count))
    for chunk in chunks:
        start += chunk
        # Needs one more byte, because a line end may have two bytes.
        if (found := lines.match(start)) and found.end() < len(start):
            yield start[found.end() :]
            yield from chunks
            return
    if found := lines.match(start):
        yield start[found.end() :]
