"""Groups customers into clusters by K-Means, by what they buy, when, and who they are.

    python -m ml.cluster --seed 42

`ml/MODEL_CARD.md` describes the features and their weights, the choice of the number of clusters,
and the limits of the result.

Writes `ml.cluster_selection` (one row per number of clusters that was tried), `ml.cluster_centers`
(one row per cluster and feature) and `ml.customer_clusters` (one row per scored customer); the mart
`personas` turns them into names and profiles. When customers and code are those of the last run,
there is nothing to do.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb

from py4j.protocol import Py4JJavaError
from pyspark import inheritable_thread_target
from pyspark.errors import PySparkException
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.code_version import code_version
from ml.features import (
    CATEGORIES,
    CUSTOMERS,
    PAYMENT_METHODS,
    Dimension,
    count_and_content,
    dimensions,
    feature_values,
    frequent_levels,
    share_priors,
    with_coordinates,
    with_expected_shares,
)
from ml.results import clear, computed_once, require_tables, save, table_rows
from ml.session import describe, log, run, start, whole_number
from ml.tables import holds_run, run_name

# Fewer clusters are too coarse for campaigns, and more are too many to write campaigns for.
CLUSTER_NUMBERS = range(4, 9)
# K-Means ends in a local optimum, so the best result of several starts is used.
STARTS = 3
LOWEST_STABILITY = 0.8
SMALLEST_SHARE = 0.02
# A sample of fixed size costs the same for any number of customers. 2% of it is 160 customers.
SAMPLE_SIZE = 8_000
FEWEST_CUSTOMERS = 20 * CLUSTER_NUMBERS[-1]

SELECTION, CENTERS, MEMBERS = "ml.cluster_selection", "ml.cluster_centers", "ml.customer_clusters"
TABLES = (SELECTION, CENTERS, MEMBERS)


@dataclass(frozen=True)
class Candidate:
    """K-Means with one number of clusters, and the measures of its quality."""

    clusters: int
    model: KMeansModel
    silhouette: float
    stability: float
    smallest_share: float

    def objection(self) -> str | None:
        """Why this number of clusters should not be chosen; None if nothing speaks against it."""
        if self.smallest_share < SMALLEST_SHARE:
            return f"a cluster of {self.smallest_share:.1%} is too small to act on"
        if self.stability < LOWEST_STABILITY:
            return f"other starts find other clusters: stability {self.stability:.3f}"
        return None


# --- fitting ----------------------------------------------------------------------------


def fit(sample: DataFrame, clusters: int, seed: int) -> list[KMeansModel]:
    """Fits K-Means twice, from independent starts; each result is the cheapest of STARTS starts."""
    spark = sample.sparkSession

    @inheritable_thread_target(spark)
    def fit_once(start: int) -> KMeansModel:
        k_means = KMeans(featuresCol="coordinates", k=clusters, seed=seed + start, maxIter=40)
        try:
            return k_means.fit(sample)
        except (PySparkException, Py4JJavaError):
            # MLlib's block solver takes half the time, but it fails if so many customers are equal
            # that it starts with fewer than k centers.
            return k_means.setSolver("row").fit(sample)

    # A fit is many small jobs, which leave cores idle when they run one after the other.
    with ThreadPoolExecutor() as pool:
        fits = list(pool.map(fit_once, range(2 * STARTS)))
    return [
        min(each, key=lambda model: model.summary.trainingCost)
        for each in (fits[:STARTS], fits[STARTS:])
    ]


def candidate(sample: DataFrame, clusters: int, seed: int) -> Candidate:
    """Fits twice and measures how distinct, stable and large the clusters are."""
    describe(sample.sparkSession, f"{clusters} clusters")
    model, other = fit(sample, clusters, seed)
    model.setPredictionCol("cluster")
    other.setPredictionCol("other_cluster")
    assigned = other.transform(model.transform(sample))
    counts = assigned.groupBy("cluster", "other_cluster").count().collect()
    labels = Counter({(row["cluster"], row["other_cluster"]): row["count"] for row in counts})
    sizes: Counter[int] = Counter()
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


def adjusted_rand_index(labels: Counter[tuple[int, int]]) -> float:
    """How far two partitions agree: 1 if they are equal, 0 if they agree as much as by chance.

    `labels` counts the items by their label in each of the two (Hubert and Arabie 1985, "Comparing
    partitions").
    """
    first: Counter[int] = Counter()
    second: Counter[int] = Counter()
    for (one, other), count in labels.items():
        first[one] += count
        second[other] += count
    together = sum(comb(count, 2) for count in labels.values())
    in_first = sum(comb(count, 2) for count in first.values())
    in_second = sum(comb(count, 2) for count in second.values())
    by_chance = in_first * in_second / comb(labels.total(), 2)
    most = (in_first + in_second) / 2
    return 1.0 if most == by_chance else (together - by_chance) / (most - by_chance)


# --- choosing ---------------------------------------------------------------------------


def choose(candidates: list[Candidate]) -> Candidate:
    """Returns the candidate to use: the best silhouette of those without an objection.

    If all have an objection, it is the most stable one.
    """
    sound = [each for each in candidates if each.objection() is None]
    if sound:
        return max(sound, key=lambda each: (each.silhouette, -each.clusters))
    return max(candidates, key=lambda each: (each.stability, each.smallest_share, -each.clusters))


def reason(each: Candidate, chosen: Candidate) -> str:
    """Explains in words why this number of clusters was chosen or not."""
    objection = each.objection()
    if each is chosen:
        return f"the most stable of all, but {objection}" if objection else "highest silhouette"
    return objection or f"lower silhouette than {chosen.clusters} clusters"


# --- results ----------------------------------------------------------------------------


def fitted_centers(model: KMeansModel) -> list[list[float]]:
    """The centers in the order of the fit: a coordinate per dimension, in plain floats."""
    return [[float(value) for value in center] for center in model.clusterCenters()]


def final_order(centers: list[list[float]]) -> list[int]:
    """The fitted clusters in the order of their final numbers: most orders first."""
    return sorted(range(len(centers)), key=lambda cluster: centers[cluster], reverse=True)


def selection_rows(candidates: list[Candidate], chosen: Candidate) -> Iterator[tuple]:
    """Rows of ml.cluster_selection: what was measured of each candidate, and the choice."""
    for each in candidates:
        measured = each.silhouette, each.stability, each.smallest_share
        yield each.clusters, *measured, each is chosen, reason(each, chosen)


def center_rows(centers: list[list[float]], space: list[Dimension]) -> Iterator[tuple]:
    """Rows of ml.cluster_centers: a value per cluster and dimension, in the feature's own scale."""
    for number, cluster in enumerate(final_order(centers), start=1):
        for dimension, coordinate in zip(space, centers[cluster], strict=True):
            distance = coordinate / dimension.scale
            yield (
                number,
                dimension.feature,
                dimension.level,
                dimension.average + distance,
                distance / dimension.standard_deviation,
                dimension.weight,
                dimension.reliability,
            )


def assign(customers: DataFrame, model: KMeansModel, centers: list[list[float]]) -> DataFrame:
    """One row per customer: customer_key, customer_id, cluster (from 1), distance_to_center."""
    fitted = F.col("cluster")
    squares = [
        F.pow(F.get("coordinates", F.lit(place)) - F.get(F.array(*map(F.lit, values)), fitted), 2)
        for place, values in enumerate(zip(*centers, strict=True))
    ]
    order = final_order(centers)
    number = F.array(*[F.lit(order.index(each) + 1) for each in range(len(order))])
    return model.transform(customers).select(
        "customer_key",
        "customer_id",
        F.get(number, fitted).alias("cluster"),
        F.sqrt(sum(squares[1:], squares[0])).alias("distance_to_center"),
    )


# --- the step ---------------------------------------------------------------------------


@contextmanager
def sample_of(customers: DataFrame) -> Iterator[DataFrame]:
    """At most SAMPLE_SIZE customers, cached, chosen and ordered by a hash of the key.

    The sample is therefore the same for any layout of the files. It is in one partition and in
    order, so that K-Means adds its values in the same order, too.
    """
    describe(customers.sparkSession, "sample")
    ordered = customers.orderBy(F.xxhash64("customer_key"), "customer_key")
    sample = ordered.limit(SAMPLE_SIZE).persist()
    try:
        yield sample
    finally:
        sample.unpersist()


def find_candidates(customers: DataFrame, seed: int) -> list[Candidate]:
    """A candidate for each number of clusters, up to the number of distinct customers."""
    with sample_of(customers) as sample:
        different = sample.select("coordinates").distinct().count()
        return [candidate(sample, k, seed) for k in CLUSTER_NUMBERS if k <= different]


def log_choice(chosen: Candidate) -> None:
    """Prints the number of clusters and the reason for it."""
    log(
        f"{chosen.clusters} clusters: {reason(chosen, chosen)} of {CLUSTER_NUMBERS[0]} to "
        f"{CLUSTER_NUMBERS[-1]}; silhouette {chosen.silhouette:.2f}, "
        f"stability {chosen.stability:.2f}, smallest {chosen.smallest_share:.0%}"
    )


def find_clusters(
    spark: SparkSession, values: DataFrame, levels: dict[str, list[str]], seed: int
) -> dict[str, DataFrame] | None:
    """Clusters the customers: the rows of each table; None if too few customers are distinct."""
    priors = share_priors(values)
    expected = with_expected_shares(values, priors)
    space = list(dimensions(expected, levels, priors))
    log(f"clustering customers in {len(space)} dimensions")
    customers = with_coordinates(expected, space)
    candidates = find_candidates(customers, seed)
    if not candidates:
        return None
    chosen = choose(candidates)
    log_choice(chosen)
    centers = fitted_centers(chosen.model)
    return {
        SELECTION: table_rows(spark, SELECTION, selection_rows(candidates, chosen)),
        CENTERS: table_rows(spark, CENTERS, center_rows(centers, space)),
        MEMBERS: assign(customers, chosen.model, centers),
    }


def cluster_customers(
    spark: SparkSession, values: DataFrame, levels: dict[str, list[str]], seed: int
) -> None:
    """Clusters the customers and saves the clusters, unless they are those of the last run."""
    started = time.monotonic()
    scored, content = count_and_content(values)
    ((as_of,),) = spark.table("intermediate.int_as_of_date").select("as_of_date").collect()
    if scored < FEWEST_CUSTOMERS:
        few = f"{scored} customers with a purchase, at least {FEWEST_CUSTOMERS} are needed"
        clear(spark, TABLES, f"no personas: {few}")
        return
    code = code_version("cluster.py", "features.py")
    run_id = run_name(scored, content, levels, as_of, seed, code)
    if holds_run(spark, TABLES, run_id):
        log("customers and features are those of the last clustering: nothing to do")
        return
    results = find_clusters(spark, values, levels, seed)
    if results is None:
        clear(spark, TABLES, f"no personas: fewer than {CLUSTER_NUMBERS[0]} customers differ")
        return
    save(spark, results, run_id, as_of)
    seconds = time.monotonic() - started
    log(f"{scored:,} customers have a cluster in {MEMBERS} ({seconds:.0f} s)")


def main() -> None:
    """Reads the customers, clusters them and saves the clusters."""
    parser = argparse.ArgumentParser(description="Group customers into clusters by K-Means.")
    parser.add_argument("--seed", default="42", help="seed of the first centers (SEED)")
    seed = whole_number("SEED", parser.parse_args().seed)

    spark = start("cluster")
    require_tables(spark, [CUSTOMERS, CATEGORIES, PAYMENT_METHODS])
    levels = frequent_levels(spark)
    with computed_once(feature_values(spark, levels)) as values:
        cluster_customers(spark, values, levels, seed)


if __name__ == "__main__":
    run(main)
