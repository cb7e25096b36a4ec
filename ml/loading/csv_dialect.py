"""Recognizes encoding, delimiter and header of a CSV file from its first lines."""

import codecs
import csv
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.loading.csv_text import check_utf8, open_stream, recognize_encoding
from ml.loading.formats import Format, format_line
from ml.session import StepError, log

DELIMITERS = (",", ";", "\t", "|")
# Bytes and lines at the start of a file that show how it is written.
HEAD = 2**20
HEAD_LINES = 1000
# The most lines before a header, and the most lines of a header.
MAX_LINES_BEFORE = 30
MAX_HEADER_LINES = 10
# With a wrong delimiter, a header of ten thousand columns is one field, longer than Python's limit.
csv.field_size_limit(2 * HEAD)

# Returns whether the names of a header include all that the mapping requires.
Covers = Callable[[list[str]], bool]


@dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    encoding: str
    delimiter: str
    # Physical lines up to the header, including it.
    header_end: int
    names: list[str]
    # Number of fields in a line: the names, and blank fields if all lines end in delimiters.
    width: int
    # Places of the columns that mostly hold numbers or times.
    typed: frozenset[int]

    def fits(self, fields: list[str]) -> bool:
        """Returns whether a record has a field for each name and only blank ones after these."""
        count = len(self.names)
        return len(fields) >= count and not any(text.strip() for text in fields[count:])


def recognize(path: Path, file_format: Format, covers: Covers) -> Dialect:
    """Returns how the file is written.

    Raises StepError where that is not certain, and proposes the `format:` to write.
    """
    with open_stream(path) as stream:
        try:
            start = stream.read(HEAD)
        except (OSError, EOFError, zlib.error) as error:
            raise StepError(f"{path} cannot be read: {error}") from error
    encoding = recognize_encoding(start, file_format)
    if encoding in ("utf-8", "utf-8-sig"):
        # The head may end in the middle of a character. `text_below` checks the last line, too.
        check_utf8(path, start[: max(start.rfind(b"\n"), start.rfind(b"\r")) + 1], 0)
    try:
        head = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    except UnicodeError as error:
        raise StepError(
            f"{path} is not {encoding}: {error}; write the byte order into the mapping, as in: "
            + format_line(encoding=f"{encoding}-le")
        ) from error
    lines = re.split("\r\n|\n|\r", head.removeprefix("\ufeff"))[:HEAD_LINES]
    if len(start) == HEAD:
        lines = lines[:-1] or lines
    return recognize_lines(str(path), lines, encoding, file_format, covers)


def recognize_lines(
    path: str, lines: list[str], encoding: str, file_format: Format, covers: Covers
) -> Dialect:
    """Returns how a file with these first lines is written; see `recognize`."""
    skipped = file_format.skip_lines or 0
    delimiters = [file_format.delimiter] if file_format.delimiter else list(DELIMITERS)
    # A first line such as sep=; tells Excel the delimiter.
    if lines and (mark := re.fullmatch("sep=([ !#-~\t])", lines[0].strip('"'))) and skipped == 0:
        delimiters, skipped = [mark[1]], 1
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    if skipped >= len(lines):
        raise StepError(f"{path} has no header: after skipped lines, it has only blank ones")
    last = skipped if file_format.skip_lines is not None else skipped + MAX_LINES_BEFORE
    delimiter, header = find_header(
        lines, range(skipped, min(last + 1, len(lines))), delimiters, covers
    ) or header_by_shape(path, lines, skipped, delimiters, file_format)
    if header > skipped:
        log(f"{path}: the header is line {header + 1}; the lines before it are skipped")
    names, header_end = header_at(lines, header, delimiter)
    rows = [fields_of(line, delimiter) for line in lines[header_end:] if line.strip()]
    width, typed = common_width(names, rows), typed_columns(names, rows)
    return Dialect(encoding, delimiter, header_end, names, width, typed)


def find_header(
    lines: list[str], places: range, delimiters: list[str], covers: Covers
) -> tuple[str, int] | None:
    """Returns the delimiter and the place of the first line that has all required columns."""
    for place in places:
        fitting = [each for each in delimiters if covers(header_at(lines, place, each)[0])]
        if len(fitting) == 1:
            return fitting[0], place
    return None


def header_by_shape(
    path: str, lines: list[str], skipped: int, delimiters: list[str], file_format: Format
) -> tuple[str, int]:
    """Returns the delimiter that gives the most fields per line, and the place of the header.

    This is called if no line has the required columns. If the shape of the lines shows that the
    first line is the header, it is used. If a later line looks like the header, StepError proposes
    what to write into the mapping.
    """
    shapes = {each: shape(lines, skipped, each) for each in delimiters}
    widest = max(width for width, _ in shapes.values())
    fitting = [each for each, (width, _) in shapes.items() if width == widest]
    delimiter = fitting[0]
    header = shapes[delimiter][1]
    if widest < 2:
        return delimiter, skipped
    if len(fitting) > 1:
        formats = " or ".join(format_line(delimiter=each) for each in fitting)
        raise StepError(f"{path}: its delimiter is not certain; write into the mapping: {formats}")
    if header == skipped:
        return delimiter, skipped
    values: dict[str, str | int] = {"skip_lines": header}
    if file_format.delimiter is None and delimiter != ",":
        values["delimiter"] = delimiter
    raise StepError(
        f"{path} begins with {lines[skipped][:60]!r}, which is not a header; if the header is line "
        f"{header + 1}, {lines[header][:60]!r}, write into the mapping: {format_line(**values)}"
    )


def shape(lines: list[str], skipped: int, delimiter: str) -> tuple[int, int]:
    """Returns the number of fields of nearly all lines, and the place of the first such line.

    The number is 1 if the lines have different numbers of fields.
    """
    rows = [fields_of(line, delimiter) for line in lines[skipped:]]
    filled = [len(row) for row in rows if any(row)]
    for place, row in enumerate(rows):
        alike = sum(width == len(row) for width in filled)
        is_filled = len(row) > 1 and sum(map(bool, row)) >= len(row) / 2
        if is_filled and alike >= 0.8 * (len(filled) - min(place, MAX_LINES_BEFORE)):
            return len(row), skipped + place
    return 1, skipped


def fields_of(line: str, delimiter: str) -> list[str]:
    """Returns the fields of one line, stripped."""
    return [text.strip() for text in next(csv.reader([line], delimiter=delimiter), [])]


def header_at(lines: list[str], place: int, delimiter: str) -> tuple[list[str], int]:
    """Returns the names of the header at a place, and the place of the line after it.

    A name in quotes may contain a line break.
    """
    reader = csv.reader((f"{line}\n" for line in lines[place:]), delimiter=delimiter)
    names = [" ".join(name.split()) for name in next(reader, [])]
    if reader.line_num > MAX_HEADER_LINES:  # an open quote
        return fields_of(lines[place], delimiter), place + 1
    return names, place + reader.line_num


def common_width(names: list[str], rows: list[list[str]]) -> int:
    """Returns the usual number of fields in a line.

    It is larger than the number of names if most lines end in blank fields.
    """
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
    """Returns whether the text may be a number or a time."""
    return any(c.isdigit() for c in text) and not re.search("[A-SU-Za-su-z]{2}", text)
