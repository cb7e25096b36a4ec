"""The features that customers are clustered by, and the space that they span.

`ml/MODEL_CARD.md` explains the weight of each feature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Feature -> SQL over the columns of marts.customer_features, and weight. Clusters are numbered by
# their centers in the order of these features, descending: cluster 1 buys most often.
NUMERIC_FEATURES = {
    "orders": ("ln(1 + orders)", 0.25),
    "recency_days": ("ln(1 + recency_days)", 0.25),
    "average_order_value": ("ln(1 + greatest(average_order_value, 0))", 0.5),
    "units_per_order": ("ln(1 + greatest(cast(units as double) / orders, 0))", 0.25),
    "category_count": ("category_count", 0.25),
    "weekend_order_share": ("weekend_order_share", 1.0),
    "holiday_season_order_share": ("holiday_season_order_share", 1.0),
    "age": ("age", 1.0),
}
# Column of the mart -> weight, shared by its levels.
CATEGORICAL_FEATURES = {
    "favorite_category": 1.0,
    "favorite_payment_method": 0.5,
    "membership_level": 1.0,
    "gender": 0.25,
    "region": 0.25,
}
# Only the most frequent levels of a categorical feature count.
MOST_LEVELS = 10


@dataclass(frozen=True)
class Dimension:
    """One coordinate of the space that customers are clustered in.

    A customer's coordinate is `(value - average) * scale`. An unknown value has coordinate 0, which
    pulls toward no cluster. The scales make the variance of each feature over the customers equal
    to its weight; all levels of a categorical feature share the weight.
    """

    feature: str
    level: str | None  # of a categorical feature; its value is then 1 or 0
    weight: float  # of the feature
    average: float
    standard_deviation: float
    scale: float

    def coordinate(self) -> Column:
        """The coordinate, over the columns of `feature_values`."""
        value = F.col(self.feature)
        if self.level is not None:
            value = (value == self.level).cast("double")
        return F.coalesce((value - self.average) * self.scale, F.lit(0.0))


def feature_values(customers: DataFrame) -> DataFrame:
    """One row per customer with an order: keys, numeric features as doubles, categorical ones."""
    return customers.where("orders > 0").select(
        "customer_key",
        "customer_id",
        *[
            F.expr(f"cast({sql} as double)").alias(name)
            for name, (sql, _) in NUMERIC_FEATURES.items()
        ],
        *CATEGORICAL_FEATURES,
    )


def count_and_content(values: DataFrame) -> tuple[int, int]:
    """Number of customers, and a hash of their features in any order."""
    columns = [F.col(name) for name in values.columns]
    ((customers, content),) = values.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).collect()
    return customers, content


def dimensions(values: DataFrame) -> list[Dimension]:
    """The dimensions that these feature values span; a feature with only one value adds none."""
    return [*numeric_dimensions(values), *categorical_dimensions(values)]


def numeric_dimensions(values: DataFrame) -> Iterator[Dimension]:
    """A dimension for each numeric feature that differs between customers."""
    # Rounded, since a sum of doubles depends on the order of the rows in its last digits.
    measures = [
        F.round(measure(name), 9).alias(f"{measure.__name__}_{name}")
        for name in NUMERIC_FEATURES
        for measure in (F.avg, F.stddev_pop)
    ]
    (row,) = values.agg(*measures).collect()
    for name, (_, weight) in NUMERIC_FEATURES.items():
        average, deviation = row[f"avg_{name}"], row[f"stddev_pop_{name}"]
        if deviation:
            yield Dimension(name, None, weight, average, deviation, sqrt(weight) / deviation)


def categorical_dimensions(values: DataFrame) -> Iterator[Dimension]:
    """A dimension for each frequent level of the categorical features with several levels."""
    pairs = ", ".join(f"'{name}', {name}" for name in CATEGORICAL_FEATURES)
    counted = (
        values.selectExpr(f"stack({len(CATEGORICAL_FEATURES)}, {pairs}) as (feature, level)")
        .where("level is not null")
        .groupBy("feature", "level")
        .count()
    )
    for name, weight in CATEGORICAL_FEATURES.items():
        rows = counted.where(F.col("feature") == name)
        ((known,),) = rows.agg(F.sum("count")).collect()
        levels = rows.orderBy(F.desc("count"), "level").limit(MOST_LEVELS).collect()
        if len(levels) < 2:
            continue
        shares = {row["level"]: row["count"] / known for row in levels}
        scale = sqrt(weight / sum(share * (1 - share) for share in shares.values()))
        for level, share in shares.items():
            yield Dimension(name, level, weight, share, sqrt(share * (1 - share)), scale)


def with_coordinates(values: DataFrame, space: list[Dimension]) -> DataFrame:
    """customer_key, customer_id and the customer's coordinates in the space, an array."""
    coordinates = F.array(*[dimension.coordinate() for dimension in space])
    return values.select("customer_key", "customer_id", coordinates.alias("coordinates"))
