"""Fits of the purchase and spend models, and whether they are sound enough to use."""

from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from ml.histories import Histories, RepeatSpend
from ml.purchase_models import Fit, Model, PurchaseModel, SpendModel, fit_purchases, fit_spend
from ml.seasons import CALENDAR, Clock, DailyPurchases, SeasonalIndex, seasonal_index

PURCHASE_MODELS = ("bg_nbd", "mbg_nbd")
SPEND_MODEL = "gamma_gamma"
# The model and the index of the seasons are estimated in turn, at most six times, until no month's
# index changes by more than half a percent.
TOLERANCE, MAX_ITERATIONS = 0.005, 6
# With fewer repeat buyers a fit is mostly chance. With 97% one-time buyers, for example, the data
# do not show whether the other customers will continue to buy.
MIN_REPEAT_BUYERS = 100
MIN_REPEAT_SHARE = 0.05
# Gamma-Gamma assumes that spend and frequency are independent. Above this correlation they are not.
MAX_CORRELATION = 0.3


@dataclass(frozen=True)
class Fitted(Generic[Model]):
    """A model by its name, fitted to data up to a day, and the result of its checks."""

    name: str
    fit: Fit[Model]
    customers: int
    repeat_customers: int
    status: str
    clock: Clock = CALENDAR

    @property
    def is_sound(self) -> bool:
        """True when it passed all checks."""
        return self.status == "converged"


FittedPurchases = Fitted[PurchaseModel]


@dataclass(frozen=True)
class Fits:
    """The models, fitted to what was known on one day."""

    origin: int
    purchases: dict[str, FittedPurchases]
    spend: Fitted[SpendModel] | None  # None for too few repeat buyers
    index: SeasonalIndex | None = None  # without one there is no seasonal model

    @property
    def by_name(self) -> dict[str, FittedPurchases | Fitted[SpendModel]]:
        """All fits by the name of the model."""
        fits: dict[str, FittedPurchases | Fitted[SpendModel]] = {**self.purchases}
        if self.spend is not None:
            fits[SPEND_MODEL] = self.spend
        return fits


def fit_plain_models(histories: Histories, spend: RepeatSpend | None) -> Fits:
    """Fits BG/NBD, MBG/NBD and Gamma-Gamma to what was known at an origin."""
    return Fits(
        histories.origin,
        {name: fit_purchase_model(name, histories) for name in PURCHASE_MODELS},
        fit_spend_model(spend) if spend else None,
    )


def fit_purchase_model(
    name: str, histories: Histories, clock: Clock = CALENDAR, start: PurchaseModel | None = None
) -> FittedPurchases:
    """Fits BG/NBD or MBG/NBD on a clock, and checks the fit; `start` is a similar model."""
    sampled = histories.sampled_customers > 0
    x, t_x, t = (values[sampled] for values in histories.times(clock))
    customers = histories.sampled_customers[sampled]
    repeat_customers = int(customers[x > 0].sum())
    fit = fit_purchases(x, t_x, t, customers, name == "mbg_nbd", start)
    status = fit_status(fit)
    if repeat_customers < max(MIN_REPEAT_BUYERS, MIN_REPEAT_SHARE * customers.sum()):
        status = "too few repeat buyers"
    return Fitted(name, fit, int(customers.sum()), repeat_customers, status, clock)


def seasonal_name(plain: str) -> str:
    """Name of the seasonal model: a plain one on the clock of the seasons."""
    return f"seasonal_{plain}"


def with_seasonal_model(
    fits: Fits, plain: str, histories: Histories, purchases: DailyPurchases
) -> Fits:
    """Adds to the fits the plain model on the clock of the seasons, if an index can be estimated.

    The index depends on the model, and the model on the index: each is computed from the other
    until the index settles.
    """
    fitted, index = fits.purchases[plain], None
    if not fitted.is_sound:
        return fits
    for _ in range(MAX_ITERATIONS):
        before = index
        index = seasonal_index(purchases, fits.origin, fitted.fit.model, fitted.clock)
        if index is None:
            return fits
        if before and is_settled(before, index):
            # The model is fitted on the clock of the earlier index, so that one is returned.
            index = before
            break
        fitted = fit_purchase_model(plain, histories, Clock(index.index), fitted.fit.model)
    seasonal = replace(fitted, name=seasonal_name(plain))
    return replace(fits, purchases={**fits.purchases, seasonal.name: seasonal}, index=index)


def is_settled(before: SeasonalIndex, after: SeasonalIndex) -> bool:
    """True when no month's index has changed by more than TOLERANCE."""
    changes = np.log(np.array(after.index) / np.array(before.index))
    return bool(np.abs(changes).max() <= TOLERANCE)


def fit_spend_model(spend: RepeatSpend) -> Fitted[SpendModel] | None:
    """Fits Gamma-Gamma and checks the fit; None for too few repeat buyers."""
    spenders = int(spend.customers.sum())
    if spenders < MIN_REPEAT_BUYERS:
        return None
    fit = fit_spend(spend.x, spend.average, spend.customers)
    status = fit_status(fit)
    related = correlation(spend.x, spend.average, spend.customers)
    if status == "converged" and abs(related) > MAX_CORRELATION:
        status = "spend correlated with frequency"
    return Fitted(SPEND_MODEL, fit, spenders, spenders, status)


def fit_status(fit: Fit[PurchaseModel] | Fit[SpendModel]) -> str:
    """How the search for the parameters ended."""
    if fit.degenerate:
        return "degenerate"
    return "converged" if fit.converged else "not converged"


def correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's correlation of counted pairs; 0 if one side does not vary."""
    x, y = (values - (weights * values).sum() / weights.sum() for values in (x, y))
    scale = np.sqrt((weights * x**2).sum() * (weights * y**2).sum())
    return float((weights * x * y).sum() / scale) if scale > 0 else 0.0
