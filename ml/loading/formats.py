"""The section `format:` of a mapping: how a file is written.

The loader recognizes all other properties from the file if only one reading is possible. If several
readings are possible, such as day before month and month before day, the loader does not guess. A
message then proposes the `format:` to write.
"""

from dataclasses import dataclass, fields, replace

from ml.loading.time_patterns import pattern_problem
from ml.session import StepError

DECIMALS = (".", ",")
# A space stands for every kind of space, an apostrophe for both kinds.
THOUSANDS = (",", ".", " ", "'")


@dataclass(frozen=True)
class Format:
    """What the section `format:` sets; a value of None is recognized from the file."""

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
                f"mapping {path}: format has the unknown key {key!r}; known are {', '.join(known)}"
            )
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (is_number if key == "skip_lines" else isinstance(value, str) and value):
            kind = "a number of lines" if key == "skip_lines" else "a text in quotes"
            raise StepError(f"mapping {path}: format.{key} must be {kind}, not {value!r}")
    given = Format(**values)
    if given.delimiter in ("tab", "\\t"):
        given = replace(given, delimiter="\t")
    check_format(path, given)
    return given


def check_format(path: str, given: Format) -> None:
    """Raises StepError for a value that no file can have."""
    if given.delimiter and (len(given.delimiter) != 1 or given.delimiter in '"\r\n'):
        raise StepError(
            f"mapping {path}: format.delimiter must be one character, not {given.delimiter!r}"
        )
    for key, allowed in (("decimal", DECIMALS), ("thousands", THOUSANDS)):
        if (value := getattr(given, key)) and value not in allowed:
            raise StepError(
                f"mapping {path}: format.{key} must be one of {' '.join(map(repr, allowed))}, "
                f"not {value!r}"
            )
    if given.decimal and given.decimal == given.thousands:
        raise StepError(f"mapping {path}: format.decimal and format.thousands must differ")
    if given.encoding:
        try:
            "".encode(given.encoding)
        except LookupError as error:
            raise StepError(
                f"mapping {path}: format.encoding {given.encoding!r} is unknown; "
                "known are utf-8, utf-16, windows-1252, iso-8859-15, shift_jis, ..."
            ) from error
    if given.date_format and (problem := pattern_problem(given.date_format)):
        raise StepError(f"mapping {path}: format.date_format {given.date_format!r}: {problem}")


def format_line(**values: str | int) -> str:
    """Returns a section `format:` with these values as one line of YAML, for a message."""

    def yaml_text(value: str | int) -> str:
        if isinstance(value, int):
            return str(value)
        return '"\\t"' if value == "\t" else f"'{value}'"

    pairs = ", ".join(f"{key}: {yaml_text(value)}" for key, value in values.items())
    return f"format: {{{pairs}}}"
