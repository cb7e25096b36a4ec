"""The same analysis as one plain PySpark script of the usual kind, for comparison.

    spark-submit tests/bench/baseline_pyspark.py CUSTOMERS FOLDER

A Python function makes each customer, and another one the lines of each customer. Keys are strings
and money is double, scores are `ntile` over all customers, nearly every question is a pass over the
joined transactions, and K-Means is fitted on all customers. Results go to FOLDER as Parquet.
"""

import random
import sys
from datetime import datetime, timedelta

from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

END = datetime(2026, 6, 30)
CATEGORIES = ["Books", "Electronics", "Fashion", "Groceries", "Home", "Toys"]
PAYMENT_METHODS = ["bank_transfer", "cash", "credit_card", "gift_card", "paypal"]
LINES_PER_CUSTOMER = 5


def customer(number: int) -> tuple:
    """One customer."""
    draw = random.Random(number)  # noqa: S311 - no secret
    return (
        f"C{number:09}",
        END - timedelta(days=draw.randrange(1, 1095)),
        draw.randrange(18, 80),
        draw.choice(["female", "male", "other"]),
        draw.choice(["North", "South", "East", "West"]),
        draw.choice(["basic", "gold", "platinum", "silver"]),
    )


def transactions(number: int) -> list[tuple]:
    """The lines of one customer."""
    draw = random.Random(f"lines {number}")  # noqa: S311 - no secret
    return [
        (
            f"T{number:09}-{line}",
            f"C{number:09}",
            END - timedelta(seconds=draw.randrange(1, 1095 * 86400)),
            draw.choice(CATEGORIES),
            draw.randrange(1, 6),
            round(draw.lognormvariate(3, 1), 2),
            draw.choice(PAYMENT_METHODS),
        )
        for line in range(draw.randrange(1, 2 * LINES_PER_CUSTOMER))
    ]


def segment() -> F.Column:
    """Returns the segment for a recency and a frequency score."""
    recent, often = F.col("r_score"), F.col("f_score")
    return (
        F.when((recent <= 2) & (often <= 2), "Hibernating")
        .when((recent <= 2) & (often <= 4), "At Risk")
        .when(recent <= 2, "Can't Lose Them")
        .when((recent == 3) & (often <= 2), "About To Sleep")
        .when((recent == 3) & (often == 3), "Need Attention")
        .when((recent <= 4) & (often >= 4), "Loyal Customers")
        .when((recent == 4) & (often == 1), "Promising")
        .when((recent == 5) & (often == 1), "New Customers")
        .when(often <= 3, "Potential Loyalists")
        .otherwise("Champions")
    )


def scored(lines: DataFrame, day: datetime) -> DataFrame:
    """Recency, frequency, monetary, scores and segment of each customer as of a day."""
    measured = (
        lines.where(F.col("ordered_at") <= F.lit(day))
        .groupBy("customer_id")
        .agg(
            F.datediff(F.lit(day), F.max("ordered_at")).alias("recency_days"),
            F.count("*").alias("frequency"),
            F.sum("amount").alias("monetary"),
            F.avg("amount").alias("average_amount"),
            F.countDistinct("product_category").alias("category_count"),
            F.avg(F.dayofweek("ordered_at").isin(1, 7).cast("double")).alias("weekend_share"),
        )
    )
    scores = {"r_score": F.desc("recency_days"), "f_score": F.asc("frequency")}
    scores["m_score"] = F.asc("monetary")
    for name, order in scores.items():
        measured = measured.withColumn(name, F.ntile(5).over(Window.orderBy(order)))
    return measured.withColumn("segment", segment())


def clustered(customers: DataFrame) -> DataFrame:
    """Returns the customers with their cluster; the number of clusters has the best silhouette."""
    features = ["recency_days", "frequency", "monetary", "age", "category_count", "weekend_share"]
    assembled = VectorAssembler(inputCols=features, outputCol="raw").transform(customers)
    scaler = StandardScaler(inputCol="raw", outputCol="features", withMean=True).fit(assembled)
    scaled = scaler.transform(assembled).cache()
    evaluator = ClusteringEvaluator(featuresCol="features", predictionCol="cluster")
    fits = []
    for clusters in range(4, 9):
        model = KMeans(featuresCol="features", predictionCol="cluster", k=clusters, seed=42).fit(
            scaled
        )
        found = model.transform(scaled)
        fits.append((evaluator.evaluate(found), found))
    return max(fits, key=lambda fit: fit[0])[1].drop("raw", "features")


def main() -> None:
    count, folder = int(sys.argv[1]), sys.argv[2]
    spark = SparkSession.builder.appName("one script").getOrCreate()

    def write(data: DataFrame, name: str) -> DataFrame:
        data.write.mode("overwrite").parquet(f"{folder}/{name}")
        return spark.read.parquet(f"{folder}/{name}")

    numbers = spark.sparkContext.range(count)
    people = write(
        spark.createDataFrame(
            numbers.map(customer),
            "customer_id string, registered_on timestamp, age int, gender string, region string, "
            "membership_level string",
        ),
        "customers",
    )
    lines = write(
        spark.createDataFrame(
            numbers.flatMap(transactions),
            "transaction_id string, customer_id string, ordered_at timestamp, "
            "product_category string, quantity int, amount double, payment_method string",
        ),
        "transactions",
    )

    today = write(scored(lines, END).join(people, "customer_id"), "features")
    write(today.groupBy("segment").agg(F.count("*"), F.sum("monetary")), "segments")
    history = [
        scored(lines, END - timedelta(days=30 * months)).withColumn("months_ago", F.lit(months))
        for months in range(1, 13)
    ]
    for each in history[1:]:
        history[0] = history[0].unionByName(each)
    write(history[0], "segment_history")

    everything = lines.join(today, "customer_id")
    weekday = F.dayofweek("ordered_at").alias("weekday")
    questions = {
        "weekdays": [weekday, F.hour("ordered_at").alias("hour")],
        "day_types": [F.dayofweek("ordered_at").isin(1, 7).alias("is_weekend")],
        "categories": ["product_category"],
        "payment_methods": ["payment_method"],
        "months": [F.date_trunc("month", "ordered_at").alias("month")],
        "segments_and_categories": ["segment", "product_category"],
    }
    for name, columns in questions.items():
        write(
            everything.groupBy(*columns).agg(
                F.count("*"), F.sum("amount"), F.avg("amount"), F.countDistinct("customer_id")
            ),
            name,
        )
    first = Window.partitionBy("customer_id")
    cohorts = lines.withColumn("cohort", F.min(F.date_trunc("month", "ordered_at")).over(first))
    since = F.months_between(F.date_trunc("month", "ordered_at"), "cohort").alias("months_since")
    write(cohorts.groupBy("cohort", since).agg(F.countDistinct("customer_id")), "cohorts")

    personas = write(clustered(today), "personas")
    write(personas.groupBy("cluster").agg(F.count("*"), F.avg("monetary")), "persona_profiles")
    at_risk = personas.where("r_score <= 2 and m_score >= 4")
    write(at_risk.orderBy(F.desc("monetary")), "customers_at_risk")


if __name__ == "__main__":
    main()
