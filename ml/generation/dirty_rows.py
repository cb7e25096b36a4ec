"""Rows with defects, planted in known numbers."""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.generation.draws import Draws, constants
from ml.generation.lines import lines, transactions
from ml.generation.orders import first_orders
from ml.generation.profiles import profiles
from ml.generation.shop import DAY, LAST_SECOND

# Of every 500 customers, the first six have an extra order with a defect. All six defects differ.
DEFECT_EVERY = 500
DEFECTS = (
    "missing_timestamp",
    "missing_amount",
    "not_a_number",
    "zero_quantity_and_amount",
    "duplicate_transaction_id",
    "future_dated",
)


def planned_defect() -> Column:
    """The defect of the extra order that a customer carries; null for most customers."""
    position = F.col("entity") % DEFECT_EVERY
    is_carrier = position.between(1, len(DEFECTS))
    return F.when(is_carrier, constants(DEFECTS)[(position - 1).cast("int")])


def defect_carriers(spark: SparkSession, customers: int, draw: Draws, tasks: int) -> DataFrame:
    """Profiles of the customers who carry a `defect`, out of the customers 1 to `customers`."""
    numbers = spark.range(1, customers + 1, numPartitions=tasks).withColumnRenamed("id", "entity")
    carriers = numbers.withColumn("defect", planned_defect()).where("defect is not null")
    return profiles(carriers, draw)


def dirty_transactions(carriers: DataFrame, draw: Draws) -> DataFrame:
    """One row for each planned dirty row: the raw columns and its `defect`.

    Each row is an order of its own, at the time of the customer's first order unless the defect is
    in the time. A pair of duplicates has only one row here, because both of its rows are equal.
    """
    extra_orders = first_orders(carriers).withColumn("order_number", F.lit(0))
    has = {defect: F.col("defect") == defect for defect in DEFECTS}
    is_zero, is_unparsed = has["zero_quantity_and_amount"], has["not_a_number"]
    days_late = 1 + F.floor(draw.uniform("future") * 30)
    late = F.timestamp_seconds(LAST_SECOND + days_late * DAY)
    has_time, has_amount = ~has["missing_timestamp"], ~has["missing_amount"] & ~is_unparsed
    return transactions(lines(extra_orders, draw, most=1), draw).withColumns(
        {
            "ordered_at": F.when(has["future_dated"], late).when(has_time, F.col("ordered_at")),
            "quantity": F.when(is_zero, 0).otherwise(F.col("quantity")),
            "amount": F.when(is_zero, 0).when(has_amount, F.col("amount")),
            "unparsed_values": F.when(is_unparsed, '{"amount":"n/a"}'),
        }
    )
