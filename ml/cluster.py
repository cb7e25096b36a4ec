"""Groups customers into clusters by K-Means, from the mart `marts.customer_features`.

    python ml/cluster.py --seed 42

Features are log1p-scaled where they are skewed (few customers buy a hundred times what others buy),
standardised, and equally weighted. The model is fitted on a sample of fixed size, so that the fit
costs the same for any number of customers, and then assigns them all. The sample is chosen and
ordered by a hash of the customer, so that the clusters do not depend on how the data lies in files
or on the number of cores.

Writes `ml.customer_clusters` (one row per scored customer) and `ml.cluster_centres` (one row per
cluster and feature, in standard deviations from the average customer), which the mart `personas`
turns into names and profiles.
"""

import argparse
import hashlib
import time
from datetime import date

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from session import StepError, run, say, start, whole_number

# Feature -> SQL over the columns of the mart. Clusters are numbered by their centre in the order of
# these features, descending: cluster 1 buys most often.
FEATURES = {
    "orders": "ln(1 + orders)",
    "recency_days": "ln(1 + recency_days)",
    "average_order_value": "ln(1 + greatest(average_order_value, 0))",
    "units_per_order": "ln(1 + greatest(units / orders, 0))",
    "category_count": "category_count",
    "weekend_order_share": "weekend_order_share",
    "holiday_season_order_share": "holiday_season_order_share",
    "age": "age",
}
CLUSTERS = 6
SAMPLE_SIZE = 50_000
FEWEST_CUSTOMERS_PER_CLUSTER = 20


def feature_table(customers: DataFrame) -> DataFrame:
    """One row per scored customer: customer_key, customer_id and a double per feature.

    An unknown value (an age, say) becomes the average of the known ones, which pulls the customer
    towards no cluster; a feature that nobody has becomes zero for all.
    """
    raw = customers.where("orders > 0").select(
        "customer_key",
        "customer_id",
        *[F.expr(f"cast({sql} as double)").alias(name) for name, sql in FEATURES.items()],
    )
    # Rounded, since a sum of doubles depends on the order of the rows in its last digits.
    averages = raw.select(
        *[
            F.round(F.coalesce(F.avg(name), F.lit(0.0)), 6).alias(f"average_{name}")
            for name in FEATURES
        ]
    )
    return raw.crossJoin(F.broadcast(averages)).select(
        "customer_key",
        "customer_id",
        *[F.coalesce(name, f"average_{name}").alias(name) for name in FEATURES],
    )


def fit(features: DataFrame, seed: int) -> PipelineModel:
    """Fits scaling and K-Means on at most SAMPLE_SIZE customers, the same for any file layout."""
    # A limit over a sort ends in one partition, in order: K-Means then sums in one order too.
    sample = features.orderBy(F.xxhash64("customer_key"), "customer_key").limit(SAMPLE_SIZE)
    stages = [
        VectorAssembler(inputCols=list(FEATURES), outputCol="assembled"),
        StandardScaler(inputCol="assembled", outputCol="standardised", withMean=True, withStd=True),
        KMeans(
            featuresCol="standardised",
            predictionCol="fitted_cluster",
            k=CLUSTERS,
            seed=seed,
            maxIter=50,
        ),
    ]
    return Pipeline(stages=stages).fit(sample)


def assign(features: DataFrame, model: PipelineModel, order: list[int]) -> DataFrame:
    """One row per customer: customer_key, customer_id, cluster (from 1) and distance to its centre.

    `order` lists the fitted clusters in the order of their final numbers.
    """
    centres = [[float(value) for value in centre] for centre in model.stages[-1].clusterCenters()]
    number = F.array(*[F.lit(order.index(fitted) + 1) for fitted in range(len(order))])
    centre = F.array(*[F.array(*[F.lit(value) for value in values]) for values in centres])
    return (
        model.transform(features)
        .withColumn("centre", F.get(centre, F.col("fitted_cluster")))
        .withColumn(
            "squares",
            F.zip_with(vector_to_array("standardised"), "centre", lambda a, b: (a - b) * (a - b)),
        )
        .select(
            "customer_key",
            "customer_id",
            F.get(number, F.col("fitted_cluster")).alias("cluster"),
            F.sqrt(F.aggregate("squares", F.lit(0.0), lambda total, square: total + square)).alias(
                "distance_to_centre"
            ),
        )
    )


def write(
    spark: SparkSession, assigned: DataFrame, centres: DataFrame, run_id: str, as_of: date
) -> None:
    """Replaces the contents of both tables; every row says which run and as-of date it is of."""
    for table, rows in {"ml.customer_clusters": assigned, "ml.cluster_centres": centres}.items():
        stamped = rows.withColumns({"run_id": F.lit(run_id), "as_of_date": F.lit(as_of)})
        stamped.select(*spark.table(table).columns).write.insertInto(table, overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", default="42", help="seed of the first centres (SEED)")
    seed = whole_number("SEED", parser.parse_args().seed)

    spark = start("cluster")
    if not spark.catalog.tableExists("marts.customer_features"):
        raise StepError("there is no table marts.customer_features; build it with: dbt build")
    started = time.monotonic()
    customers = spark.table("marts.customer_features")
    scored, as_of = (
        customers.where("orders > 0")
        .agg(F.count("*"), F.max(F.expr("date_add(last_order_on, recency_days)")))
        .first()
    )
    if scored < CLUSTERS * FEWEST_CUSTOMERS_PER_CLUSTER:
        # Clusters of an earlier data set would be wrong for this one.
        for table in ("ml.customer_clusters", "ml.cluster_centres"):
            spark.sql(f"truncate table {table}")
        say(
            f"no personas: {scored} customers with a purchase are too few for {CLUSTERS} clusters "
            f"(at least {CLUSTERS * FEWEST_CUSTOMERS_PER_CLUSTER})"
        )
        return

    say(f"clustering {scored:,} customers by {len(FEATURES)} features")
    features = feature_table(customers)
    model = fit(features, seed)
    fitted = [[float(value) for value in centre] for centre in model.stages[-1].clusterCenters()]
    order = sorted(range(len(fitted)), key=lambda cluster: fitted[cluster], reverse=True)
    centres = spark.createDataFrame(
        [
            (number, feature, round(value, 6))
            for number, cluster in enumerate(order, start=1)
            for feature, value in zip(FEATURES, fitted[cluster], strict=True)
        ],
        "cluster int, feature string, standardised_value double",
    )
    # Named by its content: the same data, features and seed give the same run.
    content = repr((as_of, seed, FEATURES, [[round(value, 6) for value in row] for row in fitted]))
    run_id = hashlib.sha256(content.encode()).hexdigest()[:12]
    write(spark, assign(features, model, order), centres, run_id, as_of)
    say(f"{len(order)} clusters in ml.customer_clusters ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    run(main)
