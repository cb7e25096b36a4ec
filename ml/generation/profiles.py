"""The true parameters of customers and guests."""

from itertools import accumulate

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.generation.draws import CUSTOMER, Draws, bucketize, constants
from ml.generation.personas import PERSONAS, Persona
from ml.generation.shop import (
    DAY,
    FIRST_SECOND,
    GUEST_ORDERS_PER_CUSTOMER,
    HOLIDAY_WEEKS,
    NEVER_BUYS_SHARE,
    WEEK,
    WEEKS,
)


def customers_and_guests(
    spark: SparkSession, customers: int, draw: Draws, tasks: int
) -> tuple[DataFrame, DataFrame]:
    """Profiles of customers 1 to `customers`, and of guests, who have negative numbers."""
    numbers = spark.range(1, customers + 1, numPartitions=tasks).withColumnRenamed("id", "entity")
    guests = numbers.select((-F.col("entity")).alias("entity"))
    guests = guests.where(draw.uniform("guest") < GUEST_ORDERS_PER_CUSTOMER)
    return profiles(numbers, draw), profiles(guests, draw)


def profiles(entities: DataFrame, draw: Draws) -> DataFrame:
    """The true parameters of each `entity`: a customer, or a guest if negative."""
    is_buyer = (F.col("entity") < 0) | (draw.uniform("buys") >= NEVER_BUYS_SHARE)
    weekend_noise = 0.10 * (draw.uniform("weekend") - 0.5)
    price_noise = F.exp(0.25 * draw.normal("price level"))
    drawn = {
        "number": F.lpad(F.abs("entity").cast("string"), 10, "0"),
        "buys": is_buyer,
        "weekend_share": F.col("weekend_share") + weekend_noise,
        "price_level": F.col("price_level") * price_noise,
        "buyer_rate": F.col("orders_per_week") * gamma_of_mean_one(draw),
        "week": arrival_week(draw),
    }
    is_for_holiday = draw.uniform("holiday") < F.col("holiday_share")
    derived = {
        "customer_id": F.when(F.col("entity") > 0, F.concat(F.lit("C"), "number")),
        "orders_per_week": F.when(F.col("buys"), F.col("buyer_rate")).otherwise(0.0),
        "week": F.when(is_for_holiday, holiday_week(draw)).otherwise(F.col("week")),
    }
    first_second = FIRST_SECOND + F.col("week") * WEEK + second_of_week(draw, CUSTOMER)
    seconds_active = F.floor(F.col("weeks_active") * WEEK * draw.exponential("active"))
    active = F.when(F.col("buys"), seconds_active).otherwise(0)
    return (
        with_persona(entities, draw)
        .withColumns(drawn)
        .withColumns(derived)
        .withColumn("first_second", first_second)
        .withColumn("last_second", F.col("first_second") + active)
    )


def with_persona(entities: DataFrame, draw: Draws) -> DataFrame:
    """Draws the persona of each entity and adds the persona's numbers."""
    names = constants(persona.name for persona in PERSONAS)
    limits = [F.lit(limit) for limit in accumulate(persona.share for persona in PERSONAS[:-1])]
    drawn = entities.withColumn("persona_draw", draw.uniform("persona"))
    named = drawn.withColumn("name", names[bucketize(F.col("persona_draw"), limits)])
    personas = F.broadcast(persona_table(entities.sparkSession))
    return named.join(personas, "name").withColumnRenamed("name", "persona")


def persona_table(spark: SparkSession) -> DataFrame:
    """One row per persona, its mixes as cumulative shares."""
    types = {str: "string", float: "double", int: "int", tuple[float, ...]: "array<double>"}
    columns = [f"{name} {types[hint]}" for name, hint in Persona.__annotations__.items()]
    rows = [
        tuple([*accumulate(v)] if isinstance(v, tuple) else v for v in vars(persona).values())
        for persona in PERSONAS
    ]
    return spark.createDataFrame(rows, ", ".join(columns))


def gamma_of_mean_one(draw: Draws) -> Column:
    """A draw from the gamma distribution of mean 1: the mean of `rate_shape` exponential draws."""
    first, *others = (
        F.when(F.col("rate_shape") >= part, draw.exponential(f"rate {part}")).otherwise(0.0)
        for part in (1, 2, 3)
    )
    return sum(others, first) / F.col("rate_shape")


def arrival_week(draw: Draws) -> Column:
    """The week in which a customer arrives, from 0."""
    # The density of arrivals is a straight line that doubles. This is the inverse of its integral.
    return F.floor((F.sqrt(1 + 3 * draw.uniform("week")) - 1) * WEEKS)


def holiday_week(draw: Draws) -> Column:
    """A week of the holiday season in the same simulated year as `week`."""
    first_week, weeks = HOLIDAY_WEEKS
    drawn = first_week + F.floor(draw.uniform("holiday week") * weeks)
    return F.col("week") - F.col("week") % 52 + drawn


def second_of_week(draw: Draws, ids: tuple[str, ...]) -> Column:
    """A second of a simulated week (from Wednesday on) by habits of weekday and hour."""
    day = draw.uniform("weekday", ids)
    share = F.col("weekend_share")
    weekend_day = 3 + F.floor(day / share * 2)
    working_day = F.pmod(F.floor((day - share) / (1 - share) * 5) + 5, F.lit(7))
    distance = draw.uniform("later", ids) - draw.uniform("earlier", ids)
    hour = F.pmod(F.col("hour") + F.col("hour_spread") * distance, F.lit(24.0))
    return F.when(day < share, weekend_day).otherwise(working_day) * DAY + F.floor(hour * 3600)
