"""Predictions for each customer, computed on the executors."""

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark import cloudpickle
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ml import churn, purchase_models, seasons
from ml.churn import ChurnScore
from ml.purchase_models import PurchaseModel, SpendModel, average_spend
from ml.seasons import DAYS_PER_WEEK, Clock, Times, model_times

PREDICTED = {
    "p_alive": "double",
    "expected_orders_90d": "double",
    "expected_order_value": "double",
    "predicted_value_12m": "double",
    "churn_score": "double",
    "days_to_next_order": "double",
    "is_late": "boolean",
}
# A customer is late if four in five such active customers would have bought again by now.
LATE_BELOW_CHANCE = 0.2
# Nobody can plan with a date that is further ahead.
MAX_DAYS_AHEAD = 3650


@dataclass(frozen=True)
class Predictor:
    """The models that may be used, as of a day."""

    as_of: int  # days since 1970-01-01
    purchases: PurchaseModel
    clock: Clock
    spend: SpendModel | None
    churn_score: ChurnScore | None

    def predict(
        self, x: np.ndarray, last: np.ndarray, observed: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Predictions for histories in days, without those of the spend."""
        purchases, clock, as_of = self.purchases, self.clock, self.as_of
        times = model_times(clock, as_of, x, last, observed)
        found = {
            "p_alive": np.round(purchases.p_alive(*times), 6),
            "expected_orders_90d": self.expected_orders(90, times),
            "days_to_next_order": clock.days_until(
                as_of, purchases.weeks_to_next_purchase(*times), MAX_DAYS_AHEAD
            ),
            "is_late": purchases.chance_of_longer_gap(*times) < LATE_BELOW_CHANCE,
            "expected_orders_12m": self.expected_orders(365, times),
        }
        if self.churn_score is not None:
            recency = (last - observed) / DAYS_PER_WEEK
            found["churn_score"] = self.churn_score.of(purchases, times, recency)
        return found

    def expected_orders(self, days: int, times: Times) -> np.ndarray:
        """Orders expected in the next days: at most one a day, as a model counts purchase days."""
        weeks = float(self.clock.weeks(self.as_of, self.as_of + days))
        return np.minimum(np.round(self.purchases.expected_purchases(weeks, *times), 6), days)


def predict_customers(customers: DataFrame, predictor: Predictor | None) -> DataFrame:
    """One row per customer: customer_key, customer_id and the predictions.

    Without its model, a prediction is null.

    `customers` are the rows of the purchase history on the as-of date.
    """
    keys = ("customer_key", "customer_id")
    if predictor is None:
        nothing = {name: F.lit(None) for name in (*PREDICTED, "expected_next_order_on")}
        return customers.select(*keys).withColumns(nothing)

    def predict(
        x: pd.Series, last: pd.Series, observed: pd.Series, cents: pd.Series
    ) -> pd.DataFrame:
        repeats = x.to_numpy(dtype=float)
        found = predictor.predict(repeats, last.to_numpy(dtype=int), observed.to_numpy(dtype=int))
        if predictor.spend is not None:
            average = average_spend(cents.to_numpy(dtype=float), repeats)
            found["expected_order_value"] = np.round(
                predictor.spend.expected_spend(repeats, average), 4
            )
            yearly = found["expected_orders_12m"] * found["expected_order_value"]
            found["predicted_value_12m"] = np.round(yearly, 2)
        missing = np.full(len(x), None)
        return pd.DataFrame({name: found.get(name, missing) for name in PREDICTED})

    # The code is part of the query. If it were an artifact of the session, queries of other
    # sessions would not find it after this session has ended.
    for module in (purchase_models, seasons, churn, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)
    schema = ", ".join(f"{name} {type_name}" for name, type_name in PREDICTED.items())
    # The stubs require a third argument, but pandas_udf takes it from the type hints.
    in_batches = F.pandas_udf(predict, schema)  # type: ignore[call-overload]
    predicted = in_batches(
        "repeat_purchase_days", "last_purchase_day", "observed_days", "repeat_net_cents"
    )
    days = F.when(F.col("days_to_next_order") <= MAX_DAYS_AHEAD, F.col("days_to_next_order"))
    next_order_on = F.date_add(F.lit("1970-01-01"), predictor.as_of + days.cast("int"))
    return (
        customers.select(*keys, predicted.alias("predicted"))
        .select(*keys, "predicted.*")
        .withColumn("expected_next_order_on", next_order_on)
    )
