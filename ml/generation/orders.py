"""When customers order."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ml.generation.draws import ORDER, Draws, constants, poisson_of_one
from ml.generation.profiles import second_of_week
from ml.generation.shop import DAY, FIRST_DAY, FIRST_SECOND, HOLIDAY_MONTHS, MONTHS, WEEK, WEEKS


def first_orders(people: DataFrame) -> DataFrame:
    """The first order of each customer or guest."""
    return people.withColumns({"order_number": F.lit(1), "second": F.col("first_second")})


def orders(people: DataFrame, draw: Draws, until: int) -> DataFrame:
    """The orders of each customer up to the second `until`.

    Order 1 is the first purchase, at the arrival of the customer. The others are the candidates
    that are kept, with probability (intensity at their time) / (highest intensity).
    """
    is_first = F.col("cell") == 0
    end = end_of_activity(until)
    is_kept = (
        (F.col("second") > F.col("first_second"))
        & (F.col("second") <= end)
        & (draw.uniform("season", ORDER) * F.col("busiest") < season())
    )
    return (
        candidates(people, draw, end)
        .withColumn("second", F.when(is_first, F.col("first_second")).otherwise(later_second(draw)))
        .where(is_first | is_kept)
    )


def candidates(people: DataFrame, draw: Draws, end: Column) -> DataFrame:
    """Candidates for the orders of each customer, at the highest intensity.

    Time is cut into cells. The number of candidates in a cell is a Poisson draw with mean 1. Cell 0
    is the first order. Order numbers grow with the cells, with gaps.
    """
    holiday = F.col("holiday_share")
    busiest = (1 - holiday) * max(MONTHS) + holiday * max(HOLIDAY_MONTHS)
    # Whole weeks, because later_second moves a candidate within its week. `orders` drops those that
    # are then before the first order or after the end.
    weeks = F.floor((end - FIRST_SECOND) / WEEK) + 1 - F.col("week")
    in_cell = F.when(F.col("cell") == 0, 1).otherwise(poisson_of_one(F.col("cell_draw")))
    cells = (
        people.withColumn("busiest", busiest)
        .withColumn("candidates_per_week", F.col("orders_per_week") * F.col("busiest"))
        .withColumn("cells", F.ceil(weeks * F.col("candidates_per_week")).cast("int"))
        .withColumn("cell", F.explode(F.sequence(F.lit(0), "cells")))
    )
    return (
        cells.withColumn("cell_draw", draw.uniform("candidates", ("entity", "cell")))
        .withColumn("candidates", in_cell)
        .where("candidates > 0")
        .withColumn("candidate", F.explode(F.sequence(F.lit(1), "candidates")))
        # 16 is more candidates than a cell can have.
        .withColumn("order_number", F.col("cell") * 16 + F.col("candidate"))
    )


def end_of_activity(until: int) -> Column:
    """The second at which a customer leaves, at the latest `until`."""
    return F.least(F.col("last_second"), F.lit(until))


def later_second(draw: Draws) -> Column:
    """The time, in seconds, of a candidate for an order after the first."""
    cell = F.col("cell") - 1 + draw.uniform("cell", ORDER)
    week = F.col("week") + F.floor(cell / F.col("candidates_per_week"))
    # The last candidate of a rare buyer may be centuries later. Its date must be valid.
    week = F.least(week, F.lit(2 * WEEKS))
    return FIRST_SECOND + week * WEEK + second_of_week(draw, ORDER)


def season() -> Column:
    """How busy the month of `second` is for a customer; 1 is the average month."""
    holiday = F.col("holiday_share")
    day = F.date_add(F.lit(FIRST_DAY), F.floor((F.col("second") - FIRST_SECOND) / DAY).cast("int"))
    month = F.month(day) - 1
    return (1 - holiday) * constants(MONTHS)[month] + holiday * constants(HOLIDAY_MONTHS)[month]
