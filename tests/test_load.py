"""Tests of ml/load.py: no row is lost, money is exact, and a mistake is one clear line."""

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession

import load
import session
from mappings import olist
from session import StepError

LOADED_AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "shared" / "data"
MAPPINGS = Path(load.__file__).parent / "mappings"
REQUIRED = {"customer_id": "customer", "ordered_at": "day", "amount": "amount"}


@pytest.fixture(autouse=True)
def loader_session(spark: SparkSession):
    """Puts the session in the loader's mode and back."""
    keys = ("spark.sql.ansi.enabled", "spark.sql.session.timeZone")
    before = {key: spark.conf.get(key) for key in keys}
    load.without_ansi(spark)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


def source(spark: SparkSession, **columns: str) -> DataFrame:
    """Returns one row of SQL literals, with a customer, a day and an amount unless given."""
    literals = {"customer": "'a'", "day": "'2026-01-01'", "amount": "'1'"} | columns
    return spark.sql("select " + ", ".join(f"{sql} as {name}" for name, sql in literals.items()))


def loaded(rows: DataFrame, **expressions: str):
    """Returns the only row that `rows` becomes."""
    (row,) = load.transactions(rows, REQUIRED | expressions, LOADED_AT).collect()
    return row


def loaded_texts(spark: SparkSession, texts: list[str | None], column: str) -> list[tuple]:
    """Returns (value as text, unparsed text) of `column` for each of `texts`, in their order."""
    rows = spark.createDataFrame(list(enumerate(texts)), "place int, text string")
    expressions = {"customer_id": "place", "ordered_at": "text", "amount": "text"}
    loaded = load.transactions(rows, expressions | {column: "text"}, LOADED_AT)
    values = loaded.orderBy(loaded.customer_id.cast("int")).selectExpr(
        f"cast({column} as string)", f"get_json_object(unparsed_values, '$.{column}')"
    )
    return [tuple(row) for row in values.collect()]


def data_file(name: str) -> Path:
    """Returns a file of the real data; skips the test where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not found: {path} (see PROVENANCE.md in its folder)")
    return path


def csv(folder: Path, text: str, name: str = "data.csv") -> str:
    """Writes `text` as a CSV file and returns its path."""
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


# --- money ------------------------------------------------------------------------------


def test_amount_of_a_text_is_rounded_half_up_once_or_unparsed_or_missing(spark):
    cases = {
        "0.005": ("0.01", None),
        "-0.005": ("-0.01", None),
        "1.0049999": ("1.00", None),  # not first to six decimals
        " 12 ": ("12.00", None),
        "12.5e3": ("12500.00", None),
        "9999999999999999.99": ("9999999999999999.99", None),
        "10000000000000000": (None, "10000000000000000"),
        "abc": (None, "abc"),
        "1,234.50": (None, "1,234.50"),
        "12d": (None, "12d"),
        "NaN": (None, "NaN"),
        "Infinity": (None, "Infinity"),
        "": (None, None),
        "  \t": (None, None),
        None: (None, None),
    }
    assert loaded_texts(spark, list(cases), "amount") == list(cases.values())


@pytest.mark.parametrize(
    ("value", "expected", "unparsed"),
    [
        ("3 * 0.335D", "1.01", None),  # 1.00499999... in binary
        ("cast(1.00499999 as decimal(20, 8))", "1.00", None),
        ("double('NaN')", None, '{"amount":"NaN"}'),
        ("1e300D", None, '{"amount":"1.0E300"}'),
    ],
)
def test_amount_of_a_number_is_rounded_half_up_or_unparsed(spark, value, expected, unparsed):
    row = loaded(source(spark, amount=value))
    assert (row.amount, row.unparsed_values) == (expected and Decimal(expected), unparsed)


@pytest.mark.parametrize(
    ("price", "unparsed"),
    [
        ("'abc'", '{"amount":"n=3, price=abc"}'),
        ("double('NaN')", '{"amount":"n=3, price=NaN"}'),
        ("''", None),
        ("cast(null as double)", None),
    ],
)
def test_product_says_which_columns_did_not_multiply(spark, price, unparsed):
    row = loaded(source(spark, n="'3'", price=price), amount="n * price")
    assert (row.amount, row.unparsed_values) == (None, unparsed)


def test_product_of_texts_is_exact_to_the_cent(spark):
    assert loaded(source(spark, n="'3'", price="'0.335'"), amount="n * price").amount == Decimal(
        "1.01"
    )


@pytest.mark.parametrize(
    ("number", "amount", "unparsed"),
    [
        ("70000", "4900000000.00", None),
        ("5000000000L", None, '{"amount":"n=5000000000, price=5000000000"}'),
    ],
)
def test_product_of_whole_numbers_does_not_wrap_around(spark, number, amount, unparsed):
    row = loaded(source(spark, n=number, price=number), amount="n * price")
    assert row.amount == (amount and Decimal(amount))
    assert row.unparsed_values == unparsed


# --- quantity, time, texts --------------------------------------------------------------


def test_quantity_is_whole_or_unparsed_or_one(spark):
    cases = {
        "3": ("3", None),
        "-3.0": ("-3", None),
        "0": ("0", None),
        "2.5": (None, "2.5"),
        "two": (None, "two"),
        "3000000000": (None, "3000000000"),
        "": ("1", None),
        None: ("1", None),
    }
    assert loaded_texts(spark, list(cases), "quantity") == list(cases.values())


def test_quantity_without_a_column_follows_the_sign_of_the_amount(spark):
    rows = spark.createDataFrame([("-5",), ("-0.001",), ("0",), ("",), ("5",)], "amount string")
    rows = rows.selectExpr("amount as customer", "'2026-01-01' as day", "amount")
    loaded = load.transactions(rows, REQUIRED, LOADED_AT)
    assert [row.quantity for row in loaded.collect()] == [-1, 1, 1, 1, 1]


def test_time_of_a_text_is_iso_and_utc_or_unparsed(spark):
    cases = {
        "2026-01-31": ("2026-01-31 00:00:00", None),
        "2026-01-31 09:30:00": ("2026-01-31 09:30:00", None),
        "2026-01-31T10:30:00+01:00": ("2026-01-31 09:30:00", None),
        "12:30": (None, "12:30"),  # not today at 12:30
        "201101": (None, "201101"),
        "2026": (None, "2026"),
        "2026-02-30": (None, "2026-02-30"),
        "31.01.2026": (None, "31.01.2026"),
        "": (None, None),
        None: (None, None),
    }
    assert loaded_texts(spark, list(cases), "ordered_at") == list(cases.values())


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ("timestamp_ntz '2026-01-31 09:30:00'", "day"),
        ("'31/01/2026 9:30'", "to_timestamp(day, 'd/M/yyyy H:mm')"),
        ("1769851800000L", "timestamp_millis(day)"),
    ],
)
def test_time_is_utc(spark, value, expression):
    row = load.transactions(
        source(spark, day=value), REQUIRED | {"ordered_at": expression}, LOADED_AT
    ).selectExpr("cast(ordered_at as string)", "cast(loaded_at as string)")
    assert tuple(row.first()) == ("2026-01-31 09:30:00", "2026-01-31 12:00:00")


def test_time_that_its_pattern_does_not_read_is_unparsed(spark):
    row = loaded(source(spark, day="'never'"), ordered_at="to_timestamp(day, 'd/M/yyyy')")
    assert (row.ordered_at, row.unparsed_values) == (None, '{"ordered_at":"never"}')


def test_blank_customer_is_a_guest_and_blank_ids_are_none(spark):
    rows = spark.createDataFrame([("",), ("  ",), (None,), ("0",)], "customer string")
    rows = rows.selectExpr("customer", "'2026-01-01' as day", "1 as amount")
    expressions = REQUIRED | {"order_id": "customer", "transaction_id": "customer"}
    loaded = load.transactions(rows, expressions, LOADED_AT)
    assert [(r.customer_id, r.order_id, r.transaction_id) for r in loaded.collect()] == [
        (None, None, None),
        (None, None, None),
        (None, None, None),
        ("0", "0", "0"),
    ]


def test_columns_match_the_raw_table(spark):
    rows = load.transactions(source(spark), REQUIRED, LOADED_AT)
    spark.sql("create database if not exists test_load")
    spark.sql("drop table if exists test_load.shape")
    spark.sql(f"create table test_load.shape ({load.TRANSACTIONS_COLUMNS}) using parquet")
    table = spark.table("test_load.shape").dtypes
    spark.sql("drop table test_load.shape")
    assert rows.dtypes == table


def test_canonical_names_need_no_mapping_and_any_letter_case_serves(spark):
    rows = spark.sql(
        "select 'a' as Customer_ID, date '2026-01-01' as ordered_at, 2 as AMOUNT, 'x' as other"
    )
    row = load.transactions(rows, None, LOADED_AT).first()
    assert (row.customer_id, row.amount, row.quantity) == ("a", Decimal("2.00"), 1)


# --- mistakes in a mapping --------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope + 1", r"amount: nope \+ 1 names `nope`.*only customer, day, amount"),
        ("amount *", "no SQL expression"),
        ("amount; drop table x", "no SQL expression"),
        ("nope(amount)", "Cannot resolve routine `nope`"),
        ("day is null", "gives boolean, which does not fit"),
        ("(select 1)", "no aggregate, window, subquery"),
        ("case when exists(select 1) then 1 end", "no aggregate, window, subquery"),
        ("sum(amount)", "no aggregate, window, subquery"),
        ("count(*) over ()", "no aggregate, window, subquery"),
        ("explode(array(1))", "no aggregate, window, subquery"),
        ("rand()", "no aggregate, window, subquery"),
        ("reflect('java.lang.System', 'exit', 1)", "no aggregate, window, subquery"),
        ("length(input_file_name())", "no aggregate, window, subquery"),
    ],
)
def test_expression_that_cannot_be_used_is_refused(spark, expression, message):
    with pytest.raises(StepError, match=message) as error:
        load.check_expression(source(spark), "transactions", "amount", expression)
    assert "\n" not in str(error.value)


def test_missing_columns_are_named_with_a_mapping_that_works(spark):
    rows = spark.sql(
        "select 'a' as client, '2026-01-01' as `Order Date`, '2' as Price, 3 as Qty, 1 as quantity"
    )
    with pytest.raises(StepError, match="lacks customer_id, ordered_at, amount") as error:
        load.transactions(rows, None, LOADED_AT)
    example = str(error.value).partition("such as: ")[2]
    mapping = load.yaml.safe_load(example)["transactions"]
    row = load.transactions(rows, mapping, LOADED_AT).first()
    assert (row.customer_id, row.amount, row.quantity) == ("a", Decimal("6.00"), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("transactions: {price: x}", "unknown column 'price'; known are transaction_id, order_id"),
        ("transactions: {loaded_at: x}", "unknown column 'loaded_at'"),
        ("orders: {amount: x}", "unknown section 'orders'; known are transactions, customers"),
        ("transactions: [amount]", "transactions must be a map"),
        ("transactions: {amount: }", "transactions.amount is not a text"),
        ("transactions: {amount: true}", "transactions.amount is not a text"),
        ("just words", "must be a map"),
        ("", "must be a map"),
        ("a: b: {", "is no YAML"),
    ],
)
def test_mapping_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "mapping.yml"
    path.write_text(text)
    with pytest.raises(StepError, match=message) as error:
        load.read_mapping(str(path))
    assert "\n" not in str(error.value)


def test_mapping_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StepError, match="cannot be read: No such file"):
        load.read_mapping(str(tmp_path / "nope.yml"))


# --- files ------------------------------------------------------------------------------


def test_csv_with_quotes_line_breaks_and_a_byte_order_mark(spark, tmp_path):
    text = '\ufeffcustomer_id,ordered_at,amount\r\n"a ""b"", c\r\nd",2026-01-01,"1"\r\n\r\ne,,2\r\n'
    rows = load.transactions(load.read_source(spark, csv(tmp_path, text)), None, LOADED_AT)
    assert [(r.customer_id, r.amount) for r in rows.collect()] == [
        ('a "b", c\nd', Decimal("1.00")),
        ("e", Decimal("2.00")),
    ]


def test_csv_line_with_too_many_or_too_few_fields_brings_no_money(spark, tmp_path):
    text = "customer_id,ordered_at,amount\na,2026-01-01,1,234.50\nb,2026-01-01\nc,2026-01-01,3\n"
    rows = load.transactions(load.read_source(spark, csv(tmp_path, text)), None, LOADED_AT)
    assert [(r.amount, r.unparsed_values) for r in rows.collect()] == [
        (None, '{"amount":"a,2026-01-01,1,234.50"}'),
        (None, '{"amount":"b,2026-01-01"}'),
        (Decimal("3.00"), None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "empty.csv is empty"),
        ("header.csv", "customer_id,ordered_at,amount\n", "header.csv has no rows"),
        ("text.parquet", "no Parquet at all", "text.parquet cannot be read as Parquet"),
        ("data.txt", "a", "must be a .csv file"),
    ],
)
def test_file_without_data_is_refused(spark, tmp_path, name, content, message):
    with pytest.raises(StepError, match=message) as error:
        load.read_source(spark, csv(tmp_path, content, name))
    assert "\n" not in str(error.value)


def test_folder_is_read_whole_and_refused_without_data(spark, tmp_path):
    with pytest.raises(StepError, match="does not exist"):
        load.read_source(spark, str(tmp_path / "nope"))
    with pytest.raises(StepError, match=r"without \.csv or \.parquet"):
        load.read_source(spark, str(tmp_path))
    for name in ("1.csv", "2.csv"):
        csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n", name)
    assert load.read_source(spark, str(tmp_path)).count() == 2
    csv(tmp_path, "x", "3.parquet")
    with pytest.raises(StepError, match=r"both \.csv and \.parquet"):
        load.read_source(spark, str(tmp_path))


def test_parquet_column_of_some_files_only_is_not_lost(spark, tmp_path):
    source(spark).write.parquet(f"{tmp_path}/k=1")
    source(spark, units="2").write.parquet(f"{tmp_path}/k=2")
    rows = load.read_source(spark, str(tmp_path))
    loaded = load.transactions(rows, REQUIRED | {"quantity": "units"}, LOADED_AT)
    assert sorted(row.quantity for row in loaded.collect()) == [1, 2]


# --- customers --------------------------------------------------------------------------


def test_customers_values_that_do_not_fit_become_null_and_latest_row_stays(spark, tmp_path):
    text = (
        "customer_id,age,registered_on,region\na,x,2026-01-01,N\na,41.0,2026-01-02,S\n ,3,,\nb,,,\n"
    )
    rows = load.customers(load.read_source(spark, csv(tmp_path, text)), None)
    assert rows.where("unparsed_values is not null").count() == 1
    people = load.one_per_customer(rows).orderBy("customer_id").collect()
    assert [tuple(row) for row in people] == [
        ("a", date(2026, 1, 2), 41, None, "S", None),
        ("b", None, None, None, None, None),
    ]


# --- replacing and adding ---------------------------------------------------------------


@pytest.fixture
def tables(spark, monkeypatch):
    """Points the loader at tables of its own, which are not there yet; returns their database."""
    spark.sql("drop database if exists test_load_raw cascade")
    monkeypatch.setattr(load, "TRANSACTIONS", "test_load_raw.transactions")
    monkeypatch.setattr(load, "CUSTOMERS", "test_load_raw.customers")
    yield "test_load_raw"
    spark.sql("drop database if exists test_load_raw cascade")


def inputs(path: str, customers: str | None = None) -> load.Inputs:
    """Returns what one call without a mapping loads."""
    paths = [path, customers] if customers else [path]
    return load.Inputs(path, customers, {}, load.fingerprint(paths, None))


def content(spark: SparkSession, database: str) -> list[tuple]:
    """Returns customer, amount and loading time of all that is loaded."""
    return [
        tuple(row)
        for row in spark.table(f"{database}.transactions")
        .selectExpr("customer_id", "cast(amount as int)", "date_format(loaded_at, 'HH')")
        .orderBy("customer_id")
        .collect()
    ]


def test_loads_replace_add_and_repeat_without_doubling(spark, tables, tmp_path, capsys):
    header = "customer_id,ordered_at,amount\n"
    first = inputs(
        csv(tmp_path, header + "a,2026-01-01,1\n", "1.csv"),
        csv(tmp_path, "customer_id,age\na,1\nz,2\n", "people.csv"),
    )
    second = inputs(
        csv(tmp_path, header + "b,2026-01-02,2\n", "2.csv"),
        csv(tmp_path, "customer_id,age\na,5\n", "more_people.csv"),
    )
    with pytest.raises(StepError, match="nothing to add to"):
        load.append(spark, first, LOADED_AT)
    load.replace(spark, first, LOADED_AT)
    load.replace(spark, first, LOADED_AT.replace(hour=13))
    load.append(spark, first, LOADED_AT.replace(hour=14))
    assert content(spark, tables) == [("a", 1, "12")]

    load.append(spark, second, LOADED_AT.replace(hour=15))
    load.append(spark, second, LOADED_AT.replace(hour=16))
    assert content(spark, tables) == [("a", 1, "12"), ("b", 2, "15")]
    people = spark.table(f"{tables}.customers").orderBy("customer_id").collect()
    assert [(row.customer_id, row.age) for row in people] == [("a", 5), ("z", 2)]

    load.replace(spark, first, LOADED_AT.replace(hour=17))
    assert content(spark, tables) == [("a", 1, "17")]
    assert capsys.readouterr().out.count("loaded already") == 3


def test_adding_that_was_killed_is_done_again_and_leaves_no_files(spark, tables, tmp_path):
    header = "customer_id,ordered_at,amount\n"
    load.replace(spark, inputs(csv(tmp_path, header + "a,2026-01-01,1\n", "1.csv")), LOADED_AT)
    added = inputs(csv(tmp_path, header + "b,2026-01-02,2\nc,2026-01-02,3\n", "2.csv"))
    noted = LOADED_AT.replace(hour=13)
    spark.sql(
        f"alter table {load.TRANSACTIONS} set tblproperties "
        f"('{load.ADDED}{added.mark}' = '{noted.isoformat()}')"
    )
    # A file that was written before the kill, in a folder that the table does not know yet.
    ((location,),) = (
        spark.sql(f"describe extended {load.TRANSACTIONS}")
        .where("col_name = 'Location'")
        .select("data_type")
        .collect()
    )
    folder = Path(location.removeprefix("file:"))
    (known,) = folder.glob("loaded_at=*")
    cut_off = folder / known.name.replace("12%3A", "13%3A")
    shutil.copytree(known, cut_off)

    load.append(spark, added, LOADED_AT.replace(hour=14))
    assert content(spark, tables) == [("a", 1, "12"), ("b", 2, "14"), ("c", 3, "14")]
    assert not cut_off.exists()


def test_replacement_that_was_killed_between_two_tables_is_finished(spark, tables, tmp_path):
    path = csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n")
    load.replace(spark, inputs(path), LOADED_AT)
    beside = f"{load.TRANSACTIONS}__next"
    spark.sql(f"alter table {load.TRANSACTIONS} rename to {beside}")
    session.finish_replacement(spark, load.TRANSACTIONS)
    assert content(spark, tables) == [("a", 1, "12")]

    # One that is not whole has no version, and stays aside.
    spark.sql(f"alter table {load.TRANSACTIONS} rename to {beside}")
    spark.sql(f"alter table {beside} unset tblproperties ('version')")
    session.finish_replacement(spark, load.TRANSACTIONS)
    assert not spark.catalog.tableExists(load.TRANSACTIONS)


def test_own_data_are_not_added_to_generated_data(spark, tables, tmp_path):
    spark.sql(f"create database {tables}")
    spark.sql(f"create table {load.TRANSACTIONS} ({load.TRANSACTIONS_COLUMNS}) using parquet")
    path = csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n")
    with pytest.raises(StepError, match="holds generated data"):
        load.append(spark, inputs(path), LOADED_AT)


def test_failed_replacement_leaves_what_was_there(spark, tables, tmp_path):
    path = csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n")
    load.replace(spark, inputs(path), LOADED_AT)
    with pytest.raises(StepError, match="customers: the source lacks customer_id"):
        load.replace(spark, inputs(path, csv(tmp_path, "name\nx\n", "people.csv")), LOADED_AT)
    assert content(spark, tables) == [("a", 1, "12")]


# --- real data --------------------------------------------------------------------------


def real(spark: SparkSession, file: str, mapping: str) -> DataFrame:
    """Returns the transactions of a real file under a mapping of the repository."""
    rows = load.read_source(spark, str(data_file(file)))
    sections = load.read_mapping(str(MAPPINGS / mapping))
    return load.transactions(rows, sections["transactions"], LOADED_AT)


def totals(rows: DataFrame) -> tuple:
    """Returns rows, guests, unparsed values and the sum of amounts."""
    return tuple(
        rows.selectExpr(
            "count(*)",
            "count_if(customer_id is null)",
            "count(unparsed_values)",
            "sum(amount)",
        ).first()
    )


def test_cdnow_is_loaded_to_the_cent(spark):
    rows = real(spark, "cdnow/cdnow_master.csv", "cdnow.yml")
    assert totals(rows) == (69_659, 0, 0, Decimal("2500315.63"))
    assert tuple(rows.selectExpr("sum(quantity)", "count(distinct customer_id)").first()) == (
        167_881,
        23_570,
    )


def test_online_retail_is_loaded_to_the_cent(spark):
    file = data_file("online_retail/online_retail.parquet")
    (expected,) = duckdb.sql(
        f"select sum(round(Quantity * cast(UnitPrice as decimal(18, 4)), 2)) from '{file}'"
    ).fetchall()[0]
    rows = real(spark, "online_retail/online_retail.parquet", "online_retail.yml")
    assert totals(rows) == (541_909, 135_080, 0, expected)
    assert tuple(
        rows.selectExpr("count(distinct order_id)", "count(distinct customer_id)").first()
    ) == (25_900, 4_372)


def test_olist_join_keeps_every_item_of_an_order_that_stands(spark):
    folder = data_file("olist_sample/olist_orders_dataset.csv").parent
    lines, amount = duckdb.sql(
        f"""
        select count(*), sum(price::decimal(18, 2) + freight_value::decimal(18, 2))
        from '{folder}/olist_order_items_dataset.csv'
        inner join '{folder}/olist_orders_dataset.csv' using (order_id)
        where order_status not in ('canceled', 'unavailable')
        """
    ).fetchall()[0]
    joined = olist.joined(spark, str(folder))
    rows = load.transactions(joined["transactions"], None, LOADED_AT).cache()
    assert totals(rows) == (lines, 0, 0, amount)
    assert rows.select("transaction_id").distinct().count() == lines
    people = load.customers(joined["customers"], None)
    assert people.count() == people.select("customer_id").distinct().count()
    assert rows.join(people, "customer_id", "left_anti").isEmpty()
    rows.unpersist()
