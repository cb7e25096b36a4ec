"""The marts equal their recomputation (recomputation.py), row for row, on every data set.

The raw tables come into DuckDB straight from the warehouse's Parquet files, so that nothing between
them and the marts is shared with the project.
"""

import re
from collections.abc import Callable
from math import isclose
from pathlib import Path

import duckdb
import pytest
from conftest import DATA_SETS, ROOT, Data, on_data
from pyspark.sql import SparkSession
from recomputation import MARTS, WARNINGS, Mart, Rows, prepare, recompute
from test_pipeline import MARTS_OF_RUNS

RELATIVE_TOLERANCE = 1e-9
# Not recomputed: results of models, sentences, and their lists (test_site.py counts these).
NOT_RECOMPUTED = {
    *("personas", "recommendations", "recommended_customers", "data_warnings"),
    *MARTS_OF_RUNS,
}
COLUMNS_NOT_RECOMPUTED = {
    "customer_features": {"customer_key"},
    "customer_segment_history": {"customer_key"},
    "customers": {
        *("persona", "p_alive", "expected_orders_90d", "expected_order_value"),
        *("predicted_value_12m", "expected_next_order_on", "is_late", "value_at_stake"),
    },
    "customers_at_risk": {"persona"},
}


@pytest.fixture(scope="session")
def raw(data: Data, server: dict[str, str], spark: SparkSession) -> duckdb.DuckDBPyConnection:
    """The raw tables of the data set in DuckDB, and the models' results, for `recompute`."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for table in ("transactions", "customers"):
        files = Path(server["STATE_DIR"]) / "warehouse" / "raw.db" / table / "**/*.parquet"
        connection.execute(f"create table {table} as from '{files}'")
    for column in ("ordered_at", "loaded_at"):
        connection.execute(f"alter table transactions alter {column} type timestamp")
    for table in ("lifetime_value", "model_evaluation", "purchase_forecast"):
        connection.register("found", spark.table(f"ml.{table}").toArrow())
        connection.execute(f"create table {table} as from found")
    prepare(connection, data.as_of_date)
    return connection


def same(found: object, expected: object) -> bool:
    """Returns whether two values are equal; doubles may differ by the error of a division."""
    if isinstance(found, float) and isinstance(expected, float):
        return isclose(found, expected, rel_tol=RELATIVE_TOLERANCE)
    return type(found) is type(expected) and found == expected


def differences(found: Rows, expected: Rows, mart: Mart) -> list[str]:
    """One line per row that is missing, repeated or not expected, and per value that differs."""

    def keyed(rows: Rows) -> dict[tuple, dict[str, object]]:
        return {tuple(row[column] for column in mart.key): row for row in rows}

    by_key, expected_by_key = keyed(found), keyed(expected)
    lines = []
    if len(by_key) < len(found):
        lines.append(f"{len(found) - len(by_key)} rows repeat a key")
    lines += [f"missing: {expected_by_key[key]}" for key in expected_by_key.keys() - by_key.keys()]
    lines += [f"not expected: {by_key[key]}" for key in by_key.keys() - expected_by_key.keys()]
    lines += [
        f"{key} {column}: {by_key[key][column]!r} instead of {value!r}"
        for key, row in expected_by_key.items()
        if key in by_key
        for column, value in row.items()
        if not same(by_key[key][column], value)
    ]
    return lines


def test_every_mart_is_recomputed_or_listed_as_left_out():
    marts = {file.stem for file in (ROOT / "models" / "marts").rglob("*.sql")}
    assert marts == MARTS.keys() | NOT_RECOMPUTED


@on_data(*DATA_SETS)
@pytest.mark.parametrize("mart", MARTS)
def test_mart_equals_its_recomputation(
    mart: str, spark: SparkSession, raw: duckdb.DuckDBPyConnection
):
    expected = recompute(raw, mart)
    if expected:
        left_out = set(spark.table(f"marts.{mart}").columns) - set(expected[0])
        assert left_out == COLUMNS_NOT_RECOMPUTED.get(mart, set())
    columns = ", ".join(f"`{column}`" for column in expected[0]) if expected else "*"
    found = spark.sql(f"select {columns} from marts.{mart}").toArrow().to_pylist()
    lines = differences(found, expected, MARTS[mart])
    if lines:
        pytest.fail(f"{len(lines)} differences, among them:\n" + "\n".join(lines[:10]))


@on_data(*DATA_SETS)
def test_warnings_are_of_what_the_raw_tables_hold(
    raw: duckdb.DuckDBPyConnection, query: Callable[[str], list[tuple]]
):
    parts = {warning: raw.execute(sql).fetchone()[0] for warning, sql in WARNINGS.items()}
    expected = {warning: part for warning, part in parts.items() if part is not None}
    findings = dict(query("select warning, finding from marts.data_warnings"))
    assert findings.keys() == expected.keys()
    for warning, part in expected.items():
        # Not a part of a larger number.
        assert re.search(rf"(?<![\d,.]){re.escape(part)}", findings[warning])


@on_data("generated")
def test_nothing_is_wrong_with_generated_data(query: Callable[[str], list[tuple]]):
    assert query("select * from marts.data_warnings") == []


@on_data("generated", "cdnow", "online_retail", "olist")
def test_personas_add_up_to_the_customers(query: Callable[[str], list[tuple]]):
    assert query(
        "select persona, customers, net_revenue from marts.personas order by persona"
    ) == query(
        "select persona, count(*), sum(net_revenue) from marts.customers "
        "where persona is not null group by persona order by persona"
    )
    for share, customers, scored in query(
        "select customer_share, customers, (select count(*) from marts.customer_rfm) "
        "from marts.personas"
    ):
        assert isclose(share, customers / scored, rel_tol=RELATIVE_TOLERANCE)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{"k": 1, "v": 0.1 + 0.2}], []),
        ([{"k": 1, "v": 0.3001}], ["(1,) v: 0.3001 instead of 0.3"]),
        ([{"k": 1, "v": None}], ["(1,) v: None instead of 0.3"]),
        ([], ["missing: {'k': 1, 'v': 0.3}"]),
        ([{"k": 1, "v": 0.3}, {"k": 2, "v": 0.3}], ["not expected: {'k': 2, 'v': 0.3}"]),
        ([{"k": 1, "v": 0.3}, {"k": 1, "v": 0.3}], ["1 rows repeat a key"]),
    ],
)
def test_differences_are_seen(found: Rows, expected: list[str]):
    assert differences(found, [{"k": 1, "v": 0.3}], Mart(("k",), "")) == expected
