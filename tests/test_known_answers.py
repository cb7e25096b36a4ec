"""Published and independently computed numbers on real data (tests/data/README.md)."""

from decimal import Decimal

import pytest
from conftest import Data, Query, dbt, on_data, published, run_step
from test_lifetime_value import evaluation

ISO_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def published_cohorts(name: str) -> dict[tuple[str, int], Decimal]:
    """The filled cells of a table of cohorts: (first month, months since) -> value."""
    return {
        (str(row["cohort_month"]), row["months_since"]): Decimal(row["value"])
        for row in published(name)
    }


def assert_cohorts_are(query: Query, column: str, expected: dict[tuple[str, int], Decimal]):
    """The cells of `expected` must be equal, and all other cells zero or null."""
    found = {
        (month, months): value
        for month, months, value in query(
            f"select string(cohort_month), months_since, {column} from marts.cohort_retention"
        )
    }
    assert {cell: found[cell] for cell in expected} == expected
    assert not any(value for cell, value in found.items() if cell not in expected)


@on_data("cdnow")
class TestCdnow:
    """CDNOW master to 1998-06-30, as of the day after."""

    @pytest.mark.parametrize(
        ("column", "file"),
        [
            ("active_customers", "cdnow_master_cohort_customers"),
            ("net_revenue", "cdnow_master_cohort_revenue"),
        ],
    )
    def test_cohorts_by_first_month(self, query: Query, column: str, file: str):
        assert_cohorts_are(query, column, published_cohorts(file))

    def test_first_and_last_purchases(self, query: Query):
        assert query(
            "select string(min(first_order_on)), string(max(first_order_on)), "
            "string(max(last_order_on)) from marts.customers"
        ) == [("1997-01-01", "1997-03-25", "1998-06-30")]


@pytest.fixture(scope="class")
def held_out_from_october(data: Data, server: dict[str, str]) -> None:
    """Starts the holdout after 1997-09-30, as the references do."""
    environment = server | {"AS_OF_DATE": str(data.as_of_date)}
    rebuild = ("run", "--select", "int_backtest_origins+,path:models/intermediate")
    dbt(environment, *rebuild, "--vars", "holdout_days: 274")
    run_step(server, "ml.lifetime_value")


@pytest.mark.last_on_data
@on_data("cdnow")
@pytest.mark.usefixtures("held_out_from_october")
class TestCdnowUntilOctober:
    """What the purchases up to 1997-09-30 tell about the 39 weeks after."""

    def test_published_numbers_on_the_first_39_weeks(self, query: Query):
        """The papers' sample is every tenth customer of the master data."""
        sample = {row["sample_id"]: row["master_id"] for row in published("cdnow_sample")}
        expected = {
            sample[row["ID"].zfill(4)]: (row["frequency"], row["recency"], row["T"])
            for row in published("cdnow_sample_customers")
        }
        found = {
            customer: (x, t_x / 7, t / 7)
            for customer, x, t_x, t in query(
                "select customer_id, repeat_purchase_days, last_purchase_day, observed_days "
                "from intermediate.int_customer_histories where holdouts_back = 1"
            )
        }
        assert len(expected) == 2357
        for customer, (x, t_x, t) in expected.items():
            # Two digits of a week.
            assert found[customer] == (
                x,
                pytest.approx(t_x, abs=0.0051),
                pytest.approx(t, abs=0.0051),
            )

        # All 23,570 customers, by an independent computation.
        names = ("r", "alpha", "a", "b")
        values = ", ".join(f"double(get_json_object(parameters, '$.{name}'))" for name in names)
        ((log_likelihood, *parameters),) = query(
            f"select log_likelihood, {values} from ml.lifetime_value_models "
            "where model = 'bg_nbd' and fitted_until = date '1997-09-30'"
        )
        assert round(log_likelihood, 1) == -95368.4
        assert parameters == pytest.approx([0.2516, 4.789, 0.7234, 2.161], rel=5e-4)

        auc = evaluation(query, "auc", "all")
        assert round(auc["recency"][0], 3) == 0.759
        assert round(auc["frequency"][0], 3) == 0.753
        assert round(auc["bg_nbd"][0], 3) == 0.763
        # Alive is not the same as about to buy: over all customers it ranks them backwards.
        alive, _ = evaluation(query, "auc_of_p_alive", "all")["bg_nbd"]
        assert alive == pytest.approx(0.320, abs=0.001)


@on_data("online_retail_subset")
class TestOnlineRetailSubset:
    """The purchases of known customers in Online Retail, which most publications use."""

    def test_totals(self, query: Query):
        assert query("select count(*), sum(amount) from raw.transactions") == [
            # 8,911,407.904 before each line is rounded to the cent.
            (397884, Decimal("8911407.90"))
        ]
        assert query("select count(*), sum(orders), sum(net_revenue) from marts.customers") == [
            (4338, 18532, Decimal("8911407.90"))
        ]

    def test_cohorts_by_first_month(self, query: Query):
        expected = published_cohorts("online_retail_subset_cohort_customers")
        assert_cohorts_are(query, "active_customers", expected)

    def test_orders_by_weekday_and_hour(self, query: Query):
        expected = {
            (ISO_WEEKDAYS.index(row["weekday"]) + 1, row["hour"]): row["orders"]
            for row in published("online_retail_orders_by_weekday_hour")
        }
        found = query("select weekday, hour, orders from marts.purchases_by_weekday_hour")
        assert {(weekday, hour): orders for weekday, hour, orders in found} == expected

    def test_concentration(self, query: Query):
        ((share, gini),) = query(
            "select cumulative_share, gini from marts.revenue_concentration where decile = 2"
        )
        assert share == pytest.approx(0.746, abs=0.0005)
        assert gini == pytest.approx(0.715, abs=0.0005)

    def test_share_that_buys_again(self, query: Query):
        ((share,),) = query(
            "select continued_share from marts.repeat_purchase where order_number = 1"
        )
        assert share == pytest.approx(0.656, abs=0.0005)

    def test_days_between_orders(self, query: Query):
        """The median over all pairs of successive days with an order of one customer."""
        assert query(
            "select percentile(days, 0.5) from ("
            "select datediff(ordered_on, lag(ordered_on) over ("
            "partition by customer_key order by ordered_on)) as days "
            "from (select distinct customer_key, ordered_on from intermediate.int_orders))"
        ) == [(28.0,)]
