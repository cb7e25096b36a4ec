"""Property tests of the loader: every row of any file is used, or kept with a reason.

Texts, numbers and plain dates are checked against Python's own reading.
"""

import csv
import io
import random
import re
import string
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import dbt, run_step
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from test_load import opened

from ml.loading.columns import CANONICAL
from ml.loading.formats import Format
from ml.loading.rows import transactions
from ml.session import StepError

pytestmark = pytest.mark.usefixtures("loader_session")

WITH_POINT = Format(decimal=".")
LOADED_AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
COLUMNS = ("transaction_id", "customer_id", "ordered_at", "quantity", "amount", "product_category")
# White space of Unicode; Python's str.strip() removes more.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
# Characters that Spark allows around a number: white space and control characters.
AROUND = BLANKS + "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
HOSTILE = [
    *["NaN", "nan", "Infinity", "-inf", "1e308", "1e-400", "1e99999999", "0x1F", "12d", "1_000"],
    *["1,234.50", "1.234,50", "٣", "½", "--1", "+1", "-0", "0.005", "-0.005", ".5", "5.", "$5"],
    *["99999999999999999999", "9999999999999999.99", "2147483648", "-2147483649", "2.5"],
    *["0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "+294247-01-01", "-0044-03-15"],
    *["2026-02-30", "2026-13-01", "2026-01-01T25:00:00", "2026-01-01 23:59:60", "12:30"],
    *["2026-01-01T00:00:00+18:00", "2026-01-01T00:00:00-23:59", "2026-03-29 02:30:00 Nowhere/X"],
    *["2026-03-29 02:30:00 Europe/Berlin", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00Z"],
    *["'; drop table raw.transactions; --", "${jndi:ldap://x/a}", "{{ env_var('PATH') }}", "%s"],
    *[
        "null",
        "NULL",
        "None",
        "\\N",
        "true",
        "\\",
        '"',
        "'",
        '""',
        ",",
        ";",
        "\t",
        "a\nb",
        "a\r\nb",
    ],
    *[
        "\0",
        "#comment",
        "\ufeff",
        "\u202eabc",
        "😀",
        "e\u0301",
        "=cmd()",
        "<script>",
        "a" * 100_000,
    ],
]
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.dates().map(str),
    st.just(""),
)
lines = st.tuples(*[texts] * (len(COLUMNS) - 1))


def write(path: Path, rows: list[tuple]) -> None:
    """Writes CSV with every field in quotes; transaction_id is the place of the row."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([str(place), *row] for place, row in enumerate(rows))
    path.write_bytes(text.getvalue().encode())


def nonblank(text: str | None) -> str | None:
    """Returns the text of a field, None for a blank one."""
    return text if (text or "").strip(BLANKS) else None


def number(text: str) -> Decimal:
    """Returns the number of a text, read as in a ledger, with a decimal point."""
    plain = text.strip(AROUND)
    if plain.endswith((".-", ".--")):  # no cents
        return number(plain.rstrip("-"))
    if match := re.fullmatch(r"\((.+)\)|([^-]+)-", plain):
        return -number(match[1] or match[2])
    if "$" in plain:
        return number(plain.replace("$", ""))
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?", plain):
        return Decimal(plain.replace(",", ""))
    return Decimal(plain)


def check(written: tuple, found: T.Row) -> str:
    """Asserts that the loaded line keeps every value; returns 'read' or 'unparsed'."""
    customer, time, quantity, amount, category = map(nonblank, written)
    unparsed = {column: nonblank(text) for column, text in (found.unparsed or {}).items()}
    assert (nonblank(found.customer_id), nonblank(found.product_category)) == (customer, category)

    # A number is that of the text, rounded half up. A plain number is always read.
    if found.amount is not None:
        exact = number(amount)
        assert found.amount == exact.quantize(Decimal("0.01"), ROUND_HALF_UP), written
    else:
        assert unparsed.get("amount") == amount, written
        assert not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{0,9})?", amount or "x", re.ASCII), (
            written
        )
    if found.quantity is None or "quantity" in unparsed:
        assert unparsed.get("quantity") == quantity is not None, written
        assert not re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?", quantity, re.ASCII), written
    elif quantity is not None:
        exact = number(quantity)
        assert found.quantity == exact.quantize(Decimal("0.001"), ROUND_HALF_UP), written

    # A time has a year from 1 to 9999. A plain date is always read.
    if found.ordered_at is not None:
        assert "0001" <= found.ordered_at[:4] <= "9999", written
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", time, re.ASCII):
            assert found.ordered_at == f"{date.fromisoformat(time)} 00:00:00", written
    else:
        assert unparsed.get("ordered_at") == time, written
        with pytest.raises(ValueError, match=r"."):
            date.fromisoformat(time or "nothing")
    return "unparsed" if unparsed else "read"


def collect(rows: DataFrame) -> list[T.Row]:
    """Returns all rows, with times as texts because Python has no year 10000."""
    return rows.selectExpr(
        "transaction_id",
        "customer_id",
        "cast(ordered_at as string) as ordered_at",
        "quantity",
        "amount",
        "product_category",
        "from_json(unparsed_values, 'map<string, string>') as unparsed",
    ).collect()


def try_files(examples: int, spark: SparkSession, folder: Path) -> Counter:
    """Loads random files and checks every line; the files stay in the folder."""
    counted = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 20,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(lines, min_size=1, max_size=60))
    def each(rows: list[tuple]) -> None:
        path = folder / f"{counted['files']}.csv"
        write(path, rows)
        found = collect(
            transactions(opened(spark, str(path), path.parent), None, LOADED_AT, WITH_POINT)
        )
        found.sort(key=lambda row: int(row.transaction_id))
        assert [row.transaction_id for row in found] == [str(n) for n in range(len(rows))]
        counted["files"] += 1
        for given_row, row in zip(rows, found, strict=True):
            counted[check(given_row, row)] += 1

    each()
    return counted


@pytest.mark.slow
def test_every_line_of_random_files_is_used_or_rejected_with_a_reason(
    spark: SparkSession, server: dict[str, str], query: Callable, tmp_path: Path
):
    # Each hostile value in each column, then random files.
    plain = ("ann", "2026-01-05", "1", "10.00", "books")
    spoiled = [
        (*plain[:place], text, *plain[place + 1 :])
        for place in range(len(plain))
        for text in HOSTILE
    ]
    write(tmp_path / "hostile.csv", spoiled)
    rows = opened(spark, str(tmp_path / "hostile.csv"), tmp_path)
    found = collect(transactions(rows, None, LOADED_AT, WITH_POINT))
    found.sort(key=lambda row: int(row.transaction_id))
    counted = Counter(check(*pair) for pair in zip(spoiled, found, strict=True))
    counted += try_files(10, spark, tmp_path)

    run_step(server, "ml.load", "--transactions", str(tmp_path))
    dbt(server, "run", "--select", "+stg_transactions")
    total, reasons = counted["read"] + counted["unparsed"], {}
    for reason, number in query(
        "select rejection_reason, count(*) from staging.stg_transactions group by 1"
    ):
        reasons[reason] = number
    assert sum(reasons.values()) == total
    assert query(
        "select count(*) from staging.stg_transactions where rejection_reason is null "
        "and (ordered_at is null or amount_cents is null or quantity_thousandths is null "
        "or ordered_at > loaded_at)"
    ) == [(0,)]
    print(f"{counted['files'] + 1} files, {total} lines: {reasons}")


@pytest.mark.hours
def test_every_line_of_many_random_files_is_kept(spark: SparkSession, tmp_path: Path):
    print(try_files(500, spark, tmp_path))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(content=st.binary(min_size=1, max_size=2000), has_header=st.booleans())
def test_random_bytes_are_rows_or_an_error_of_one_line(
    spark: SparkSession, tmp_path: Path, content: bytes, has_header: bool
):
    path = tmp_path / "bytes.csv"
    path.write_bytes((b"customer_id,ordered_at,amount\n" if has_header else b"") + content)
    try:
        rows = transactions(opened(spark, str(path), path.parent), None, LOADED_AT).count()
    except StepError as error:
        assert "\n" not in str(error)
    else:
        # Only a quoted field may span lines: without a quote every filled line is a row.
        if b'"' not in content:
            filled = [line for line in re.split(r"[\r\n]+", content.decode()) if line.strip()]
            assert rows == len(filled)


VALUES = {
    "bool": pyarrow.array([True, None]),
    "int64": pyarrow.array([2**63 - 1, None]),
    "uint64": pyarrow.array([2**64 - 1, None], pyarrow.uint64()),
    "double": pyarrow.array([float("nan"), float("-inf")]),
    "decimal": pyarrow.array([Decimal("1e30"), None], pyarrow.decimal128(38, 2)),
    "string": pyarrow.array(["'; drop table x; --", "0001-01-01"]),
    "binary": pyarrow.array([b"\xff\x00", None]),
    "date": pyarrow.array([date(1, 1, 1), date(9999, 12, 31)]),
    "far_time": pyarrow.array([2**62, -(2**62)], pyarrow.timestamp("us")),
    "list": pyarrow.array([[1], None]),
    "struct": pyarrow.array([{"a": 1}, None]),
    "nothing": pyarrow.nulls(2),
}


@pytest.mark.slow
def test_every_parquet_type_in_every_column_is_used_kept_or_refused(
    spark: SparkSession, tmp_path: Path
):
    path = tmp_path / "types.parquet"
    pyarrow.parquet.write_table(pyarrow.table(VALUES), path)
    source = opened(spark, str(path), path.parent)
    plain = {"customer_id": "'ann'", "ordered_at": "date'2026-01-05'", "amount": "1"}
    became = Counter()
    for column in CANONICAL["transactions"]:
        for name in VALUES:
            try:
                rows = transactions(source, plain | {column: name}, LOADED_AT)
            except StepError as error:
                assert "\n" not in str(error)
                became["refused"] += 1
                continue
            found = rows.withColumn("value", rows[column].cast("string")).collect()
            assert len(found) == 2, (column, name)
            for row, is_given in zip(found, VALUES[name].is_valid().to_pylist(), strict=True):
                is_kept = row.value is not None or column in (row.unparsed_values or "")
                assert is_kept or not is_given, (column, name)
                became["kept"] += 1
    print(dict(became))

    clock = pyarrow.array([1], pyarrow.time64("us"))
    pyarrow.parquet.write_table(pyarrow.table({"amount": clock}), path)
    with pytest.raises(StepError, match="cannot be read: The data type TIME"):
        opened(spark, str(path), path.parent)


@pytest.mark.slow
def test_ten_thousand_columns_and_sql_in_their_names_load(spark: SparkSession, tmp_path: Path):
    draw = random.Random(1)  # noqa: S311
    hostile = ["'; drop table x; --", "a`b", "select", "a.b", "__value_x", "1", " ", "ärger", "A"]
    names = hostile + [
        "".join(draw.choices(string.ascii_letters, k=12)) + str(number) for number in range(10_000)
    ]
    path = tmp_path / "wide.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "amount"])
        writer.writerow([str(number) for number in range(len(names) + 1)])
    source = opened(spark, str(path), path.parent)
    mapping = {"customer_id": "`a``b`", "ordered_at": "'2026-01-05'", "amount": "amount"}
    mapping |= {"product_id": "`a.b`", "product_category": "`'; drop table x; --`"}
    (row,) = transactions(source, mapping, LOADED_AT).collect()
    assert (row.customer_id, row.amount) == ("1", len(names))
    assert (row.product_id, row.product_category) == ("3", "0")
    # The message does not name all columns.
    with pytest.raises(StepError, match="and 9,990 more") as error:
        transactions(source, None, LOADED_AT)
    assert len(str(error.value)) < 2000


def test_parquet_bomb_is_refused(spark: SparkSession, tmp_path: Path):
    path = tmp_path / "bomb.parquet"
    column = pyarrow.array(["x"]).take(pyarrow.array([0] * 5_000_000, pyarrow.int32()))
    pyarrow.parquet.write_table(
        pyarrow.table(dict.fromkeys(("customer_id", "ordered_at", "amount"), column)), path
    )
    assert path.stat().st_size < 50_000
    with pytest.raises(StepError, match=r"bomb\.parquet holds 5,000,000 rows in .* bytes"):
        opened(spark, str(path), path.parent)


def test_expression_of_a_mapping_reads_no_file(spark: SparkSession, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("found it")
    plain = {"customer_id": "'ann'", "ordered_at": "date'2026-01-05'", "amount": "amount"}
    source = spark.sql("select 1 as amount")
    for expression in (
        f"(select max(value) from text.`{secret}`)",
        f"case when exists(select 1 from text.`{secret}`) then 'x' end",
        f"in_file('found it', '{secret}')",
        f"reflect('java.nio.file.Path', 'of', '{secret}')",
        f"java_method('java.lang.System', 'load', '{secret}')",
        f"try_reflect('java.lang.System', 'getenv', '{secret}')",
        "input_file_name()",
        "customer_id from raw.customers --",
        "amount; add jar x",
        "amount as x, amount",
    ):
        with pytest.raises(StepError) as refused:
            transactions(source, plain | {"product_id": expression}, LOADED_AT)
        assert "\n" not in str(refused.value)
    # A function that reads XML does not open the files that the XML names.
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>&x;</a>'
    mapping = plain | {"product_id": f"xpath_string('{entity}', 'a')"}
    (row,) = transactions(source, mapping, LOADED_AT).collect()
    assert row.product_id is None
