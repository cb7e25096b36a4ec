"""The section `format:` of a mapping: how a file is written.

The loader recognizes delimiter, encoding (UTF-8, UTF-16), header and numbers where they are
certain. If all numbers look like `1.234`, it reads the point as the decimal sign and prints that.
It never recognizes a `date_format`: without one, times are ISO. Where something is not certain, a
message proposes the `format:` to write.
"""

from dataclasses import dataclass, fields, replace

from ml.loading.time_patterns import pattern_problem
from ml.session import StepError

DECIMALS = (".", ",")
# A space stands for every kind of space, an apostrophe for both kinds.
THOUSANDS = (",", ".", " ", "'")


@dataclass(frozen=True)
class Format:
    """What the section `format:` sets; a value of None is recognized if possible."""

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    skip_lines: int | None = None
    date_format: str | None = None


def read_format(path: str, values: object) -> Format:
    """Returns the section `format:` of the mapping file `path`; raises StepError for a bad one."""
    known = [each.name for each in fields(Format)]
    if not isinstance(values, dict):
        raise StepError(f"mapping {path}: format must be a map with {', '.join(known)}")
    for key, value in values.items():
        if key not in known:
            raise StepError(
                f"mapping {path}: format has the unknown key {key!r}; "
                f"the known keys are {', '.join(known)}"
            )
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (is_number if key == "skip_lines" else isinstance(value, str) and value):
            kind = "a number of lines" if key == "skip_lines" else "a text in quotes"
            given = f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)
            raise StepError(f"mapping {path}: format.{key} must be {kind}, not {given}")
    file_format = Format(**values)
    if file_format.delimiter in ("tab", "\\t"):
        file_format = replace(file_format, delimiter="\t")
    check_format(path, file_format)
    return file_format


def check_format(path: str, file_format: Format) -> None:
    """Raises StepError for a value that no file can have."""
    delimiter = file_format.delimiter
    if delimiter and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
        raise StepError(
            f"mapping {path}: format.delimiter must be one ASCII character, not {delimiter!r}"
        )
    for key, allowed in (("decimal", DECIMALS), ("thousands", THOUSANDS)):
        if (value := getattr(file_format, key)) and value not in allowed:
            raise StepError(
                f"mapping {path}: format.{key} must be one of {' '.join(map(repr, allowed))}, "
                f"not {value!r}"
            )
    if file_format.decimal and file_format.decimal == file_format.thousands:
        raise StepError(f"mapping {path}: format.decimal and format.thousands must differ")
    if file_format.encoding:
        try:
            "".encode(file_format.encoding)
        except (LookupError, ValueError) as error:
            raise StepError(
                f"mapping {path}: format.encoding {file_format.encoding!r} is unknown; "
                "known encodings are utf-8, utf-16, windows-1252, iso-8859-15, shift_jis, ..."
            ) from error
    date_format = file_format.date_format
    if date_format and (problem := pattern_problem(date_format)):
        raise StepError(f"mapping {path}: format.date_format {date_format!r}: {problem}")


def format_line(**values: str | int) -> str:
    """Returns a section `format:` with these values as one line of YAML, for a message."""

    def yaml_text(value: str | int) -> str:
        if isinstance(value, int):
            return str(value)
        quoted = value.replace("'", "''")
        return '"\\t"' if value == "\t" else f"'{quoted}'"

    pairs = ", ".join(f"{key}: {yaml_text(value)}" for key, value in values.items())
    return f"format: {{{pairs}}}"
