"""The space that the features of customers span, and the customers' coordinates in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from ml.features import CATEGORICAL_FEATURES, NUMERIC_FEATURES, SHARE_FEATURES, WEIGHTS

# A number that is farther from the average counts as this many standard deviations. Otherwise a few
# customers who returned everything would be a cluster.
MAX_DEVIATIONS = 3.0


def rounded(measure: Column) -> Column:
    """An aggregate of doubles without the last digits, which depend on the order of the rows."""
    return F.round(measure, 9)


# --- shares of few orders ---------------------------------------------------------------


@dataclass(frozen=True)
class Prior:
    """How a share of orders differs between customers: beta-binomial, by the method of moments.

    A customer's own share is unknown; it has a beta distribution over the customers. A share of few
    orders is mostly chance, so the average counts like `strength` more orders. Source: Kleinman
    (1973), "Proportions with extraneous variance: single and independent samples", JASA 68, 46-54.
    """

    average: float  # of the customers' shares, between 0 and 1
    correlation: float  # between two orders of a customer; above 0, and 1 if they are always alike

    @property
    def strength(self) -> float:
        """The number of orders that the average counts for."""
        return 1 / self.correlation - 1

    def expected_share(self, with_property: Column, orders: Column) -> Column:
        """The share to expect of a customer's next orders."""
        return (with_property + self.strength * self.average) / (orders + self.strength)

    def reliability(self, variance: float) -> float:
        """The part of the variance of the true shares that the orders reveal, from 0 to 1.

        `variance` is that of the expected shares.
        """
        return min(1.0, variance / (self.average * (1 - self.average) * self.correlation))


def prior(average: float, repeat_average: float | None, agreement: float | None) -> Prior | None:
    """Estimates how much a share differs between customers; None if only by chance.

    `average` is that of the customers' shares, and `repeat_average` that of customers with two or
    more orders. `agreement` is the chance that two orders of such a customer both have the
    property. The last two are None if nobody has two orders.
    """
    if repeat_average is None or agreement is None or not 0 < repeat_average < 1:
        return None
    variance = repeat_average * (1 - repeat_average)
    correlation = (agreement - repeat_average**2) / variance
    return Prior(average, min(correlation, 1.0)) if correlation > 0 else None


def orders_with(name: str) -> Column:
    """The number of a customer's orders that have the property of a share."""
    return F.round(F.col(name) * F.col("order_count")).cast("bigint")


def share_priors(values: DataFrame) -> dict[str, Prior]:
    """How the shares differ between customers, without those that differ only by chance.

    Each customer has the same weight. If each order or pair of orders had the same weight, a few
    customers with many orders would dominate.
    """
    orders = F.col("order_count")
    measures = []
    for name in SHARE_FEATURES:
        part = orders_with(name)
        of_customer = {
            "average": part / orders,
            "repeat": F.when(orders > 1, part / orders),
            "agreement": F.try_divide(part * (part - 1), orders * (orders - 1)),
        }
        measures += [
            rounded(F.avg(value)).alias(f"{measure}_{name}")
            for measure, value in of_customer.items()
        ]
    (row,) = values.agg(*measures).collect()
    priors = {
        name: prior(row[f"average_{name}"], row[f"repeat_{name}"], row[f"agreement_{name}"])
        for name in SHARE_FEATURES
    }
    return {name: found for name, found in priors.items() if found is not None}


def with_expected_shares(values: DataFrame, priors: Mapping[str, Prior]) -> DataFrame:
    """The values, with expected shares instead of the shares of the orders so far."""
    orders = F.col("order_count")
    expected = {
        name: each.expected_share(orders_with(name), orders) for name, each in priors.items()
    }
    # Spark Connect refuses an empty list of columns.
    return values.withColumns(expected) if expected else values


# --- the space --------------------------------------------------------------------------


@dataclass(frozen=True)
class Dimension:
    """One coordinate of the space that customers are clustered in, unless its scale is 0.

    A customer's coordinate is `(value - average) * scale`. An unknown value has coordinate 0,
    that of the average. The scales make the variance of each feature over the customers whose
    value is known equal to its weight times its reliability; all levels of a categorical feature
    share the weight. Then outliers of a number are moved closer.
    """

    feature: str
    level: str | None  # of a categorical feature
    value: Column  # over the columns of `feature_values`; of a level, its share
    weight: float  # of the feature
    reliability: float  # of a share of orders; 1 for other features
    average: float  # 0 when no customer has a value
    standard_deviation: float
    scale: float

    def coordinate(self) -> Column:
        """The coordinate, over the columns of `feature_values`."""
        coordinate = F.coalesce((self.value - self.average) * self.scale, F.lit(0.0))
        if self.feature not in NUMERIC_FEATURES:
            return coordinate
        farthest = MAX_DEVIATIONS * self.standard_deviation * self.scale
        return F.greatest(F.lit(-farthest), F.least(coordinate, F.lit(farthest)))


@dataclass(frozen=True)
class Space:
    """The space that customers are clustered in, as it was measured on one day."""

    levels: Mapping[str, Sequence[str]]  # of each categorical feature
    priors: Mapping[str, Prior]  # of the shares that differ by more than chance
    measured: Sequence[Dimension]  # of each feature and level, in the order of `value_columns`

    @property
    def dimensions(self) -> list[Dimension]:
        """Those that tell customers apart: a feature with one value or no weight has none."""
        return [each for each in self.measured if each.scale]

    def coordinates(self, values: DataFrame) -> DataFrame:
        """customer_key, customer_id and the customer's coordinates, an array.

        `values` are those of `feature_values` with the levels of this space.
        """
        return with_coordinates(with_expected_shares(values, self.priors), self.dimensions)

    def rows(self) -> Iterator[tuple]:
        """Rows of ml.cluster_dimensions."""
        for place, each in enumerate(self.measured):
            prior = self.priors.get(each.feature)
            yield (
                place,
                each.feature,
                each.level,
                each.average,
                each.standard_deviation,
                each.scale,
                each.weight,
                each.reliability,
                prior.average if prior else None,
                prior.correlation if prior else None,
            )


def measure_space(values: DataFrame, levels: Mapping[str, Sequence[str]]) -> Space:
    """Measures the space that the values of `feature_values` span."""
    priors = share_priors(values)
    measured = list(dimensions(with_expected_shares(values, priors), levels, priors))
    return Space(levels, priors, measured)


def stored_space(rows: Iterable[Row]) -> Space:
    """The space that the rows of ml.cluster_dimensions describe."""
    rows = sorted(rows, key=lambda row: row.position)
    levels: dict[str, list[str]] = {name: [] for name in CATEGORICAL_FEATURES}
    priors = {}
    for row in rows:
        if row.level is not None:
            levels[row.feature].append(row.level)
        if row.prior_average is not None:
            priors[row.feature] = Prior(row.prior_average, row.prior_correlation)
    measured = [
        Dimension(
            name,
            level,
            value,
            row.weight,
            row.reliability,
            row.average,
            row.standard_deviation,
            row.scale,
        )
        for row, (name, level, value) in zip(rows, value_columns(levels, priors), strict=True)
    ]
    return Space(levels, priors, measured)


def value_columns(
    levels: Mapping[str, Sequence[str]], priors: Mapping[str, Prior]
) -> list[tuple[str, str | None, Column]]:
    """Each feature and level (None for a number), and its values."""
    columns: list[tuple[str, str | None, Column]]
    columns = [(name, None, F.col(name)) for name in (*NUMERIC_FEATURES, *priors)]
    for name in CATEGORICAL_FEATURES:
        columns += [
            (name, level, F.get(name, F.lit(place))) for place, level in enumerate(levels[name])
        ]
    return columns


def dimensions(
    values: DataFrame, levels: Mapping[str, Sequence[str]], priors: Mapping[str, Prior]
) -> Iterator[Dimension]:
    """The dimension of each feature and level. With one value or no weight, its scale is 0.

    `values` have expected shares.
    """
    columns = value_columns(levels, priors)
    in_one = F.array(*[value for _, _, value in columns])
    measures = (
        values.select(F.posexplode(in_one).alias("place", "value"))
        .groupBy("place")
        .agg(
            *[
                F.coalesce(rounded(measure("value")), F.lit(0.0))
                for measure in (F.avg, F.stddev_pop)
            ]
        )
    )
    measured = sorted(measures.collect())
    variances: defaultdict[str, float] = defaultdict(float)
    for (name, _, _), (_, _, deviation) in zip(columns, measured, strict=True):
        variances[name] += deviation**2
    for (name, level, value), (_, average, deviation) in zip(columns, measured, strict=True):
        reliability = priors[name].reliability(variances[name]) if name in priors else 1.0
        weight = WEIGHTS[name]
        scale = sqrt(weight * reliability / variances[name]) if deviation else 0.0
        yield Dimension(name, level, value, weight, reliability, average, deviation, scale)


def with_coordinates(values: DataFrame, space: Sequence[Dimension]) -> DataFrame:
    """customer_key, customer_id and the customer's coordinates in the space, an array."""
    coordinates = F.array(*[dimension.coordinate() for dimension in space])
    return values.select("customer_key", "customer_id", coordinates.alias("coordinates"))
