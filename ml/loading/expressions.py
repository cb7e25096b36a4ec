"""The expressions of a mapping, checked against the columns of a source."""

import re

import yaml
from pyspark.errors import AnalysisException, ArithmeticException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ml.loading.casts import CONVERSIONS, ready_for_arithmetic
from ml.loading.columns import BROKEN_LINE, CANONICAL, FILE_NUMBER, NUMBERS, REQUIRED, TIMES
from ml.loading.time_patterns import pattern_problem, patterns_in
from ml.loading.wording import listed
from ml.session import StepError, engine_message
from ml.sql_text import identifier

# The most columns of a source that a message names.
NAMED_COLUMNS = 20
# Usual names of the required columns, for the example in an error message.
LIKELY_NAMES = {
    "customer_id": "customer|client|user|member",
    "ordered_at": "date|time|day",
    "amount": "amount|total|value|price|revenue",
}


def source_columns(source: DataFrame) -> list[str]:
    """Returns the columns that an expression may name."""
    return [name for name in source.columns if name not in (BROKEN_LINE, FILE_NUMBER)]


def checked_mapping(
    source: DataFrame, section: str, mapping: dict[str, str] | None
) -> dict[str, str]:
    """Returns canonical column -> expression for `section`, with every expression checked.

    Without a mapping, the columns with canonical names are taken. With a mapping, only the columns
    that it names are taken. Raises StepError for a missing required column or an expression that
    cannot be used.
    """
    expressions = canonical_names(source, section) if mapping is None else mapping
    missing = [column for column in REQUIRED[section] if column not in expressions]
    if missing:
        lacking = "source" if mapping is None else "mapping"
        raise StepError(
            f"{section}: the {lacking} lacks {', '.join(missing)}; the source has "
            f"{listed(source_columns(source), NAMED_COLUMNS)}; write a MAPPING file such as: "
            f"{example_mapping(source, section, expressions)}"
        )
    for column, expression in expressions.items():
        check_expression(source, section, column, expression)
    return expressions


def canonical_names(source: DataFrame, section: str) -> dict[str, str]:
    """Returns a mapping of the source columns with canonical names, in any letter case."""
    names = {name.lower(): name for name in source_columns(source)}
    return {column: sql_name(names[column]) for column in CANONICAL[section] if column in names}


def sql_name(name: str) -> str:
    """Returns the name of a column as a user writes it: in backticks only where SQL needs them."""
    return name if re.fullmatch(r"(?a)[A-Za-z_]\w*", name) else identifier(name)


def example_mapping(source: DataFrame, section: str, known: dict[str, str]) -> str:
    """Returns one line of YAML: `known`, canonical names, and guesses for required columns."""
    names = source_columns(source)

    def likely(pattern: str) -> str | None:
        return next((sql_name(n) for n in names if re.search(f"(?i){pattern}", n)), None)

    guesses = {c: likely(LIKELY_NAMES[c]) or f"<your column for {c}>" for c in REQUIRED[section]}
    if re.search("(?i)price", guesses.get("amount", "")) and (
        units := likely("quantity|qty|unit(?!.?price)")
    ):
        guesses["amount"] = f"{units} * {guesses['amount']}"
    guesses |= canonical_names(source, section)
    return yaml.safe_dump(
        {section: guesses | known}, default_flow_style=True, sort_keys=False, width=10**6
    ).strip()


def check_expression(source: DataFrame, section: str, column: str, expression: str) -> None:
    """Raises StepError unless `expression` uses only its own row and its type fits `column`."""
    what = f"{section}.{column}: {expression}"
    for pattern in patterns_in(expression):
        if problem := pattern_problem(pattern):
            raise StepError(f"{what} has the pattern '{pattern}': {problem}")
    try:
        kind = row_value_type(no_rows(source, column), expression)
    except ParseException as error:
        raise StepError(f"{what} is not a SQL expression: {engine_message(error)}") from error
    except (AnalysisException, ArithmeticException) as error:
        raise StepError(f"{what} {analysis_problem(error, source)}") from error
    if column in CONVERSIONS and not isinstance(kind, CONVERSIONS[column][0]):
        hint = "; for seconds since 1970 write timestamp_seconds(...)" if column in TIMES else ""
        raise StepError(f"{what} gives {kind.simpleString()}, which does not fit the column{hint}")


def row_value_type(probe: DataFrame, expression: str) -> T.DataType:
    """Returns the type of an expression; raises AnalysisException if it depends on other rows.

    The expression is analyzed in a lambda in the condition of a join. The analyzer allows no
    aggregate, window, generator or non-deterministic function (rand, uuid, reflect,
    input_file_name) in such a condition, and no subquery in a lambda.
    """
    condition = F.exists(F.array(F.lit(1)), lambda _: F.expr(expression).isNull())
    kind = probe.select(F.expr(expression)).schema.fields[0].dataType
    probe.join(probe.select(F.lit(1).alias("__probe")), condition).schema  # noqa: B018
    return kind


def analysis_problem(error: AnalysisException | ArithmeticException, source: DataFrame) -> str:
    """Returns why the analyzer refuses an expression, as the end of a sentence."""
    condition = str(error.getCondition())
    if condition.startswith("UNRESOLVED_COLUMN"):
        name = (error.getMessageParameters() or {}).get("objectName")
        names = listed(source_columns(source), NAMED_COLUMNS)
        return f"names {name}, but the source has only {names}"
    if condition.startswith(("UNSUPPORTED", "INVALID_NON_DETERMINISTIC", "MISSING_GROUP_BY")):
        return (
            "may use only the columns of its own row: no aggregate, window, subquery, generator, "
            "random or reflective function"
        )
    return f"is not possible: {engine_message(error)}"


def no_rows(source: DataFrame, column: str) -> DataFrame:
    """Returns the source without rows, with the types that an expression for `column` reads.

    Analysis of an expression on it reads no file.
    """
    names = source_columns(source)
    fields = [field for field in source.schema.fields if field.name in names]
    rows = source.sparkSession.createDataFrame([], T.StructType(fields))
    if column not in NUMBERS:
        return rows
    return rows.selectExpr(*ready_for_arithmetic(rows.schema, rows.columns))


def named_columns(source: DataFrame, column: str, expression: str) -> list[str]:
    """Returns the source columns without which the analyzer refuses `expression`."""
    probe = no_rows(source, column)

    def is_needed(name: str) -> bool:
        try:
            probe.drop(name).select(F.expr(expression)).schema  # noqa: B018
        except AnalysisException:
            return True
        return False

    # Each test analyzes all columns, so only names that the expression may contain are tested.
    text = expression.lower().replace("``", "`")
    return [name for name in probe.columns if name.lower() in text and is_needed(name)]


def is_arithmetic(expression: str, names: set[str]) -> bool:
    """Returns whether an expression is a column, or simple arithmetic over columns.

    Casts, coalesce, nullif and abs are allowed.
    """
    rest = expression
    for name in sorted(names, key=len, reverse=True):
        quoted = re.escape(identifier(name))
        rest = re.sub(f"(?i){quoted}" + (rf"|\b{name}\b" if name.isidentifier() else ""), "1", rest)
    keywords = r"cast|as|decimal|double|float|bigint|int|coalesce|nullif|abs"
    return bool(re.fullmatch(rf"(?i)(?:[\d\s.+\-*/(),]|\b(?:{keywords})\b)*", rest))
