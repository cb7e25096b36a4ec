"""Prints what a load found in the lines and the customers."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ml.loading.checks import is_unparsed, sample_texts
from ml.loading.proposals import proposal
from ml.loading.wording import counted
from ml.session import StepError, describe, log

# Columns of unparsed_values -> description of their lines, for a message.
UNPARSED = {
    "line": "whose fields cannot be separated (an open quote, or too many or too few fields)",
    "ordered_at": "with a time that cannot be read",
    "amount": "with an amount that is not a number",
    "quantity": "with a quantity that is not a number",
    "updated_at": "with a time of change that cannot be read",
    "is_deleted": "with an is_deleted that is neither true nor false",
}


def report_lines(lines: DataFrame, path: str) -> None:
    """Prints number, period and amount of the loaded lines, and the values that were not read."""
    describe(lines.sparkSession, "report")
    (counts,) = lines.agg(
        F.count(F.lit(1)).alias("lines"),
        F.count_if(F.expr(f"customer_id is null and not ({is_unparsed('line')})")).alias("guests"),
        F.min("ordered_at").cast("date").alias("first_day"),
        F.max("ordered_at").cast("date").alias("last_day"),
        F.sum("amount").alias("amount"),
        *[
            F.count_if(F.expr(is_unparsed(column))).alias(f"unparsed_{column}")
            for column in UNPARSED
        ],
    ).collect()
    # Deletions need neither a time nor an amount.
    period = f" from {counts.first_day} to {counts.last_day}" if counts.first_day else ""
    net = f", net {counts.amount}" if counts.amount is not None else ""
    log(f"{path}: {counted(counts.lines, 'line')}{period}{net}")
    log(f"{counted(counts.guests, 'line')} without a customer (guests)")
    for column in UNPARSED:
        if number := counts[f"unparsed_{column}"]:
            report_unparsed(lines, column, number)


def report_unparsed(lines: DataFrame, column: str, number: int) -> None:
    """Prints how many texts of a column could not be read, with an example and a proposal."""
    texts = sample_texts(lines.where(is_unparsed(column)), column)
    proposed = proposal(column, texts)
    log(
        f"{counted(number, 'line')} {UNPARSED[column]}, such as {texts[0][:80]!r}: kept in "
        "raw.transactions, column unparsed_values" + (f"; {proposed}" if proposed else "")
    )


def report_customers(rows: DataFrame, path: str) -> None:
    """Prints how many customers the rows of a customers file give, and which rows give none.

    Raises StepError when no row has an id.
    """
    (counts,) = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_distinct("customer_id").alias("customers"),
        F.count_if(F.col("customer_id").isNull()).alias("without_id"),
        F.count("unparsed_values").alias("unparsed"),
    ).collect()
    if not counts.customers:
        raise StepError(
            f"no row of {path} can be used, so nothing is loaded: none of {counts.rows:,} rows "
            "has a customer_id"
        )
    log(
        f"{path}: {counted(counts.customers, 'customer')} of {counted(counts.rows, 'row')} "
        f"(rows without an id, left out: {counts.without_id:,}; "
        f"rows that repeat an id: {counts.rows - counts.customers - counts.without_id:,}; "
        f"rows with a value that does not fit its column, now null: {counts.unparsed:,})"
    )
