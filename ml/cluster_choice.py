"""Finds the number of clusters: K-Means with each number, measured on a sample of the customers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel, inheritable_thread_target
from pyspark.errors import PySparkException
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.special import comb

from ml.results import computed_once
from ml.session import describe

# Fewer clusters are too coarse for campaigns, and more are too many to write campaigns for.
CLUSTER_NUMBERS = range(4, 9)
# K-Means ends in a local optimum, so the best result of several starts is used.
STARTS = 3
LOWEST_STABILITY = 0.8
SMALLEST_SHARE = 0.02
# A sample of fixed size costs the same for any number of customers. 2% of it is 160 customers.
SAMPLE_SIZE = 8_000


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


def sample_of(customers: DataFrame) -> DataFrame:
    """At most SAMPLE_SIZE customers, chosen and ordered by a hash of the key.

    The sample is therefore the same for any layout of the files. It is in one partition and in
    order, so that K-Means adds its values in the same order, too.
    """
    describe(customers.sparkSession, "sample")
    return customers.orderBy(F.xxhash64("customer_key"), "customer_key").limit(SAMPLE_SIZE)


def find_candidates(customers: DataFrame, seed: int) -> list[Candidate]:
    """A candidate for each number of clusters, up to the number of distinct customers."""
    with computed_once(sample_of(customers), StorageLevel.MEMORY_AND_DISK_DESER) as sample:
        different = sample.select("coordinates").distinct().count()
        return [candidate(sample, k, seed) for k in CLUSTER_NUMBERS if k <= different]


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
    sizes = pd.Series(labels).groupby(level=0).sum()
    evaluator = ClusteringEvaluator(featuresCol="coordinates", predictionCol="cluster")
    return Candidate(
        clusters,
        model,
        silhouette=round(evaluator.evaluate(assigned), 6) if len(sizes) > 1 else 0.0,
        stability=round(adjusted_rand_index(labels), 6),
        smallest_share=float(sizes.min() / sizes.sum()),
    )


def adjusted_rand_index(labels: Counter[tuple[int, int]]) -> float:
    """How far two partitions agree: 1 if they are equal, 0 if they agree as much as by chance.

    `labels` counts the items by their label in each of the two (Hubert and Arabie 1985, "Comparing
    partitions").
    """
    counts = pd.Series(labels)
    groups = (counts, counts.groupby(level=0).sum(), counts.groupby(level=1).sum())
    together, in_first, in_second = (comb(each, 2).sum() for each in groups)
    by_chance = in_first * in_second / comb(counts.sum(), 2)
    most = (in_first + in_second) / 2
    return 1.0 if most == by_chance else float((together - by_chance) / (most - by_chance))


# --- choosing ---------------------------------------------------------------------------


def choose(candidates: list[Candidate]) -> Candidate:
    """Returns the candidate to use: the best silhouette of those without an objection.

    If all have an objection, it is the most stable one.
    """
    sound = [each for each in candidates if each.objection() is None]
    if sound:
        return max(sound, key=lambda each: (each.silhouette, -each.clusters))
    return max(candidates, key=lambda each: (each.stability, each.smallest_share, -each.clusters))


def reason_for(each: Candidate, chosen: Candidate) -> str:
    """Explains in words why this number of clusters was chosen or not."""
    objection = each.objection()
    if each is chosen:
        return f"the most stable of all, but {objection}" if objection else "highest silhouette"
    return objection or f"lower silhouette than {chosen.clusters} clusters"
