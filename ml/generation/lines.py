"""Lines of orders and of returns, with the columns of raw.transactions."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ml.generation.draws import LINE, ORDER, Draws, bucketize_by_mix, constants, money
from ml.generation.shop import (
    CATEGORIES,
    DAY,
    FREE_ITEM_SHARE,
    MAX_DAYS_TO_RETURN,
    MAX_LINES,
    PAYMENT_METHODS,
    PRODUCTS_PER_CATEGORY,
    UNIT_PRICES,
)


def lines(orders: DataFrame, draw: Draws, most: int | Column = MAX_LINES) -> DataFrame:
    """The lines of the orders: product, units, price; up to `most` lines in an order."""
    size = 1 + draw.geometric("lines", ORDER, "another_line", most - 1)
    category = bucketize_by_mix(F.col("category_draw"), "categories", len(CATEGORIES))
    noise = F.exp(0.35 * draw.normal("price", LINE))
    price = constants(UNIT_PRICES)[F.col("category")] * F.col("price_level") * noise
    is_free = draw.uniform("free", LINE) < FREE_ITEM_SHARE
    contents = {
        # Low numbers sell best.
        "product": 1 + F.floor(PRODUCTS_PER_CATEGORY * F.pow(draw.uniform("product", LINE), 2)),
        "quantity": 1 + draw.geometric("units", LINE, "another_unit", 8),
        "unit_cents": F.when(is_free, 0).otherwise(F.floor(price * 100 + 0.5)),
        "is_return": F.lit(False),
    }
    return (
        orders.withColumn("line_number", F.explode(F.sequence(F.lit(1), size)))
        .withColumn("category_draw", draw.habitual("category", LINE, habit=0.25))
        .withColumn("category", category)
        .withColumns(contents)
    )


def with_returns(lines: DataFrame, draw: Draws) -> DataFrame:
    """The lines, and a return line for each of them that comes back some days after the purchase.

    All returns of an order come back at the same time. At least half of the returned lines come
    back with all their units.
    """
    comes_back = (draw.uniform("return", LINE) < F.col("return_share")) & (F.col("unit_cents") > 0)
    is_return_of_each = F.when(comes_back, constants((False, True))).otherwise(constants((False,)))
    part = F.least(F.lit(1.0), 2 * draw.uniform("returned part", LINE))
    returned = -F.ceil(F.col("quantity") * part).cast("int")
    wait = DAY + F.floor(draw.uniform("return time", ORDER) * (MAX_DAYS_TO_RETURN - 1) * DAY)
    second, quantity, is_return = F.col("second"), F.col("quantity"), F.col("is_return")
    return lines.withColumn("is_return", F.explode(is_return_of_each)).withColumns(
        {
            "second": F.when(is_return, second + wait).otherwise(second),
            "quantity": F.when(is_return, returned).otherwise(quantity),
        }
    )


def transactions(lines: DataFrame, draw: Draws) -> DataFrame:
    """Adds the columns in TRANSACTION_NAMES that the lines lack."""
    kind = F.when(F.col("entity") > 0, "O").otherwise("G")
    order_number = F.lpad(F.col("order_number").cast("string"), 5, "0")
    return_mark = F.when(F.col("is_return"), "-R").otherwise("")
    method = bucketize_by_mix(F.col("payment_draw"), "payment_methods", len(PAYMENT_METHODS))
    product_number = F.lpad(F.col("product").cast("string"), 3, "0")
    return (
        lines.withColumn("payment_draw", draw.habitual("payment", ORDER, habit=0.8))
        .withColumns(
            {
                "order_id": F.concat(kind, "number", F.lit("-"), order_number, return_mark),
                "ordered_at": F.timestamp_seconds("second"),
                "product_category": constants(CATEGORIES)[F.col("category")],
                "amount": money(F.col("unit_cents") * F.col("quantity")),
                "payment_method": constants(PAYMENT_METHODS)[method],
                "unparsed_values": F.lit(None).cast("string"),
            }
        )
        .withColumns(
            {
                "transaction_id": F.concat("order_id", F.lit("-"), F.col("line_number")),
                "product_id": F.concat("product_category", F.lit("-"), product_number),
            }
        )
    )
