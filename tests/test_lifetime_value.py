"""Lifetime value: the mathematics against published numbers, and the step on data."""

from collections import Counter, defaultdict
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Data, Query, on_data, published
from scipy.integrate import quad
from scipy.stats import beta

from ml import fits, purchase_models
from ml.backtests import reasons
from ml.churn import risk_thresholds
from ml.evaluation import area_under_curve, auc_difference, is_off
from ml.generation.shop import MONTHS
from ml.histories import Histories
from ml.purchase_models import PurchaseModel, SpendModel

# Fader, Hardie and Lee (2005), table 2, and Fader and Hardie (2013).
PUBLISHED = PurchaseModel(0.2426, 4.4135, 0.7929, 2.4258)
PUBLISHED_SPEND = SpendModel(6.25, 3.744, 15.44)


def cdnow_sample(name: str) -> dict[str, np.ndarray]:
    """Columns of a file about the 2,357 customers of the CDNOW sample."""
    rows = published(name)
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


@pytest.fixture(scope="module")
def histories() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, t_x and T of the CDNOW sample up to 1997-09-30, as the papers have them."""
    customers = cdnow_sample("cdnow_sample_customers")
    # The file rounds to two digits of a week; purchases are dated by the day.
    t_x, t = (np.rint(7 * customers[name]) / 7 for name in ("recency", "T"))
    return customers["frequency"], t_x, t


def test_a_customer_who_is_surely_gone_adds_no_variance():
    """1,200 purchases in 172 weeks, and none in the 248 weeks since: P(alive) is rounded to 0."""
    history = tuple(np.array([value]) for value in (1200.0, 172.0, 420.0))
    model = PurchaseModel(0.6, 3.0, 0.4, 2.5)
    alive = model.p_alive(*history)
    assert alive == 0
    expected = model.expected_purchases(30 / 7, *history, alive)
    assert model.purchase_variance(expected, history[0], alive) == 0


def test_one_wrong_date_is_no_history():
    """One of 200 customers bought decades before the others, and the next three 100 days ago."""
    none, days, customers = np.zeros(3), np.array([9_000, 100, 90]), np.array([1, 3, 196])
    histories = Histories(20_000, 0, none, none, days, customers, *[none] * 6)
    assert histories.days_known == 100


def test_equal_values_are_not_correlated():
    ones, spends = np.ones(3), np.array([5.0, 7.0, 9.0])
    assert fits.correlation(ones, spends, ones) == 0
    assert fits.correlation(spends, 2 * spends, ones) == pytest.approx(1)


@pytest.fixture(scope="module")
def predictions() -> dict[str, np.ndarray]:
    """What the library lifetimes predicts for each customer of the sample."""
    return cdnow_sample("cdnow_sample_predictions")


def repeat_spend_of_cdnow_sample() -> tuple[np.ndarray, np.ndarray]:
    """Purchase days after the first up to 1997-09-30 and the average spend on them."""
    spent: dict[str, Counter] = defaultdict(Counter)
    for row in published("cdnow_sample"):
        if row["date"] <= date(1997, 9, 30):
            spent[row["sample_id"]][row["date"]] += int(100 * row["dollar_value"])
    repeats = [[days[day] for day in sorted(days)[1:]] for days in spent.values()]
    x = np.array([len(cents) for cents in repeats], dtype=float)
    total = np.array([sum(cents) / 100 for cents in repeats])
    return x[x > 0], (total / np.maximum(x, 1))[x > 0]


def counted(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The distinct rows, and how often each occurs."""
    distinct, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
    return *distinct, counts


class TestPublishedNumbers:
    """The CDNOW sample, which the papers on these models use."""

    @pytest.fixture
    def fit(self, histories) -> purchase_models.Fit:
        return purchase_models.fit_purchases(*counted(*histories))

    def test_parameters_of_bg_nbd(self, fit: purchase_models.Fit):
        found = [round(value, 3) for value in fit.parameters.values()]
        assert found == [0.243, 4.414, 0.793, 2.426]
        assert fit.converged
        assert not fit.degenerate

    def test_log_likelihood_of_bg_nbd(self, fit: purchase_models.Fit):
        assert round(fit.log_likelihood, 2) == -9582.43

    def test_parameters_of_mbg_nbd(self, histories):
        fit = purchase_models.fit_purchases(*counted(*histories), first_may_be_last=True)
        assert [round(value, 3) for value in fit.parameters.values()] == [
            0.525,
            6.183,
            0.891,
            1.614,
        ]

    def test_parameters_of_gamma_gamma(self):
        """From the purchases themselves: the published averages are rounded to the cent."""
        x, spend = repeat_spend_of_cdnow_sample()
        assert len(x) == 946
        fit = purchase_models.fit_spend(x, spend, np.ones(len(x)))
        p, q, gamma = fit.parameters.values()
        assert (round(p, 2), round(q, 3), round(gamma, 2)) == (6.25, 3.744, 15.44)
        assert fit.converged
        assert not fit.degenerate

    def test_gamma_gamma_is_as_sound_in_any_currency(self):
        """In won, the average purchase of CDNOW costs tens of thousands."""
        x, spend = repeat_spend_of_cdnow_sample()
        dollars, won = (
            purchase_models.fit_spend(x, spend * rate, np.ones(len(x))) for rate in (1, 1400)
        )
        assert won.model.gamma == pytest.approx(1400 * dollars.model.gamma, rel=1e-4)
        assert not won.degenerate

    def test_counts_weigh_as_rows_do(self, histories, fit: purchase_models.Fit):
        by_rows = purchase_models.fit_purchases(*histories, np.ones(len(histories[0])))
        assert by_rows.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
        assert list(by_rows.parameters.values()) == pytest.approx(
            list(fit.parameters.values()), rel=1e-4
        )

    @pytest.mark.parametrize(("weeks", "purchases"), [(1, 0.0532), (32, 1.0437), (78, 1.858)])
    def test_purchases_of_a_new_customer(
        self, weeks: int, purchases: float, fit: purchase_models.Fit
    ):
        digits = len(str(purchases).partition(".")[2])
        assert round(float(fit.model.expected_purchases(weeks)), digits) == purchases

    def test_purchases_of_a_customer_with_a_history(self):
        found = float(PUBLISHED.expected_purchases(39, 2, 30.43, 38.86))
        assert round(found, 3) == 1.226

    def test_forecast_of_the_holdout(self, histories, fit: purchase_models.Fit):
        expected = fit.model.expected_purchases(39, *histories).sum()
        # 1,653.4 from times rounded to two digits, as the reference has them.
        assert expected == pytest.approx(1653.4, abs=0.2)

    def test_predictions_per_customer(self, predictions):
        history = predictions["frequency"], predictions["recency"], predictions["T"]
        fit = purchase_models.fit_purchases(*counted(*history))
        assert fit.model.expected_purchases(39, *history) == pytest.approx(
            predictions["bgnbd_expected_39w"], rel=1e-3
        )
        assert fit.model.p_alive(*history) == pytest.approx(predictions["bgnbd_p_alive"], rel=1e-3)
        assert PUBLISHED_SPEND.expected_spend(
            predictions["frequency"], predictions["zbar"]
        ) == pytest.approx(predictions["gg_expected_spend"], rel=1e-3)

    def test_cumulative_purchases_of_the_cohort(self, histories, fit: purchase_models.Fit):
        """Customers join during the first twelve weeks; each then buys as a new one does."""
        _, _, t = histories
        # 1997-09-30, the end of T, is day 272, counted from 1997-01-01, when week 1 begins.
        joined = 272 / 7 - t
        for week, expected in ((39, 2501.5), (52, 3134.1), (78, 4165.7)):
            found = fit.model.expected_purchases(week - joined).sum()
            assert found == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("first_may_be_last", [False, True])
class TestFormulas:
    """The closed forms against independent computations."""

    def test_one_history_by_hand(self, first_may_be_last: bool):
        """r = alpha = a = b = 1, bought once again after 1 week of 2.

        lambda is exponential(1), p uniform. The customer buys after week 1, and then drops out
        (probability p) or stays (1 - p) without a purchase until week 2. If the first purchase may
        be the last, the customer also stayed after it: another factor of 1 - p. The integral of
        lambda^k e^(-m lambda) is k! / m^(k+1).
        """
        model = PurchaseModel(1, 1, 1, 1, first_may_be_last)
        left, stayed = (1 / 6, 1 / 3) if first_may_be_last else (1 / 2, 1 / 2)
        by_hand = left / 2**2 + stayed / 3**2
        found = model.log_likelihood(np.array([1.0]), np.array([1.0]), np.array([2.0]))
        assert np.exp(found) == pytest.approx([by_hand], rel=1e-12)
        alive = model.p_alive(np.array([1.0]), np.array([1.0]), np.array([2.0]))
        assert alive == pytest.approx([stayed / 3**2 / by_hand], rel=1e-12)

    @pytest.mark.parametrize("a", [0.3, 1.0, 2.5])
    @pytest.mark.parametrize("x", [0, 3, 400])
    def test_expected_purchases_by_numerical_integration(
        self, a: float, x: int, first_may_be_last: bool
    ):
        """The mean of (1 - e^(-lambda p t)) / p over the posterior of lambda and p.

        The posterior is that of a customer who is alive after x purchases.
        """
        model = PurchaseModel(0.7, 6.0, a, 2.0, first_may_be_last)
        t_x, t, weeks = min(x, 1) * 50.0, 52.0, 40.0
        rest = beta(a, 2.0 + model.occasions(x))
        while_alive, _ = quad(
            lambda p: (1 - (1 + p * weeks / 58.0) ** -(0.7 + x)) / p * rest.pdf(p), 0, 1, limit=500
        )
        history = (np.array([float(x)]), np.array([t_x]), np.array([t]))
        assert model.expected_purchases(weeks, *history) == pytest.approx(
            while_alive * model.p_alive(*history), rel=1e-4
        )

    def test_expected_purchases_far_ahead_if_all_drop_out_alike(self, first_may_be_last: bool):
        """By the same integration. With these parameters, 0 * infinity is a part of the formula."""
        model = PurchaseModel(0.0178, 0.992, 480.9, 78.2, first_may_be_last)
        rest = beta(480.9, 78.2 + model.occasions(5))
        while_alive, _ = quad(
            lambda p: (1 - (1 + p * 300 / 53.192) ** -5.0178) / p * rest.pdf(p), 0.5, 1, limit=500
        )
        found = model.expected_purchases(300, 5, 50, 52.2, p_alive=np.array(1.0))
        assert found == pytest.approx(while_alive, rel=1e-6)

    def test_gradient_is_the_slope(self, first_may_be_last: bool):
        values = np.array([0.4, 5.0, 0.8, 2.0])
        history = np.array([0.0, 1, 7]), np.array([0.0, 3, 30]), np.array([40.0, 20, 33])
        gradient = PurchaseModel(*values, first_may_be_last).gradient(*history)
        for place, step in enumerate(np.eye(4) * 1e-6):
            up, down = (
                PurchaseModel(*(values + way * step), first_may_be_last).log_likelihood(*history)
                for way in (1, -1)
            )
            assert gradient[place] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-8)


def test_shop_that_nobody_leaves_is_degenerate():
    """All repeat buyers buy until the last day, so no customer seems to leave."""
    x, t_x = np.array([0.0, 2, 5, 9]), np.array([0.0, 52, 52, 52])
    fit = purchase_models.fit_purchases(x, t_x, np.full(4, 52.0), np.array([300.0, 90, 60, 50]))
    assert fit.parameters["a"] < purchase_models.SOUND_LOWER
    assert fit.degenerate


def test_parameters_of_a_simulation_come_back():
    """50,000 customers who buy and leave as MBG/NBD assumes."""
    random = np.random.default_rng(7)
    size, true = 50_000, PurchaseModel(0.6, 7.0, 0.9, 2.0, first_may_be_last=True)
    rate, leaves = random.gamma(true.r, 1 / true.alpha, size), random.beta(true.a, true.b, size)
    x, t_x, t = np.zeros(size), np.zeros(size), random.integers(20, 100, size).astype(float)
    active = random.random(size) > leaves
    while active.any():
        following = t_x + random.exponential(1 / np.maximum(rate, 1e-12))
        bought = active & (following <= t)
        x, t_x = x + bought, np.where(bought, following, t_x)
        active = bought & (random.random(size) > leaves)
    fit = purchase_models.fit_purchases(x, t_x, t, np.ones(size), first_may_be_last=True)
    found = list(fit.parameters.values())
    assert found == pytest.approx([0.6, 7.0, 0.9, 2.0], rel=0.1)


@pytest.mark.parametrize(
    ("statuses", "errors", "expected"),
    [
        (
            {"bg_nbd": "forecast off", "mbg_nbd": "converged"},
            [{"bg_nbd": 0.52, "mbg_nbd": -0.48}],
            {
                "bg_nbd": "not sound, or too far off, in the last backtest",
                "mbg_nbd": "off by 48.0% on average in 1 backtest",
                "seasonal_mbg_nbd": "no backtest had seen enough months in two years",
            },
        ),
        (
            {"bg_nbd": "converged", "mbg_nbd": "converged", "seasonal_mbg_nbd": "forecast off"},
            [{"bg_nbd": 0.3, "mbg_nbd": 0.1}],
            {
                "bg_nbd": "less likely than mbg_nbd",
                "seasonal_mbg_nbd": (
                    "not sound, or too far off, in each backtest that had seen enough months in "
                    "two years"
                ),
            },
        ),
        (
            {"bg_nbd": "converged", "mbg_nbd": "converged", "seasonal_mbg_nbd": "converged"},
            [{"mbg_nbd": 0.1, "seasonal_mbg_nbd": 0.2}, {"mbg_nbd": -0.3}],
            {
                "mbg_nbd": "off by 20.0% on average in 2 backtests",
                "seasonal_mbg_nbd": (
                    "not nearer: off by 20.0% on average in 1 backtest, mbg_nbd off by 10.0%"
                ),
            },
        ),
    ],
)
def test_reasons_say_why_a_model_is_not_used(
    statuses: dict[str, str], errors: list[dict[str, float]], expected: dict[str, str]
):
    fit = purchase_models.Fit(PurchaseModel(1, 1, 1, 1), -1.0, converged=True)
    purchases = {
        name: fits.Fitted(name, fit, 1_000, 500, status) for name, status in statuses.items()
    }
    tested = [SimpleNamespace(fits=fits.Fits(0, purchases, None), errors=each) for each in errors]
    found = reasons(tested, plain="mbg_nbd", name="mbg_nbd", simple=None)
    assert found == found | expected


def test_a_forecast_that_is_not_a_number_is_off():
    assert is_off(float("nan"), 100.0)
    assert not is_off(150.0, 100.0)
    assert is_off(151.0, 100.0)


def test_auc_of_few_customers_by_hand():
    """Outcome yes at scores 3 and 1, no at 2, 1 and 0: of 6 pairs 4 are right, 1 is a tie."""
    score = np.array([3.0, 2, 1, 0])
    positives, negatives = np.array([1.0, 0, 1, 0]), np.array([0.0, 1, 1, 1])
    area, _, _ = area_under_curve(score, positives, negatives)
    assert area == pytest.approx(4.5 / 6)


def test_error_of_a_difference_of_auc_by_resampling():
    """DeLong's standard error is within 8% of the standard deviation over 2,000 samples."""
    random = np.random.default_rng(3)

    def sample() -> tuple[float, float]:
        outcome = random.random(400) < 0.4
        better = outcome + random.normal(0, 1.0, 400)
        worse = better + random.normal(0, 0.7, 400)
        return auc_difference(better, worse, outcome * 1.0, ~outcome * 1.0)

    differences, errors = np.array([sample() for _ in range(2000)]).T
    assert errors.mean() == pytest.approx(differences.std(), rel=0.08)


# --- the step, on data ------------------------------------------------------------------


def evaluation(query: Query, metric: str, audience: str) -> dict[str, tuple[float, float]]:
    """Value and baseline of a metric for one audience in the last holdout, by model."""
    rows = query(
        "select model, value, baseline from ml.model_evaluation "
        f"where metric = '{metric}' and audience = '{audience}' "
        "and origin_on = (select max(origin_on) from ml.model_evaluation)"
    )
    return {model: (value, baseline) for model, value, baseline in rows}


def statuses(query: Query) -> set[tuple[str, str]]:
    """Returns every status of every model."""
    return set(query("select distinct model, status from ml.lifetime_value_models"))


def assert_predicts_nothing(query: Query) -> None:
    """Each customer with a purchase has a row without a prediction; the risk is by recency."""
    assert query(
        "select count(*), count(p_alive), count(expected_orders_90d), count(predicted_value_12m), "
        "count(churn_score) from ml.lifetime_value"
    ) == [(*query("select count(*) from marts.customer_rfm")[0], 0, 0, 0, 0)]
    assert query("select count(*) from ml.lifetime_value_models where is_used") == [(0,)]
    assert not query(
        "select customer_id from marts.customers "
        "where not (churn_risk <=> case when r_score <= 2 then 'high' "
        "when r_score = 3 then 'medium' when r_score >= 4 then 'low' end)"
    )


@pytest.mark.parametrize(
    ("customers", "thresholds"),
    [
        # Of 99 others 80, 60, 40, 20 and 0 score better: high from 59.4, low below 39.6.
        ({0.1: 20, 0.2: 20, 0.3: 20, 0.4: 20, 0.5: 20}, (0.3, 0.4)),
        # Like the subscribers: the 240 that tie for the best score have low risk, the others high.
        ({0.1: 60, 0.9: 240}, (0.9, 0.9)),
        ({0.5: 10}, (0.5, 0.5)),
    ],
)
def test_risk_counts_ties_in_the_customers_favor(customers: dict, thresholds: tuple):
    score, counts = np.array(list(customers)), np.array(list(customers.values()))
    assert risk_thresholds(score, counts) == thresholds


@on_data("cdnow")
class TestCdnow:
    """CDNOW master; tests/test_known_answers.py compares earlier fits with published ones."""

    def test_models_are_sound_and_used(self, query: Query):
        now = "where fitted_until = (select max(fitted_until) from ml.lifetime_value_models)"
        assert query(f"select distinct status from ml.lifetime_value_models {now}") == [
            ("converged",)
        ]
        # MBG/NBD is the likelier one: one-time buyers may have left.
        used = query("select model from ml.lifetime_value_models where is_used order by model")
        assert used == [("gamma_gamma",), ("mbg_nbd",)]
        assert query(
            "select count(*) from marts.customers "
            "where expected_orders_90d is null or predicted_value_12m is null"
        ) == [(0,)]

    def test_holdout_is_what_the_orders_say(self, query: Query):
        """Purchase days after 1998-04-02; every customer had bought by then."""
        days = {(row["customer_id"], row["date"]) for row in published("cdnow_master")}
        later = sum(day > date(1998, 4, 2) for _, day in days)
        forecasts = evaluation(query, "holdout_orders", "all")
        for model, (forecast, came) in forecasts.items():
            assert came == later
            if model.endswith("bg_nbd"):
                assert forecast == pytest.approx(came, rel=0.15)
        # Every customer had bought by the start of both earlier periods.
        for model, start, end in (
            ("last_days_again", date(1998, 1, 2), date(1998, 4, 2)),
            ("same_days_last_year", date(1997, 4, 2), date(1997, 7, 1)),
        ):
            assert forecasts[model][0] == sum(start < day <= end for _, day in days)
        assert query(
            "select distinct sum(baseline) from ml.model_evaluation "
            "where metric = 'holdout_orders' and audience like 'week%' group by model"
        ) == [(later,)]

    def test_spend_of_the_holdout_is_what_the_orders_say(self, query: Query):
        """All spend after 1998-04-02, per purchase day and per customer; nothing was returned."""
        later = [row for row in published("cdnow_master") if row["date"] > date(1998, 4, 2)]
        spent = sum(float(row["dollar_value"]) for row in later)
        days = len({(row["customer_id"], row["date"]) for row in later})
        for metric, model, expected in (
            ("order_value", "gamma_gamma", spent / days),
            ("value_per_customer", "mbg_nbd_gamma_gamma", spent / 23_570),
        ):
            forecast, came = evaluation(query, metric, "all")[model]
            assert came == pytest.approx(expected, rel=1e-6)
            assert forecast == pytest.approx(came, rel=0.15)

    def test_risk_follows_the_score_that_won(self, query: Query):
        ((winner,),) = query(
            "select distinct model from ml.model_evaluation where metric = 'churn_threshold'"
        )
        value, baseline = evaluation(query, "auc", "all")[winner]
        assert value > baseline
        rates = [
            evaluation(query, "repurchase_rate", f"{level} risk")[winner][0]
            for level in ("high", "medium", "low")
        ]
        assert rates == sorted(rates)


@on_data("online_retail")
def test_degenerate_fit_is_reported_and_not_used(query: Query):
    """Before the holdout no customer seems to leave: a is about 2.5e-6."""
    assert ("bg_nbd", "degenerate") in statuses(query)
    assert_predicts_nothing(query)


@on_data("olist")
def test_one_time_buyers_get_no_prediction(query: Query):
    """97% bought once: the other customers tell little about them."""
    assert {("bg_nbd", "too few repeat buyers"), ("mbg_nbd", "too few repeat buyers")} <= statuses(
        query
    )
    assert_predicts_nothing(query)


@on_data("generated")
class TestGenerated:
    """Compares with the simulation, which knows who has left and what every customer does next."""

    def test_alive_are_those_who_have_not_left(self, query: Query):
        rows = query(
            "select p_alive, dropped_out_at > timestamp '2026-07-01' from ml.lifetime_value "
            "inner join truth.customers using (customer_id)"
        )
        p_alive = np.array([row[0] for row in rows], dtype=float)
        stays = np.array([row[1] for row in rows], dtype=float)
        area, _, _ = area_under_curve(p_alive, stays, 1 - stays)
        assert area > 0.75
        # In the models customers leave after a purchase, in the simulation at any time. So the
        # average differs a little.
        assert p_alive.mean() == pytest.approx(stays.mean(), abs=0.15)

    def test_expected_orders_come(self, query: Query):
        ((expected, came),) = query(
            "select sum(expected_orders_90d), sum(future_orders_90d) from ml.lifetime_value "
            "inner join truth.customers using (customer_id)"
        )
        assert expected == pytest.approx(came, rel=0.12)

    def test_season_is_the_one_of_the_simulation(self, query: Query):
        """All purchases follow MONTHS, except those for the holidays, in November and December."""
        rows = query("select index from ml.seasonal_index order by month")
        index = np.array([row[0] for row in rows])
        ordinary = np.array(MONTHS[:10]) / np.mean(MONTHS[:10])
        # About 130 repeat purchases a month in three years: chance alone is about 5%.
        assert index[:10] / index[:10].mean() == pytest.approx(ordinary, rel=0.2)
        assert index[10:].min() > 1.4 * index[:10].max()
        assert query("select distinct times_seen, is_used from ml.seasonal_index") == [(3, True)]

    def test_forecasts_know_the_season(self, query: Query):
        """Far nearer than without it; with 3,000 customers, chance moves a total by about 6%."""
        rows = query(
            "select origin_on, error_rate, actual_orders between low_80_orders and high_80_orders "
            "from marts.forecast_accuracy where low_80_orders is not null"
        )
        assert len(rows) == 6
        error = np.mean([abs(row[1]) for row in rows])
        assert error <= 0.12
        assert sum(is_inside for _, _, is_inside in rows) >= 4
        others = evaluation(query, "mean_error", "all")
        assert others["seasonal_mbg_nbd"][0] == pytest.approx(error)
        for name in ("mbg_nbd", "last_days_again", "same_days_last_year"):
            assert error < others[name][0] / 2, name

    def test_forecast_of_a_year_is_the_sum_of_its_customers_and_months(self, query: Query):
        """The twelve months after 2026-06-30 have 365 days."""
        ((orders, revenue),) = query(
            "select existing_customer_orders, existing_customer_revenue "
            "from marts.revenue_forecast where period = '12 months'"
        )
        ((of_customers,),) = query("select sum(predicted_value_12m) from marts.customers")
        assert float(revenue) == pytest.approx(float(of_customers), rel=1e-4)
        ((months, of_months),) = query(
            "select count(*), sum(existing_customer_orders) "
            "from marts.revenue_forecast where period = 'month'"
        )
        assert months == 12
        assert of_months == pytest.approx(orders, rel=1e-4)

    def test_year_ahead_lies_in_its_widest_interval(self, query: Query):
        ((low, high, came),) = query(
            "select revenue_low_95, revenue_high_95, "
            "(select sum(future_net_revenue_365d) from truth.customers) "
            "from marts.revenue_forecast where period = '12 months'"
        )
        assert low < came < high

    def test_next_orders_come_in_time_for_half_of_the_customers(self, query: Query):
        """About half or more of those expected within 90 days order, and fewer of the others."""
        rates = dict(
            query(
                "select expected_next_order_on <= date '2026-09-28', "
                "avg(if(future_orders_90d > 0, 1.0, 0.0)) "
                "from marts.customers inner join truth.customers using (customer_id) "
                "where expected_next_order_on is not null group by 1"
            )
        )
        assert 0.45 <= rates[True] <= 0.75
        assert rates[False] < 0.5

    def test_customers_who_are_late_come_less_often(self, query: Query):
        """Among those at the same risk."""
        rates = dict(
            query(
                "select is_late, avg(if(future_orders_90d > 0, 1.0, 0.0)) "
                "from marts.customers inner join truth.customers using (customer_id) "
                "where churn_risk = 'low' group by 1"
            )
        )
        assert float(rates[True]) < 0.8 * float(rates[False])

    def test_terminal_reports_what_was_decided(self, data: Data):
        for words in ("bg_nbd: ", "gamma_gamma: ", "orders forecast", "churn risk by "):
            assert words in data.printed, words
