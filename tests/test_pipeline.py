"""The pipeline end to end, as a user runs it: on generated data, on real data, on bad input."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from conftest import DATA, ROOT, Data, Query, dbt, on_data, published, run_step
from pyspark.sql import SparkSession

from server import last_run

Make = Callable[..., subprocess.CompletedProcess]

# Views on the results of all runs, which differ from run to run.
MARTS_OF_RUNS = ("data_test_results", "table_history")
MARTS = sorted(
    {file.stem for file in (ROOT / "models" / "marts").rglob("*.sql")}.difference(MARTS_OF_RUNS)
)


def fingerprint(query: Query, tables: list[str]) -> dict[str, tuple]:
    """Returns the row count of each table and a checksum that does not depend on row order."""
    # The column `basis` is a hash of, among others, the version of the raw data.
    columns = dict.fromkeys(("cluster_selection", "lifetime_value_models"), "* except (basis)")
    checksums = "select count(*), bit_xor(xxhash64(*)), sum(hash(*))"
    return {
        table: query(
            f"{checksums} from (select {columns.get(table.partition('.')[2], '*')} from {table})"
        )[0]
        for table in tables
    }


def all_tables() -> list[str]:
    """Returns the raw tables, the rejected lines, the results in `ml` and the marts."""
    raw = ["raw.customers", "raw.transactions", "staging.rejected_transactions"]
    clusters = ("cluster_selection", "cluster_centers", "cluster_dimensions", "customer_clusters")
    value = (
        *("lifetime_value_models", "lifetime_value", "model_evaluation"),
        *("seasonal_index", "churn_score_ranks", "purchase_forecast"),
    )
    ml = [f"ml.{name}" for name in (*clusters, *value)]
    return raw + ml + [f"marts.{mart}" for mart in MARTS]


def assert_nothing_is_lost(query: Query) -> None:
    """Asserts that usable, rejected and later lines add up to the raw lines, to the cent."""
    count_and_sum = "select count(*), coalesce(sum({0}), 0) from {1}"
    raw = query(count_and_sum.format("amount", "raw.transactions"))[0]
    rejected = query(count_and_sum.format("amount", "staging.rejected_transactions"))[0]
    usable = query(count_and_sum.format("amount_cents", "intermediate.int_transactions"))[0]
    later = query("select `rows`, amount from marts.data_quality where reason = 'after_as_of_date'")
    assert raw[0] == rejected[0] + usable[0] + later[0][0]
    assert raw[1] == rejected[1] + Decimal(usable[1]) / 100 + later[0][1]


@on_data("generated")
class TestGenerated:
    """`make run` on generated data."""

    def test_summary_reports_results_and_where_to_look(self, data: Data):
        for words in (
            "3,000 customers",
            "Champions",
            "Persona",
            "Lines left out: ",
            "make sql",
            "jdbc:hive2://",
        ):
            assert words in data.printed, words

    def test_status_lists_the_loads(self, make: Callable, query: Query):
        ((lines, rejected, first, last),) = query(
            "select (select count(*) from raw.transactions), "
            "(select count(*) from staging.rejected_transactions), "
            "min(ordered_on), max(ordered_on) "
            "from staging.stg_transactions where rejection_reason is null"
        )
        printed = make("status").stdout.splitlines()
        loads = [line for line in printed if line.startswith("loaded ")]
        assert len(loads) == 1
        assert re.fullmatch(
            rf"loaded 2026-06-30 \d\d:\d\d UTC, [\d,]+ days ago: {lines:,} lines, "
            rf"{rejected:,} rejected, orders from {first} to {last}",
            loads[0],
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("warn_days", "result"),
        [pytest.param(99_999, "PASS", id="fresh"), pytest.param(2, "WARN", id="late")],
    )
    def test_freshness_is_the_age_of_the_last_load(
        self, server: dict[str, str], warn_days: int, result: str
    ):
        days = f"{{data_warn_days: {warn_days}, data_error_days: 99999}}"
        printed = dbt(server, "source", "freshness", "--select", "source:raw", "--vars", days)
        assert f"{result} freshness of raw.transactions" in printed

    def test_every_column_of_every_table_is_described(self, server: dict[str, str], tmp_path: Path):
        """The catalog has the actual columns, so columns that no YAML lists count too."""
        coverage = [Path(sys.executable).parent / "dbt-coverage", "compute", "doc"]
        folder = ["--run-artifacts-dir", server["DBT_TARGET_PATH"]]
        result = subprocess.run(
            [*coverage, *folder, "--cov-report", tmp_path / "doc.json", "--cov-fail-under", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout

    def test_rejected_rows_are_exactly_the_planted_ones(self, query: Query):
        assert query(
            "select reason, `rows`, amount from marts.data_quality where `rows` > 0 order by reason"
        ) == query("select reason, `rows`, amount from truth.rejected_rows order by reason")

    def test_orders_are_those_of_the_simulation(self, query: Query):
        assert not query(
            "select customers.customer_id, customers.orders, truth.orders "
            "from marts.customers full outer join truth.customers as truth "
            "on customers.customer_id = truth.customer_id "
            "where not (customers.orders <=> truth.orders)"
        )

    def test_every_scored_customer_has_a_persona(self, query: Query):
        # Seven kinds of customers were planted; one may be split in two.
        assert query("select count(*) from marts.personas") in ([(7,)], [(8,)])
        assert not query(
            "select customer_id from marts.customers where (persona is null) <> (orders = 0)"
        )


@pytest.fixture(scope="class")
def unchanged_tables(spark: SparkSession) -> Iterator[None]:
    """Asserts that the tests of a class leave every table and its files as they were."""
    schemas = "raw", "staging", "intermediate", "ml", "marts"
    before = last_run.table_files(spark, schemas)
    yield
    assert last_run.table_files(spark, schemas) == before


@on_data("generated")
@pytest.mark.usefixtures("unchanged_tables")
class TestBadInput:
    """`make run` with a wrong parameter or file."""

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            # Each mistake is found in another place: the check of parameters, last_run, a step.
            ("N_CUSTOMERS=-1", "N_CUSTOMERS must be a whole number of at least 1, not '-1'"),
            ("TRANSACTIONS=no/such/file.csv", "no/such/file.csv does not exist"),
            pytest.param("TRANSACTIONS={file}", "lacks amount", marks=pytest.mark.slow),
        ],
    )
    def test_a_mistake_is_one_clear_line(
        self, argument: str, message: str, make: Make, tmp_path: Path
    ):
        file = tmp_path / "without_amount.csv"
        file.write_text("customer_id,ordered_at\na,2026-01-01\n")
        result = make("run", argument.format(file=file), check=False)
        assert result.returncode != 0
        # Lines of make, and lines that report changes since the last run, are not errors.
        others = ("make", "Changed since")
        errors = [line for line in result.stderr.splitlines() if not line.startswith(others)]
        assert len(errors) == 1, result.stderr
        assert errors[0].startswith("error: ")
        assert message in errors[0]


@on_data("generated", "edge_cases", "online_retail", "olist")
def test_nothing_is_lost(query: Query):
    assert_nothing_is_lost(query)


@pytest.mark.parametrize(
    ("command", "parameter"), [("up", "THRIFT_PORT"), ("history", "HISTORY_PORT")]
)
def test_port_in_use_is_one_clear_line(
    command: str, parameter: str, make: Make, taken_port: int, tmp_path: Path
):
    (tmp_path / "events" / "eventlog_v2_local-1").mkdir(parents=True)
    arguments = f"STATE_DIR={tmp_path}", f"{parameter}={taken_port}"
    result = make(command, *arguments, check=False)
    assert result.returncode != 0
    assert f"error: port {taken_port} is in use by another program" in result.stderr
    assert f"make {'run' if command == 'up' else command} {parameter}=" in result.stderr


@on_data("cdnow")
class TestCdnow:
    """The CDNOW master data: 69,659 purchases of 23,570 customers."""

    def test_known_totals(self, query: Query):
        assert query("select count(*), sum(net_revenue), sum(units) from marts.customers") == [
            (23570, Decimal("2500315.63"), 167881)
        ]
        assert query("select sum(orders) from marts.customers") == [(67591,)]

    def test_scores_equal_an_independent_computation(self, query: Query):
        expected = [tuple(row.values()) for row in published("cdnow_master_rfm_scores")]
        found = query(
            "select customer_id, recency_days, frequency, monetary, r_score, f_score, m_score "
            "from marts.customer_rfm order by customer_id"
        )
        assert found == expected


@pytest.fixture(scope="class")
def lines() -> duckdb.DuckDBPyConnection:
    """Loads the source lines into DuckDB, with amounts and purchases as definitions.md defines."""
    path = DATA / "online_retail.parquet"
    connection = duckdb.connect()
    connection.sql(
        f"""
        create table lines as
        select
            InvoiceNo as order_id,
            CustomerID::varchar as customer_id,
            Quantity as quantity,
            round(Quantity * UnitPrice::decimal(18, 3), 2)::decimal(18, 2) as amount,
            Quantity > 0 and UnitPrice >= 0 as is_purchase
        from '{path}'
        """
    )
    return connection


@on_data("online_retail")
class TestOnlineRetail:
    """The UCI Online Retail data: 541,909 lines with returns and guests."""

    def test_guests_count_in_behavior_marts_only(self, query: Query, lines):
        assert query("select count(*), count_if(customer_id is null) from raw.transactions") == [
            (541909, 135080)
        ]
        assert query("select count(*) from marts.customers") == [(4372,)]
        expected = lines.sql("select count(distinct order_id) from lines where is_purchase")
        assert (
            query("select sum(orders) from marts.purchases_by_weekday_hour") == expected.fetchall()
        )

    def test_customers_equal_an_independent_computation(self, query: Query, lines):
        expected = lines.sql(
            """
            select
                customer_id,
                count(distinct order_id) filter (where is_purchase),
                sum(quantity)::decimal(18, 3),
                coalesce(sum(amount) filter (where amount > 0), 0)::decimal(18, 2),
                coalesce(-sum(amount) filter (where amount < 0), 0)::decimal(18, 2),
                sum(amount)::decimal(18, 2)
            from lines
            where customer_id is not null
            group by customer_id
            order by customer_id
            """
        ).fetchall()
        found = query(
            "select customer_id, orders, units, gross_revenue, returned_revenue, net_revenue "
            "from marts.customers order by customer_id"
        )
        assert found == expected


@pytest.mark.slow
def test_own_files_load_add_and_stay(
    make: Make, query: Query, server: dict[str, str], tmp_path: Path
):
    """Canonical column names need no mapping. A run after `make load` builds the added lines."""
    first, more = tmp_path / "first.csv", tmp_path / "more.csv"
    header = "customer_id,ordered_at,amount,product_category\n"
    first.write_text(f"{header}ann,2026-01-05 10:00:00,12.345,books\n,2026-01-06,5,toys\n")
    more.write_text(f"{header}bob,2026-01-07,n/a,toys\nbob,2026-01-07,7,toys\nann,2026-01-08,-2,\n")

    run_step(server, "ml.load", "--transactions", str(first))
    make("load", f"TRANSACTIONS={more}")
    # Generated data replace loaded data only with REPLACE_LOADED=yes.
    printed = make("run", "N_CUSTOMERS=50", "SEED=7").stdout
    assert f"your data from {first} stay loaded" in printed
    assert "make run REPLACE_LOADED=yes" in printed
    assert "No personas: too few customers with a purchase" in printed
    customers = "select customer_id, orders, net_revenue, rfm_score from marts.customers order by 1"
    # Of two customers the better one scores 5 and the other 1. Bob bought last and spent less.
    # Both ordered once, and so score 1 for frequency.
    assert query(customers) == [
        ("ann", 1, Decimal("10.35"), "115"),
        ("bob", 1, Decimal("7.00"), "511"),
    ]
    assert query("select reason, amount, unparsed_values from staging.rejected_transactions") == [
        ("not_a_number", None, '{"amount":"n/a"}')
    ]
    assert_nothing_is_lost(query)
