"""The true values behind the simulation. No model may read them."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ml.generation.dirty_rows import dirty_transactions, planned_defect
from ml.generation.draws import Draws, money
from ml.generation.lines import lines, with_returns
from ml.generation.orders import orders
from ml.generation.shop import DAY, LAST_FUTURE_SECOND, LAST_SECOND, MAX_DAYS_TO_RETURN, MAX_LINES
from ml.tables import Table

CUSTOMERS = Table(
    "truth.customers",
    """
    customer_id string comment 'Key of the customer.',
    persona string comment 'Persona that the customer was drawn from.',
    orders_per_week double comment 'True rate while active; 0 for a customer who never buys.',
    dropped_out_at timestamp comment 'True time of leaving for good, UTC; may be after the end.',
    price_level double comment 'True factor on the median price of each category.',
    orders int comment 'Purchase orders within the simulation, usable ones only.',
    future_orders_90d int comment 'Purchase orders in the 90 days after the simulation.',
    future_orders_365d int comment 'Purchase orders in the 365 days after the simulation.',
    future_net_revenue_365d decimal(18,2) comment 'Net revenue of the 365 days after it.'
""",
    "One row per generated customer: what the simulation knows and no model may read.",
)

REJECTED_ROWS = Table(
    "truth.rejected_rows",
    """
    reason string comment 'Reason why the rows cannot be used.',
    rows bigint comment 'Planted rows that staging must reject.',
    amount decimal(18,2) comment 'Sum of their amounts; 0 when they have none.'
""",
    "One row per reason: the dirty rows that the simulation planted.",
)


def truth_customers(people: DataFrame, draw: Draws) -> DataFrame:
    """truth.customers: one row per customer."""
    # The good row of a pair of duplicates is an order like any other.
    good_extra = F.when(planned_defect() == "duplicate_transaction_id", 1).otherwise(0)
    known = ("customer_id", "persona", "orders_per_week", "last_second", "price_level")
    # All rows of a customer are in one task: no shuffle is needed to group them.
    counted = lines_and_future(people, draw).groupBy("entity", *known).agg(*counts_of_orders())
    return counted.select(
        "customer_id",
        "persona",
        "orders_per_week",
        F.timestamp_seconds("last_second").alias("dropped_out_at"),
        "price_level",
        (F.col("orders") + good_extra).cast("int").alias("orders"),
        F.col("future_orders_90d").cast("int"),
        F.col("future_orders_365d").cast("int"),
        money(F.col("future_cents")).alias("future_net_revenue_365d"),
    )


def lines_and_future(people: DataFrame, draw: Draws) -> DataFrame:
    """The lines up to a year after the simulation, with returns."""
    # If all returns of an order are before the end, only the order counts, so one line is enough.
    is_over = F.col("second") < LAST_SECOND - MAX_DAYS_TO_RETURN * DAY
    max_lines = F.when(is_over, 1).otherwise(MAX_LINES)
    ordered = orders(people, draw, until=LAST_FUTURE_SECOND)
    return with_returns(lines(ordered, draw, max_lines), draw)


def counts_of_orders() -> tuple[Column, ...]:
    """Orders within and after the simulation, and the cents after it, over a customer's lines."""
    is_order = F.col("buys") & (F.col("line_number") == 1) & ~F.col("is_return")
    second = F.col("second")
    is_future = F.col("buys") & (second > LAST_SECOND) & (second <= LAST_FUTURE_SECOND)
    is_near = second <= LAST_SECOND + 90 * DAY
    cents = F.when(is_future, F.col("unit_cents") * F.col("quantity")).otherwise(0)
    return (
        F.count_if(is_order & (second <= LAST_SECOND)).alias("orders"),
        F.count_if(is_order & is_future & is_near).alias("future_orders_90d"),
        F.count_if(is_order & is_future).alias("future_orders_365d"),
        F.sum(cents).alias("future_cents"),
    )


def truth_rejected_rows(carriers: DataFrame, draw: Draws) -> DataFrame:
    """truth.rejected_rows: one row per planted reason."""
    return (
        dirty_transactions(carriers, draw)
        .groupBy(F.col("defect").alias("reason"))
        .agg(
            F.count("*").alias("rows"),
            F.coalesce(F.sum("amount"), F.lit(0)).cast("decimal(18,2)").alias("amount"),
        )
    )
