"""Predictions for each customer, computed in the tasks that read the customers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark import cloudpickle
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ml import churn, purchase_models
from ml.churn import ChurnScore
from ml.histories import DAYS_PER_WEEK
from ml.purchase_models import PurchaseModel, SpendModel, average_spend

PREDICTED = (
    *("p_alive", "expected_orders_90d", "expected_order_value", "predicted_value_12m"),
    "churn_score",
)


@dataclass(frozen=True)
class Predictor:
    """The models that may be used. A prediction that needs a missing model is null."""

    purchases: PurchaseModel | None = None
    spend: SpendModel | None = None
    churn_score: ChurnScore | None = None


def predict_customers(customers: DataFrame, predictor: Predictor) -> DataFrame:
    """One row per customer: customer_key, customer_id and the predictions; null without a model.

    `customers` are the rows of the purchase history on the as-of date.
    """
    purchases, spend, churn_score = predictor.purchases, predictor.spend, predictor.churn_score
    if purchases is None:
        nothing = {name: F.lit(None) for name in PREDICTED}
        return customers.select("customer_key", "customer_id").withColumns(nothing)

    def predict(x: pd.Series, t_x: pd.Series, t: pd.Series, cents: pd.Series) -> pd.DataFrame:
        x = x.to_numpy(dtype=float)
        history = (
            x,
            t_x.to_numpy(dtype=float) / DAYS_PER_WEEK,
            t.to_numpy(dtype=float) / DAYS_PER_WEEK,
        )
        value = yearly = score = np.full(len(x), None)
        if spend is not None:
            average = average_spend(cents.to_numpy(dtype=float), x)
            value = np.round(spend.expected_spend(x, average), 4)
            orders = purchases.expected_purchases(365 / DAYS_PER_WEEK, *history)
            yearly = np.round(orders * value, 2)
        if churn_score is not None:
            score = churn_score.of(purchases, *history)
        alive = np.round(purchases.p_alive(*history), 6)
        orders = np.round(purchases.expected_purchases(90 / DAYS_PER_WEEK, *history), 6)
        return pd.DataFrame(
            dict(zip(PREDICTED, (alive, orders, value, yearly, score), strict=True))
        )

    # The function carries the code of these modules with it. If the code were an artifact of the
    # session, queries of other sessions would not find it after the end of this one.
    for module in (purchase_models, churn):
        cloudpickle.register_pickle_by_value(module)
    # The type stubs require a third argument; here type hints replace it.
    in_batches = F.pandas_udf(predict, ", ".join(f"{name} double" for name in PREDICTED))  # type: ignore[call-overload]
    predicted = in_batches(
        "repeat_purchase_days", "last_purchase_day", "observed_days", "repeat_net_cents"
    )
    keys = ("customer_key", "customer_id")
    return customers.select(*keys, predicted.alias("predicted")).select(*keys, "predicted.*")
