"""Groups customers with K-Means: by what they buy, when they buy it and who they are.

    python -m ml.cluster --seed 42

`ml/MODEL_CARD.md` describes the features and their weights, the choice of the number of clusters,
and the limits of the result.

A fit writes `ml.cluster_selection` (one row per number of clusters that was tried),
`ml.cluster_dimensions` (the space: one row per feature, and per level of a categorical one) and
`ml.cluster_centers` (the same for each cluster). The fit is kept until a new one is due
(`refits.py`). Each run scores all customers as of its own as-of date, with these tables, into
`ml.customer_clusters` (one row per scored customer); the mart `personas` turns them into names and
profiles. When customers and code are those of the last run, there is nothing to do.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.ml.clustering import KMeansModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.cluster_choice import CLUSTER_NUMBERS, Candidate, choose, find_candidates, reason_for
from ml.code_version import code_version
from ml.environment import in_environment
from ml.feature_space import Space, measure_space, stored_space
from ml.features import (
    CATEGORIES,
    CUSTOMERS,
    DATA_PERIOD,
    PAYMENT_METHODS,
    customers_and_orders,
    feature_values,
    frequent_levels,
)
from ml.loading.wording import counted
from ml.refits import (
    MAX_DRIFT,
    RULES,
    Basis,
    origin_of_lines,
    read_rules,
    reason_to_fit,
    stability_index,
    stored_fit,
)
from ml.results import clear, computed_once, require_tables, save, table_rows
from ml.session import log, run, start, whole_number
from ml.tables import content, holds_run, run_name

MIN_CUSTOMERS = 20 * CLUSTER_NUMBERS[-1]

SELECTION, DIMENSIONS, CENTERS, MEMBERS = map(
    in_environment,
    ("ml.cluster_selection", "ml.cluster_dimensions", "ml.cluster_centers", "ml.customer_clusters"),
)
AS_OF_DATE = in_environment("intermediate.int_as_of_date")
FIT_TABLES = (SELECTION, DIMENSIONS, CENTERS)
TABLES = (*FIT_TABLES, MEMBERS)
READ = (CUSTOMERS, CATEGORIES, PAYMENT_METHODS, DATA_PERIOD, AS_OF_DATE, RULES)
NOTHING_TO_DO = "customers and features are those of the last run: nothing to do"
CODE = ("cluster.py", "cluster_choice.py", "features.py", "feature_space.py", "refits.py")


# --- results ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """A space and the centers of its clusters. They score the customers of any day."""

    run_id: str
    basis: Basis
    space: Space
    centers: list[list[float]]  # by cluster, with a coordinate per dimension of the space
    customers: list[int]  # by cluster, on the day of the fit


def final_centers(model: KMeansModel) -> list[list[float]]:
    """The centers in plain floats, sorted by their coordinates, highest first: number 1 is first.

    The first coordinate is of the number of orders, unless all customers have the same number.
    """
    return sorted((each.tolist() for each in model.clusterCenters()), reverse=True)


def last_fit(spark: SparkSession) -> tuple[str, Basis] | None:
    """Id and basis of the last fit; None without one, or if its run was killed before the end."""
    fit = stored_fit(spark, SELECTION)
    return fit if fit and holds_run(spark, FIT_TABLES, fit[0]) else None


def read_fit(spark: SparkSession, run_id: str, basis: Basis) -> Fit:
    """The last fit. Only the code that made a fit can read it."""
    space = stored_space(spark.table(DIMENSIONS).collect())
    centers = spark.table(CENTERS).collect()
    coordinates = {(row.cluster, row.feature, row.level): row.coordinate for row in centers}
    sizes = dict(sorted({(row.cluster, row.customers) for row in centers}))
    return Fit(
        run_id,
        basis,
        space,
        [
            [coordinates[cluster, each.feature, each.level] for each in space.dimensions]
            for cluster in sizes
        ],
        list(sizes.values()),
    )


def selection_rows(candidates: list[Candidate], chosen: Candidate, basis: Basis) -> Iterator[tuple]:
    """Rows of ml.cluster_selection: the measures of each candidate, and the choice."""
    for each in candidates:
        measured = each.silhouette, each.stability, each.smallest_share
        choice = each is chosen, reason_for(each, chosen)
        yield each.clusters, *measured, *choice, basis.orders, basis.content


def center_rows(fit: Fit) -> Iterator[tuple]:
    """Rows of ml.cluster_centers, one per cluster and dimension: the center in several scales."""
    for number, (center, customers) in enumerate(
        zip(fit.centers, fit.customers, strict=True), start=1
    ):
        for dimension, coordinate in zip(fit.space.dimensions, center, strict=True):
            distance = coordinate / dimension.scale
            yield (
                number,
                dimension.feature,
                dimension.level,
                dimension.average + distance,
                distance / dimension.standard_deviation,
                dimension.weight,
                dimension.reliability,
                coordinate,
                customers,
            )


def assign(customers: DataFrame, centers: Sequence[Sequence[float]]) -> DataFrame:
    """One row per customer: customer_key, customer_id, cluster (from 1), distance_to_center."""
    fitted = np.array(centers)

    def nearest(coordinates: pd.Series) -> pd.DataFrame:
        points = np.array(coordinates.tolist()).reshape(-1, fitted.shape[1])
        squares = np.zeros((len(points), len(fitted)))
        # Dimensions are added one by one, so the sum has the same last digits on any machine.
        for place in range(fitted.shape[1]):
            squares += (points[:, place, None] - fitted[None, :, place]) ** 2
        distances = np.sqrt(squares.min(axis=1))
        return pd.DataFrame(
            {"cluster": squares.argmin(axis=1) + 1, "distance_to_center": distances}
        )

    # The stubs require a third argument. The type hints of `nearest` replace it.
    in_batches = F.pandas_udf(nearest, "cluster int, distance_to_center double")  # type: ignore[call-overload]
    keys = "customer_key", "customer_id"
    return customers.select(*keys, in_batches("coordinates").alias("nearest")).select(
        *keys, "nearest.*"
    )


def count_members(members: DataFrame, clusters: int) -> list[int]:
    """The number of customers in each cluster."""
    counts = Counter({row[0]: row[1] for row in members.groupBy("cluster").count().collect()})
    return [counts[number] for number in range(1, clusters + 1)]


# --- the step ---------------------------------------------------------------------------


def log_choice(chosen: Candidate) -> None:
    """Prints the number of clusters and the reason for it."""
    log(
        f"{chosen.clusters} clusters (of {CLUSTER_NUMBERS[0]} to {CLUSTER_NUMBERS[-1]}): "
        f"{reason_for(chosen, chosen)}; silhouette {chosen.silhouette:.2f}, "
        f"stability {chosen.stability:.2f}, smallest {chosen.smallest_share:.0%}"
    )


def members_run(features: str, now: Basis, fit_id: str) -> str:
    """The id of the run that applies this fit to customers who have these features."""
    return run_name(features, now.as_of, fit_id)


def save_members(
    spark: SparkSession, members: DataFrame, run_id: str, now: Basis, fit: Fit
) -> None:
    """Saves the cluster of each customer, and prints what was saved."""
    save(spark, {MEMBERS: members}, run_id, now.as_of, fit.basis.as_of)
    customers, fitted_on = members.count(), fit.basis.as_of
    log(f"{customers:,} customers have a cluster in {MEMBERS}, as fitted on {fitted_on}")


def save_fit(spark: SparkSession, fit: Fit, candidates: list[Candidate], chosen: Candidate) -> None:
    """Saves all that is needed to score customers with the fit, and how it was chosen."""
    rows = {
        SELECTION: selection_rows(candidates, chosen, fit.basis),
        DIMENSIONS: fit.space.rows(),
        CENTERS: center_rows(fit),
    }
    # Emptied first, so that a killed run leaves no scores of the earlier fit.
    spark.sql(f"truncate table {MEMBERS}")
    tables = {table: table_rows(spark, table, each) for table, each in rows.items()}
    save(spark, tables, fit.run_id, fit.basis.as_of)


def score_with(spark: SparkSession, kept: Fit, now: Basis) -> str | None:
    """Scores the customers with a kept fit; returns a reason to fit again, or None."""
    with computed_once(feature_values(spark, kept.space.levels)) as values:
        run_id = members_run(content(values), now, kept.run_id)
        if holds_run(spark, [MEMBERS], run_id):
            log(NOTHING_TO_DO)
            return None
        with computed_once(assign(kept.space.coordinates(values), kept.centers)) as members:
            drift = stability_index(kept.customers, count_members(members, len(kept.centers)))
            if drift > MAX_DRIFT:
                return f"the shares of the clusters have changed (stability index {drift:.2f})"
            save_members(spark, members, run_id, now, kept)
    return None


def fit_and_score(
    spark: SparkSession, last_id: str | None, now: Basis, seed: int, reason: str
) -> None:
    """Fits clusters and scores the customers, unless the last run has done exactly this."""
    levels = frequent_levels(spark)
    with computed_once(feature_values(spark, levels)) as values:
        found = content(values)
        fit_id = run_name(found, levels, now.as_of, seed, code_version(*CODE))
        run_id = members_run(found, now, fit_id)
        if last_id == fit_id and holds_run(spark, [MEMBERS], run_id):
            log(NOTHING_TO_DO)
            return
        space = measure_space(values, levels)
        log(f"clustering customers in {len(space.dimensions)} dimensions: {reason}")
        customers = space.coordinates(values)
        candidates = find_candidates(customers, seed)
        if not candidates:
            few = f"fewer than {CLUSTER_NUMBERS[0]} customers have different features"
            clear(spark, TABLES, f"no personas: {few}")
            return
        chosen = choose(candidates)
        log_choice(chosen)
        centers = final_centers(chosen.model)
        with computed_once(assign(customers, centers)) as members:
            fit = Fit(fit_id, now, space, centers, count_members(members, len(centers)))
            save_fit(spark, fit, candidates, chosen)
            save_members(spark, members, run_id, now, fit)


def main() -> None:
    """Reads the customers, fits clusters if that is due, and saves the clusters of all."""
    parser = argparse.ArgumentParser(description="Group customers into clusters by K-Means.")
    parser.add_argument("--seed", default="42", help="seed of the first centers (SEED)")
    fresh = "fit now, unless the last fit is of the same data (FRESH)"
    parser.add_argument("--fresh", action="store_true", help=fresh)
    arguments = parser.parse_args()
    seed = whole_number("SEED", arguments.seed)

    spark = start("cluster")
    require_tables(spark, READ)
    ((as_of,),) = spark.table(AS_OF_DATE).select("as_of_date").collect()
    scored, orders, known = customers_and_orders(spark)
    if scored < MIN_CUSTOMERS:
        few = f"only {counted(scored, 'customer')} with a purchase; {MIN_CUSTOMERS} are needed"
        clear(spark, TABLES, f"no personas: {few}")
        return
    method = run_name(code_version(*CODE), seed, known, origin_of_lines(spark))
    now = Basis(as_of, orders, method)
    last_id, basis = last_fit(spark) or (None, None)
    reason = reason_to_fit(basis, now, read_rules(spark))
    if arguments.fresh:
        reason = "FRESH asks for it"
    if last_id and basis and reason is None:
        reason = score_with(spark, read_fit(spark, last_id, basis), now)
    if reason is not None:
        fit_and_score(spark, last_id, now, seed, reason)


if __name__ == "__main__":
    run(main)
