"""Separates the records of a CSV text from its broken lines, so that no line swallows others.

Most CSV readers treat an open quote as the start of a field with several lines. They swallow all
lines up to the next quote and report nothing. Here lines form a record only if their quotes follow
RFC 4180: a quoted field ends before a delimiter or at the end of a line, and a quote inside
it is doubled. A quote inside a field that does not begin with one is plain text. Any other line is
broken: it is kept as its text, and reading continues with the next line.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ml.loading.csv_dialect import Dialect, is_typed
from ml.loading.csv_text import LINE_END

# The longest record of several lines, in bytes. A longer one is taken to have an open quote.
MAX_RECORD_LENGTH = 2**20


@dataclass(frozen=True)
class Block:
    """Consecutive lines of a file: its records, and the broken lines among them."""

    records: bytes
    broken: list[bytes]


class Framer:
    """Cuts the text of a file into blocks of complete records.

    It holds no more in memory than a chunk and the longest record.
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
            # A chunk may end between the two bytes of a line end.
            held = chunk[-1:] if chunk.endswith(b"\r") else b""
            block, rest = self.cut(rest + chunk[: len(chunk) - len(held)], is_end=False)
            rest += held
            yield block
        if rest:
            yield self.cut(rest if rest.endswith((b"\n", b"\r")) else rest + b"\n", is_end=True)[0]

    def cut(self, data: bytes, *, is_end: bool) -> tuple[Block, bytes]:
        """Returns the block of complete records at the start of `data`, and the rest."""
        if b'"' not in data:
            end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            return Block(data[:end], []), data[end:]
        records, broken = [], []
        place = 0
        while True:
            if sound := self.sound_lines.match(data, place):
                records.append(sound[0])
                place = sound.end()
            if place == len(data):
                break
            record = self.record.match(data, place)
            if record and self.is_sound(record[0]):
                records.append(record[0])
                place = record.end()
                continue
            if not record and not is_end and len(data) - place < MAX_RECORD_LENGTH:
                break
            line = self.line.match(data, place)
            if not line:
                break
            broken.append(line[0].rstrip(b"\r\n"))
            place = line.end()
        return Block(b"".join(records), broken), data[place:]

    def is_sound(self, record: bytes) -> bool:
        """Returns whether a record of several lines has swallowed no other record.

        A swallowed line looks like a whole record: it has all fields. The last line of a sound
        record can look so, too, if the first field has a line break, but then the first line lacks
        fields. So a last line counts as swallowed only if the first line also has all fields. A
        line with a quote that is not doubled is not swallowed: the quote ends or begins a field.
        """
        if len(record) > MAX_RECORD_LENGTH:
            return False
        text = io.StringIO(record.decode(), newline="")
        if not self.dialect.fits(next(csv.reader(text, delimiter=self.dialect.delimiter))):
            return False
        first, *between, last = re.split(LINE_END, record.rstrip(b"\r\n"))
        without_quote = (line for line in between if b'"' not in line.replace(b'""', b""))
        if any(self.is_own_record(line) for line in without_quote):
            return False
        return not (self.is_own_record(first) and self.is_own_record(last))

    def is_own_record(self, line: bytes) -> bool:
        """Returns whether a line has all fields, with numbers and times where they belong."""
        fields = line.replace(b'"', b"").decode().split(self.dialect.delimiter)
        if not self.dialect.fits(fields):
            return False
        texts = [fields[place].strip() for place in self.dialect.typed]
        return any(texts) and all(is_typed(text) for text in texts if text)
