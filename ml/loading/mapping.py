"""A mapping: which column of a source, or which expression over them, each canonical column is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import (
    CANONICAL,
    CONVERSIONS,
    NUMBERS,
    REQUIRED,
    TIMES,
    identifier,
    source_columns,
    widened,
)
from ml.loading.csv_files import BROKEN_LINE
from ml.loading.formats import Format, pattern_problem, read_format
from ml.session import StepError

# Prefix of working columns beside the source's own.
VALUE = "__value_"
# As many columns of a source as a message names.
NAMED_COLUMNS = 20
# How a source tends to call the required columns: for the example in the error message only.
LIKELY_NAMES = {
    "customer_id": "customer|client|user|member",
    "ordered_at": "date|time|day",
    "amount": "amount|total|value|price|revenue",
}


@dataclass(frozen=True)
class Source:
    """What is to be read, and for what: a section of a mapping and the format of its file."""

    path: str
    section: str
    mapping: dict[str, str] | None = None
    format: Format = field(default_factory=Format)

    def covers(self, names: list[str]) -> bool:
        """True when a header with these names has what the required columns are made of."""
        if self.mapping is None:
            return set(REQUIRED[self.section]) <= {name.lower() for name in names}
        needed = [
            self.mapping[column]
            for column in REQUIRED[self.section]
            if column in self.mapping and re.search("[A-Za-z`]", code_of(self.mapping[column]))
        ]
        return bool(needed) and all(any(mentions(each, n) for n in names) for each in needed)

    def needs(self, name: str) -> bool:
        """True when a column of the result is made of the column `name`."""
        if self.mapping is None:
            return name.lower() in CANONICAL[self.section]
        return any(mentions(expression, name) for expression in self.mapping.values())


def code_of(expression: str) -> str:
    """Returns an expression without the texts in it."""
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", expression)


def mentions(expression: str, name: str) -> bool:
    """True when an expression has the name in it as a word or in backticks, in any letter case."""
    quoted = re.escape(f"`{name.replace('`', '``')}`")
    plain = rf"(?<![\w`]){re.escape(name)}(?![\w`])" if re.fullmatch(r"\w+", name) else quoted
    return bool(name) and bool(re.search(f"(?i){plain}|{quoted}", code_of(expression)))


@dataclass(frozen=True)
class Mapping:
    """A mapping file: section -> canonical column -> expression, and the format of the files."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)

    def source(self, path: str, section: str) -> Source:
        """Returns how `path` is to be read for `section`."""
        given = self.formats.get(section, Format())
        return Source(path, section, self.sections.get(section), given)


def read_mapping(path: str | None) -> Mapping:
    """Returns the mapping in the YAML file at `path`, an empty one without a file."""
    if path is None:
        return Mapping()
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StepError(f"mapping {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StepError(f"mapping {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StepError(
            f"mapping {path} must be a map with the keys transactions:, customers: and format:"
        )
    formats = read_formats(path, content.pop("format", {}))
    sections = {name: read_section(path, name, columns) for name, columns in content.items()}
    return Mapping(sections, formats)


def read_formats(path: str, values: object) -> dict[str, Format]:
    """Returns the format of each section's file: what is set under its own name wins."""
    if not isinstance(values, dict):
        return {section: read_format(path, values) for section in CANONICAL}
    common = {key: value for key, value in values.items() if key not in CANONICAL}
    formats = {}
    for section in CANONICAL:
        own = values.get(section, {})
        formats[section] = read_format(path, common | own if isinstance(own, dict) else own)
    return formats


def read_section(path: str, section: str, columns: object) -> dict[str, str]:
    """Returns one section of a mapping with every expression as text; raises StepError."""
    if section not in CANONICAL:
        raise StepError(
            f"mapping {path} has the unknown section {section!r}; known are "
            f"{', '.join(CANONICAL)}, format"
        )
    if not isinstance(columns, dict):
        raise StepError(f"mapping {path}: {section} must be a map of column -> expression")
    for column, expression in columns.items():
        if column not in CANONICAL[section]:
            raise StepError(
                f"mapping {path}: {section} has the unknown column {column!r}; known are "
                f"{', '.join(CANONICAL[section])}"
            )
        if isinstance(expression, bool) or not isinstance(expression, str | int | float):
            raise StepError(f"mapping {path}: {section}.{column} is not a text with an expression")
    return {column: str(expression) for column, expression in columns.items()}


def listed(source: DataFrame) -> str:
    """Returns the columns that an expression may name, as a message says them."""
    names = source_columns(source)
    more = len(names) - NAMED_COLUMNS
    return ", ".join(names[:NAMED_COLUMNS]) + (f" and {more:,} more" if more > 0 else "")


def canonical_names(source: DataFrame, section: str) -> dict[str, str]:
    """Returns the mapping of a source that already has canonical names, in any letter case."""
    names = {name.lower(): name for name in source_columns(source)}
    return {column: identifier(names[column]) for column in CANONICAL[section] if column in names}


def example_mapping(source: DataFrame, section: str, known: dict[str, str]) -> str:
    """Returns one line of YAML: `known`, plus a guess for each required column that it lacks."""
    names = source_columns(source)

    def likely(pattern: str) -> str | None:
        return next((identifier(n) for n in names if re.search(f"(?i){pattern}", n)), None)

    guesses = {c: likely(LIKELY_NAMES[c]) or f"<your column for {c}>" for c in REQUIRED[section]}
    if re.search("(?i)price", guesses.get("amount", "")) and (units := likely("quantity|qty|unit")):
        guesses["amount"] = f"{units} * {guesses['amount']}"
    guesses |= canonical_names(source, section)
    return yaml.safe_dump(
        {section: guesses | known}, default_flow_style=True, sort_keys=False, width=10**6
    ).strip()


def checked_mapping(
    source: DataFrame, section: str, mapping: dict[str, str] | None
) -> dict[str, str]:
    """Returns canonical column -> expression for `section`, every expression checked.

    A given mapping is complete: a source column that it does not use is not taken, whatever its
    name. Raises StepError for a missing required column or an expression that cannot be used.
    """
    expressions = canonical_names(source, section) if mapping is None else mapping
    missing = [column for column in REQUIRED[section] if column not in expressions]
    if missing:
        lacking = "the source lacks" if mapping is None else "the mapping lacks"
        raise StepError(
            f"{section}: {lacking} {', '.join(missing)}; the source has "
            f"{listed(source)}; write a MAPPING file such as: "
            f"{example_mapping(source, section, expressions)}"
        )
    for column, expression in expressions.items():
        check_expression(source, section, column, expression)
    return expressions


def check_expression(source: DataFrame, section: str, column: str, expression: str) -> None:
    """Raises StepError unless `expression` is a row's own value of a type that fits `column`."""
    what = f"{section}.{column}: {expression}"
    for pattern in time_patterns_in(expression):
        if problem := pattern_problem(pattern):
            raise StepError(f"{what} has the pattern '{pattern}': {problem}")
    probe = empty(source, column)
    # The analyzer itself refuses what is more than a value of the row: a join's condition takes no
    # aggregate, window, generator or non-deterministic function (rand, uuid, reflect,
    # input_file_name), and a lambda's body no subquery.
    condition = F.exists(F.array(F.lit(1)), lambda _: F.expr(expression).isNull())
    try:
        kind = probe.select(F.expr(expression)).schema.fields[0].dataType
        probe.join(probe.select(F.lit(1).alias(VALUE)), condition).schema  # noqa: B018
    except ParseException as error:
        parts = error.getMessageParameters() or {}
        raise StepError(
            f"{what} is no SQL expression: syntax error at {parts.get('error')}"
        ) from error
    except AnalysisException as error:
        condition_name = str(error.getCondition())
        parts = error.getMessageParameters() or {}
        if condition_name.startswith("UNRESOLVED_COLUMN"):
            raise StepError(
                f"{what} names {parts.get('objectName')}, but the source has only {listed(source)}"
            ) from error
        if condition_name.startswith(("UNSUPPORTED", "INVALID_NON_DETERMINISTIC")):
            raise StepError(
                f"{what} may use only the columns of its own row: no aggregate, window, subquery, "
                "generator, random or reflective function"
            ) from error
        raise StepError(f"{what} is not possible: {first_line(error)}") from error
    if column in CONVERSIONS and not isinstance(kind, CONVERSIONS[column][0]):
        hint = "; for seconds since 1970 write timestamp_seconds(...)" if column in TIMES else ""
        raise StepError(f"{what} gives {kind.simpleString()}, which does not fit the column{hint}")


def time_patterns_in(expression: str) -> Iterator[str]:
    """Yields the patterns, written as texts, by which an expression reads times."""
    for call in re.finditer(r"(?i)\b(?:try_)?to_(?:timestamp|date)(?:_ntz|_ltz)?\s*\(", expression):
        depth, is_text = 1, False
        for place in range(call.end(), len(expression)):
            is_text ^= expression[place] == "'"
            if not is_text:
                depth += {"(": 1, ")": -1}.get(expression[place], 0)
            if depth == 0:
                arguments = expression[call.end() : place]
                # The last argument: '' and \' stand for a quote inside it.
                if pattern := re.search(r",\s*'((?:[^'\\]|\\.|'')*)'\s*$", arguments):
                    yield pattern[1].replace("''", "'").replace("\\'", "'")
                break


def first_line(error: Exception) -> str:
    """Returns the first line of an engine's message, without its code and position."""
    # Without Spark Connect an error inside a task comes as a bare Java exception.
    text = str(getattr(error, "java_exception", error))
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"^.*\[[A-Z0-9_.]+\]\s*|\s*SQLSTATE:.*$", "", line.strip())


def empty(source: DataFrame, column: str) -> DataFrame:
    """Returns no rows of `source`'s columns, as an expression for `column` sees them.

    It costs no look at the files, so that many expressions can be tried on it.
    """
    fields = [field for field in source.schema.fields if field.name != BROKEN_LINE]
    rows = source.sparkSession.createDataFrame([], T.StructType(fields))
    return widened(rows, rows.columns) if column in NUMBERS else rows


def named_columns(source: DataFrame, column: str, expression: str) -> list[str]:
    """Returns the source columns that `expression` names: those it cannot do without."""
    probe = empty(source, column)

    def is_needed(name: str) -> bool:
        try:
            probe.drop(name).select(F.expr(expression)).schema  # noqa: B018
        except AnalysisException:
            return True
        return False

    # Each try costs a look at all columns, so only those are tried that the text could mean.
    text = expression.lower().replace("``", "`")
    return [name for name in probe.columns if name.lower() in text and is_needed(name)]
