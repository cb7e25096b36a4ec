"""Tests of the forecasts on the page, in the states that the models may leave them in.

The marts are those of test_site_states.py. The tables of the models get rows that are easy to check
by hand.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from types import SimpleNamespace

import duckdb
import pytest
from test_site import text_of
from test_site_states import CHECKS, days, marts, read

from ml.forecasts import periods_ahead
from ml.histories import to_date
from reports import summary
from reports.charts import will
from reports.numbers import Number
from reports.page import render
from reports.query import Row

MODEL, LAST_DAYS, LAST_YEAR = "seasonal_mbg_nbd", "last_days_again", "same_days_last_year"
TABLES = {
    "marts.forecast_accuracy": "origin_on date, model varchar, audience varchar, "
    "forecast_orders double, low_80_orders double, high_80_orders double, actual_orders double, "
    "error_rate double",
    "marts.revenue_forecast": "period varchar, starts_on date, ends_on date, "
    "existing_customer_orders double, orders_low_80 double, orders_high_80 double, "
    "existing_customer_revenue decimal(18, 2), revenue_low_50 decimal(18, 2), "
    "revenue_high_50 decimal(18, 2), revenue_low_80 decimal(18, 2), revenue_high_80 decimal(18, 2)",
    "ml.lifetime_value_models": "model varchar, fitted_until date, status varchar, "
    "is_used boolean, reason varchar",
    "ml.model_evaluation": "origin_on date, model varchar, metric varchar, audience varchar, "
    "value double, baseline double",
    "ml.seasonal_index": "month int, index double, times_seen int, is_used boolean",
}


@dataclass(frozen=True)
class Found:
    """What the models found. The errors of each forecast are by origin, the holdout first."""

    errors: tuple[float, ...] = (0.1, -0.02, 0.03)
    last_days_errors: tuple[float, ...] = (0.5, -0.3)
    last_year_errors: tuple[float, ...] = (-0.9,)
    actual_orders: int = 100
    status: str = "converged"
    has_forecast: bool = True
    has_revenue: bool = True
    seasons: tuple[float, ...] = (*(0.9,) * 11, 2.1)
    uses_seasons: bool = True
    has_predictions: bool = True


def origins(as_of: date, count: int) -> list[date]:
    """Returns days that are whole holdouts before the as-of date, the last one first."""
    return [as_of - timedelta(days=90 * number) for number in range(1, count + 1)]


def accuracy_rows(found: Found, as_of: date) -> Iterator[tuple]:
    """Yields rows of marts.forecast_accuracy: all orders, and two weeks of the holdout."""
    actual = found.actual_orders
    models = {MODEL: found.errors, LAST_DAYS: found.last_days_errors}
    for model, errors in (models | {LAST_YEAR: found.last_year_errors}).items():
        for origin, error in zip(origins(as_of, len(errors)), errors, strict=True):
            forecast = 100 * (1 + error)
            has_limits = model == MODEL and len(errors) > 1
            limits = (forecast - 10, forecast + 10) if has_limits else (None, None)
            rate = error if actual else None
            yield origin, model, "all", forecast, *limits, actual, rate
    for week in ("week 01", "week 02") if found.errors else ():
        yield origins(as_of, 1)[0], MODEL, week, 8, None, None, 10, -0.2


def forecast_rows(found: Found, as_of: date) -> Iterator[tuple]:
    """Yields rows of marts.revenue_forecast: ten orders of 20 on each day, give or take a tenth."""
    for period in periods_ahead((as_of - date(1970, 1, 1)).days) if found.has_forecast else ():
        orders = 10 * (period.end - period.start)
        revenue = [orders * value for value in (20, 19, 21, 18, 22)]
        yield (
            period.length,
            to_date(period.start + 1),
            to_date(period.end),
            *(orders, 0.9 * orders, 1.1 * orders),
            *(revenue if found.has_revenue else [None] * 5),
        )


def model_rows(found: Found, as_of: date) -> Iterator[tuple]:
    """Yields rows of ml.lifetime_value_models: the fits to each origin and to the as-of date."""
    is_used = found.status == "converged"
    for model in (MODEL, "gamma_gamma"):
        for origin in origins(as_of, len(found.errors) or 1):
            yield model, origin, found.status, False, None
        reason = f"nearer than {LAST_DAYS}" if is_used and model == MODEL else None
        yield model, as_of, found.status, is_used, reason


def evaluation_rows(found: Found, as_of: date) -> Iterator[tuple]:
    """Yields rows of ml.model_evaluation: AUC at each origin, and tenths of the last one."""
    for number, origin in enumerate(origins(as_of, len(found.errors))):
        yield origin, MODEL, "auc", "all", 0.8 - number / 10, 0.7
    for tenth in (1, 2) if found.errors else ():
        audience = f"tenth {tenth:02} by expected orders"
        yield (
            *(origins(as_of, 1)[0], MODEL, "orders_per_customer", audience),
            *(tenth / 10, tenth / 10),
        )
    yield origins(as_of, 1)[0], MODEL, "churn_threshold", "low risk", 1.0, None


def put(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Replaces the tables of the models."""
    ((as_of,),) = connection.execute(
        "select as_of_date from intermediate.int_as_of_date"
    ).fetchall()
    seasons = [
        (month, index, 2 + month % 2, found.uses_seasons)
        for month, index in enumerate(found.seasons, start=1)
    ]
    p_alive = 0.5 if found.has_predictions and found.status == "converged" else None
    connection.execute("update marts.customers set p_alive = ?", [p_alive])
    connection.execute("create schema if not exists ml")
    for (table, columns), rows in zip(
        TABLES.items(),
        (
            *(make(found, as_of) for make in (accuracy_rows, forecast_rows)),
            *(make(found, as_of) for make in (model_rows, evaluation_rows)),
            seasons,
        ),
        strict=True,
    ):
        connection.execute(f"create or replace table {table} ({columns})")
        for row in rows:
            connection.execute(f"insert into {table} values ({', '.join('?' * len(row))})", row)


@pytest.fixture(scope="module")
def at_month_end() -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts of 2 March to 31 August 2026."""
    with marts(days(183, 40)) as connection:
        yield connection


@pytest.fixture(scope="module")
def within_month() -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts of 2 March to 12 August 2026."""
    with marts(days(183, 40), as_of_date=date(2026, 8, 12)) as connection:
        yield connection


@pytest.fixture
def page(at_month_end: duckdb.DuckDBPyConnection) -> Callable[..., str]:
    """Returns the text of the page at a month end, with what the models found."""

    def render_page(**found) -> str:
        put(at_month_end, Found(**found))
        return text_of(render(read(at_month_end), {}))

    return render_page


# --- any state --------------------------------------------------------------------------

NOT_FITTED = Found((), (0.5,), (), status="degenerate", has_forecast=False, uses_seasons=False)
STATES = {
    "a forecast": Found(),
    "orders without revenue": Found(has_revenue=False),
    "a simple forecast was nearer": Found(last_days_errors=(0.01, 0.01), has_forecast=False),
    "a forecast of another day": Found(has_forecast=False),
    "no model that fits": NOT_FITTED,
    "no seasonal index": Found(seasons=()),
    "equal months that are not used": Found(seasons=(1.0,) * 12, uses_seasons=False),
    "one backtest and no simple forecast": Found((0.1,), (), ()),
    "no order in the holdout": Found(actual_orders=0),
}


@pytest.fixture(scope="module", params=["at_month_end", "within_month"])
def connection(request: pytest.FixtureRequest) -> duckdb.DuckDBPyConnection:
    """The marts at a month end, and on another day."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("found", STATES.values(), ids=list(STATES))
def test_a_page_with_forecasts_is_sound(connection: duckdb.DuckDBPyConnection, found: Found):
    put(connection, found)
    state = SimpleNamespace(
        marts=connection,
        page=render(read(connection), {}),
        printed=summary.text(connection.cursor()),
    )
    for check in CHECKS:
        check(state)


# --- the next twelve months -------------------------------------------------------------


def test_the_next_months_have_totals_with_intervals(page: Callable[..., str]):
    """September to November have 91 days, twelve months 365; ten orders of 20 come on each."""
    text = page()
    assert (
        "The next 3 months should bring 910 orders (819 to 1,001) and net revenue of 18,200 "
        "(16,380 to 20,020) from today's customers." in text
    )
    assert "The next 12 months should bring 3,650 orders (3,285 to 4,015) and net revenue" in text
    assert "New customers are not included" in text
    assert "Net revenue by month, and the next twelve months from today's customers" in text
    assert "only the table has it" not in text


def test_without_revenue_the_forecast_is_of_orders(page: Callable[..., str]):
    text = page(has_revenue=False)
    assert "should bring 910 orders (819 to 1,001) from today's customers." in text
    assert "Orders by month, and the next twelve months from today's customers" in text


def test_a_month_that_is_not_over_is_named(within_month: duckdb.DuckDBPyConnection):
    put(within_month, Found())
    tables = read(within_month)
    months = [row for row in tables.periods if row.period == "month"]
    assert [row.ends_on.text for row in (months[0], months[-1])] == [
        "31 August 2026",
        "12 August 2027",
    ]
    text = text_of(render(tables, {}))
    assert "The forecast of August 2026 covers only the days after 12 August 2026." in text
    assert "The forecast of August 2027 ends on 12 August 2027, so it is only in the table." in text


def test_the_page_explains_why_there_is_no_forecast(page: Callable[..., str]):
    nearer = page(last_days_errors=(0.01, -0.03), has_forecast=False)
    assert (
        "There is no forecast of all orders together: the model was off by 6.0% on average in "
        "2 backtests, and repeating the last 90 days only by 2.0%." in nearer
    )
    unfit = page(errors=(), status="degenerate", has_forecast=False, seasons=())
    assert "There is no forecast of orders: the purchase models do not fit these data" in unfit
    for text in (nearer, unfit):
        assert "should bring" not in text
        assert "next twelve months from" not in text


# --- backtests --------------------------------------------------------------------------


def test_the_title_of_the_backtests_is_their_finding(page: Callable[..., str]):
    """Means over the origins that both forecasts have: 10% and 2% against 50% and 30%."""
    of_all = page()
    assert (
        "The forecast was off by 6.0% on average in 2 backtests; repeating the last 90 days "
        "by 40.0%" in of_all
    )
    assert "Repeating the last 90 days was nearer: off by 2.0% on average in 2 backtests" in page(
        last_days_errors=(0.01, -0.03), has_forecast=False
    )
    last_year = page(last_days_errors=(0.5, -0.3), last_year_errors=(0.04,))
    assert (
        "Repeating the same days a year earlier was nearer: off by 4.0% in 1 backtest" in last_year
    )
    alone = page(last_days_errors=(), last_year_errors=())
    assert "The forecast was off by 5.0% on average in 3 backtests" in alone
    for words in ("A ring is a forecast that repeats the", "only where both forecasts exist"):
        assert words in last_year
        assert words not in alone
    interval = "with the 80% interval (vertical lines)"
    assert interval in of_all
    assert interval not in page(errors=(0.1,))


def test_only_the_holdout_has_weeks_and_scores(page: Callable[..., str]):
    text = page()
    assert "The forecast of the last 90 days was 10.0% too high" in text
    assert "0.800" in text
    assert "0.600" not in text


def test_a_kept_fit_has_a_holdout_of_its_own(at_month_end: duckdb.DuckDBPyConnection):
    put(at_month_end, Found())
    assert "The last fit was made" not in text_of(render(read(at_month_end), {}))
    at_month_end.execute("update ml.lifetime_value_models set fitted_until = fitted_until - 7")
    text = text_of(render(read(at_month_end), {}))
    assert "The forecast of the 90 days up to 24 August 2026 was 10.0% too high" in text
    assert "The last fit was made on 24 August 2026; customers are scored with it as of 31" in text


# --- seasons ----------------------------------------------------------------------------


def test_the_busiest_month_is_named(page: Callable[..., str]):
    used = page()
    assert "December is 2.10 times as busy as an average month" in used
    assert "Each month was seen in 2 to 3 years. The forecasts use this index" in used
    equal = page(seasons=(1.0,) * 12, uses_seasons=False)
    assert "All months are about equally busy" in equal
    quiet = page(seasons=(*(1.04,) * 7, 0.52, *(1.04,) * 4))
    assert "August is 0.52 times as busy as an average month" in quiet
    assert "The forecasts do not use this index" in equal
    assert "There is no seasonal index yet" in page(seasons=())


# --- customers --------------------------------------------------------------------------


def test_risk_follows_recency_without_predictions_as_of_the_day(page: Callable[..., str]):
    assert "Customers by churn risk, based on recency." in page(has_predictions=False)
    assert "Customers by churn risk, based on seasonal MBG/NBD." in page()


def test_late_customers_are_counted_unless_at_high_risk(
    at_month_end: duckdb.DuckDBPyConnection, page: Callable[..., str]
):
    assert "late by their own rhythm" not in page()
    at_month_end.execute("update marts.customers set is_late = true, churn_risk = 'high'")
    assert "late by their own rhythm" not in page()
    at_month_end.execute("update marts.customers set churn_risk = 'low' where customer_id = 'c1'")
    assert "1 customer is late by their own rhythm, but not at high risk" in page()
    at_month_end.execute("update marts.customers set is_late = null")


def test_a_simple_forecast_of_no_orders_is_drawn():
    def marks(last_days: int | None) -> int:
        """Counts the marks of a chart with one backtest."""
        numbers = {"actual": 50, "forecast": 40, "low_80": 30, "high_80": 50, LAST_DAYS: last_days}
        cells = {
            name: None if value is None else Number(value, "count", "", "marts.forecast_accuracy")
            for name, value in numbers.items()
        }
        row = Row(origin_on=date(2026, 1, 1), **cells, **{LAST_YEAR: None})
        return will.backtests([row], 340, "Backtests").count("<path")

    assert marks(0) == marks(45) == marks(None) + 1
