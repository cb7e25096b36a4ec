"""Checks whether the lines of a source can be used, and reports why not."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ml.loading.columns import SENTINEL_DAYS
from ml.loading.proposals import proposal
from ml.loading.wording import counted
from ml.session import StepError

# A proposal uses at most this many texts of a column.
SAMPLE_TEXTS = 50


def is_unparsed(column: str) -> str:
    """Returns the SQL condition that `unparsed_values` has a text of `column`."""
    return f"get_json_object(unparsed_values, '$.{column}') is not null"


# Why staging rejects a line, in the order of its rules: text for a message -> column, condition.
REASONS = {
    "fields that cannot be separated": ("line", is_unparsed("line")),
    "an updated_at that is not a time": ("updated_at", is_unparsed("updated_at")),
    "an is_deleted that is neither true nor false": ("is_deleted", is_unparsed("is_deleted")),
    "an ordered_at that is not a time": ("ordered_at", is_unparsed("ordered_at")),
    "no ordered_at": ("ordered_at", "ordered_at is null"),
    # Midnight east of UTC is still the day before in UTC.
    "an ordered_at that is a placeholder for an unknown date": (
        "ordered_at",
        f"string(date(ordered_at)) in {SENTINEL_DAYS} "
        f"or string(date(ordered_at + interval 14 hours)) in {SENTINEL_DAYS}",
    ),
    "an amount that is not a number": ("amount", is_unparsed("amount")),
    "no amount": ("amount", "amount is null"),
    "a quantity that is not a number": ("quantity", is_unparsed("quantity")),
    "a quantity of 0 and an amount of 0": ("quantity", "quantity = 0 and amount = 0"),
    "an ordered_at in the future": ("ordered_at", "ordered_at > loaded_at"),
}


def check_usable(lines: DataFrame, path: str) -> None:
    """Raises StepError when none of the lines, with the columns of raw.transactions, can be used.

    The message has the most frequent reason and, where there is one, an example and what to write
    into the mapping.
    """
    lines = lines.withColumn("reason", rejection_reason())
    if not lines.where("reason is null").isEmpty():
        return
    counts = lines.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    reason, rejected = counts[0]
    column, condition = REASONS[reason]
    texts = sample_texts(lines.where(F.col("reason") == reason), column)
    example = f", such as {texts[0][:80]!r}" if texts else ""
    proposed = proposal(column, texts) if condition == is_unparsed(column) else None
    raise StepError(
        f"no line of {path} can be used, so nothing is loaded: {rejected:,} of "
        f"{counted(sum(number for _, number in counts), 'line')} with {reason}{example}"
        + (f"; {proposed}" if proposed else "")
    )


def rejection_reason() -> Column:
    """Returns why a line of raw.transactions cannot be used, a key of REASONS, or null."""
    reasons = []
    for reason, (column, condition) in REASONS.items():
        # A deletion needs no other values.
        if column not in ("line", "updated_at", "is_deleted"):
            condition = f"({condition}) and is_deleted is not true"
        reasons.append(F.when(F.expr(condition), reason))
    return F.coalesce(*reasons)


def sample_texts(lines: DataFrame, column: str) -> list[str]:
    """Returns some values of `column`: their texts where these could not be read."""
    text = F.coalesce(
        F.get_json_object("unparsed_values", f"$.{column}"),
        F.col(column).cast("string") if column in lines.columns else F.lit(None),
    )
    found = lines.select(text.alias("text")).where("text is not null").limit(SAMPLE_TEXTS)
    return [row["text"] for row in found.collect()]
