"""Mappings in SQL: one select over the files of a source gives the canonical columns."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from conftest import ROOT, rows_of, shared_file
from pyspark.sql import DataFrame, SparkSession

from ml.loading.inputs import read_inputs
from ml.loading.mapping import read_mapping
from ml.loading.queries import read_query
from ml.loading.query_rows import table_of_file
from ml.loading.rows import customers, transactions
from ml.session import StepError

LOADED_AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
MAPPINGS = ROOT / "ml" / "mappings"
ORDERS = "select customer as customer_id, day as ordered_at, total as amount from source"


def write(folder: Path, **texts: str) -> Path:
    """Writes `name__suffix=text` as files of a folder, and returns the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def opened(
    spark: SparkSession, path: Path, mapping: Path, folder: Path, section: str = "transactions"
) -> DataFrame:
    """Returns the rows of a source, staged in a folder below `folder`."""
    source = read_mapping(str(mapping)).source(str(path), section)
    return rows_of(source, spark, folder)


@pytest.fixture
def load_query(loader_session: SparkSession, tmp_path: Path) -> Callable[..., list]:
    """Returns a function that loads the files of a folder by a select."""

    def load(folder: Path, sql: str) -> list:
        (tmp_path / "mapping.sql").write_text(sql)
        rows = opened(loader_session, folder, tmp_path / "mapping.sql", tmp_path)
        return transactions(rows, None, LOADED_AT).orderBy("customer_id", "amount").collect()

    return load


# --- the SQL file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "must be one select; it has no statement"),
        ("drop table raw.transactions", "must be one select; it has drop"),
        ("select 1; select 2", "must be one select; it has select, select"),
        ("insert into x select * from source", "must be one select; it has insert"),
        ("select a from source where", "is not a SQL select: syntax error"),
        ("select a from source) union (select a from raw.customers", "is not a SQL select: syntax"),
        ("select 1 as amount", "reads no file of the source"),
        ("select * from raw.transactions", "reads raw.transactions; it may read only the files"),
        ("select * from csv.`/etc/passwd`", "may read only the files of the source"),
        ("select * from identifier('raw.transactions')", "may read only the files"),
        ("select (select max(a) from raw.customers) from source", "reads raw.customers"),
        ("select * from source tablesample (10 percent)", "each load must give the same rows"),
        ("select * from source, refunds", "reads both `source` and refunds"),
        ("select to_date(day, 'DD/MM/YYYY') from source", "write 'dd/MM/yyyy'"),
    ],
)
def test_sql_that_is_not_one_select_over_the_source_is_refused(tmp_path, sql, message):
    path = tmp_path / "mapping.sql"
    path.write_text(sql)
    with pytest.raises(StepError, match=message) as error:
        read_mapping(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select a from Source;\n", {"source"}),
        ("with source as (select * from source) select * from source", {"source"}),
        ("with a as (select * from orders), b as (select * from a) select * from b", {"orders"}),
        ("select * from orders as o join items on o.id = items.id", {"orders", "items"}),
        ("select 1 from orders where id in (select id from refunds)", {"orders", "refunds"}),
        ("select 1 from orders union all select 1 from refunds", {"orders", "refunds"}),
        ("select i.price from source lateral view explode(items) t as i", {"source"}),
    ],
)
def test_tables_of_a_select_are_without_its_ctes(tmp_path, sql, tables):
    path = tmp_path / "mapping.sql"
    path.write_text(sql)
    assert read_query(path).tables == tables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("transactions: {sql: nope.sql}", "nope.sql cannot be read: No such file"),
        ("transactions: {sql: a.sql, amount: x}", "or only sql: FILE"),
        ("transactions: {sql: 1}", "or only sql: FILE"),
        ("orders: {sql: a.sql}", "unknown section 'orders'"),
    ],
)
def test_section_with_a_sql_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "mapping.yml"
    path.write_text(text)
    with pytest.raises(StepError, match=message):
        read_mapping(str(path))


def test_files_of_sql_are_relative_to_the_mapping_and_part_of_the_fingerprint(tmp_path):
    folder = write(tmp_path / "shop", lines__sql=ORDERS, shop__yml="transactions: {sql: lines.sql}")
    mapping = read_mapping(str(folder / "shop.yml"))
    assert mapping.queries["transactions"].text == ORDERS
    assert mapping.sections == {}
    before, again = (
        read_inputs("table:shop.lines", None, str(folder / "shop.yml")) for _ in range(2)
    )
    assert again.fingerprint == before.fingerprint
    (folder / "lines.sql").write_text(f"{ORDERS} where total > 0")
    after = read_inputs("table:shop.lines", None, str(folder / "shop.yml"))
    assert after.fingerprint != before.fingerprint


def test_table_has_the_name_of_its_file():
    assert table_of_file(Path("/a/Olist orders-2024.csv.gz")) == "olist_orders_2024"
    assert table_of_file(Path("/a/items.parquet")) == "items"


# --- rows -------------------------------------------------------------------------------


def test_files_of_a_folder_are_tables_or_one_source(load_query, tmp_path):
    days = write(
        tmp_path / "days",
        a__csv="customer,day,total\nann,2026-01-01,1\n",
        b__csv="day;customer;total\n2026-01-02;bob;2\n",
    )
    found = load_query(days, ORDERS)
    assert [(row.customer_id, row.amount) for row in found] == [("ann", 1), ("bob", 2)]
    shop = write(
        tmp_path / "shop",
        orders__csv="id,customer,day\n1,ann,2026-01-01\n2,bob,2026-01-02\n",
        lines__csv="id,total\n1,5\n1,6\n2,7\n",
        notes__csv="this,is\nnot;read",
    )
    found = load_query(
        shop,
        "select customer as customer_id, day as ordered_at, total as amount "
        "from orders join lines on orders.id = lines.id",
    )
    assert [(row.customer_id, row.amount) for row in found] == [("ann", 5), ("ann", 6), ("bob", 7)]


def test_values_that_do_not_fit_and_broken_lines_are_kept(load_query, tmp_path):
    """The broken line of a file is a line of its own, whichever table it is in."""
    shop = write(
        tmp_path / "shop",
        orders__csv="id,customer,day\n1,ann,2026-01-01\n2,bob,someday\n3,eve\n",
        lines__csv='id,total\n1,"$1,234.50"\n2,($5.00)\n2,x\n2,y,z\n',
    )
    found = load_query(
        shop,
        "select customer as customer_id, day as ordered_at, total as amount "
        "from orders join lines on orders.id = lines.id",
    )
    assert [(row.customer_id, row.amount, row.unparsed_values) for row in found[2:]] == [
        ("ann", Decimal("1234.50"), None),
        ("bob", None, '{"ordered_at":"someday","amount":"x"}'),
        ("bob", Decimal("-5.00"), '{"ordered_at":"someday"}'),
    ]
    broken = {'{"line":"3,eve"}', '{"line":"2,y,z"}'}
    assert {row.unparsed_values for row in found if row.customer_id is None} == broken


def test_file_without_lines_is_an_empty_table(load_query, tmp_path):
    shop = write(
        tmp_path / "shop",
        orders__csv="customer,day,total\nann,2026-01-01,5\n",
        refunds__csv="customer,day,total\n",
    )
    columns = "select customer as customer_id, day as ordered_at, total as amount"
    both = f"{columns} from orders union all {columns} from refunds"
    assert [row.customer_id for row in load_query(shop, both)] == ["ann"]
    with pytest.raises(StepError, match="gives no rows from"):
        load_query(shop, f"{columns} from refunds")


def test_header_is_below_a_title_and_has_all_columns_of_the_select(load_query, tmp_path):
    text = "Sales of January\nday;from;to\n\ncustomer;day;total\nann;2026-01-01;1,50\n"
    found = load_query(write(tmp_path / "days", a__csv=text), ORDERS)
    assert [(row.customer_id, row.amount) for row in found] == [("ann", Decimal("1.50"))]


def test_nested_parquet_is_exploded(load_query, tmp_path):
    folder = write(tmp_path / "events")
    table = pyarrow.table(
        {"user": ["ann"], "day": ["2026-01-01"], "items": [[{"price": 5.0}, {"price": 2.5}]]}
    )
    pyarrow.parquet.write_table(table, folder / "events.parquet")
    found = load_query(
        folder,
        "select user as customer_id, day as ordered_at, item.price as amount "
        "from source lateral view explode(items) exploded as item",
    )
    assert [row.amount for row in found] == [Decimal("2.50"), Decimal("5.00")]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (f"{ORDERS.replace(' from', ', total as price from')}", "gives price; the columns of tra"),
        ("select customer as customer_id, total as amount from source", "does not give ordered_at"),
        (ORDERS.replace(" from", ", 1 as amount from"), "gives amount more than once"),
        (ORDERS.replace("total as", "nope as"), "is not possible: .* name `nope` cannot be resol"),
        (ORDERS.replace("total as", "rand() as"), "random or reflective function"),
        (ORDERS.replace("day as", "uuid() as"), "random or reflective function"),
        (f"{ORDERS} where input_file_name() = ''", "random or reflective function"),
        (
            f"{ORDERS} where reflect('java.lang.System', 'getenv', 'HOME') = ''",
            "random or reflective function",
        ),
        (ORDERS.replace("total as", "true as"), "gives boolean, which does not fit the column"),
        (
            ORDERS.replace("source", "nope"),
            r"reads nope, but no file has that name\. The files are the tables days: use",
        ),
    ],
)
def test_select_that_cannot_be_used_is_refused(load_query, tmp_path, sql, message):
    folder = write(tmp_path / "days", days__csv="customer,day,total\nann,2026-01-01,1\n")
    with pytest.raises(StepError, match=message) as error:
        load_query(folder, sql)
    assert "\n" not in str(error.value)


def test_two_files_with_the_name_of_one_table_are_refused(load_query, tmp_path):
    line = "customer,day,total\nann,2026-01-01,1\n"
    folder = write(tmp_path / "days", **{"my orders__csv": line, "my-orders__csv": line})
    with pytest.raises(StepError, match="are both the table my_orders: rename one"):
        load_query(folder, ORDERS.replace("source", "my_orders"))


def test_path_with_a_scheme_is_one_source(loader_session, tmp_path):
    """The server reads it, so the loader does not know its files."""
    folder = write(tmp_path / "days", days__csv="customer,day,total\nann,2026-01-01,1\nbob\n")
    (tmp_path / "mapping.sql").write_text(ORDERS)
    mapping = read_mapping(str(tmp_path / "mapping.sql"))
    remote = mapping.source(f"file://{folder}", "transactions")
    rows = transactions(rows_of(remote, loader_session, tmp_path), None, LOADED_AT)
    values = {(row.customer_id, row.unparsed_values) for row in rows.collect()}
    assert values == {("ann", None), (None, '{"line":"bob"}')}
    (tmp_path / "mapping.sql").write_text(ORDERS.replace("source", "days"))
    mapping = read_mapping(str(tmp_path / "mapping.sql"))
    with pytest.raises(StepError, match=r"reads days; at a path with a scheme, .* only `source`"):
        remote = mapping.source(f"file://{folder}", "transactions")
        rows_of(remote, loader_session, tmp_path)


def test_sections_with_their_own_files_do_not_mix(loader_session, tmp_path):
    """Spark Connect looks a view up when it runs, and both sections may read `source`."""
    people = "select id as customer_id, area as region from source"
    folder = write(
        tmp_path / "shop",
        lines__sql=ORDERS,
        people__sql=people,
        shop__yml="transactions: {sql: lines.sql}\ncustomers: {sql: people.sql}",
        orders__csv="customer,day,total\nann,2026-01-01,1\n",
        people__csv="id,area\nann,North\n",
    )
    mapping = folder / "shop.yml"
    lines = opened(loader_session, folder / "orders.csv", mapping, tmp_path)
    found = opened(loader_session, folder / "people.csv", mapping, tmp_path, "customers")
    assert transactions(lines, None, LOADED_AT).first().amount == 1
    assert customers(found, None).first().region == "North"


# --- Olist ------------------------------------------------------------------------------


def test_olist_keeps_every_item_but_those_of_canceled_orders(loader_session, tmp_path):
    folder = shared_file("data/olist_sample")
    lines, amount = duckdb.sql(
        f"""
        select count(*), sum(price::decimal(18, 2) + freight_value::decimal(18, 2))
        from '{folder}/olist_order_items_dataset.csv'
        inner join '{folder}/olist_orders_dataset.csv' using (order_id)
        where order_status not in ('canceled', 'unavailable')
        """
    ).fetchall()[0]
    mapping = MAPPINGS / "olist.yml"
    rows = transactions(opened(loader_session, folder, mapping, tmp_path), None, LOADED_AT).cache()
    totals = "count(*)", "count(customer_id)", "count(unparsed_values)", "sum(amount)"
    assert tuple(rows.selectExpr(*totals).first()) == (lines, lines, 0, amount)
    assert rows.select("transaction_id").distinct().count() == lines
    people = customers(opened(loader_session, folder, mapping, tmp_path, "customers"), None)
    assert people.count() == people.select("customer_id").distinct().count()
    assert rows.join(people, "customer_id", "left_anti").isEmpty()
    rows.unpersist()
