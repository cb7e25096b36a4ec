"""Seasons, backtests and intervals: the mathematics, on simulations and by hand."""

from collections.abc import Sequence
from datetime import date
from math import exp
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from ml import backtests, forecasts
from ml.fits import Fits, fit_purchase_model, with_seasonal_model
from ml.forecasts import periods_ahead, spread
from ml.histories import Histories
from ml.predictions import Predictor
from ml.purchase_models import PurchaseModel
from ml.seasons import CALENDAR, Clock, DailyPurchases, restricted_likelihood, seasonal_index

FIRST = (date(2021, 1, 1) - date(1970, 1, 1)).days
YEAR = 365
# The simulated shop's index by month. Its mean over the days of a year is 1.
BUSY = np.array([0.7, 0.7, 0.8, 0.9, 1.0, 0.9, 0.8, 0.8, 1.0, 1.1, 1.5, 1.8])
BUSY = BUSY / np.repeat(BUSY, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]).mean()
# Customers leave slowly, so that the third year still has purchases.
SHOP = PurchaseModel(1.5, 20.0, 0.5, 4.0, first_may_be_last=True)


def shop(clock: Clock, days: int, customers: int = 20_000) -> tuple[Histories, DailyPurchases]:
    """A shop that wins its customers in the first half year; they buy as SHOP says, on a clock."""
    random = np.random.default_rng(11)
    end = FIRST + days
    passed = 7 * clock.weeks(FIRST, FIRST + np.arange(days + 1))  # operational days up to each day
    first = random.integers(0, 180, customers)
    rate = random.gamma(SHOP.r, 1 / SHOP.alpha, customers) / 7
    leaves = random.beta(SHOP.a, SHOP.b, customers)
    time, last, x = passed[first], first.copy(), np.zeros(customers, dtype=int)
    repeats = np.zeros(days + 1)
    active = random.random(customers) > leaves
    while active.any():
        time = time + random.exponential(1 / np.maximum(rate, 1e-9))
        day = np.searchsorted(passed, time)
        bought = active & (day <= days)
        is_new_day = bought & (day > last)
        np.add.at(repeats, day[is_new_day], 1)
        x, last = x + is_new_day, np.where(is_new_day, day, last)
        active = bought & (random.random(customers) > leaves)
    rows, counts = np.unique(np.stack([x, last - first, days - first]), axis=1, return_counts=True)
    none = np.zeros(len(counts))
    histories = Histories(
        end,
        0,
        rows[0].astype(float),
        rows[1],
        rows[2],
        counts,
        counts,
        none,
        none,
        none,
        none,
        none,
    )
    new = np.bincount(first, minlength=days + 1).astype(float)
    return histories, DailyPurchases(FIRST + np.arange(days + 1), new, repeats)


def fitted_index(clock: Clock, years: float) -> tuple[Fits, np.ndarray | None]:
    """The fits of a simulated shop with seasons, and the index that they found."""
    histories, purchases = shop(clock, round(YEAR * years))
    plain = Fits(histories.origin, {"mbg_nbd": fit_purchase_model("mbg_nbd", histories)}, None)
    fits = with_seasonal_model(plain, "mbg_nbd", histories, purchases)
    return fits, None if fits.index is None else np.array(fits.index.index)


class TestClock:
    def test_without_an_index_is_the_calendar(self):
        assert CALENDAR.weeks(FIRST, np.array([FIRST, FIRST + 7, FIRST + 10])) == pytest.approx(
            [0, 1, 10 / 7]
        )

    def test_counts_a_busy_day_by_the_index_of_its_month(self):
        clock = Clock((2.0, 0.5, *[1.0] * 10))
        # From the end of January 30: one day of January and two of February.
        assert clock.weeks(FIRST + 29, FIRST + 32) == pytest.approx((2.0 + 0.5 + 0.5) / 7)

    def test_day_by_whose_end_the_weeks_have_passed(self):
        clock = Clock((2.0, *[0.5] * 11))
        # After January 29: 2 days pass by January 30, 4 by January 31, 4.5 by February 1.
        weeks = np.array([1.0, 4.0, 4.2, np.inf]) / 7
        days = clock.days_until(FIRST + 28, weeks, 100)
        assert list(days) == [1, 2, 3, np.inf]


class TestIndex:
    def test_of_a_simulated_shop_comes_back(self):
        """Three years: each month's index within 8% of the truth, each parameter within 25%."""
        fits, index = fitted_index(Clock(tuple(BUSY)), 3)
        assert index == pytest.approx(BUSY, rel=0.08)
        found = list(fits.purchases["seasonal_mbg_nbd"].fit.parameters.values())
        assert found == pytest.approx([SHOP.r, SHOP.alpha, SHOP.a, SHOP.b], rel=0.25)

    def test_of_a_shop_without_seasons_stays_near_one(self):
        _, index = fitted_index(CALENDAR, 3)
        assert index == pytest.approx(np.ones(12), abs=0.04)

    def test_needs_months_that_were_seen_twice(self):
        """One year and a quarter: only three months were seen twice, too few to compare."""
        fits, index = fitted_index(Clock(tuple(BUSY)), 1.25)
        assert index is None
        assert list(fits.purchases) == ["mbg_nbd"]

    def test_does_not_count_the_years_after_a_single_early_order(self):
        """The same shop, and one customer who bought once, ten years before."""
        histories, purchases = shop(Clock(tuple(BUSY)), round(YEAR * 1.25))
        early = DailyPurchases(
            np.concatenate([[FIRST - 10 * YEAR], purchases.day]),
            np.concatenate([[1.0], purchases.new_customers]),
            np.concatenate([[0.0], purchases.repeat_purchases]),
        )
        model = fit_purchase_model("mbg_nbd", histories).fit.model
        assert seasonal_index(early, histories.origin, model, CALENDAR) is None

    def test_of_a_month_that_disagrees_with_itself_is_shrunk(self):
        """December: 100 purchases expected; 200 in one year, 50 in the next, so no season."""
        days = np.array([FIRST + 15 + round(30.4 * month) for month in range(24)])
        came = np.full(24, 100.0)
        came[11], came[23] = 200, 50
        # A model that expects 100 in each month, from a customer won the day before FIRST.
        steady = SimpleNamespace(expected_purchases=lambda weeks: weeks / (30.4 / 7) * 100)
        day_before = np.array([FIRST - 1])
        found = seasonal_index(
            DailyPurchases(
                np.concatenate([day_before, days]),
                np.concatenate([[1.0], np.zeros(24)]),
                np.concatenate([[0.0], came]),
            ),
            FIRST + 2 * YEAR - 1,
            steady,
            CALENDAR,
        )
        assert found is not None
        assert found.times_seen == (2,) * 12
        assert found.index == pytest.approx(np.ones(12), abs=0.05)

    def test_has_the_likelihood_of_the_covariance_by_linear_algebra(self):
        """Patterson and Thompson (1971), with all matrices written out."""
        random = np.random.default_rng(5)
        groups = np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]]
        own, values = random.uniform(0.5, 2, 8), random.normal(size=8)
        effects = np.stack([np.ones(8), np.arange(8)], axis=1)
        inverse = np.linalg.inv(np.diag(own) + 0.7 * groups @ groups.T)
        products = effects.T @ inverse @ effects
        projected = inverse - inverse @ effects @ np.linalg.inv(products) @ effects.T @ inverse
        determinants = np.linalg.det(products) / np.linalg.det(inverse)
        likelihood, residuals = restricted_likelihood(values, effects, own, groups, 0.7)
        expected = -(np.log(determinants) + values @ projected @ values) / 2
        assert likelihood == pytest.approx(expected, abs=1e-12)
        assert residuals == pytest.approx(projected @ values, abs=1e-12)


class TestNextPurchase:
    def test_no_customer_is_expected_to_buy_more_than_once_a_day(self):
        """On this clock, the 90 days before Christmas are 18 weeks. One customer bought daily."""
        clock = Clock((*[0.8] * 9, 1.4, 1.4, 1.4))
        predictor = Predictor(FIRST + 273, SHOP, clock, None, None)
        daily, rare = predictor.predict(
            np.array([900.0, 1.0]), np.array([999, 500]), np.array([1000, 1000])
        )["expected_orders_90d"]
        assert SHOP.expected_purchases(18.0, 900.0, 142.7, 142.9) > 90
        assert daily == 90
        assert 0 < rare < 1

    def test_median_waits_until_half_have_bought(self):
        """P(alive) times the mean of 1 - e^(-lambda w) over gamma(r + x, alpha + T) is one half."""
        model = PurchaseModel(0.7, 6.0, 0.4, 2.5, first_may_be_last=True)
        history = np.array([4.0]), np.array([30.0]), np.array([33.0])
        (weeks,) = model.weeks_to_next_purchase(*history)
        rate = gamma(0.7 + 4, scale=1 / (6.0 + 33))
        waiting, _ = quad(lambda rate_: exp(-rate_ * weeks) * rate.pdf(rate_), 0, np.inf)
        assert float(model.p_alive(*history)[0]) * (1 - waiting) == pytest.approx(0.5, rel=1e-6)

    def test_is_never_when_the_customer_has_probably_left(self):
        history = np.array([10.0]), np.array([20.0]), np.array([150.0])
        assert SHOP.p_alive(*history)[0] < 0.5
        assert SHOP.weeks_to_next_purchase(*history)[0] == np.inf

    def test_gap_is_long_when_few_would_wait_longer(self):
        """lambda ~ gamma(2, 10) at the last purchase: 1 in 4 waits longer than 10 weeks."""
        model = PurchaseModel(1.0, 4.0, 1.0, 1.0)
        history = np.array([1.0]), np.array([6.0]), np.array([16.0])
        assert model.chance_of_longer_gap(*history) == pytest.approx([0.25])

    def test_variance_is_that_of_a_simulation_or_a_little_more(self):
        """100,000 customers with one history, who may leave after each further purchase."""
        random, size, weeks = np.random.default_rng(5), 100_000, 26.0
        history = np.array([3.0]), np.array([30.0]), np.array([40.0])
        alive = random.random(size) < SHOP.p_alive(*history)[0]
        rate = random.gamma(SHOP.r + 3, 1 / (SHOP.alpha + 40), size)
        leaves = random.beta(SHOP.a, SHOP.b + 4, size)
        time, bought = random.exponential(1 / rate), np.zeros(size)
        active = alive & (time <= weeks)
        while active.any():
            bought += active
            active &= random.random(size) > leaves
            time = time + random.exponential(1 / rate)
            active &= time <= weeks
        expected = SHOP.expected_purchases(weeks, *history)
        assert expected == pytest.approx([bought.mean()], rel=0.03)
        (variance,) = SHOP.purchase_variance(expected, history[0], SHOP.p_alive(*history))
        assert bought.var() * 0.98 < variance < bought.var() * 1.25


def of_errors(*errors: dict[str, float]) -> Sequence[backtests.Backtest]:
    """Backtests of which only the errors are known."""
    return [SimpleNamespace(errors=each) for each in errors]  # type: ignore[misc]


class TestChoice:
    """The choice of forecasts by their errors."""

    def test_compares_forecasts_only_where_both_exist(self):
        tested = of_errors({"mbg_nbd": 0.1, "last_days_again": -0.3}, {"mbg_nbd": 0.9})
        assert not backtests.is_better(tested, "last_days_again", "mbg_nbd")
        assert backtests.mean_error(tested, "mbg_nbd") == pytest.approx(0.5)
        assert backtests.mean_error(tested, "mbg_nbd", "last_days_again") == pytest.approx(0.1)

    def test_does_not_prefer_seasons_that_change_nothing(self):
        tested = of_errors({"mbg_nbd": 0.1, "seasonal_mbg_nbd": 0.1})
        assert not backtests.is_better(tested, "seasonal_mbg_nbd", "mbg_nbd")

    def test_names_the_nearest_simple_forecast_that_beats_a_model(self):
        errors = {"mbg_nbd": 0.2, "last_days_again": -0.15, "same_days_last_year": 0.05}
        assert backtests.better_simple_forecast(of_errors(errors), "mbg_nbd") == (
            "same_days_last_year"
        )
        errors = {"mbg_nbd": -0.1, "last_days_again": -0.15, "same_days_last_year": 0.3}
        assert backtests.better_simple_forecast(of_errors(errors), "mbg_nbd") is None

    def test_same_days_of_last_year_must_end_before_the_forecast_begins(self):
        """With a holdout of 400 days they would be partly the days to forecast."""
        known = SimpleNamespace(
            purchases=SimpleNamespace(
                until=lambda _: SimpleNamespace(new_customers=np.array([5000]))
            ),
            outcomes_after=lambda _: SimpleNamespace(between=lambda *_: (7.0, 0.0)),
        )
        for holdout, names in (
            (90, {backtests.LAST_DAYS, backtests.LAST_YEAR}),
            (400, {backtests.LAST_DAYS}),
        ):
            histories = SimpleNamespace(origin=FIRST, holdout_days=holdout)
            found = backtests.simple_forecasts(known, histories)  # type: ignore[arg-type]
            assert found.keys() == names


class TestPeriods:
    @staticmethod
    def months(as_of: date) -> list[tuple[date, date]]:
        origin = (as_of - date(1970, 1, 1)).days
        return [
            (forecasts.to_date(period.start + 1), forecasts.to_date(period.end))
            for period in periods_ahead(origin)
            if period.length == "month"
        ]

    def test_are_twelve_calendar_months_after_a_month_end(self):
        months = self.months(date(2026, 6, 30))
        assert months[0] == (date(2026, 7, 1), date(2026, 7, 31))
        assert months[-1] == (date(2027, 6, 1), date(2027, 6, 30))
        assert len(months) == 12

    def test_begin_and_end_with_a_part_of_a_month_otherwise(self):
        months = self.months(date(2024, 2, 10))
        assert months[0] == (date(2024, 2, 11), date(2024, 2, 29))
        assert months[-1] == (date(2025, 2, 1), date(2025, 2, 10))
        assert len(months) == 13


# Squared errors: 10% and 20% in two backtests of three months, 30% in one of a year.
ERRORS = {("3 months", "orders"): [0.01, 0.04], ("12 months", "orders"): [0.09]}


class TestInterval:
    """A prior error counts as one more backtest: 10%, or for a year the spread of three months."""

    def test_spread_is_the_root_mean_square_of_the_errors(self):
        size, origins = spread(ERRORS, "3 months", "orders")
        assert size == pytest.approx((0.06 / 3) ** 0.5)
        assert origins == 3

    def test_a_year_counts_the_spread_of_three_months_as_one_backtest(self):
        size, origins = spread(ERRORS, "12 months", "orders")
        assert size == pytest.approx(((0.02 + 0.09) / 2) ** 0.5)
        assert origins == 3

    def test_reaches_as_far_as_students_quantile(self):
        """80% of Student's t with 3 degrees of freedom lie within 1.638 (any table)."""
        low, high = forecasts.interval(1000.0, 0.0, (0.1, 3), 0.8)
        assert low == pytest.approx(1000 * exp(-0.1638), rel=1e-4)
        assert high == pytest.approx(1000 * exp(0.1638), rel=1e-4)

    def test_a_later_month_varies_more_because_fewer_customers_are_active(self):
        histories, _ = shop(CALENDAR, YEAR, customers=50)
        fitted = SimpleNamespace(fit=SimpleNamespace(model=SHOP), clock=CALENDAR)
        forecaster = forecasts.Forecaster(histories, fitted)  # type: ignore[arg-type]
        near, far = (
            forecasts.Period("month", histories.origin + day, histories.origin + day + 30)
            for day in (0, 330)
        )
        assert forecaster.own_spread(far)["orders"] > forecaster.own_spread(near)["orders"]

    def test_of_few_orders_is_that_of_a_lognormal_total(self):
        """0.4 orders with the variance of Poisson: ln(1 + 0.4 / 0.16) = 1.2528."""
        found = forecasts.spread_of_logarithm(np.array([0.1, 0.3]), 0.4)
        assert found**2 == pytest.approx(1.2528, abs=0.0001)

    def test_is_never_narrower_than_chance_makes_it(self):
        assert forecasts.interval(10.0, 0.5, (0.1, 3), 0.8) == forecasts.interval(
            10.0, 0.0, (0.5, 3), 0.8
        )
