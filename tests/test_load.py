"""Loading: no row is lost, money is exact, and a mistake is reported in one line."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from string import ascii_letters

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from conftest import rows_of
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml import load, tables
from ml.loading import raw_tables
from ml.loading.checks import check_usable
from ml.loading.expressions import check_expression
from ml.loading.files import find_files
from ml.loading.formats import Format
from ml.loading.inputs import Inputs, fingerprint
from ml.loading.mapping import Mapping, Source, read_mapping
from ml.loading.number_formats import number_evidence, plain_number, recognized_number_format
from ml.loading.parquet_files import stage_parquet
from ml.loading.report import report_lines
from ml.loading.rows import EMPTY_FORMAT, customers, one_per_customer, transactions
from ml.loading.sources import staging
from ml.loading.time_patterns import READ_LETTERS
from ml.session import StepError

pytestmark = pytest.mark.usefixtures("loader_session")
LOADED_AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
REQUIRED = {"customer_id": "customer", "ordered_at": "day", "amount": "amount"}


def source(spark: SparkSession, **columns: str) -> DataFrame:
    """Returns one row of SQL literals; customer, day and amount have defaults."""
    literals = {"customer": "'a'", "day": "'2026-01-01'", "amount": "'1'"} | columns
    return spark.sql("select " + ", ".join(f"{sql} as {name}" for name, sql in literals.items()))


def loaded(rows: DataFrame, **expressions: str):
    """Returns the only row that `rows` give."""
    (row,) = transactions(rows, REQUIRED | expressions, LOADED_AT).collect()
    return row


def loaded_texts(spark: SparkSession, texts: list[str | None], column: str) -> list[tuple]:
    """Returns (value as text, unparsed text) of `column` for each of `texts`, in their order."""
    rows = spark.createDataFrame(list(enumerate(texts)), "place int, text string")
    expressions = {"customer_id": "place", "ordered_at": "text", "amount": "text"}
    loaded = transactions(rows, expressions | {column: "text"}, LOADED_AT)
    values = loaded.orderBy(loaded.customer_id.cast("int")).selectExpr(
        f"cast({column} as string)", f"get_json_object(unparsed_values, '$.{column}')"
    )
    return [tuple(row) for row in values.collect()]


def opened(
    spark: SparkSession, path: str, folder: Path, file_format: Format = EMPTY_FORMAT
) -> DataFrame:
    """Returns the rows at `path`, staged in a folder below `folder`."""
    return rows_of(Source(path, "transactions", format=file_format), spark, folder)


def loaded_file(spark: SparkSession, folder: Path, text: str, mapping: str = "") -> list[tuple]:
    """Returns customer, time, amount, quantity and unparsed values of each row of a CSV file."""
    path = folder / "mapping.yml"
    path.write_text(mapping or "{}")
    source = read_mapping(str(path)).source(csv(folder, text), "transactions")
    rows = rows_of(source, spark, folder)
    return [
        tuple(row)
        for row in transactions(rows, source.mapping, LOADED_AT, source.format)
        .selectExpr(
            "customer_id",
            "cast(ordered_at as string)",
            "cast(amount as string)",
            "cast(quantity as string)",
            "unparsed_values",
        )
        .collect()
    ]


def csv(folder: Path, text: str, name: str = "data.csv") -> str:
    """Writes `text` as a CSV file and returns its path."""
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


# --- money ------------------------------------------------------------------------------


def test_amount_of_a_text_is_rounded_half_up_or_unparsed_or_missing(spark):
    cases = {
        "0.005": ("0.01", None),
        "-0.005": ("-0.01", None),
        "1.0049999": ("1.00", None),  # not rounded to six decimals first
        " 12 ": ("12.00", None),
        "12.5e3": ("12500.00", None),
        "9999999999999999.99": ("9999999999999999.99", None),
        "10000000000000000": (None, "10000000000000000"),
        "abc": (None, "abc"),
        # Numbers as in a ledger.
        "(12.50)": ("-12.50", None),
        "12.50-": ("-12.50", None),
        "-(12.50)": (None, "-(12.50)"),
        "(12.50": (None, "(12.50"),
        "$-5.5": ("-5.50", None),
        "5.5 $": ("5.50", None),
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
def test_unparsed_product_has_the_text_of_each_column(spark, price, unparsed):
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
def test_product_of_integers_does_not_wrap_around(spark, number, amount, unparsed):
    row = loaded(source(spark, n=number, price=number), amount="n * price")
    assert row.amount == (amount and Decimal(amount))
    assert row.unparsed_values == unparsed


# --- quantity, time, texts --------------------------------------------------------------


def test_quantity_is_a_number_or_unparsed_or_one(spark):
    cases = {
        "3": ("3.000", None),
        "-3.0": ("-3.000", None),
        "0": ("0.000", None),
        "0.345": ("0.345", None),
        "-0.5": ("-0.500", None),
        "0.0005": ("0.001", None),  # rounded half up
        "two": (None, "two"),
        "999999999999999.999": ("999999999999999.999", None),
        "1000000000000000": (None, "1000000000000000"),
        "": ("1.000", None),
        None: ("1.000", None),
    }
    assert loaded_texts(spark, list(cases), "quantity") == list(cases.values())


def test_quantity_without_a_column_follows_the_sign_of_the_amount(spark):
    rows = spark.createDataFrame([("-5",), ("-0.001",), ("0",), ("",), ("5",)], "amount string")
    rows = rows.selectExpr("amount as customer", "'2026-01-01' as day", "amount")
    loaded = transactions(rows, REQUIRED, LOADED_AT)
    assert [row.quantity for row in loaded.collect()] == [-1, 1, 1, 1, 1]


def test_time_of_a_text_is_iso_and_utc_or_unparsed(spark):
    cases = {
        "2026-01-31": ("2026-01-31 00:00:00", None),
        "2026-01-31 09:30:00": ("2026-01-31 09:30:00", None),
        "2026-01-31T10:30:00+01:00": ("2026-01-31 09:30:00", None),
        "12:30": (None, "12:30"),  # not read as today at 12:30
        "201101": (None, "201101"),
        "2026": (None, "2026"),
        "2026-02-30": (None, "2026-02-30"),
        "31.01.2026": (None, "31.01.2026"),
        # Names that mean one time zone, and names that mean several.
        "2026-01-31 09:30:00 UTC": ("2026-01-31 09:30:00", None),
        "2026-01-31 09:30:00UTC": ("2026-01-31 09:30:00", None),
        "2026-01-31 09:30:00 GMT+2": ("2026-01-31 07:30:00", None),
        "2026-01-31T09:30:00.000+0200": ("2026-01-31 07:30:00", None),
        "2026-01-31 09:30:00 America/New_York": ("2026-01-31 14:30:00", None),
        **{
            f"2026-06-01 10:00:00{zone}": (None, f"2026-06-01 10:00:00{zone}")
            for zone in (
                *(" BST", " CST", " IST", " PST", " EST", " ist", " MIT", " SST", " PM"),
                *("BST", "EST"),
            )
        },
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
    row = transactions(
        source(spark, day=value), REQUIRED | {"ordered_at": expression}, LOADED_AT
    ).selectExpr("cast(ordered_at as string)", "cast(loaded_at as string)")
    assert tuple(row.first()) == ("2026-01-31 09:30:00", "2026-01-31 12:00:00")


def test_time_that_its_pattern_does_not_read_is_unparsed(spark):
    row = loaded(source(spark, day="'never'"), ordered_at="to_timestamp(day, 'd/M/yyyy')")
    assert (row.ordered_at, row.unparsed_values) == (None, '{"ordered_at":"never"}')


def test_blank_customer_is_a_guest_and_blank_ids_are_null(spark):
    rows = spark.createDataFrame([("",), ("  ",), (None,), ("0",)], "customer string")
    rows = rows.selectExpr("customer", "'2026-01-01' as day", "1 as amount")
    expressions = REQUIRED | {"order_id": "customer", "transaction_id": "customer"}
    loaded = transactions(rows, expressions, LOADED_AT)
    assert [(r.customer_id, r.order_id, r.transaction_id) for r in loaded.collect()] == [
        (None, None, None),
        (None, None, None),
        (None, None, None),
        ("0", "0", "0"),
    ]


def test_columns_match_the_raw_table(spark):
    rows = transactions(source(spark), REQUIRED, LOADED_AT)
    assert rows.dtypes == spark.createDataFrame([], tables.TRANSACTIONS_COLUMNS).dtypes


def test_canonical_names_in_any_letter_case_need_no_mapping(spark):
    rows = spark.sql(
        "select 'a' as Customer_ID, date '2026-01-01' as ordered_at, 2 as AMOUNT, 'x' as other"
    )
    row = transactions(rows, None, LOADED_AT).first()
    assert (row.customer_id, row.amount, row.quantity) == ("a", Decimal("2.00"), 1)


# --- mistakes in a mapping --------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope + 1", r"amount: nope \+ 1 names `nope`.*only customer, day, amount"),
        ("amount *", "not a SQL expression"),
        ("amount; drop table x", "not a SQL expression"),
        ("cast(amount as money)", "not a SQL expression: Unsupported data type"),
        ("cast(amount as decimal(40, 2))", "is not possible: .*40"),
        ("nope(amount)", "Cannot resolve routine `nope`"),
        ("day is null", "gives boolean, which does not fit"),
        ("(select 1)", "no aggregate, window, subquery"),
        ("sum(amount)", "no aggregate, window, subquery"),
        ("amount / sum(amount)", "no aggregate, window, subquery"),
        ("count(*) over ()", "no aggregate, window, subquery"),
        ("explode(array(1))", "no aggregate, window, subquery"),
        ("rand()", "no aggregate, window, subquery"),
    ],
)
def test_expression_that_cannot_be_used_is_refused(spark, expression, message):
    with pytest.raises(StepError, match=message) as error:
        check_expression(source(spark), "transactions", "amount", expression)
    assert "\n" not in str(error.value)


def test_message_about_missing_columns_has_a_working_mapping(spark):
    rows = spark.sql(
        "select 'a' as client, '2026-01-01' as `Order Date`, '2' as UnitPrice, 3 as Qty, "
        "1 as quantity"
    )
    with pytest.raises(StepError, match="lacks customer_id, ordered_at, amount") as error:
        transactions(rows, None, LOADED_AT)
    example = str(error.value).partition("such as: ")[2]
    mapping = yaml.safe_load(example)["transactions"]
    row = transactions(rows, mapping, LOADED_AT).first()
    assert (row.customer_id, row.amount, row.quantity) == ("a", Decimal("6.00"), 1)


def test_hash_of_the_content_notices_equal_rows_and_moved_nulls(spark):
    contents = {
        tables.content(spark.sql(f"select int(a) as a, int(b) as b from values {rows} as t (a, b)"))
        for rows in ("(1, null)", "(1, null), (1, null)", "(2, null), (2, null)", "(null, 1)")
    }
    assert len(contents) == 4


# --- files ------------------------------------------------------------------------------


def test_csv_line_with_too_many_or_too_few_fields_has_no_amount(spark, tmp_path):
    text = "customer_id,ordered_at,amount\na,2026-01-01,1,234.50\nb,2026-01-01\nc,2026-01-01,3\n"
    rows = transactions(opened(spark, csv(tmp_path, text), tmp_path), None, LOADED_AT)
    assert [(r.amount, r.unparsed_values) for r in rows.collect()] == [
        (Decimal("3.00"), None),
        (None, '{"line":"a,2026-01-01,1,234.50"}'),
        (None, '{"line":"b,2026-01-01"}'),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "empty.csv is empty"),
        ("header.csv", "customer_id,ordered_at,amount\n", "header.csv has no rows"),
        ("text.parquet", "no Parquet at all", "text.parquet cannot be read"),
        ("data.pdf", "a", "must be a .csv file"),
    ],
)
def test_file_without_data_is_refused(spark, tmp_path, name, content, message):
    with pytest.raises(StepError, match=message) as error:
        opened(spark, csv(tmp_path, content, name), tmp_path)
    assert "\n" not in str(error.value)


def test_folder_of_one_kind_of_data_is_read_and_any_other_refused(spark, tmp_path):
    with pytest.raises(StepError, match="does not exist"):
        opened(spark, str(tmp_path / "nope"), tmp_path)
    with pytest.raises(StepError, match=r"without \.csv, \.tsv or \.parquet"):
        opened(spark, str(tmp_path), tmp_path)
    for name in ("1.csv", "2.csv"):
        csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n", name)
    assert opened(spark, str(tmp_path), tmp_path).count() == 2
    csv(tmp_path, "x", "3.parquet")
    with pytest.raises(StepError, match=r"both \.csv and \.parquet"):
        opened(spark, str(tmp_path), tmp_path)


def test_parquet_column_of_only_some_files_is_kept(spark, tmp_path):
    source(spark).write.parquet(f"{tmp_path}/k=1")
    source(spark, units="2").write.parquet(f"{tmp_path}/k=2")
    rows = opened(spark, str(tmp_path), tmp_path)
    loaded = transactions(rows, REQUIRED | {"quantity": "units"}, LOADED_AT)
    assert sorted(row.quantity for row in loaded.collect()) == [1, 2]


def test_names_of_parquet_folders_are_texts(spark, tmp_path):
    source(spark).write.parquet(f"{tmp_path}/store=007")
    assert opened(spark, str(tmp_path), tmp_path).first().store == "007"


def test_times_in_nanoseconds_are_read(spark, tmp_path):
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "ordered_at": pd.to_datetime(["2026-01-31 09:30:00.123456789", None]),
            "amount": [1.5, 2.0],
        }
    )
    frame.to_parquet(tmp_path / "orders.parquet")
    rows = opened(spark, str(tmp_path), tmp_path)
    loaded = transactions(rows, None, LOADED_AT).orderBy("customer_id")
    assert [row[0] for row in loaded.selectExpr("cast(ordered_at as string)").collect()] == [
        "2026-01-31 09:30:00.123456",
        None,
    ]


def test_a_damaged_file_with_times_in_nanoseconds_is_named(tmp_path):
    path = tmp_path / "orders.parquet"
    pd.DataFrame({"ordered_at": pd.date_range("2026-01-01", periods=1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:50] + bytes(500) + path.read_bytes()[550:])
    staged = tmp_path / "staged"
    with pytest.raises(StepError, match=r"orders\.parquet cannot be read: "):
        stage_parquet(find_files(str(path)).files, staged)


def test_characters_of_a_parquet_path_are_literal(spark, tmp_path):
    name = "o [1] {Q1} a*b? 50%41 #1 12:30"
    table = pyarrow.table({"customer_id": ["right"], "ordered_at": ["2026-01-01"], "amount": [1]})
    folder = tmp_path / name
    folder.mkdir()
    pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    for path in (folder, folder / f"{name}.parquet"):
        assert opened(spark, str(path), tmp_path).first().customer_id == "right"


def test_server_reads_a_path_with_a_scheme_line_by_line(spark, tmp_path):
    folder = tmp_path / "orders [1]"
    folder.mkdir()
    (folder / "README.txt").write_text("not data")
    lines = ["a;2026-01-01;1;x", 'b;2026-01-02;2;"y', 'c;2026-01-03;3;"z; ""w"""', "d;2026-01-04"]
    csv(folder, "\n".join(["customer_id;ordered_at;amount;", *lines[:2]]), "1.csv")
    csv(folder, "\n".join(["customer_id;ordered_at;amount;", *lines[2:]]), "2.csv")
    rows = opened(spark, f"file://{folder}", tmp_path)
    loaded = transactions(rows, None, LOADED_AT).orderBy("amount").collect()
    assert [(row.customer_id, row.amount, row.unparsed_values) for row in loaded] == [
        (None, None, '{"line":"d;2026-01-04"}'),
        ("a", 1, None),
        # It swallows no line.
        ("b", 2, None),
        ("c", 3, None),
    ]


def test_header_at_a_path_with_a_scheme_may_have_blanks_and_an_encoding(spark, tmp_path):
    (tmp_path / "days").mkdir()
    text = "customer_id, ordered_at,größe,amount \na,2026-01-01,ß,1\n"
    (tmp_path / "days" / "1.csv").write_bytes(text.encode("iso-8859-1"))
    folder = f"file://{tmp_path / 'days'}"
    rows = opened(spark, folder, tmp_path, Format(encoding="iso-8859-1"))
    assert rows.select("ordered_at", "größe", "amount").first() == ("2026-01-01", "ß", "1")


def test_texts_that_are_not_utf8_stay_different(spark, tmp_path):
    path = tmp_path / "orders.parquet"
    names = pyarrow.array([b"M\xfcller", b"M\xf6ller", "Möller".encode()], pyarrow.binary())
    table = pyarrow.table(
        {"customer_id": names, "ordered_at": ["2026-01-01"] * 3, "amount": [1] * 3}
    )
    pyarrow.parquet.write_table(table, path)
    rows = transactions(opened(spark, str(path), tmp_path), None, LOADED_AT).collect()
    assert [row.customer_id for row in rows] == ["0x4DFC6C6C6572", "0x4DF66C6C6572", "Möller"]


# --- formats ----------------------------------------------------------------------------


# Texts of one column, the format of the mapping, and the values read; None is unparsed.
NUMBERS = [
    (["10,00", "1.020,50", "1.234"], Format(), ["10.00", "1020.50", "1234.00"]),
    (["1,234", "12.50"], Format(), ["1234.00", "12.50"]),
    (["1 234,50", "1\u202f000"], Format(), ["1234.50", "1000.00"]),
    (["1'234.50", "12\u2019000"], Format(), ["1234.50", "12000.00"]),
    (["12,34,567.00"], Format(), ["1234567.00"]),
    (["$1,234.50", "-$12.00", "$(3.10)"], Format(), ["1234.50", "-12.00", None]),
    (["EUR 5.00", "6.00 EUR", "7.00- EUR"], Format(), ["5.00", "6.00", "-7.00"]),
    # No cents.
    (["99,-", "kr 5,\u2013", "6,--", "8,- kr"], Format(), ["99.00", "5.00", "6.00", "8.00"]),
    # Ambiguous: decimals or thousands, two currencies, two decimal signs.
    (["1,234", "5"], Format(), [None, "5.00"]),
    (["$1", "€2"], Format(), [None, None]),
    (["1.50", "2,50"], Format(), ["1.50", None]),
    # The format of the mapping decides.
    (["1,234", "5"], Format(thousands=","), ["1234.00", "5.00"]),
    (["1,234", "5"], Format(decimal=","), ["1.23", "5.00"]),
    (["1.234", "-12,50"], Format(thousands="."), ["1234.00", "-12.50"]),
    (["$1", "€2"], Format(delimiter=";"), [None, None]),
    (["1.234"], Format(decimal=",", thousands="."), ["1234.00"]),
    (["1.234", "950"], Format(decimal=","), ["1234.00", "950.00"]),
    (
        ["$1,234.50", "(12.50)", "12.50-", "€ 9.99", "1 234,50"],
        Format(decimal=".", thousands=","),
        ["1234.50", "-12.50", "-12.50", "9.99", None],
    ),
]


def test_numbers_are_read_in_the_format_of_their_column(spark):
    texts = [(case, text) for case, (column, _, _) in enumerate(NUMBERS) for text in column]
    read = F.lit(None)
    for case, (column, file_format, _) in enumerate(NUMBERS):
        form = recognized_number_format(number_evidence(column), file_format)
        read = F.when(F.col("case") == case, F.expr(plain_number("text", form))).otherwise(read)
    rows = spark.createDataFrame(texts, "case int, text string")
    found = [row[0] for row in rows.select(read.try_cast("decimal(18,2)").cast("string")).collect()]
    expected = [value for _, _, values in NUMBERS for value in values]
    assert dict(zip(texts, found, strict=True)) == dict(zip(texts, expected, strict=True))


def test_arithmetic_gets_numbers_and_other_sql_gets_texts(spark, tmp_path):
    text = "c;d;n;price\na;2026-01-01;2;1.000,50\nb;2026-01-01;1;3,50\n"
    mapping = "transactions: {customer_id: c, ordered_at: d, amount: %s}"
    expressions = {
        "n * price": ["2001.00", "3.50"],
        "n * cast(price as decimal(18, 4))": ["2001.00", "3.50"],
        "replace(replace(price, '.', ''), ',', '.')": ["1000.50", "3.50"],
    }
    for expression, expected in expressions.items():
        found = loaded_file(spark, tmp_path, text, mapping % f'"{expression}"')
        assert [row[2] for row in found] == expected, expression


@pytest.mark.parametrize(
    ("times", "pattern", "expected"),
    [
        (["13/01/2026", "05/02/2026"], "dd/MM/yyyy", ["2026-01-13", "2026-02-05"]),
        (["1/13/26 1:05 PM"], "M/d/yy h:mm a", ["2026-01-13 13:05:00"]),
        (["20260113", "2026-01-13"], "yyyyMMdd", ["2026-01-13", None]),
    ],
)
def test_date_format_reads_only_times_of_its_pattern(spark, tmp_path, times, pattern, expected):
    text = "customer_id,ordered_at,amount\n" + "\n".join(f"c,{each},1" for each in times)
    found = loaded_file(spark, tmp_path, text, f"format: {{date_format: '{pattern}'}}")
    assert [row[1] for row in found] == [
        each and (each if ":" in each else f"{each} 00:00:00") for each in expected
    ]


def test_wrong_time_pattern_is_explained(spark):
    expression = "to_utc_timestamp(to_timestamp(concat(day, ' 1'), 'dd/mm/yyyy'), 'Europe/Berlin')"
    message = "m is the minute, M the month; write 'dd/MM/yyyy'"
    with pytest.raises(StepError, match=message) as refused:
        check_expression(source(spark), "transactions", "ordered_at", expression)
    assert "\n" not in str(refused.value)


def test_a_pattern_may_have_only_letters_that_spark_reads(spark):
    def is_read(letter: str) -> bool:
        pattern = letter * (2 if letter == "V" else 1)
        try:
            spark.sql(f"select try_to_timestamp('x', '{pattern}')").collect()
        except PySparkException:
            return False
        return True

    # Spark accepts g and v, too, but does not document them.
    assert {letter for letter in ascii_letters if is_read(letter)} == {*READ_LETTERS, "g", "v"}


def test_repeated_column_is_an_error_only_where_it_is_needed(spark, tmp_path):
    text = "customer_id,ordered_at,amount,Amount,Name,Name\na,2026-01-01,1,2,x,y\n"
    with pytest.raises(StepError, match=r"amount more than once: 'amount' \(column 3, here _c2\)"):
        loaded_file(spark, tmp_path, text)
    mapping = "transactions: {customer_id: customer_id, ordered_at: ordered_at, amount: %s}"
    with pytest.raises(StepError, match="name more than once"):
        loaded_file(spark, tmp_path, text, mapping % "_c3, product_id: Name")
    assert loaded_file(spark, tmp_path, text, mapping % "_c3")[0][2] == "2.00"


def test_file_without_a_needed_column_is_named(spark, tmp_path):
    csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n", "1.csv")
    csv(tmp_path, "customer_id,ordered_at,total\na,2026-01-01,1\n", "2.csv")
    with pytest.raises(StepError, match=r"2\.csv has no column amount"):
        opened(spark, str(tmp_path), tmp_path / "..")


# --- data that cannot be used -----------------------------------------------------------


UNUSABLE = {
    "format: {date_format: 'd/M/yyyy'}": ["a,13/01/2026,1", "b,05/02/2026,2"],
    "if the day comes first, format: {date_format: 'M/d/yyyy'} if the": ["a,05/02/2026,1"],
    "2 of 2 lines with an amount that is not": ['a,2026-01-01,"1,500"', "b,2026-01-01,x"],
    "2 of 2 lines with no amount": ["a,2026-01-01,", ",2026-01-01,"],
    "1 of 1 line with no ordered_at": ["a,,1"],
    "is a placeholder for an unknown date, such as '1970": ["a,1970-01-01,1", "a,1900-01-01,1"],
    "an ordered_at in the future": ["a,2099-01-01,1"],
    "2 of 2 lines with fields that cannot be": ['a,2026-01-01,1,"x', "b,2026-01-01"],
}


def test_lines_that_cannot_be_used_are_refused_with_the_reason(spark, tmp_path):
    for message, lines in UNUSABLE.items():
        path = csv(tmp_path, "customer_id,ordered_at,amount\n" + "\n".join(lines))
        rows = transactions(opened(spark, path, tmp_path), None, LOADED_AT)
        with pytest.raises(StepError, match=re.escape(message)) as refused:
            check_usable(rows, path)
        assert "\n" not in str(refused.value)


def test_a_load_that_is_refused_changes_nothing(spark, own_raw_tables, tmp_path):
    header = "customer_id,ordered_at,amount\n"
    lines = csv(tmp_path, f"{header}old,2026-01-01,1\n", "1.csv")
    load.replace(spark, inputs(lines), LOADED_AT)
    unusable = inputs(csv(tmp_path, f"{header}new,,1\n", "2.csv"))
    without_id = inputs(lines, csv(tmp_path, "customer_id,age\n,5\n", "people.csv"))
    without_column = inputs(lines, csv(tmp_path, "name\nx\n", "names.csv"))
    for change, refused, message in (
        (load.replace, unusable, "1 of 1 line with no ordered_at"),
        (load.append, unusable, "1 of 1 line with no ordered_at"),
        (load.replace, without_id, "none of 1 rows has a customer_id"),
        (load.replace, without_column, "customers: the source lacks customer_id"),
    ):
        with pytest.raises(StepError, match=message):
            change(spark, refused, LOADED_AT.replace(hour=13))
    assert content(spark, own_raw_tables) == [("old", 1, "12")]


def test_report_of_deletions_has_neither_a_period_nor_an_amount(spark, capsys):
    nothing = "cast(null as string)"
    rows = source(spark, id="'1'", is_deleted="true", day=nothing, amount=nothing)
    mapping = REQUIRED | {"transaction_id": "id", "is_deleted": "is_deleted"}
    report_lines(transactions(rows, mapping, LOADED_AT), "deleted.csv")
    assert "deleted.csv: 1 line\n" in capsys.readouterr().out


def test_report_has_unparsed_texts_and_what_would_help(spark, own_raw_tables, tmp_path, capsys):
    lines = ["a,2026-01-01,1", "b,13.01.2026,1", 'c,2026-01-01,"1,500"', "d,2026-01-01"]
    text = "customer_id,ordered_at,amount\n" + "\n".join(lines)
    load.replace(spark, inputs(csv(tmp_path, text)), LOADED_AT)
    printed = capsys.readouterr().out
    assert "0 lines without a customer" in printed
    assert "1 line whose fields cannot be separated" in printed
    assert "such as 'd,2026-01-01'" in printed
    assert "1 line with a time that cannot be read, such as '13.01.2026'" in printed
    assert "format: {date_format: 'd.M.yyyy'}" in printed
    assert "1 line with an amount that is not a number, such as '1,500'" in printed


def test_staging_folders_are_removed_also_after_a_killed_load(spark):
    with staging(spark) as folder:
        killed = folder.parent / "incoming-killed"
        killed.mkdir()
    assert not folder.exists()
    with staging(spark):
        assert not killed.exists()


# --- customers --------------------------------------------------------------------------


def test_customers_values_that_do_not_fit_become_null_and_the_latest_row_wins(spark, tmp_path):
    text = (
        "customer_id,age,registered_on,region\na,x,2026-01-01,N\na,41.0,2026-01-02,S\n ,3,,\nb,,,\n"
        # A placeholder is not the latest registration.
        "c,34,2025-01-01,W\nc,,9999-12-31,\n"
    )
    rows = customers(opened(spark, csv(tmp_path, text), tmp_path), None)
    assert rows.where("unparsed_values is not null").count() == 1
    people = one_per_customer(rows).orderBy("customer_id").collect()
    assert [tuple(row) for row in people] == [
        ("a", date(2026, 1, 2), 41, None, "S", None),
        ("b", None, None, None, None, None),
        ("c", date(2025, 1, 1), 34, None, "W", None),
    ]


def test_of_several_files_the_last_one_has_the_attributes_of_a_customer(spark, tmp_path):
    (tmp_path / "people").mkdir()
    csv(tmp_path / "people", "customer_id,registered_on,region\na,2026-01-01,West\n", "1.csv")
    csv(tmp_path / "people", "customer_id,registered_on,region\na,2026-01-01,East\n", "2.csv")
    rows = customers(opened(spark, str(tmp_path / "people"), tmp_path), None)
    (person,) = one_per_customer(rows).collect()
    assert person.region == "East"


# --- replacing and adding ---------------------------------------------------------------


def inputs(path: str, customers: str | None = None) -> Inputs:
    """Returns what one call without a mapping loads."""
    paths = {"transactions": path} | ({"customers": customers} if customers else {})
    return Inputs(paths, Mapping(), fingerprint(list(paths.values()), None))


def content(spark: SparkSession, database: str) -> list[tuple]:
    """Returns customer, amount and loading hour of all loaded lines."""
    return [
        tuple(row)
        for row in spark.table(f"{database}.transactions")
        .selectExpr("customer_id", "cast(amount as int)", "date_format(loaded_at, 'HH')")
        .orderBy("customer_id")
        .collect()
    ]


@pytest.mark.slow
def test_killed_replacement_is_completed_or_removed(spark, own_raw_tables, tmp_path):
    path = csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n")
    load.replace(spark, inputs(path), LOADED_AT)
    next_table = f"{raw_tables.TRANSACTIONS}__next"
    spark.sql(f"alter table {raw_tables.TRANSACTIONS} rename to {next_table}")
    tables.finish_replacement(spark, raw_tables.TRANSACTIONS)
    assert content(spark, own_raw_tables) == [("a", 1, "12")]

    # The old table is still there.
    spark.sql(f"create table {next_table} using parquet as select 'b' as customer_id")
    tables.finish_replacement(spark, raw_tables.TRANSACTIONS)
    assert not spark.catalog.tableExists(next_table)
    assert content(spark, own_raw_tables) == [("a", 1, "12")]

    # An incomplete table has no version and is not used.
    spark.sql(f"alter table {raw_tables.TRANSACTIONS} rename to {next_table}")
    spark.sql(f"alter table {next_table} unset tblproperties ('version')")
    tables.finish_replacement(spark, raw_tables.TRANSACTIONS)
    assert not spark.catalog.tableExists(raw_tables.TRANSACTIONS)


def test_loaded_data_are_not_added_to_generated_data(spark, own_raw_tables, tmp_path):
    spark.sql(f"create database {own_raw_tables}")
    spark.sql(
        f"create table {raw_tables.TRANSACTIONS} ({tables.TRANSACTIONS_COLUMNS}) using parquet"
    )
    path = csv(tmp_path, "customer_id,ordered_at,amount\na,2026-01-01,1\n")
    with pytest.raises(StepError, match="holds generated data"):
        load.append(spark, inputs(path), LOADED_AT)
