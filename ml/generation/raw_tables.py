"""The raw tables, as a user's files would fill them."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ml.generation.dirty_rows import dirty_transactions
from ml.generation.draws import Draws, bucketize_by_mix, constants
from ml.generation.lines import lines, transactions, with_returns
from ml.generation.orders import first_orders, orders
from ml.generation.shop import GENDERS, LAST_SECOND, MEMBERSHIP_LEVELS, REGIONS, UNKNOWN_SHARE
from ml.loading.columns import RAW_TYPES

TRANSACTION_NAMES = (
    *("transaction_id", "order_id", "customer_id", "ordered_at", "product_id", "product_category"),
    *("quantity", "amount", "payment_method", "unparsed_values"),
)


def raw_customers(people: DataFrame, draw: Draws) -> DataFrame:
    """raw.customers: one row per customer."""

    def known(name: str, value: Column) -> Column:
        return F.when(draw.uniform(f"{name} known") >= UNKNOWN_SHARE, value).alias(name)

    won_on = F.to_date(F.timestamp_seconds("first_second"))
    days_before = F.floor(20 * draw.exponential("registered before")).cast("int")
    days_before = F.when(draw.uniform("registered first") < 0.4, days_before).otherwise(0)
    age = F.round(F.col("age") + F.col("age_spread") * draw.normal("age")).cast("int")
    level = bucketize_by_mix(F.col("level_draw"), "membership_levels", len(MEMBERSHIP_LEVELS))
    gender = bucketize_by_mix(F.col("gender_draw"), "genders", len(GENDERS))
    region = F.floor(draw.uniform("region") * len(REGIONS)).cast("int")
    drawn = {"gender_draw": draw.uniform("gender"), "level_draw": draw.uniform("level")}
    return people.withColumns(drawn).select(
        "customer_id",
        F.date_sub(won_on, days_before).alias("registered_on"),
        known("age", F.greatest(F.lit(18), F.least(F.lit(95), age))),
        known("gender", constants(GENDERS)[gender]),
        known("region", constants(REGIONS)[region]),
        known("membership_level", constants(MEMBERSHIP_LEVELS)[level]),
    )


def raw_transactions(
    people: DataFrame, guests: DataFrame, carriers: DataFrame, draw: Draws
) -> DataFrame:
    """raw.transactions: all lines up to the end of the simulation, and the dirty rows."""
    ordered = orders(people.where("buys"), draw, until=LAST_SECOND)
    bought = with_returns(lines(ordered, draw), draw)
    bought_by_guests = with_returns(lines(first_orders(guests), draw), draw)
    dirty = dirty_transactions(carriers, draw)
    parts = [
        transactions(bought.where(F.col("second") <= LAST_SECOND), draw),
        transactions(bought_by_guests.where(F.col("second") <= LAST_SECOND), draw),
        dirty,
        dirty.where(F.col("defect") == "duplicate_transaction_id"),
    ]
    rows = reduce(DataFrame.unionAll, [part.select(*TRANSACTION_NAMES) for part in parts])
    # The table is partitioned by loaded_at. It is added after the union, so Spark sees one constant
    # and does not sort the rows by it before it writes them.
    loaded_at = F.timestamp_seconds(F.lit(LAST_SECOND))
    quantity = F.col("quantity").cast("decimal(18,3)")
    unknown = {
        name: F.lit(None).cast(kind)
        for name, kind in RAW_TYPES.items()
        if name not in (*TRANSACTION_NAMES, "loaded_at")
    }
    return rows.withColumns({"quantity": quantity, "loaded_at": loaded_at} | unknown).select(
        *RAW_TYPES
    )
