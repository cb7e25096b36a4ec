"""The features that customers are clustered by.

`ml/MODEL_CARD.md` explains the weight of each feature.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.environment import in_environment

CUSTOMERS = in_environment("marts.customer_features")
CATEGORIES = in_environment("intermediate.int_customer_categories")
PAYMENT_METHODS = in_environment("intermediate.int_customer_payment_methods")
DATA_PERIOD = in_environment("intermediate.int_data_period")

# Feature -> SQL over the columns of marts.customer_features, and weight. Clusters are sorted by
# their centers, feature by feature in this order, highest first. So cluster 1 buys most often.
NUMERIC_FEATURES = {
    "orders": ("ln(1 + orders)", 0.1),
    "recency_days": ("ln(1 + recency_days)", 0.1),
    "average_order_value": ("ln(1 + greatest(average_order_value, 0))", 0.5),
    "units_per_order": ("ln(1 + greatest(cast(units as double) / orders, 0))", 0.1),
    "category_count": ("category_count", 0.1),
    "age": ("age", 2.0),
}
# Share of a customer's orders that have a property -> weight at a reliability of 1.
HOLIDAY_SHARE = "holiday_season_order_share"
SHARE_FEATURES = {"weekend_order_share": 1.0, HOLIDAY_SHARE: 1.0}
# Feature -> table with a customer's orders by level, its column with the level, and weight.
MIX_FEATURES = {
    "category": (CATEGORIES, "product_category", 2.0),
    "payment_method": (PAYMENT_METHODS, "payment_method", 1.0),
}
# Column of the mart with a level of the customer -> weight.
LEVEL_FEATURES = {"membership_level": 1.0, "gender": 0.1, "region": 0.1}
# Features that may be unknown for all customers -> column of the mart that shows if they are.
SHOWN_BY = {"age": "age"} | {name: f"favorite_{name}" for name in MIX_FEATURES}
SHOWN_BY |= {name: name for name in LEVEL_FEATURES}
# All features with levels -> weight, which the levels share.
CATEGORICAL_FEATURES = {name: weight for name, (_, _, weight) in MIX_FEATURES.items()}
CATEGORICAL_FEATURES |= LEVEL_FEATURES
WEIGHTS = {name: weight for name, (_, weight) in NUMERIC_FEATURES.items()}
WEIGHTS |= SHARE_FEATURES | CATEGORICAL_FEATURES
# Only the most frequent levels of a categorical feature count.
MAX_LEVELS = 10


def buyers(spark: SparkSession) -> DataFrame:
    """The rows of the mart for customers with an order."""
    return spark.table(CUSTOMERS).where("orders > 0")


def covers_a_year(spark: SparkSession) -> bool:
    """Returns whether the data cover a year.

    Before that, the share of orders in November and December only tells when a customer came.
    """
    (row,) = spark.table(DATA_PERIOD).selectExpr("datediff(last_on, first_on) >= 364").collect()
    return bool(row[0])


def customers_and_orders(spark: SparkSession) -> tuple[int, int, list[str]]:
    """Counts customers with an order, and their orders; lists the features that are known.

    Features that are always known are not in the list.
    """
    counts = [F.count(column).alias(name) for name, column in SHOWN_BY.items()]
    (row,) = (
        buyers(spark).agg(F.count("*"), F.coalesce(F.sum("orders"), F.lit(0)), *counts).collect()
    )
    known = [name for name in SHOWN_BY if row[name]]
    if covers_a_year(spark):
        known.append(HOLIDAY_SHARE)
    return row[0], row[1], known


def known_orders(orders_by_level: DataFrame, level: str) -> DataFrame:
    """One row per customer and known level: customer_key, level, orders; without guests."""
    is_known = ~F.col("is_guest") & (F.col("orders") > 0) & (F.col(level) != "Unknown")
    columns = "customer_key", F.col(level).alias("level"), "orders"
    return orders_by_level.where(is_known).select(*columns)


def frequent_levels(spark: SparkSession) -> dict[str, list[str]]:
    """The MAX_LEVELS levels of each categorical feature that the most customers have."""
    customers = buyers(spark)
    owned = {
        name: known_orders(spark.table(table), level)
        for name, (table, level, _) in MIX_FEATURES.items()
    }
    owned |= {name: customers.select(F.col(name).alias("level")) for name in LEVEL_FEATURES}
    frequent = {}
    for name, rows in owned.items():
        counted = rows.where("level is not null").groupBy("level").count()
        most = counted.orderBy(F.desc("count"), "level").limit(MAX_LEVELS)
        frequent[name] = [row["level"] for row in most.collect()]
    return frequent


def feature_values(spark: SparkSession, levels: Mapping[str, Sequence[str]]) -> DataFrame:
    """One row per customer with an order: keys, number of orders, and the features.

    Numeric features and shares are doubles. A categorical feature is an array with the share of
    each of its `levels`: 1 or 0, or the share of the customer's orders; null when none is known.
    """
    holiday_share = F.when(F.lit(covers_a_year(spark)), F.col(HOLIDAY_SHARE))
    values = buyers(spark).select(
        "customer_key",
        "customer_id",
        F.col("orders").alias("order_count"),
        *[
            F.expr(f"cast({sql} as double)").alias(name)
            for name, (sql, _) in NUMERIC_FEATURES.items()
        ],
        "weekend_order_share",
        holiday_share.alias(HOLIDAY_SHARE),
        *[indicators(name, levels[name]).alias(name) for name in LEVEL_FEATURES],
    )
    for name, (table, level, _) in MIX_FEATURES.items():
        shares = order_shares(known_orders(spark.table(table), level), levels[name])
        # Both sides are bucketed by the customer: nothing is shuffled.
        values = values.join(shares.withColumnRenamed("shares", name), "customer_key", "left")
    return values


def indicators(name: str, levels: Sequence[str]) -> Column:
    """An array of 1 for the customer's level and 0 for the others; null when it is unknown."""
    level = F.col(name)
    shares = F.array(*[level == each for each in levels]).cast("array<double>")
    return F.when(level.isNotNull(), shares)


def order_shares(orders: DataFrame, levels: Sequence[str]) -> DataFrame:
    """One row per customer: `shares`, the share of each level in the orders of known levels."""
    of_level = [F.sum(F.when(F.col("level") == each, F.col("orders"))) for each in levels]
    total = F.sum("orders")
    shares = F.array(*[F.coalesce(each / total, F.lit(0.0)) for each in of_level])
    return orders.groupBy("customer_key").agg(shares.cast("array<double>").alias("shares"))
