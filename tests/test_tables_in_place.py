"""Tables that stay where they are: the raw tables are views of them, and hold what a load would."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml import erase, load, tables
from ml.loading import ledger, raw_tables
from ml.loading.inputs import Inputs, read_inputs
from ml.session import StepError
from server import last_run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = "test_in_place_shop"
MAPPING = """
transactions:
  transaction_id: id
  customer_id: who
  ordered_at: day
  amount: price
"""


@dataclass
class Shop:
    """A table of a shop, raw tables of their own, and the commands that read the table."""

    spark: SparkSession
    folder: Path
    capture: pytest.CaptureFixture
    hour: int = 0

    def sql(self, statement: str) -> list[tuple]:
        """Runs SQL; {shop} is the schema of the shop."""
        return list(map(tuple, self.spark.sql(statement.replace("{shop}", SHOP)).collect()))

    def file(self, name: str, text: str) -> str:
        """Writes a file and returns its path."""
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def inputs(
        self, mapping: str | None = MAPPING, source: str | None = None, people: str | None = None
    ) -> Inputs:
        """Returns the inputs of a run; the mapping is YAML, or SQL if it begins with `select`."""
        name = "mapping.sql" if mapping and mapping.startswith("select") else "mapping.yml"
        path = self.file(name, mapping) if mapping else None
        return read_inputs(source or f"table:{SHOP}.lines", people, path)

    def run(self, *arguments: str | None, **others: str | None) -> str:
        """Loads as `make run` does, an hour later each time; returns what it prints."""
        self.hour += 1
        self.capture.readouterr()
        raw_tables.finish_replacements(self.spark)
        inputs = self.inputs(*arguments, **others)
        load.replace(self.spark, inputs, NOON + timedelta(hours=self.hour))
        return self.capture.readouterr().out

    def lines(self) -> list[tuple]:
        """Returns id and amount of all raw lines, in order."""
        lines = self.spark.table(raw_tables.TRANSACTIONS).selectExpr("transaction_id", "amount")
        return sorted((key, str(amount)) for key, amount in map(tuple, lines.collect()))

    def property(self, name: str) -> str | None:
        """Returns a property of raw.transactions."""
        return tables.table_properties(self.spark, raw_tables.TRANSACTIONS).get(name)


@pytest.fixture
def shop(
    loader_session: SparkSession, own_raw_tables: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> Iterator[Shop]:
    """A shop with a table of two lines, which came at nine and at ten."""
    loader_session.sql(f"drop database if exists {SHOP} cascade")
    own = Shop(loader_session, tmp_path, capsys)
    own.sql("create database {shop}")
    own.sql(
        "create table {shop}.lines (id string, who string, day date, price decimal(10,2), "
        "came timestamp) using parquet"
    )
    add(own, "('a', 'ann', '2026-01-01', 1, '2026-02-01 09:00:00')")
    add(own, "('b', 'bob', '2026-01-02', 2, '2026-02-01 10:00:00.123456')")
    yield own
    loader_session.sql(f"drop database if exists {SHOP} cascade")


def add(shop: Shop, *rows: str) -> None:
    """Adds rows to the table of the shop."""
    shop.sql(
        "insert into {shop}.lines select id, who, date(day), price, timestamp(came) "
        f"from values {', '.join(rows)} as rows (id, who, day, price, came)"
    )


def overwrite(shop: Shop, table: str, select: str) -> None:
    """Replaces the rows of a table of the shop; the select may read the table itself."""
    shop.sql(f"create table {{shop}}.next using parquet as {select}")
    shop.sql(f"insert overwrite {{shop}}.{table} select * from {{shop}}.next")
    shop.sql("drop table {shop}.next")


WITH_WATERMARK = f"{MAPPING}  loaded_at: came\n"


@pytest.mark.slow
def test_a_run_reads_what_came_after_the_last_one(shop: Shop):
    assert "2 lines from 2026-01-01 to 2026-01-02" in shop.run(WITH_WATERMARK)
    version = shop.property("version")
    assert "nothing to do" in shop.run(WITH_WATERMARK)
    add(shop, "('c', 'ann', '2026-01-03', 3, '2026-02-01 10:00:00.123457')")
    # Until the next run, all models see the same lines.
    assert shop.lines() == [("a", "1.00"), ("b", "2.00")]
    assert "1 line from 2026-01-03 to 2026-01-03, net 3.00" in shop.run(WITH_WATERMARK)
    assert shop.lines() == [("a", "1.00"), ("b", "2.00"), ("c", "3.00")]
    times = shop.spark.table(raw_tables.TRANSACTIONS).selectExpr("max(string(loaded_at))").first()
    assert times[0] == "2026-02-01 10:00:00.123457"
    assert shop.property("version") == version
    # With other expressions, every line is another one.
    assert "3 lines" in shop.run(WITH_WATERMARK.replace("price", "2 * price"))
    assert shop.lines() == [("a", "2.00"), ("b", "4.00"), ("c", "6.00")]
    assert shop.property("version") != version


@pytest.mark.slow
def test_a_row_of_the_future_waits_and_keeps_no_other_out(shop: Shop):
    add(shop, "('z', 'ann', '2026-01-03', 9, '9999-12-31 00:00:00')")
    shop.run(WITH_WATERMARK)
    assert shop.property("read_until") == "2026-02-01 10:00:00.123456"
    add(shop, "('c', 'ann', '2026-01-03', 3, '2026-02-02 10:00:00')")
    assert "1 line from 2026-01-03" in shop.run(WITH_WATERMARK)
    assert shop.lines() == [("a", "1.00"), ("b", "2.00"), ("c", "3.00")]


def test_a_run_begins_only_if_a_table_has_new_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.run(WITH_WATERMARK)
    for name, value in (
        ("TRANSACTIONS", f"table:{SHOP}.lines"),
        ("MAPPING", str(shop.folder / "mapping.yml")),
        ("CUSTOMERS", ""),
    ):
        monkeypatch.setenv(name, value)
    assert not last_run.table_in_place_has_changed(shop.spark)
    add(shop, "('c', 'ann', '2026-01-03', 3, '2026-02-02 09:00:00')")
    assert last_run.table_in_place_has_changed(shop.spark)


@pytest.mark.slow
def test_a_few_new_lines_may_all_be_wrong(shop: Shop):
    shop.run(WITH_WATERMARK)
    add(shop, "('c', 'ann', null, 3, '2026-02-02 09:00:00')")
    assert "1 line" in shop.run(WITH_WATERMARK)


@pytest.mark.slow
def test_without_a_watermark_any_change_is_read_again(shop: Shop):
    shop.run()
    version = shop.property("version")
    assert "nothing to do" in shop.run()
    overwrite(shop, "lines", "select id, who, day, price + 1, came from {shop}.lines")
    assert "2 lines" in shop.run()
    assert shop.lines() == [("a", "2.00"), ("b", "3.00")]
    # The same values in another column.
    for names in ("id, cast(null as string) as who", "cast(null as string) as id, id as who"):
        overwrite(shop, "lines", f"select {names}, day, price, came from {{shop}}.lines")
        assert "2 lines" in shop.run()
    # The lines were all loaded by the last run.
    assert shop.spark.table(raw_tables.TRANSACTIONS).select("loaded_at").distinct().count() == 1
    assert shop.property("version") != version


def test_a_view_gives_the_rows_that_a_load_of_the_same_rows_gives(shop: Shop):
    """Texts of times and numbers, blanks, nulls, and values that do not fit."""
    texts = [
        ("1", "ann", "31.01.2026", "1.234,50", "2"),
        ("2", " ", "2026-01-31", "abc", "1,5"),
        ("3", None, None, "(12,00)", "x"),
        ("4", "bob's", "30.02.2026", None, None),
        ("", "\\", "01.02.2026", "99999999999999999999", "-1"),
    ]
    folder = shop.folder / "files"
    rows = shop.spark.createDataFrame(
        texts, "id string, who string, day string, p string, n string"
    )
    rows.coalesce(1).write.parquet(str(folder))
    shop.sql(f"create table {{shop}}.texts using parquet as select * from parquet.`{folder}`")
    mapping = """
transactions: {transaction_id: id, customer_id: who, ordered_at: day, amount: n * p, quantity: n}
customers: {customer_id: who, age: n, registered_on: day}
format: {date_format: dd.MM.yyyy, decimal: ",", thousands: "."}
"""
    found = []
    for source in (f"table:{SHOP}.texts", str(folder)):
        shop.run(mapping, source, source)
        lines = shop.spark.table(raw_tables.TRANSACTIONS).drop("file_number", "loaded_at")
        people = shop.spark.table(raw_tables.CUSTOMERS)
        found.append([sorted(map(repr, each.collect())) for each in (lines, people)])
    assert found[0] == found[1]
    assert sum("unparsed_values=None" in line for line in found[0][0]) == 1
    assert len(found[0][1]) == 3


@pytest.mark.slow
def test_a_select_reads_a_table_or_the_tables_of_a_schema(shop: Shop):
    shop.run(
        "select id as transaction_id, who as customer_id, day as ordered_at, -price as amount, "
        "came as loaded_at from source"
    )
    assert shop.lines() == [("a", "-1.00"), ("b", "-2.00")]
    assert shop.property("read_until") == "2026-02-01 10:00:00.123456"
    shop.sql("create table {shop}.prices using parquet as select id, 7 as price from {shop}.lines")
    several = (
        "select id as transaction_id, who as customer_id, day as ordered_at, "
        "prices.price as amount from lines join prices using (id)"
    )
    shop.run(several, f"table:{SHOP}")
    assert shop.lines() == [("a", "7.00"), ("b", "7.00")]


@pytest.mark.slow
def test_a_table_and_files_replace_each_other(shop: Shop):
    text = "transaction_id,customer_id,ordered_at,amount\nx,ann,2026-01-01,9\n"
    path = shop.file("lines.csv", text)
    shop.run(None, path)
    shop.run(WITH_WATERMARK)
    assert shop.lines() == [("a", "1.00"), ("b", "2.00")]
    assert ledger.read(shop.spark) == []
    with pytest.raises(StepError, match=r"is a view of table:.*lines, to which no file"):
        load.append(shop.spark, shop.inputs(None, path), NOON)
    shop.run(None, path)
    assert shop.lines() == [("x", "9.00")]
    assert len(ledger.read(shop.spark)) == 1


@pytest.mark.slow
def test_a_file_is_not_added_to_a_table_of_customers(shop: Shop):
    shop.sql("create table {shop}.people using parquet as select 'ann' as customer_id")
    path = shop.file("lines.csv", "customer_id,ordered_at,amount\nann,2026-01-01,9\n")
    shop.run(None, path, f"table:{SHOP}.people")
    people = shop.file("people.csv", "customer_id\nbob\n")
    with pytest.raises(StepError, match=r"is a view of table:.*people, to which no file"):
        load.append(shop.spark, shop.inputs(None, path, people), NOON)
    assert tables.is_view(shop.spark, raw_tables.CUSTOMERS)


@pytest.mark.slow
def test_a_run_that_was_killed_before_the_view_had_its_name_is_completed(shop: Shop):
    shop.run(WITH_WATERMARK)
    shop.sql(f"alter view {raw_tables.TRANSACTIONS} rename to {raw_tables.TRANSACTIONS}__next")
    raw_tables.finish_replacements(shop.spark)
    assert shop.lines() == [("a", "1.00"), ("b", "2.00")]


@pytest.mark.slow
def test_erasing_asks_the_owner_first(shop: Shop):
    people = f"table:{SHOP}.people"
    shop.sql("create table {shop}.people using parquet as select 'ann' as customer_id")
    shop.run(WITH_WATERMARK, people=people)
    version = shop.property("version")
    with pytest.raises(StepError, match="owner must delete first") as error:
        erase.erase(shop.spark, "ann")
    assert f"table:{SHOP}." in str(error.value)
    assert "ann" not in str(error.value)
    assert shop.property("version") == version
    overwrite(shop, "lines", "select * from {shop}.lines where who <> 'ann'")
    overwrite(shop, "people", "select 'bob'")
    # No run has read this row yet.
    add(shop, "('c', 'ann', '2026-01-03', 3, '2026-02-01 11:00:00')")
    with pytest.raises(StepError, match="has 1 row of this CUSTOMER_ID"):
        erase.erase(shop.spark, "ann")
    overwrite(shop, "lines", "select * from {shop}.lines where who <> 'ann'")
    assert not any(erase.erase(shop.spark, "ann").values())
    # The next build reads everything again.
    assert shop.property("version") != version
    assert shop.lines() == [("b", "2.00")]


@pytest.mark.slow
def test_erasing_keeps_the_condition_of_a_select(shop: Shop):
    """Only the limit of a watermark does not count."""
    shop.run(
        "select id as transaction_id, who as customer_id, day as ordered_at, price as amount\n"
        "from source\nwhere price > 1"
    )
    with pytest.raises(StepError, match="has 1 row of this CUSTOMER_ID"):
        erase.erase(shop.spark, "bob")
    assert not any(erase.erase(shop.spark, "ann").values())


# A source, a mapping, and words of the message.
MISTAKES = [
    ("table:{shop}.none", MAPPING, r"none` cannot be found"),
    ("table:{shop}.lines where true", MAPPING, "is not the name of a table; write it as in"),
    ("table:raw.transactions", MAPPING, "is a table of this project"),
    ("table:raw", "select * from transactions join customers using (customer_id)", "is a table of"),
    ("table:{shop}.lines", "transactions: {customer_id: who}", "lacks ordered_at, amount"),
    ("table:{shop}.lines", f"{MAPPING}  loaded_at: id\n", "gives string; it must be a timestamp"),
    ("table:{shop}.lines", f"{MAPPING}  loaded_at: at\n", "at names `at`, but the source has only"),
    (
        "table:{shop}.lines",
        f"{MAPPING}  loaded_at: nullif(came, timestamp '2026-02-01 09:00:00')\n",
        r"loaded_at: .*lines has 1 row without a value",
    ),
    ("table:{shop}.lines", "select id as transaction_id from source", "does not give customer_id"),
    ("table:{shop}", "select * from none", "none` cannot be found"),
    ("table:no_such_table", MAPPING, "no_such_table.* cannot be found"),
    ("table:{shop}.empty", MAPPING, "empty has no rows"),
    ("table:{shop}.empty", WITH_WATERMARK, "empty has no rows"),
    ("table:{shop}.lines", MAPPING.replace("price", "who"), "no line of .* can be used"),
    (__file__, WITH_WATERMARK, "loaded_at is for tables only"),
]


@pytest.mark.slow
def test_each_mistake_is_one_line_and_changes_nothing(shop: Shop):
    shop.sql("create table {shop}.empty using parquet as select * from {shop}.lines where false")
    shop.run()
    for source, mapping, words in MISTAKES:
        with pytest.raises(StepError, match=words) as error:
            shop.run(mapping, source.replace("{shop}", SHOP))
        assert "\n" not in str(error.value)
    assert shop.lines() == [("a", "1.00"), ("b", "2.00")]
