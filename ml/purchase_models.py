"""The mathematics of lifetime value: how often customers buy, until when, and what they spend.

No Spark, no input or output. A customer's history is (x, t_x, T):
- x: number of purchases after the first one
- t_x: weeks from the first purchase to the last one
- T: weeks from the first purchase to the end of observation

A purchase here is a day with purchases: callers count two on one day as one.

Sources:
- BG/NBD: Fader, Hardie and Lee (2005), "Counting your customers" the easy way, Marketing Science
  24(2), 275-284. A customer buys as a Poisson process with rate lambda, and drops out after each
  repeat purchase with probability p. Over customers, lambda ~ gamma(r, alpha), p ~ beta(a, b).
- MBG/NBD: Batislam, Denizel and Filiztekin (2007), International Journal of Research in Marketing
  24(3), 201-209. The same, but a customer may drop out right after the first purchase, too.
- Gamma-Gamma: Fader and Hardie (2013), "The gamma-gamma model of monetary value".

One class covers both purchase models. They differ only in c, the number of purchases after which
the customer could drop out: c = x for BG/NBD, c = x + 1 for MBG/NBD.
"""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln, hyp2f1

# Bounds of the search. A parameter near a bound means that the data do not determine it: with
# a = 1e-8, for example, no customer ever leaves.
LOWER_BOUND, UPPER_BOUND = 1e-8, 1e6
SOUND_LOWER, SOUND_UPPER = 1e-4, 1e4
# The same is true if the average dropout probability, a / (a + b), is below this.
LOWEST_DROPOUT = 1e-3


def has_extreme_parameter(*parameters: float) -> bool:
    """True when a parameter is too near a bound of the search to mean anything."""
    return not all(SOUND_LOWER < value < SOUND_UPPER for value in parameters)


@dataclass(frozen=True)
class PurchaseModel:
    """Parameters of BG/NBD, or of MBG/NBD where the first purchase may be the last."""

    r: float
    alpha: float
    a: float
    b: float
    first_may_be_last: bool = False

    @property
    def degenerate(self) -> bool:
        """True when the data do not determine the parameters."""
        return (
            has_extreme_parameter(self.r, self.alpha, self.a, self.b)
            or self.a / (self.a + self.b) < LOWEST_DROPOUT
        )

    def occasions(self, x: np.ndarray) -> np.ndarray:
        """Occasions to drop out, up to and including the last purchase."""
        return x + 1 if self.first_may_be_last else x

    def alive_and_gone(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joint log-likelihoods: history and active at T, and history and gone before T.

        The logarithms of the two terms of equation (6) of Fader, Hardie and Lee, without the factor
        that both share. MBG/NBD is analogous.
        """
        c = self.occasions(x)
        stayed = betaln(self.a, self.b + c) - betaln(self.a, self.b)
        alive = stayed - (self.r + x) * np.log(self.alpha + t)
        # B(a + 1, b + c - 1) = B(a, b + c) a / (b + c - 1). With c = 0 the customer cannot be gone.
        last = np.log(self.a) - np.log(self.b + np.maximum(c, 1) - 1)
        gone = stayed + last - (self.r + x) * np.log(self.alpha + t_x)
        return alive, np.where(c > 0, gone, -np.inf)

    def log_likelihood(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Log-likelihood of each history."""
        shared = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        return shared + np.logaddexp(*self.alive_and_gone(x, t_x, t))

    def gradient(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Derivatives of `log_likelihood` with respect to r, alpha, a and b: four rows."""
        r, alpha, a, b, c = self.r, self.alpha, self.a, self.b, self.occasions(x)
        alive = self.p_alive(x, t_x, t)
        gone = 1 - alive
        log_rate = alive * np.log(alpha + t) + gone * np.log(alpha + t_x)
        both = digamma(a + b) - digamma(a + b + c)
        # digamma(b + c - 1) = digamma(b + c) - 1 / (b + c - 1). With c = 0, gone is 0.
        survived = digamma(b + c) - gone / (b + np.maximum(c, 1) - 1)
        return np.array(
            [
                digamma(r + x) - digamma(r) + np.log(alpha) - log_rate,
                r / alpha - (r + x) * (alive / (alpha + t) + gone / (alpha + t_x)),
                gone / a + both,
                survived - digamma(b) + both,
            ]
        )

    def p_alive(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Probability that a customer with this history is still active at T."""
        alive, gone = self.alive_and_gone(x, t_x, t)
        return np.exp(alive - np.logaddexp(alive, gone))

    def expected_purchases(
        self,
        weeks: float | np.ndarray,
        x: float | np.ndarray = 0.0,
        t_x: float | np.ndarray = 0.0,
        t: float | np.ndarray = 0.0,
        p_alive: np.ndarray | None = None,
    ) -> np.ndarray:
        """Expected purchases in the `weeks` after T; without a history, those of a new customer.

        `p_alive` is the result of the method of this name, if it is computed already.
        Equation (10) of Fader, Hardie and Lee. Their 2F1(r + x, b + x; a + b + x - 1; z) overflows
        for large x. Euler's transformation, 2F1(u, v; w; z) = (1 - z)^(w - u - v)
        2F1(w - u, w - v; w; z), leaves a series whose first two arguments do not depend on x. For
        large a, that series overflows and theirs does not.
        """
        x, t_x, t = (np.asarray(values, dtype=float) for values in (x, t_x, t))
        c = self.occasions(x)
        # At a = 1 the formula is 0 / 0; this close to 1 it equals the limit to six digits.
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6
        w = a + self.b + c - 1
        rate = self.alpha + t
        power = (rate / (rate + weeks)) ** (a - 1)
        z = weeks / (rate + weeks)
        with np.errstate(invalid="ignore"):  # 0 * infinity
            without = power * hyp2f1(a - 1, w - self.r - x, w, z)
        if not np.isfinite(without).all():
            theirs = (1 - z) ** (self.r + x) * hyp2f1(self.r + x, self.b + c, w, z)
            without = np.where(np.isfinite(without), without, theirs)
        alive = self.p_alive(x, t_x, t) if p_alive is None else p_alive
        return alive * w / (a - 1) * (1 - without)

    def purchase_variance(
        self, expected: np.ndarray, x: np.ndarray, p_alive: np.ndarray
    ) -> np.ndarray:
        """Approximate variance of the purchases in a period; `expected` is their expected number.

        An active customer's purchases are taken as negative binomial with shape r + x. This leaves
        out that the customer may drop out in the period. With the parameters of CDNOW, t_x = 28 and
        T = 30 weeks, the variance of 26 weeks after 3 purchases is 3.4 instead of 3.3. After many
        purchases it is too low: 32 instead of 54 for 52 weeks after 10 purchases.
        """
        # A very small p_alive becomes 0, and with it the expected purchases.
        if_alive = np.divide(expected, p_alive, out=np.zeros_like(expected), where=p_alive > 0)
        return p_alive * (if_alive + if_alive**2 * (1 / (self.r + x) + 1 - p_alive))

    def weeks_to_next_purchase(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Median of the weeks from T to the next purchase; infinite if probably none comes.

        An active customer has no purchase in w weeks with chance ((alpha + T) / (alpha + T + w))
        to the power r + x, because lambda ~ gamma(r + x, alpha + T).
        """
        alive = self.p_alive(x, t_x, t)
        still_waiting = np.where(alive > 0.5, (alive - 0.5) / alive, np.nan)
        weeks = (self.alpha + t) * (still_waiting ** (-1 / (self.r + x)) - 1)
        return np.where(alive > 0.5, weeks, np.inf)

    def chance_of_longer_gap(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Chance that an active customer with x purchases up to t_x has none from t_x to T."""
        return ((self.alpha + t_x) / (self.alpha + t)) ** (self.r + x)


@dataclass(frozen=True)
class SpendModel:
    """Parameters of Gamma-Gamma, the model of spend per purchase."""

    p: float
    q: float
    gamma: float

    @property
    def degenerate(self) -> bool:
        """True when the data do not determine the parameters."""
        # With q of at most 1 the mean spend is infinite. Otherwise it is p * gamma / (q - 1). Gamma
        # counts in units of it, so that the check is the same in any currency.
        return self.q <= 1 or has_extreme_parameter(self.p, self.q, (self.q - 1) / self.p)

    def log_likelihood(self, x: np.ndarray, spend: np.ndarray) -> np.ndarray:
        """Log-likelihood of the average spend over x purchases (equation 1a)."""
        p, q, gamma = self.p, self.q, self.gamma
        return (
            gammaln(p * x + q)
            - gammaln(p * x)
            - gammaln(q)
            + q * np.log(gamma)
            + (p * x - 1) * np.log(spend)
            + p * x * np.log(x)
            - (p * x + q) * np.log(gamma + x * spend)
        )

    def gradient(self, x: np.ndarray, spend: np.ndarray) -> np.ndarray:
        """Derivatives of `log_likelihood` with respect to p, q and gamma: three rows."""
        p, q, gamma = self.p, self.q, self.gamma
        log_total, both = np.log(gamma + x * spend), digamma(p * x + q)
        return np.array(
            [
                x * (both - digamma(p * x) + np.log(x * spend) - log_total),
                both - digamma(q) + np.log(gamma) - log_total,
                q / gamma - (p * x + q) / (gamma + x * spend),
            ]
        )

    def expected_spend(self, x: np.ndarray, spend: np.ndarray) -> np.ndarray:
        """Expected spend per purchase (equation 5), between the customer's and the overall average.

        Without a repeat purchase (x = 0) it is the overall average, p * gamma / (q - 1).
        """
        return self.p * (self.gamma + x * spend) / (self.p * x + self.q - 1)

    def total_expected_spend(
        self, x: np.ndarray, total: np.ndarray, customers: np.ndarray
    ) -> np.ndarray:
        """Sum of `expected_spend` over `customers` with x purchases and `total` spend in all.

        The expectation is linear in the spend, so the sum needs no customer's own average.
        """
        total = np.where(x > 0, total, 0)
        return self.p * (customers * self.gamma + total) / (self.p * x + self.q - 1)


def average_spend(cents: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Average spend of x repeat purchases with `cents` in total; a total below 0 counts as 0.

    With x = 0 it has no meaning, and `expected_spend` does not use it.
    """
    return np.maximum(cents, 0) / 100 / np.maximum(x, 1)


Model = TypeVar("Model", PurchaseModel, SpendModel)


@dataclass(frozen=True)
class Fit(Generic[Model]):
    """A model with its maximum-likelihood parameters, and whether the search converged."""

    model: Model
    log_likelihood: float
    converged: bool

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name."""
        return {
            name: value for name, value in vars(self.model).items() if not isinstance(value, bool)
        }

    @property
    def degenerate(self) -> bool:
        """True when the data do not determine the parameters."""
        return self.model.degenerate


def fit_purchases(
    x: np.ndarray,
    t_x: np.ndarray,
    t: np.ndarray,
    customers: np.ndarray,
    first_may_be_last: bool = False,
    start: PurchaseModel | None = None,
) -> Fit[PurchaseModel]:
    """Fits BG/NBD or MBG/NBD; `customers` is the number of customers with each history.

    The search starts at the parameters of `start`, a model of similar data, if there is one.
    """
    if start is None:
        mean_t = float((customers * t).sum() / customers.sum())
        first_guess = (0.5, max(mean_t / 4, 0.1), 0.7, 2.5)
    else:
        first_guess = (start.r, start.alpha, start.a, start.b)

    def model_of(values: Iterable[float]) -> PurchaseModel:
        r, alpha, a, b = values
        return PurchaseModel(r, alpha, a, b, first_may_be_last)

    return _fit(model_of, (x, t_x, t), customers, first_guess)


def fit_spend(x: np.ndarray, spend: np.ndarray, customers: np.ndarray) -> Fit[SpendModel]:
    """Fits Gamma-Gamma to average spends of x >= 1 purchases; all averages are above 0."""
    mean_spend = float((customers * spend).sum() / customers.sum())
    # In units of the mean, so that the search is the same in any currency.
    in_units = _fit(
        lambda values: SpendModel(*values), (x, spend / mean_spend), customers, start=(4, 4, 1)
    )
    p, q, gamma = astuple(in_units.model)
    # Change of variable: the density of the spend is that of the ratio, divided by the mean.
    log_likelihood = in_units.log_likelihood - float(customers.sum()) * np.log(mean_spend)
    model = SpendModel(p, q, significant(gamma * mean_spend))
    return Fit(model, float(log_likelihood), in_units.converged)


def significant(value: float) -> float:
    """Rounds to seven significant digits, because further digits differ between machines."""
    return float(f"{value:.7g}")


def _fit(
    model_of: Callable[[Iterable[float]], Model],
    data: tuple[np.ndarray, ...],
    customers: np.ndarray,
    start: tuple[float, ...],
) -> Fit[Model]:
    """Maximizes the likelihood over the logarithms of the parameters, which keeps them above 0."""
    total = customers.sum()

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        values = np.exp(logs)
        model = model_of(values)
        value = -(customers * model.log_likelihood(*data)).sum() / total
        slope = -(customers * model.gradient(*data)).sum(axis=1) / total * values
        return value, slope

    found = minimize(
        loss,
        np.log(start),
        jac=True,
        method="L-BFGS-B",
        bounds=[(np.log(LOWER_BOUND), np.log(UPPER_BOUND))] * len(start),
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-8},
    )
    # A search that stops at the limit of precision has converged if the gradient is near 0.
    flat = np.abs(found.jac).max() < 1e-5
    model = model_of([significant(value) for value in np.exp(found.x)])
    return Fit(model, -float(found.fun * total), bool(found.success or flat))
