"""Groups customers into clusters by K-Means, from the mart `marts.customer_features`.

    python -m ml.cluster --seed 42

What goes in, with which weight and why, how the number of clusters is chosen and what the result
can and cannot say is in `ml/MODEL_CARD.md`.

Writes `ml.cluster_selection` (one row per number of clusters that was tried), `ml.cluster_centres`
(one row per cluster and feature) and `ml.customer_clusters` (one row per scored customer); the mart
`personas` turns them into names and profiles. When the customers and this file are those of the
last run, there is nothing to do.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb, sqrt
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark import inheritable_thread_target
from pyspark.errors import PySparkException
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.session import StepError, describe, log, run, start, whole_number
from ml.tables import holds_run, replace_rows, run_name

# Feature -> SQL over the columns of the mart, and weight. Clusters are numbered by their centres in
# the order of these features, descending: cluster 1 buys most often.
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
# Levels of a categorical feature that are told apart, the most frequent ones.
MOST_LEVELS = 10

# Fewer say too little, and more are more than anybody writes campaigns for.
CLUSTER_NUMBERS = range(4, 9)
# K-Means ends in a local optimum: the cheapest of several starts counts.
STARTS = 3
LOWEST_STABILITY = 0.8
SMALLEST_SHARE = 0.02
# A sample of fixed size costs the same for any number of customers; 2% of it are 160.
SAMPLE_SIZE = 8_000
FEWEST_CUSTOMERS = 20 * CLUSTER_NUMBERS[-1]

TABLES = ("ml.cluster_selection", "ml.cluster_centres", "ml.customer_clusters")


@dataclass(frozen=True)
class Dimension:
    """One coordinate of the space that customers are clustered in.

    A customer's coordinate is `(value - average) * scale`, and 0 where the value is unknown, which
    pulls towards no cluster. Scales give each feature, be it one number or the indicators of all
    its levels, its weight as its variance over the customers.
    """

    feature: str
    level: str | None  # of a categorical feature; its value is then 1 or 0
    average: float
    standard_deviation: float
    scale: float

    def coordinate(self) -> Column:
        """The coordinate, over the columns of `feature_values`."""
        value = F.col(self.feature)
        if self.level is not None:
            value = (value == self.level).cast("double")
        return F.coalesce((value - self.average) * self.scale, F.lit(0.0))


@dataclass(frozen=True)
class Candidate:
    """K-Means with one number of clusters, and what speaks for and against it."""

    clusters: int
    model: KMeansModel
    silhouette: float
    stability: float
    smallest_share: float

    def objection(self) -> str | None:
        if self.smallest_share < SMALLEST_SHARE:
            return f"a cluster of {self.smallest_share:.1%} is too small to act on"
        if self.stability < LOWEST_STABILITY:
            return f"other starts find other clusters: stability {self.stability:.3f}"
        return None


def feature_values(customers: DataFrame) -> DataFrame:
    """One row per scored customer: its keys, a double per numeric feature, the categorical ones."""
    return customers.where("orders > 0").select(
        "customer_key",
        "customer_id",
        *[
            F.expr(f"cast({sql} as double)").alias(name)
            for name, (sql, _) in NUMERIC_FEATURES.items()
        ],
        *CATEGORICAL_FEATURES,
    )


def numeric_dimensions(values: DataFrame) -> Iterator[Dimension]:
    """The numeric features that differ between customers, standardised."""
    # Rounded, since a sum of doubles depends on the order of the rows in its last digits.
    measures = [
        F.round(measure(name), 9).alias(f"{measure.__name__}_{name}")
        for name in NUMERIC_FEATURES
        for measure in (F.avg, F.stddev_pop)
    ]
    row = values.agg(*measures).first()
    for name, (_, weight) in NUMERIC_FEATURES.items():
        average, deviation = row[f"avg_{name}"], row[f"stddev_pop_{name}"]
        if deviation:
            yield Dimension(name, None, average, deviation, sqrt(weight) / deviation)


def categorical_dimensions(values: DataFrame) -> Iterator[Dimension]:
    """The frequent levels of the categorical features that have more than one."""
    pairs = ", ".join(f"'{name}', {name}" for name in CATEGORICAL_FEATURES)
    counted = (
        values.selectExpr(f"stack({len(CATEGORICAL_FEATURES)}, {pairs}) as (feature, level)")
        .where("level is not null")
        .groupBy("feature", "level")
        .count()
    )
    for name, weight in CATEGORICAL_FEATURES.items():
        rows = counted.where(F.col("feature") == name)
        known = rows.agg(F.sum("count")).first()[0]
        levels = rows.orderBy(F.desc("count"), "level").limit(MOST_LEVELS).collect()
        if len(levels) < 2:
            continue
        shares = {row["level"]: row["count"] / known for row in levels}
        scale = sqrt(weight / sum(share * (1 - share) for share in shares.values()))
        for level, share in shares.items():
            yield Dimension(name, level, share, sqrt(share * (1 - share)), scale)


def adjusted_rand_index(labels: Counter[tuple[int, int]]) -> float:
    """How far two partitions agree: 1 the same, 0 no more than by chance.

    `labels` counts the items by their label in the one and in the other (Hubert and Arabie 1985,
    "Comparing partitions").
    """
    first, second = Counter(), Counter()
    for (one, other), count in labels.items():
        first[one] += count
        second[other] += count
    together = sum(comb(count, 2) for count in labels.values())
    in_first = sum(comb(count, 2) for count in first.values())
    in_second = sum(comb(count, 2) for count in second.values())
    by_chance = in_first * in_second / comb(labels.total(), 2)
    most = (in_first + in_second) / 2
    return 1.0 if most == by_chance else (together - by_chance) / (most - by_chance)


def candidate(sample: DataFrame, clusters: int, seed: int) -> Candidate:
    """Fits twice, from starts of their own, and measures how well the clusters are set apart."""
    spark = sample.sparkSession
    describe(spark, f"{clusters} clusters")

    @inheritable_thread_target(spark)
    def fit(start: int) -> KMeansModel:
        k_means = KMeans(featuresCol="coordinates", k=clusters, seed=seed + start, maxIter=40)
        try:
            return k_means.fit(sample)
        except (PySparkException, Py4JJavaError):
            # By blocks, which takes half the time, MLlib fails where so many are alike that it
            # starts with fewer than k centres.
            return k_means.setSolver("row").fit(sample)

    # A fit is many small jobs, which leave cores idle when they run one after the other.
    with ThreadPoolExecutor() as pool:
        fits = list(pool.map(fit, range(2 * STARTS)))
    model, other = (
        min(each, key=lambda model: model.summary.trainingCost)
        for each in (fits[:STARTS], fits[STARTS:])
    )
    model.setPredictionCol("cluster")
    other.setPredictionCol("other_cluster")
    assigned = other.transform(model.transform(sample))
    counts = assigned.groupBy("cluster", "other_cluster").count().collect()
    labels = Counter({(row["cluster"], row["other_cluster"]): row["count"] for row in counts})
    sizes = Counter()
    for (cluster, _), count in labels.items():
        sizes[cluster] += count
    evaluator = ClusteringEvaluator(featuresCol="coordinates", predictionCol="cluster")
    return Candidate(
        clusters,
        model,
        silhouette=round(evaluator.evaluate(assigned), 6) if len(sizes) > 1 else 0.0,
        stability=round(adjusted_rand_index(labels), 6),
        smallest_share=min(sizes.values()) / labels.total(),
    )


def choose(candidates: list[Candidate]) -> Candidate:
    """The best silhouette among those that nothing speaks against; else the most stable one."""
    sound = [each for each in candidates if each.objection() is None]
    if sound:
        return max(sound, key=lambda each: (each.silhouette, -each.clusters))
    return max(candidates, key=lambda each: (each.stability, each.smallest_share, -each.clusters))


def reason(each: Candidate, chosen: Candidate) -> str:
    """Why this number of clusters was chosen or not, in words."""
    objection = each.objection()
    if each is chosen:
        return (
            f"the least unstable of all, though {objection}" if objection else "highest silhouette"
        )
    return objection or f"lower silhouette than {chosen.clusters} clusters"


def assign(space: DataFrame, model: KMeansModel, order: list[int]) -> DataFrame:
    """One row per customer: customer_key, customer_id, cluster (from 1), distance_to_centre.

    `order` lists the fitted clusters in the order of their final numbers.
    """
    centres = [[float(value) for value in centre] for centre in model.clusterCenters()]
    fitted = F.col("cluster")
    squares = [
        F.pow(F.get("coordinates", F.lit(place)) - F.get(F.array(*map(F.lit, values)), fitted), 2)
        for place, values in enumerate(zip(*centres, strict=True))
    ]
    number = F.array(*[F.lit(order.index(each) + 1) for each in range(len(order))])
    return model.transform(space).select(
        "customer_key",
        "customer_id",
        F.get(number, fitted).alias("cluster"),
        F.sqrt(sum(squares[1:], squares[0])).alias("distance_to_centre"),
    )


@contextmanager
def persisted(rows: DataFrame) -> Iterator[DataFrame]:
    rows.persist()
    try:
        yield rows
    finally:
        rows.unpersist()


def forget(spark: SparkSession, why: str) -> None:
    """Empties the tables: clusters of an earlier data set would be wrong for this one."""
    for table in TABLES:
        spark.sql(f"truncate table {table}")
    log(f"no personas: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", default="42", help="seed of the first centres (SEED)")
    seed = whole_number("SEED", parser.parse_args().seed)

    spark = start("cluster")
    if not spark.catalog.tableExists("marts.customer_features"):
        raise StepError("there is no table marts.customer_features; build it with: dbt build")
    started = time.monotonic()
    values = feature_values(spark.table("marts.customer_features"))
    columns = [F.col(name) for name in values.columns]
    scored, content = values.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).first()
    as_of = spark.table("intermediate.int_as_of_date").first()["as_of_date"]
    if scored < FEWEST_CUSTOMERS:
        few = f"{scored} customers with a purchase are too few, {FEWEST_CUSTOMERS} the fewest"
        forget(spark, few)
        return
    run_id = run_name(scored, content, as_of, seed, Path(__file__).read_bytes())
    if holds_run(spark, TABLES, run_id):
        log("customers and features are those of the last clustering: nothing to do")
        return

    dimensions = [*numeric_dimensions(values), *categorical_dimensions(values)]
    log(f"clustering {scored:,} customers in {len(dimensions)} dimensions")
    space = values.select(
        "customer_key",
        "customer_id",
        F.array(*[each.coordinate() for each in dimensions]).alias("coordinates"),
    )
    # The same customers for any file layout, and in one partition, in order: K-Means then sums in
    # one order too.
    sample = space.orderBy(F.xxhash64("customer_key"), "customer_key").limit(SAMPLE_SIZE)
    describe(spark, "sample")
    with persisted(sample):
        kinds = sample.select("coordinates").distinct().count()
        candidates = [candidate(sample, k, seed) for k in CLUSTER_NUMBERS if k <= kinds]
    if not candidates:
        forget(spark, f"the customers differ in too little, {kinds} kinds of them in all")
        return
    chosen = choose(candidates)
    log(
        f"{chosen.clusters} clusters: {reason(chosen, chosen)} of {CLUSTER_NUMBERS[0]} to "
        f"{CLUSTER_NUMBERS[-1]}; silhouette {chosen.silhouette:.2f}, "
        f"stability {chosen.stability:.2f}, smallest {chosen.smallest_share:.0%}"
    )

    fitted = [[float(value) for value in centre] for centre in chosen.model.clusterCenters()]
    order = sorted(range(len(fitted)), key=lambda cluster: fitted[cluster], reverse=True)
    selection = spark.createDataFrame(
        [
            (
                each.clusters,
                each.silhouette,
                each.stability,
                each.smallest_share,
                each is chosen,
                reason(each, chosen),
            )
            for each in candidates
        ],
        "k int, silhouette double, stability double, smallest_share double, chosen boolean, "
        "reason string",
    )
    centres = spark.createDataFrame(
        [
            (
                number,
                each.feature,
                each.level,
                each.average + value / each.scale,
                value / each.scale / each.standard_deviation,
                NUMERIC_FEATURES.get(each.feature, (None, CATEGORICAL_FEATURES.get(each.feature)))[
                    1
                ],
            )
            for number, cluster in enumerate(order, start=1)
            for each, value in zip(dimensions, fitted[cluster], strict=True)
        ],
        "cluster int, feature string, level string, value double, standardised_value double, "
        "weight double",
    )
    results = (selection, centres, assign(space, chosen.model, order))
    for table, rows in zip(TABLES, results, strict=True):
        replace_rows(spark, table, rows, run_id, as_of)
    log(
        f"every customer has a cluster in ml.customer_clusters ({time.monotonic() - started:.0f} s)"
    )


if __name__ == "__main__":
    run(main)
