"""Random draws as Spark expressions, and what turns a draw into a choice."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from pyspark.sql import Column
from pyspark.sql import functions as F

# What a draw may depend on.
CUSTOMER = ("entity",)
ORDER = ("entity", "order_number")
LINE = ("entity", "order_number", "line_number")


@dataclass(frozen=True)
class Draws:
    """Random draws: each is a hash of the seed, its purpose and the ids of the row."""

    seed: int

    def uniform(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """A draw from the open interval (0, 1)."""
        key = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:8]
        bits = F.xxhash64(F.lit(int.from_bytes(key, signed=True)), *ids)
        # 52 bits plus 0.5: neither 0 nor 1, and exact in a double.
        return (F.shiftrightunsigned(bits, 12) + F.lit(0.5)) * F.lit(2.0**-52)

    def normal(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """A draw from the standard normal distribution (Box and Muller 1958)."""
        radius = F.sqrt(F.lit(-2.0) * F.log(self.uniform(f"{purpose} radius", ids)))
        return radius * F.cos(F.lit(2 * math.pi) * self.uniform(f"{purpose} angle", ids))

    def exponential(self, purpose: str, ids: tuple[str, ...] = CUSTOMER) -> Column:
        """A draw from the exponential distribution of mean 1."""
        return -F.log(self.uniform(purpose, ids))

    def geometric(
        self, purpose: str, ids: tuple[str, ...], success: str, most: int | Column
    ) -> Column:
        """A geometric draw: successes before the first failure, at most `most`.

        `success` names the column with the probability of a success.
        """
        successes = F.floor(F.log(self.uniform(purpose, ids)) / F.log(success))
        return F.least(successes, F.lit(most)).cast("int")

    def habitual(self, purpose: str, ids: tuple[str, ...], habit: float) -> Column:
        """With probability `habit`, the customer's own uniform draw; otherwise that of the row."""
        is_habit = self.uniform(f"{purpose} by habit", ids) < habit
        return F.when(is_habit, self.uniform(purpose)).otherwise(self.uniform(purpose, ids))


def bucketize(draw: Column, limits: list[Column]) -> Column:
    """Bucket of a draw, from 0: the number of the ascending `limits` that it has reached."""
    # A chain of cases stops at the first limit above the draw; counting would test every limit.
    cases = F.when(draw < limits[0], 0)
    for bucket, limit in enumerate(limits[1:], start=1):
        cases = cases.when(draw < limit, bucket)
    return cases.otherwise(len(limits))


def bucketize_by_mix(draw: Column, mix: str, size: int) -> Column:
    """Bucket of a draw by the column `mix`, the `size` cumulative shares of a persona."""
    return bucketize(draw, [F.col(mix)[place] for place in range(size - 1)])


def poisson_of_one(draw: Column) -> Column:
    """A draw from the Poisson distribution of mean 1, by its inverse; at most 15."""
    limits = accumulate(math.exp(-1) / math.factorial(count) for count in range(15))
    return bucketize(draw, [F.lit(limit) for limit in limits])


def constants(values: Iterable[object]) -> Column:
    """An array of constants."""
    return F.array(*[F.lit(value) for value in values])


def money(cents: Column) -> Column:
    """Whole cents as decimal(18,2), exactly."""
    return (cents.cast("decimal(16,0)") * F.lit(Decimal("0.01"))).cast("decimal(18,2)")
