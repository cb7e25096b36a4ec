"""Fits of the purchase and spend models, and whether they are sound enough to use."""

from dataclasses import dataclass
from datetime import date
from typing import Generic

import numpy as np

from ml.evaluation import SPEND_MODEL
from ml.histories import Histories
from ml.purchase_models import Fit, Model, PurchaseModel, SpendModel, fit_purchases, fit_spend

PURCHASE_MODELS = ("bg_nbd", "mbg_nbd")
# With fewer repeat buyers a fit is mostly chance. With 97% one-time buyers, for example, the data
# do not show whether the other customers will continue to buy.
FEWEST_REPEAT_BUYERS = 100
LEAST_REPEAT_SHARE = 0.05
# Gamma-Gamma assumes that spend and frequency are independent. Above this correlation they are not.
GREATEST_CORRELATION = 0.3


@dataclass(frozen=True)
class Fitted(Generic[Model]):
    """A model by its name, fitted to data up to a day, and the result of its checks."""

    name: str
    fitted_until: date
    fit: Fit[Model]
    customers: int
    repeat_customers: int
    status: str

    @property
    def is_sound(self) -> bool:
        """True when it passed all checks."""
        return self.status == "converged"


@dataclass(frozen=True)
class Fits:
    """The models, fitted to what was known on one day; no spend model for too few repeat buyers."""

    purchases: dict[str, Fitted[PurchaseModel]]
    spend: Fitted[SpendModel] | None

    @property
    def by_name(self) -> dict[str, Fitted[PurchaseModel] | Fitted[SpendModel]]:
        """All fits by the name of the model."""
        fits: dict[str, Fitted[PurchaseModel] | Fitted[SpendModel]] = {**self.purchases}
        if self.spend is not None:
            fits[SPEND_MODEL] = self.spend
        return fits


def fit_models(
    histories: Histories, spend: tuple[np.ndarray, np.ndarray, np.ndarray], until: date
) -> Fits:
    """Fits the three models to what was known on a day.

    `spend` has the repeat purchases and the average spend of customers, and their number.
    """
    return Fits(
        {name: fit_purchase_model(name, histories, until) for name in PURCHASE_MODELS},
        fit_spend_model(*spend, until),
    )


def fit_purchase_model(name: str, histories: Histories, until: date) -> Fitted[PurchaseModel]:
    """Fits BG/NBD or MBG/NBD and checks the fit."""
    customers = int(histories.customers.sum())
    repeat_customers = int(histories.customers[histories.x > 0].sum())
    fit = fit_purchases(*histories.history, histories.customers, name == "mbg_nbd")
    status = fit_status(fit)
    if repeat_customers < max(FEWEST_REPEAT_BUYERS, LEAST_REPEAT_SHARE * customers):
        status = "too few repeat buyers"
    return Fitted(name, until, fit, customers, repeat_customers, status)


def fit_spend_model(
    x: np.ndarray, spend: np.ndarray, customers: np.ndarray, until: date
) -> Fitted[SpendModel] | None:
    """Fits Gamma-Gamma and checks the fit; None for too few repeat buyers."""
    spenders = int(customers.sum())
    if spenders < FEWEST_REPEAT_BUYERS:
        return None
    fit = fit_spend(x, spend, customers)
    status = fit_status(fit)
    if status == "converged" and abs(correlation(x, spend, customers)) > GREATEST_CORRELATION:
        status = "spend correlated with frequency"
    return Fitted(SPEND_MODEL, until, fit, spenders, spenders, status)


def fit_status(fit: Fit[PurchaseModel] | Fit[SpendModel]) -> str:
    """How the search for the parameters ended."""
    if fit.degenerate:
        return "degenerate"
    return "converged" if fit.converged else "not converged"


def correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's correlation of counted pairs."""
    x, y = (values - (weights * values).sum() / weights.sum() for values in (x, y))
    return float((weights * x * y).sum() / np.sqrt((weights * x**2).sum() * (weights * y**2).sum()))
