"""Decides whether the last fit still scores the customers, or a new one is due.

A fit describes the shop, which changes slowly. A new fit for each new line would cost as much as
the first one, and would move customers to other personas although they did nothing new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from pyspark.sql import SparkSession
from scipy.special import rel_entr

from ml.environment import in_environment
from ml.tables import table_properties

RULES = in_environment("intermediate.int_refit_rules")
LINES = in_environment("staging.stg_checked_transactions")
# With fewer buyers or days, rates and fits are mostly chance: no lifetime value is modeled, and the
# insight site warns.
MIN_BUYERS = 500
MIN_DAYS = 180
# Siddiqi (2006), "Credit Risk Scorecards": below 0.1 a population has not changed, above 0.25 it
# has changed a lot.
MAX_DRIFT = 0.1


@dataclass(frozen=True)
class Basis:
    """What a fit depends on."""

    as_of: date
    orders: int  # of all customers; for the purchase models, their purchase days
    content: str  # hash of all that must not differ: code, parameters, origin of the lines


@dataclass(frozen=True)
class Rules:
    """The dbt variables for how long a fit is kept, and for the size of the models' sample."""

    refit_days: int
    refit_share: float
    fit_customers: int


def read_rules(spark: SparkSession) -> Rules:
    """Reads the variables from the model that holds them."""
    (row,) = spark.table(RULES).collect()
    return Rules(row.refit_days, row.refit_share, row.fit_customers)


def stored_fit(spark: SparkSession, table: str) -> tuple[str, Basis] | None:
    """Id and basis of the fit that a table holds; None if it is empty or holds several."""
    rows = spark.table(table).select("run_id", "fitted_on", "orders", "basis").distinct().collect()
    if len(rows) != 1:
        return None
    run_id, *basis = rows[0]
    return run_id, Basis(*basis)


def origin_of_lines(spark: SparkSession) -> str:
    """Names the raw lines and the SQL of their checked copy; added lines do not change it.

    See macros/incremental.sql.
    """
    return table_properties(spark, LINES).get("built_from", "")


def reason_to_fit(kept: Basis | None, now: Basis, rules: Rules) -> str | None:
    """Why a new fit is due, in words; None if the last fit is kept."""
    if kept is None:
        return "there is no earlier fit"
    if kept.content != now.content:
        return (
            "the code, the seed, the known features, the backtests, the size of the sample or the "
            "SQL of the lines has changed since the last fit, or the raw data were replaced"
        )
    days = (now.as_of - kept.as_of).days
    if days < 0:
        return f"the last fit is as of a later day, {kept.as_of}"
    if days >= rules.refit_days:
        return f"the last fit is {days} days old"
    changed = abs(now.orders - kept.orders) / max(now.orders, 1)
    if changed > rules.refit_share:
        return f"there are {now.orders:,} orders, {kept.orders:,} at the last fit"
    return None


def stability_index(before: Sequence[int], after: Sequence[int]) -> float:
    """Population stability index of two counts by group: 0 if no share has changed.

    It is the sum of (q - p) ln(q / p) over the groups, with shares p before and q after: Jeffreys'
    divergence (Jeffreys 1946, Proceedings of the Royal Society A 186, 453-461). It is infinite if a
    group is empty on one side only.
    """
    p, q = (np.array(counts) / sum(counts) for counts in (before, after))
    return float((rel_entr(p, q) + rel_entr(q, p)).sum())
