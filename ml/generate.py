"""Generates customers and transactions by simulation, together with the truth behind them.

Every customer belongs to one of the personas in `PERSONAS`. A persona's customers arrive in
growing numbers, buy first on the day they are won (a few never do), then again as a Poisson
process: each at a rate of his or her own, drawn from a gamma distribution, until an exponentially
distributed time at which he or she leaves for good (Schmittlein, Morrison and Colombo 1987,
"Counting your customers"). Habits of weekday and hour place each purchase inside its week; the
seasons of the year thin the process out (Lewis and Shedler 1979, "Simulation of nonhomogeneous
Poisson processes by thinning"). Orders have lines, some lines come back, guests buy too, and a
known number of dirty rows is planted (`DEFECTS`).
The simulation runs on for a year after the last raw row, so that `truth.customers` knows what
each customer does next.

Each draw is a hash of (seed, purpose, ids). So the same seed gives the same rows however the work
is split, and the first N customers are the same whatever their total.
"""

import argparse
import hashlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from itertools import accumulate
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ml import session, tables

# Customers are won in whole weeks that start on a Wednesday, so that the last one ends with the
# simulation.
FIRST_DAY = date(2023, 7, 5)
WEEKS = 156
END = datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)
DAY = 24 * 60 * 60
WEEK = 7 * DAY
FIRST_SECOND = int(datetime(2023, 7, 5, tzinfo=UTC).timestamp())
LAST_SECOND = int(END.timestamp())
LAST_FUTURE_SECOND = LAST_SECOND + 365 * DAY

# How busy each month is, January first; 1 is the average month.
MONTHS = (0.90, 0.86, 0.95, 0.98, 1.00, 0.97, 0.80, 0.82, 1.00, 1.05, 1.28, 1.39)
# The same for one who buys for the holiday season alone: November and December only.
HOLIDAY_MONTHS = (0.0,) * 10 + (6.0, 6.0)
# Early November to Christmas: first week in each simulated year, from 0, and number of weeks.
HOLIDAY_WEEKS = (18, 7)

CATEGORIES = ("Groceries", "Home", "Health", "Fashion", "Electronics", "Toys", "Books", "Sports")
UNIT_PRICES = (5.0, 24.0, 12.0, 28.0, 85.0, 16.0, 11.0, 30.0)  # median, by category
PRODUCTS_PER_CATEGORY = 60
PAYMENT_METHODS = ("credit_card", "debit_card", "digital_wallet", "bank_transfer", "gift_card")
MEMBERSHIP_LEVELS = ("Basic", "Silver", "Gold", "Platinum")
GENDERS = ("female", "male", "nonbinary")
REGIONS = ("North", "South", "East", "West", "Central")

# Customer number i carries one extra order with the defect at place i % DEFECT_EVERY, if any.
DEFECT_EVERY = 500
DEFECTS = (
    "missing_timestamp",
    "missing_amount",
    "not_a_number",
    "zero_quantity_and_amount",
    "duplicate_transaction_id",
    "future_dated",
)

NEVER_BUYS_SHARE = 0.03
GUEST_ORDERS_PER_CUSTOMER = 0.14
FREE_ITEM_SHARE = 0.003
MOST_LINES = 6  # in an order
MOST_DAYS_TO_RETURN = 30
UNKNOWN_SHARE = 0.03  # of ages, genders, regions and membership levels, each on its own
MOST_CUSTOMERS = 10**10 - 1  # a customer_id has ten digits


@dataclass(frozen=True)
class Persona:
    """A kind of customer. Mixes are shares that add up to 1, in the order of the names above."""

    name: str
    share: float
    # Purchases
    orders_per_week: float  # mean over the persona's customers
    rate_shape: int  # of the gamma distribution of rates: 1 most, 3 least unlike each other
    weeks_active: float  # mean time until a customer leaves for good
    holiday_share: float  # part of the purchases that are for the holiday season
    weekend_share: float  # part of the purchases on Saturday and Sunday
    hour: float  # favourite hour of the day
    hour_spread: float  # purchases lie within so many hours of it
    # Baskets
    price_level: float  # factor on the median price of a category
    another_line: float  # probability that an order has one more line
    another_unit: float  # probability that a line has one more unit
    return_share: float  # part of the lines that come back
    categories: tuple[float, ...]
    payment_methods: tuple[float, ...]
    # Who they are
    age: float
    age_spread: float  # standard deviation
    genders: tuple[float, ...]
    membership_levels: tuple[float, ...]


PERSONAS = (
    Persona(
        "Weekend family", 0.18,
        orders_per_week=0.055, rate_shape=2, weeks_active=60.0, holiday_share=0.05,
        weekend_share=0.88, hour=11.0, hour_spread=4.0,
        price_level=0.9, another_line=0.55, another_unit=0.60, return_share=0.04,
        categories=(0.62, 0.08, 0.06, 0.06, 0.01, 0.12, 0.02, 0.03),
        payment_methods=(0.15, 0.70, 0.10, 0.02, 0.03),
        age=38.0, age_spread=4.0, genders=(0.60, 0.39, 0.01),
        membership_levels=(0.12, 0.76, 0.11, 0.01),
    ),
    Persona(
        "Student bargain hunter", 0.18,
        orders_per_week=0.05, rate_shape=2, weeks_active=45.0, holiday_share=0.05,
        weekend_share=0.30, hour=21.0, hour_spread=4.0,
        price_level=0.45, another_line=0.12, another_unit=0.05, return_share=0.10,
        categories=(0.04, 0.03, 0.05, 0.66, 0.03, 0.01, 0.14, 0.04),
        payment_methods=(0.05, 0.15, 0.75, 0.02, 0.03),
        age=21.0, age_spread=2.0, genders=(0.52, 0.45, 0.03),
        membership_levels=(0.88, 0.10, 0.01, 0.01),
    ),
    Persona(
        "Loyal professional", 0.12,
        orders_per_week=0.09, rate_shape=3, weeks_active=130.0, holiday_share=0.05,
        weekend_share=0.10, hour=13.0, hour_spread=3.0,
        price_level=1.9, another_line=0.40, another_unit=0.15, return_share=0.06,
        categories=(0.04, 0.08, 0.14, 0.14, 0.04, 0.02, 0.46, 0.08),
        payment_methods=(0.80, 0.06, 0.10, 0.02, 0.02),
        age=46.0, age_spread=5.0, genders=(0.50, 0.49, 0.01),
        membership_levels=(0.01, 0.04, 0.35, 0.60),
    ),
    Persona(
        "Holiday gift giver", 0.14,
        orders_per_week=0.025, rate_shape=3, weeks_active=130.0, holiday_share=0.92,
        weekend_share=0.45, hour=19.0, hour_spread=4.0,
        price_level=1.2, another_line=0.50, another_unit=0.15, return_share=0.08,
        categories=(0.02, 0.08, 0.14, 0.04, 0.04, 0.58, 0.08, 0.02),
        payment_methods=(0.30, 0.10, 0.10, 0.02, 0.48),
        age=52.0, age_spread=6.0, genders=(0.58, 0.41, 0.01),
        membership_levels=(0.55, 0.40, 0.04, 0.01),
    ),
    Persona(
        "Senior home regular", 0.14,
        orders_per_week=0.05, rate_shape=3, weeks_active=90.0, holiday_share=0.02,
        weekend_share=0.07, hour=10.0, hour_spread=2.5,
        price_level=1.0, another_line=0.25, another_unit=0.30, return_share=0.03,
        categories=(0.12, 0.62, 0.18, 0.02, 0.01, 0.01, 0.03, 0.01),
        payment_methods=(0.12, 0.13, 0.02, 0.72, 0.01),
        age=71.0, age_spread=5.0, genders=(0.56, 0.44, 0.00),
        membership_levels=(0.06, 0.20, 0.70, 0.04),
    ),
    Persona(
        "Electronics enthusiast", 0.12,
        orders_per_week=0.04, rate_shape=2, weeks_active=70.0, holiday_share=0.08,
        weekend_share=0.40, hour=22.0, hour_spread=3.0,
        price_level=1.8, another_line=0.15, another_unit=0.04, return_share=0.12,
        categories=(0.01, 0.03, 0.01, 0.02, 0.82, 0.02, 0.03, 0.06),
        payment_methods=(0.40, 0.05, 0.50, 0.04, 0.01),
        age=30.0, age_spread=4.0, genders=(0.22, 0.76, 0.02),
        membership_levels=(0.10, 0.60, 0.25, 0.05),
    ),
    Persona(
        "One-time visitor", 0.12,
        orders_per_week=0.005, rate_shape=1, weeks_active=4.0, holiday_share=0.10,
        weekend_share=0.30, hour=15.0, hour_spread=8.0,
        price_level=0.8, another_line=0.05, another_unit=0.05, return_share=0.05,
        categories=(0.02, 0.10, 0.04, 0.06, 0.04, 0.03, 0.03, 0.68),
        payment_methods=(0.45, 0.15, 0.30, 0.05, 0.05),
        age=36.0, age_spread=9.0, genders=(0.48, 0.50, 0.02),
        membership_levels=(0.97, 0.01, 0.01, 0.01),
    ),
)  # fmt: skip

TRUTH_CUSTOMERS_COLUMNS = """
    customer_id string comment 'Key of the customer.',
    persona string comment 'Persona that the customer was drawn from.',
    orders_per_week double comment 'True rate while active; 0 for one who never buys.',
    dropped_out_at timestamp comment 'True time of leaving for good, UTC; may be after the end.',
    price_level double comment 'True factor on the median price of each category.',
    orders int comment 'Purchase orders within the simulation, usable ones only.',
    future_orders_90d int comment 'Purchase orders in the 90 days after the simulation.',
    future_orders_365d int comment 'Purchase orders in the 365 days after the simulation.',
    future_net_revenue_365d decimal(18,2) comment 'Net revenue of the 365 days after it.'
"""

TRUTH_REJECTED_ROWS_COLUMNS = """
    reason string comment 'Reason for which the rows cannot be used.',
    rows bigint comment 'Planted rows that the quarantine must hold.',
    amount decimal(18,2) comment 'Sum of their amounts; 0 when they have none.'
"""

TRANSACTION_NAMES = (
    *("transaction_id", "order_id", "customer_id", "ordered_at", "product_id", "product_category"),
    *("quantity", "amount", "payment_method", "unparsed_values"),
)

# What a draw may depend on.
CUSTOMER = ("entity",)
ORDER = ("entity", "order_number")
LINE = ("entity", "order_number", "line_number")


@dataclass(frozen=True)
class Draws:
    """Random draws as expressions: each is a hash of the seed, its purpose and the row's ids."""

    seed: int

    def uniform(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """Returns a draw from the open interval (0, 1)."""
        key = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:8]
        bits = F.xxhash64(F.lit(int.from_bytes(key, signed=True)), *ids)
        # 52 bits and a half: neither 0 nor 1, and exact in a double.
        return (F.shiftrightunsigned(bits, 12) + F.lit(0.5)) * F.lit(2.0**-52)

    def normal(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """Returns a draw from the standard normal distribution (Box and Muller 1958)."""
        radius = F.sqrt(F.lit(-2.0) * F.log(self.uniform(f"{purpose} radius", ids)))
        return radius * F.cos(F.lit(2 * math.pi) * self.uniform(f"{purpose} angle", ids))

    def exponential(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """Returns a draw from the exponential distribution of mean 1."""
        return -F.log(self.uniform(purpose, ids))

    def extra(self, purpose: str, ids: tuple[str, ...], another: str, most: int) -> Column:
        """Returns how often in a row a chance of `another` comes true, at most `most` times."""
        times = F.floor(F.log(self.uniform(purpose, ids)) / F.log(another))
        return F.least(times, F.lit(most)).cast("int")

    def usual(self, purpose: str, ids: tuple[str, ...], habit: float) -> Column:
        """Returns the customer's own draw with probability `habit`, else one for the row."""
        is_usual = self.uniform(f"{purpose} by habit", ids) < habit
        return F.when(is_usual, self.uniform(purpose)).otherwise(self.uniform(purpose, ids))


def place(draw: Column, limits: list[Column]) -> Column:
    """Returns how many of the ascending `limits` the draw has reached."""
    # Ends at the first that is not reached; to count those that are would be to try them all.
    cases = F.when(draw < limits[0], 0)
    for reached, limit in enumerate(limits[1:], start=1):
        cases = cases.when(draw < limit, reached)
    return cases.otherwise(len(limits))


def place_in_mix(draw: Column, mix: str, size: int) -> Column:
    """Returns the place drawn from a persona's mix, whose column holds cumulative shares."""
    return place(draw, [F.col(mix)[position] for position in range(size - 1)])


def constants(values: tuple) -> Column:
    """Returns an array of constants."""
    return F.array(*[F.lit(value) for value in values])


def money(cents: Column) -> Column:
    """Returns whole cents as decimal(18,2), exactly."""
    return (cents.cast("decimal(16,0)") * F.lit(Decimal("0.01"))).cast("decimal(18,2)")


def poisson_of_one(draw: Column) -> Column:
    """Returns a draw from the Poisson distribution of mean 1, by its inverse; at most 15."""
    limits = accumulate(math.exp(-1) / math.factorial(count) for count in range(15))
    return place(draw, [F.lit(limit) for limit in limits])


def persona_table(spark: SparkSession) -> DataFrame:
    """Returns one row per persona, its mixes as cumulative shares."""
    kinds = {str: "string", float: "double", int: "int", tuple[float, ...]: "array<double>"}
    columns = [f"{name} {kinds[kind]}" for name, kind in Persona.__annotations__.items()]
    rows = [
        tuple([*accumulate(v)] if isinstance(v, tuple) else v for v in vars(persona).values())
        for persona in PERSONAS
    ]
    return spark.createDataFrame(rows, ", ".join(columns))


def second_of_week(draw: Draws, ids: tuple[str, ...]) -> Column:
    """Returns a second of a simulated week (from Wednesday on) by habits of weekday and hour."""
    day = draw.uniform("weekday", ids)
    share = F.col("weekend_share")
    weekend_day = 3 + F.floor(day / share * 2)
    working_day = F.pmod(F.floor((day - share) / (1 - share) * 5) + 5, F.lit(7))
    distance = draw.uniform("later", ids) - draw.uniform("earlier", ids)
    hour = F.pmod(F.col("hour") + F.col("hour_spread") * distance, F.lit(24.0))
    return F.when(day < share, weekend_day).otherwise(working_day) * DAY + F.floor(hour * 3600)


def profiles(entities: DataFrame, draw: Draws) -> DataFrame:
    """Returns the true parameters of each `entity`: a customer, or a guest if negative."""
    names = constants(tuple(persona.name for persona in PERSONAS))
    limits = [F.lit(limit) for limit in accumulate(persona.share for persona in PERSONAS[:-1])]
    weekend_noise = 0.10 * (draw.uniform("weekend") - 0.5)
    gamma = sum(
        F.when(F.col("rate_shape") >= part, draw.exponential(f"rate {part}")).otherwise(0.0)
        for part in (1, 2, 3)
    ) / F.col("rate_shape")
    # The density of arrivals is a straight line that doubles: the inverse of its integral.
    week = F.floor((F.sqrt(1 + 3 * draw.uniform("week")) - 1) * WEEKS)
    first_holiday_week, holiday_weeks = HOLIDAY_WEEKS
    holiday_week = first_holiday_week + F.floor(draw.uniform("holiday week") * holiday_weeks)
    is_for_holiday = draw.uniform("holiday") < F.col("holiday_share")
    seconds_active = F.floor(F.col("weeks_active") * WEEK * draw.exponential("active"))
    return (
        entities.withColumn("persona_draw", draw.uniform("persona"))
        .withColumn("name", names[place(F.col("persona_draw"), limits)])
        .join(F.broadcast(persona_table(entities.sparkSession)), "name")
        .withColumnRenamed("name", "persona")
        .withColumn("number", F.lpad(F.abs("entity").cast("string"), 10, "0"))
        .withColumn("customer_id", F.when(F.col("entity") > 0, F.concat(F.lit("C"), "number")))
        .withColumn("buys", (F.col("entity") < 0) | (draw.uniform("buys") >= NEVER_BUYS_SHARE))
        .withColumn("weekend_share", F.col("weekend_share") + weekend_noise)
        .withColumn("price_level", F.col("price_level") * F.exp(0.25 * draw.normal("price level")))
        .withColumn("rate", F.col("orders_per_week") * gamma)
        .withColumn("orders_per_week", F.when(F.col("buys"), F.col("rate")).otherwise(0.0))
        .withColumn("week", week)
        .withColumn(
            "week",
            F.when(is_for_holiday, F.col("week") - F.col("week") % 52 + holiday_week).otherwise(
                F.col("week")
            ),
        )
        .withColumn(
            "first_second", FIRST_SECOND + F.col("week") * WEEK + second_of_week(draw, CUSTOMER)
        )
        .withColumn(
            "last_second",
            F.col("first_second") + F.when(F.col("buys"), seconds_active).otherwise(0),
        )
    )


def orders(people: DataFrame, draw: Draws, until: int) -> DataFrame:
    """Returns the orders of each customer up to the second `until`.

    Order 1 is the purchase with which a customer was won. The others come from candidates: time
    is cut into cells in which one candidate is expected, each cell has a Poisson number of them,
    and each is kept with probability (intensity at its time) / (highest intensity). Order numbers
    grow with the cells, with gaps.
    """
    holiday = F.col("holiday_share")
    busiest = (1 - holiday) * max(MONTHS) + holiday * max(HOLIDAY_MONTHS)
    end = F.least(F.col("last_second"), F.lit(until))
    # Whole weeks, for a candidate is moved inside its week; what lies outside is not kept.
    weeks = F.floor((end - FIRST_SECOND) / WEEK) + 1 - F.col("week")
    later_week = F.col("week") + F.floor(
        (F.col("cell") - 1 + draw.uniform("cell", ORDER)) / F.col("candidates_per_week")
    )
    later_second = (
        FIRST_SECOND + F.least(later_week, F.lit(2 * WEEKS)) * WEEK + second_of_week(draw, ORDER)
    )
    day = F.date_add(F.lit(FIRST_DAY), F.floor((F.col("second") - FIRST_SECOND) / DAY).cast("int"))
    month = F.month(day) - 1
    season = (1 - holiday) * constants(MONTHS)[month] + holiday * constants(HOLIDAY_MONTHS)[month]
    is_kept = (
        (F.col("second") > F.col("first_second"))
        & (F.col("second") <= end)
        & (draw.uniform("season", ORDER) * F.col("busiest") < season)
    )
    return (
        people.withColumn("busiest", busiest)
        .withColumn("candidates_per_week", F.col("orders_per_week") * F.col("busiest"))
        .withColumn("cells", F.ceil(weeks * F.col("candidates_per_week")).cast("int"))
        .withColumn("cell", F.explode(F.sequence(F.lit(0), "cells")))
        .withColumn("cell_draw", draw.uniform("candidates", ("entity", "cell")))
        .withColumn(
            "candidates",
            F.when(F.col("cell") == 0, 1).otherwise(poisson_of_one(F.col("cell_draw"))),
        )
        .where("candidates > 0")
        .withColumn("candidate", F.explode(F.sequence(F.lit(1), "candidates")))
        .withColumn("order_number", F.col("cell") * 16 + F.col("candidate"))
        .withColumn(
            "second", F.when(F.col("cell") == 0, F.col("first_second")).otherwise(later_second)
        )
        .where((F.col("cell") == 0) | is_kept)
    )


def first_orders(people: DataFrame) -> DataFrame:
    """Returns the first order of each of the people."""
    return people.withColumns({"order_number": F.lit(1), "second": F.col("first_second")})


def lines(orders: DataFrame, draw: Draws, most: int | Column = MOST_LINES) -> DataFrame:
    """Returns the lines of the orders: product, units, price; up to `most` lines in an order."""
    size = 1 + draw.extra("lines", ORDER, "another_line", most - 1)
    price = (
        constants(UNIT_PRICES)[F.col("category")]
        * F.col("price_level")
        * F.exp(0.35 * draw.normal("price", LINE))
    )
    is_free = draw.uniform("free", LINE) < FREE_ITEM_SHARE
    return (
        orders.withColumn("line_number", F.explode(F.sequence(F.lit(1), size)))
        .withColumn("category_draw", draw.usual("category", LINE, habit=0.25))
        .withColumn("category", place_in_mix(F.col("category_draw"), "categories", len(CATEGORIES)))
        # Low numbers sell best.
        .withColumn(
            "product",
            1 + F.floor(PRODUCTS_PER_CATEGORY * F.pow(draw.uniform("product", LINE), 2)),
        )
        .withColumn("quantity", 1 + draw.extra("units", LINE, "another_unit", 8))
        .withColumn("unit_cents", F.when(is_free, 0).otherwise(F.floor(price * 100 + 0.5)))
        .withColumn("is_return", F.lit(False))
    )


def with_returns(lines: DataFrame, draw: Draws) -> DataFrame:
    """Returns the lines and, some days after its purchase, one more line for each that came back.

    What comes back of an order comes back at once, half of the lines as a whole.
    """
    comes_back = (draw.uniform("return", LINE) < F.col("return_share")) & (F.col("unit_cents") > 0)
    is_return_of_each = F.when(comes_back, constants((False, True))).otherwise(constants((False,)))
    part = F.least(F.lit(1.0), 2 * draw.uniform("returned part", LINE))
    wait = DAY + F.floor(draw.uniform("return time", ORDER) * (MOST_DAYS_TO_RETURN - 1) * DAY)
    second = F.col("second") + wait
    is_return = F.col("is_return")
    return (
        lines.withColumn("is_return", F.explode(is_return_of_each))
        .withColumn("second", F.when(is_return, second).otherwise(F.col("second")))
        .withColumn(
            "quantity",
            F.when(is_return, -F.ceil(F.col("quantity") * part).cast("int")).otherwise(
                F.col("quantity")
            ),
        )
    )


def transactions(lines: DataFrame, draw: Draws) -> DataFrame:
    """Returns the lines with the columns of raw.transactions added, all but the loading time."""
    kind = F.when(F.col("entity") > 0, "O").otherwise("G")
    order_number = F.lpad(F.col("order_number").cast("string"), 5, "0")
    return_mark = F.when(F.col("is_return"), "-R").otherwise("")
    product_number = F.lpad(F.col("product").cast("string"), 3, "0")
    method = place_in_mix(F.col("payment_draw"), "payment_methods", len(PAYMENT_METHODS))
    return (
        lines.withColumn("payment_draw", draw.usual("payment", ORDER, habit=0.8))
        .withColumn("order_id", F.concat(kind, "number", F.lit("-"), order_number, return_mark))
        .withColumn("transaction_id", F.concat("order_id", F.lit("-"), F.col("line_number")))
        .withColumn("ordered_at", F.timestamp_seconds("second"))
        .withColumn("product_category", constants(CATEGORIES)[F.col("category")])
        .withColumn("product_id", F.concat("product_category", F.lit("-"), product_number))
        .withColumn("amount", money(F.col("unit_cents") * F.col("quantity")))
        .withColumn("payment_method", constants(PAYMENT_METHODS)[method])
        .withColumn("unparsed_values", F.lit(None).cast("string"))
    )


def planned_defect() -> Column:
    """Returns the defect of the extra order that a customer carries; null for most customers."""
    position = F.col("entity") % DEFECT_EVERY
    is_carrier = position.between(1, len(DEFECTS))
    return F.when(is_carrier, constants(DEFECTS)[(position - 1).cast("int")])


def dirty_transactions(carriers: DataFrame, draw: Draws) -> DataFrame:
    """Returns one row for each planned dirty one, its `defect` beside the raw columns.

    Each is an order of its own at the time of the customer's first. Of a pair of duplicates there
    is one here: the good and the dirty row are alike.
    """
    extra_orders = first_orders(carriers).withColumn("order_number", F.lit(0))
    has = {defect: F.col("defect") == defect for defect in DEFECTS}
    is_nothing = has["zero_quantity_and_amount"]
    is_unread = has["not_a_number"]
    days_late = 1 + F.floor(draw.uniform("future") * 30)
    return (
        transactions(lines(extra_orders, draw, most=1), draw)
        .withColumn(
            "ordered_at",
            F.when(has["future_dated"], F.timestamp_seconds(LAST_SECOND + days_late * DAY)).when(
                ~has["missing_timestamp"], F.col("ordered_at")
            ),
        )
        .withColumn("quantity", F.when(is_nothing, 0).otherwise(F.col("quantity")))
        .withColumn(
            "amount",
            F.when(is_nothing, 0).when(~has["missing_amount"] & ~is_unread, F.col("amount")),
        )
        .withColumn("unparsed_values", F.when(is_unread, '{"amount":"n/a"}'))
    )


def people_guests_and_carriers(
    spark: SparkSession, customers: int, draw: Draws, tasks: int
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Returns the profiles of customers 1 to `customers`, their guests, and carriers of defects."""
    numbers = spark.range(1, customers + 1, numPartitions=tasks).withColumnRenamed("id", "entity")
    guests = numbers.select((-F.col("entity")).alias("entity"))
    guests = guests.where(draw.uniform("guest") < GUEST_ORDERS_PER_CUSTOMER)
    carriers = numbers.withColumn("defect", planned_defect()).where("defect is not null")
    return profiles(numbers, draw), profiles(guests, draw), profiles(carriers, draw)


def raw_customers(people: DataFrame, draw: Draws) -> DataFrame:
    """Returns raw.customers: one row per customer."""

    def known(name: str, value: Column) -> Column:
        return F.when(draw.uniform(f"{name} known") >= UNKNOWN_SHARE, value).alias(name)

    won_on = F.to_date(F.timestamp_seconds("first_second"))
    days_before = F.floor(20 * draw.exponential("registered before")).cast("int")
    days_before = F.when(draw.uniform("registered first") < 0.4, days_before).otherwise(0)
    age = F.round(F.col("age") + F.col("age_spread") * draw.normal("age")).cast("int")
    level = place_in_mix(F.col("level_draw"), "membership_levels", len(MEMBERSHIP_LEVELS))
    gender = place_in_mix(F.col("gender_draw"), "genders", len(GENDERS))
    region = F.floor(draw.uniform("region") * len(REGIONS)).cast("int")
    return people.withColumns(
        {"gender_draw": draw.uniform("gender"), "level_draw": draw.uniform("level")}
    ).select(
        "customer_id",
        F.date_sub(won_on, days_before).alias("registered_on"),
        known("age", F.greatest(F.lit(18), F.least(F.lit(95), age))),
        known("gender", constants(GENDERS)[gender]),
        known("region", constants(REGIONS)[region]),
        known("membership_level", constants(MEMBERSHIP_LEVELS)[level]),
    )


def raw_transactions(
    people: DataFrame, guests: DataFrame, carriers: DataFrame, draw: Draws
) -> DataFrame:
    """Returns raw.transactions: all lines up to the end of the simulation, and the dirty rows."""
    ordered = orders(people.where("buys"), draw, until=LAST_SECOND)
    bought = with_returns(lines(ordered, draw), draw)
    bought_by_guests = with_returns(lines(first_orders(guests), draw), draw)
    dirty = dirty_transactions(carriers, draw)
    parts = [
        transactions(bought.where(F.col("second") <= LAST_SECOND), draw),
        transactions(bought_by_guests.where(F.col("second") <= LAST_SECOND), draw),
        dirty,
        dirty.where(F.col("defect") == "duplicate_transaction_id"),
    ]
    rows = reduce(DataFrame.unionAll, [part.select(*TRANSACTION_NAMES) for part in parts])
    # After the union, where Spark sees that it is one value, and need not sort by it to write.
    loaded_at = F.timestamp_seconds(F.lit(LAST_SECOND))
    quantity = F.col("quantity").cast("decimal(18,3)")
    return rows.withColumns({"quantity": quantity, "loaded_at": loaded_at})


def truth_customers(people: DataFrame, draw: Draws) -> DataFrame:
    """Returns truth.customers: one row per customer."""
    is_order = F.col("buys") & (F.col("line_number") == 1) & ~F.col("is_return")
    second = F.col("second")
    is_future = F.col("buys") & (second > LAST_SECOND) & (second <= LAST_FUTURE_SECOND)
    is_near = second <= LAST_SECOND + 90 * DAY
    cents = F.when(is_future, F.col("unit_cents") * F.col("quantity")).otherwise(0)
    # The good one of two duplicates is an order like any other.
    good_extra = F.when(planned_defect() == "duplicate_transaction_id", 1).otherwise(0)
    known = ("customer_id", "persona", "orders_per_week", "last_second", "price_level")
    # Of an order that nothing can come back from any more, one line tells that there was one.
    is_over = second < LAST_SECOND - MOST_DAYS_TO_RETURN * DAY
    most_lines = F.when(is_over, 1).otherwise(MOST_LINES)
    ordered = orders(people, draw, until=LAST_FUTURE_SECOND)
    # The rows of a customer are in one task, so this groups without a shuffle.
    return (
        with_returns(lines(ordered, draw, most_lines), draw)
        .groupBy("entity", *known)
        .agg(
            F.count_if(is_order & (second <= LAST_SECOND)).alias("orders"),
            F.count_if(is_order & is_future & is_near).alias("future_orders_90d"),
            F.count_if(is_order & is_future).alias("future_orders_365d"),
            F.sum(cents).alias("future_cents"),
        )
        .select(
            "customer_id",
            "persona",
            "orders_per_week",
            F.timestamp_seconds("last_second").alias("dropped_out_at"),
            "price_level",
            (F.col("orders") + good_extra).cast("int").alias("orders"),
            F.col("future_orders_90d").cast("int"),
            F.col("future_orders_365d").cast("int"),
            money(F.col("future_cents")).alias("future_net_revenue_365d"),
        )
    )


def truth_rejected_rows(carriers: DataFrame, draw: Draws) -> DataFrame:
    """Returns truth.rejected_rows: one row per reason that was planted."""
    return (
        dirty_transactions(carriers, draw)
        .groupBy(F.col("defect").alias("reason"))
        .agg(
            F.count("*").alias("rows"),
            F.coalesce(F.sum("amount"), F.lit(0)).cast("decimal(18,2)").alias("amount"),
        )
    )


def generate(spark: SparkSession, customers: int, seed: int, replace_loaded: bool = False) -> None:
    """Writes the four tables, unless they are what is asked for already.

    A user's own data in raw.transactions stay as they are, unless `replace_loaded`.
    """
    for table in ("raw.customers", "raw.transactions"):
        tables.finish_replacement(spark, table)
    source = tables.table_properties(spark, "raw.transactions").get("source", "")
    if tables.is_path(source) and not replace_loaded:
        session.log(
            f"your data of {source} stay loaded; for generated data: make run REPLACE_LOADED=yes"
        )
        return
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    wanted = {"source": "generated", "customers": f"{customers}", "seed": f"{seed}", "code": code}
    draw = Draws(seed)
    # Each task writes a file; the rows are the same whatever their number.
    tasks = max(4, math.ceil(customers / 250_000))
    people, guests, carriers = people_guests_and_carriers(spark, customers, draw, tasks)
    # The transactions last: whoever sees them new sees the others new too.
    outputs = {
        "truth.customers": (
            truth_customers(people, draw),
            TRUTH_CUSTOMERS_COLUMNS,
            "One row per generated customer: what the simulation knows and no model may read.",
        ),
        "truth.rejected_rows": (
            truth_rejected_rows(carriers, draw),
            TRUTH_REJECTED_ROWS_COLUMNS,
            "One row per reason: the dirty rows that the simulation planted.",
        ),
        "raw.customers": (
            raw_customers(people, draw),
            tables.CUSTOMERS_COLUMNS,
            "One row per customer, as loaded.",
        ),
        "raw.transactions": (
            raw_transactions(people, guests, carriers, draw),
            tables.TRANSACTIONS_COLUMNS,
            "One row per purchased or returned line, as loaded.",
        ),
    }
    if all(wanted.items() <= tables.table_properties(spark, table).items() for table in outputs):
        session.log(f"{customers:,} customers of seed {seed} are there already: nothing to do")
        return
    for table, (data, columns, comment) in outputs.items():
        started = time.monotonic()
        partition = tables.TRANSACTIONS_PARTITION if table == "raw.transactions" else None
        rows = tables.replace_table(data, table, columns, comment, wanted, partition)
        session.log(f"{table}: {rows:,} rows in {time.monotonic() - started:.1f} s")


def quicken(spark: SparkSession) -> None:
    """Sets what lets Spark compute each draw once, in code that the JVM compiles."""
    # Filters here test draws: pushed down, they would have each draw computed twice.
    rules = ("PushDownPredicates", "InferFiltersFromGenerate")
    rules = ",".join(f"org.apache.spark.sql.catalyst.optimizer.{rule}" for rule in rules)
    spark.conf.set("spark.sql.optimizer.excludedRules", rules)
    # The JVM only interprets methods of more bytes than this: better fuse fewer operators.
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")
    # Its checks for overflow make an object per addition; no number here comes near the limits.
    spark.conf.set("spark.sql.ansi.enabled", "false")


def main() -> None:
    """Reads the command line and generates."""
    parser = argparse.ArgumentParser(description="Generate customers, transactions and the truth.")
    parser.add_argument("--customers", default="100000", help="how many (default %(default)s)")
    parser.add_argument("--seed", default="42", help="same seed, same rows (default %(default)s)")
    parser.add_argument(
        "--replace-loaded", action="store_true", help="replace data that were loaded from files"
    )
    arguments = parser.parse_args()
    customers = session.whole_number("N_CUSTOMERS", arguments.customers, least=1)
    if customers > MOST_CUSTOMERS:
        raise session.StepError(f"N_CUSTOMERS must be at most {MOST_CUSTOMERS}, not {customers}")
    seed = session.whole_number("SEED", arguments.seed)
    spark = session.start("generate")
    quicken(spark)
    generate(spark, customers, seed, arguments.replace_loaded)


if __name__ == "__main__":
    session.run(main)
