"""Tests that a run classifies new lines only, with the same result as a full build."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import edge_cases
import pytest
from conftest import ROOT, Data, Query, build, build_tables, on_data
from pyspark.sql import DataFrame, SparkSession
from test_pipeline import MARTS, fingerprint

from ml import erase, load, tables
from ml.loading.inputs import read_inputs

pytestmark = pytest.mark.slow

LINES = "staging.stg_transactions"
# Another one in each run; a failure prints it.
SEED = random.randrange(10**6)  # noqa: S311
HEADER = "transaction_id,order_id,customer_id,ordered_at,quantity,amount\n"
STAGING = ("stg_checked_transactions", "stg_superseded_transactions", "stg_transactions")


def build_staging(server: dict[str, str], *arguments: str) -> None:
    """Builds stg_transactions and what it reads, the only incremental model among them."""
    build(server, "run", "--select", *STAGING, *arguments)


def load_files(spark: SparkSession, path: Path, *, append: bool = False) -> None:
    """Loads a file or folder as `make load` does, or as `make run` does without `append`."""
    now = datetime.now(UTC).replace(microsecond=0)
    (load.append if append else load.replace)(spark, read_inputs(str(path), None, None), now)


def batches(query: Query) -> int:
    return len(query("show partitions staging.stg_checked_transactions"))


def staged_lines(query: Query) -> list[tuple]:
    """Returns each line with its rejection reason, without its time of loading."""
    return query(
        "select transaction_id, customer_id, string(date(ordered_at)), "
        "cast(quantity_thousandths / 1000 as int), cast(amount_cents as int), rejection_reason "
        f"from {LINES} order by all"
    )


@on_data("edge_cases")
def test_tables_built_in_slices_equal_a_full_build(
    data: Data, server: dict[str, str], spark: SparkSession, query: Query
):
    intermediate = [f"intermediate.{name}" for (_, name, _) in query("show tables in intermediate")]
    # It contains the version of the raw data, which differs from load to load.
    intermediate.remove("intermediate.int_history_months")
    names = [*intermediate, *(f"marts.{name}" for name in MARTS), "staging.rejected_transactions"]
    full_build = fingerprint(query, names)
    assert batches(query) == 1

    lines = spark.createDataFrame(edge_cases.transactions(), tables.TRANSACTIONS_COLUMNS)
    loads = sorted({row.loaded_at for row in lines.select("loaded_at").collect()})
    assert len(loads) > 3
    for number, loaded_at in enumerate(loads):
        of_load = lines.where(lines.loaded_at == loaded_at)
        if number == 0:
            tables.RAW_TABLES["transactions"].replace(of_load, {})
        else:
            of_load.write.insertInto("raw.transactions")
        build_staging(server)
        assert batches(query) == number + 1
    build_tables(server, data.as_of_date)
    assert batches(query) == len(loads)
    assert fingerprint(query, names) == full_build


def test_late_and_repeated_lines_give_the_tables_of_a_full_build(
    server: dict[str, str], query: Query, loader_session: SparkSession, tmp_path: Path
):
    spark = loader_session
    slices = {
        "first": """
            t1,o1,ann,2026-03-05,1,10
            t2,o2,bob,2026-03-06,1,20
            t3,o3,bob,2026-03-07,1,n/a
        """,
        # A return on an earlier order, a known line with a new amount, a corrected line.
        "second": """
            t4,o1,ann,2026-04-01,-1,-10
            t2,o2,bob,2026-03-06,1,21
            t3,o3,bob,2026-03-07,1,30
        """,
        # Older than all other lines, and twice in one file.
        "late": """
            t5,o5,cid,2026-01-02,2,40
            t5,o5,cid,2026-01-02,2,40
        """,
    }
    for name, rows in slices.items():
        (tmp_path / f"{name}.csv").write_text(HEADER + "\n".join(rows.split()) + "\n")
    for number, name in enumerate(slices):
        load_files(spark, tmp_path / f"{name}.csv", append=number > 0)
        build_staging(server)
    assert batches(query) == 3
    copy, unread = "duplicate_transaction_id", "not_a_number"
    in_slices = [
        ("t1", "ann", "2026-03-05", 1, 1000, None),
        ("t2", "bob", "2026-03-06", 1, 2000, None),
        ("t2", "bob", "2026-03-06", 1, 2100, copy),
        ("t3", "bob", "2026-03-07", 1, None, unread),
        ("t3", "bob", "2026-03-07", 1, 3000, None),
        ("t4", "ann", "2026-04-01", -1, -1000, None),
        ("t5", "cid", "2026-01-02", 2, 4000, None),
        ("t5", "cid", "2026-01-02", 2, 4000, copy),
    ]
    assert staged_lines(query) == in_slices

    # The next build adds all lines after a dry run with `--empty`.
    build_staging(server, "--empty", "--full-refresh")
    assert staged_lines(query) == []
    build_staging(server)
    assert staged_lines(query) == in_slices

    # Lines that replace others without the loader are built, too.
    spark.sql("drop table raw.transactions")
    spark.sql(f"create table raw.transactions ({tables.TRANSACTIONS_COLUMNS}) using parquet")
    spark.sql(
        "insert into raw.transactions by name select 'o1' as order_id, 'dan' as customer_id, "
        "1 as quantity, 5 as amount, timestamp'2026-02-01' as ordered_at, "
        "timestamp'2026-02-02' as loaded_at"
    )
    build_staging(server)
    assert staged_lines(query) == [(None, "dan", "2026-02-01", 1, 500, None)]


@dataclass(frozen=True)
class Version:
    """A version of a line, as a source sends it in one of four loads."""

    shop: int
    load: int
    transaction_id: str | None
    order_id: str
    updated: int | None
    deleted: bool
    replaces: bool
    cents: int | None

    @property
    def rank(self) -> tuple[int, int, bool]:
        """Of several versions of an id, the one with the greatest rank counts."""
        last_word = self.load if self.replaces or self.deleted else -1
        return (-1 if self.updated is None else self.updated, last_word, self.deleted)

    def row(self, loads: list[datetime]) -> dict[str, object]:
        """The row of raw.transactions."""
        day = loads[0] - timedelta(days=100)
        return {
            "transaction_id": self.transaction_id and f"{self.shop}-{self.transaction_id}",
            "order_id": f"{self.shop}-{self.order_id}",
            "customer_id": f"{self.shop}",
            "ordered_at": day,
            "quantity": Decimal(1),
            "amount": None if self.cents is None else Decimal(self.cents) / 100,
            "updated_at": self.updated and day + timedelta(days=self.updated),
            "is_deleted": self.deleted or None,
            "replaces_order": self.replaces,
            "loaded_at": loads[self.load],
        }


def random_versions(shops: int) -> list[Version]:
    """Versions of a few lines in each of many shops; a readable amount is unique in its shop."""
    draw = random.Random(SEED)  # noqa: S311
    versions = []
    for shop in range(shops):
        # In some shops each load replaces orders, in others none or some.
        replacing = draw.choice((0, 0.5, 1))
        replaces = [draw.random() < replacing for _ in range(4)]
        for number in range(draw.randint(2, 9)):
            load, is_readable = draw.randrange(4), draw.random() < 0.9
            versions.append(
                Version(
                    shop=shop,
                    load=load,
                    transaction_id=draw.choice(("a", "a", "b", "c", None)),
                    order_id=draw.choice(("1", "1", "2")),
                    updated=draw.choice((None, None, 1, 2, 3)),
                    deleted=draw.random() < 0.15,
                    replaces=replaces[load],
                    cents=number + 1 if is_readable else None,
                )
            )
    return versions


def counted_cents(versions: list[Version]) -> list[int]:
    """The amounts that count in the end, from the definitions, for the versions of one shop."""
    usable = [each for each in versions if each.cents is not None or each.deleted]
    latest: dict[str, Version] = {}
    # Of copies of a version, the first counts; copies loaded together are ordered by their content.
    for version in sorted(usable, key=lambda each: (each.load, each.order_id, each.cents or 0)):
        name = version.transaction_id
        if name and (name not in latest or version.rank > latest[name].rank):
            latest[name] = version
    standing = [*latest.values(), *(each for each in usable if not each.transaction_id)]
    counted = []
    for version in standing:
        replacing = [each for each in usable if each.replaces and each.order_id == version.order_id]
        newest = max((each.load for each in replacing), default=-1)
        again = {each.transaction_id for each in replacing if each.load == newest} - {None}
        is_missing = version.load < newest and version.transaction_id not in again
        if not version.deleted and not is_missing:
            counted.append(version.cents)
    return sorted(counted)


def test_lines_that_change_count_once_however_they_were_loaded(
    server: dict[str, str], query: Query, spark: SparkSession
):
    """Later, corrected, deleted and replaced lines, in slices, give what their definition says."""
    print(f"seed {SEED}")
    versions = random_versions(shops=400)
    expected = {
        str(shop): counted_cents([each for each in versions if each.shop == shop])
        for shop in range(400)
    }
    loads = [datetime(2026, 6, day, tzinfo=UTC) for day in (1, 2, 3, 4)]
    table = tables.RAW_TABLES["transactions"]

    def lines(load: int) -> DataFrame:
        names = [line.split()[0] for line in table.columns.strip().splitlines()]
        rows = [each.row(loads) for each in versions if each.load == load]
        return spark.createDataFrame([tuple(map(row.get, names)) for row in rows], table.columns)

    def counted() -> dict[str, list[int]]:
        found = query(
            f"select customer_id, amount_cents from {LINES} where rejection_reason is null"
        )
        amounts: dict[str, list[int]] = {str(shop): [] for shop in range(400)}
        for shop, cents in found:
            amounts[shop].append(cents)
        return {shop: sorted(each) for shop, each in amounts.items()}

    def reasons() -> list[tuple]:
        return query(
            "select customer_id, transaction_id, order_id, loaded_at, updated_at, amount_cents, "
            f"rejection_reason from {LINES} order by all"
        )

    table.replace(lines(0), {})
    build_staging(server)
    # Two loads, then a run.
    lines(1).write.insertInto("raw.transactions")
    lines(2).write.insertInto("raw.transactions")
    build_staging(server)
    lines(3).write.insertInto("raw.transactions")
    build_staging(server)
    assert batches(query) == 3
    assert counted() == expected
    in_slices = reasons()
    assert len(in_slices) == len(versions)
    build_staging(server, "--full-refresh")
    assert batches(query) == 1
    assert counted() == expected
    assert reasons() == in_slices


def test_a_folder_that_grows_gives_the_tables_of_one_load(
    server: dict[str, str], query: Query, loader_session: SparkSession, tmp_path: Path
):
    """Lines without ids: nothing but the list of loaded files keeps them from counting twice."""
    days = [
        ["ann,2026-03-05,10", "ann,2026-03-05,10", "bob,2026-03-05,n/a"],
        [],
        ["bob,2026-03-07,20", ",2026-03-07,5", "cid,,1", "cid,1970-01-01,n/a"],
    ]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    query("drop table if exists raw.transactions")
    for number, lines in enumerate(days, 1):
        text = "\n".join(["customer_id,ordered_at,amount", *lines, ""])
        (inbox / f"{number}.csv").write_text(text)
        for _ in range(2):
            load_files(loader_session, inbox, append=True)
        build_staging(server, "stg_loaded_files")
    files = "select path, rows, rejected_rows, rejected_by_reason from staging.stg_loaded_files"
    by_day = staged_lines(query), query(f"{files} order by path")
    assert batches(query) == 2
    assert by_day[1] == [
        (f"{inbox}/1.csv", 3, 1, "not_a_number: 1"),
        (f"{inbox}/2.csv", 0, 0, None),
        (f"{inbox}/3.csv", 4, 2, "missing_timestamp: 1, sentinel_date: 1"),
    ]
    # A replaced raw table leads to a full build.
    load_files(loader_session, inbox)
    build_staging(server)
    assert batches(query) == 1
    assert (staged_lines(query), query(f"{files} order by path")) == by_day


def test_lines_that_come_after_the_last_one_was_erased_count(
    server: dict[str, str], query: Query, loader_session: SparkSession, tmp_path: Path
):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("customer_id,ordered_at,amount\nann,2026-01-01,1\n")
    second.write_text("customer_id,ordered_at,amount\nbob,2026-01-02,2\n")
    load_files(loader_session, first)
    build_staging(server)
    erase.erase(loader_session, "ann")
    build_staging(server)
    assert staged_lines(query) == []
    load_files(loader_session, second, append=True)
    build_staging(server)
    assert [line[1] for line in staged_lines(query)] == ["bob"]


@pytest.fixture
def shop_of_dbt(query: Query) -> Iterator[None]:
    """The schemas of the page on mappings, with two lines of a shop."""
    schemas = ("shop", "shop_raw")
    for schema in schemas:
        query(f"create database {schema}")
    query(
        "create table shop.order_lines using parquet as select '1' as order_id, "
        "'ann' as client_id, timestamp'2026-01-01' as ordered_at, 'p' as product_id, "
        "'books' as category, 1 as quantity, 9.5 as price, 'card' as payment_method, "
        "timestamp(null) as updated_at, timestamp'2026-01-02' as inserted_at, 'a' as id"
    )
    query("insert into shop.order_lines select * except (id), 'b' from shop.order_lines")
    for table, columns in (
        ("customers", tables.CUSTOMERS_COLUMNS),
        ("loads", tables.LOADS_COLUMNS),
    ):
        query(f"create table shop_raw.{table} ({columns}) using parquet")
    yield
    for schema in schemas:
        query(f"drop database {schema} cascade")


def test_dbt_alone_builds_on_a_schema_of_its_own(
    server: dict[str, str], query: Query, shop_of_dbt: None
):
    """The view is that of the page on mappings: new rows are checked, and no others."""
    page = (ROOT / "ml" / "mappings" / "README.md").read_text()
    (view,) = re.findall(r"(?s)```sql\ncreate database shop_raw;\n(create view .*?);\n```", page)
    query(view)
    for batch, day in enumerate(("2026-01-03", "2026-01-04"), start=1):
        build_staging(server, "--vars", "{raw_schema: shop_raw}")
        assert batches(query) == batch
        assert len(staged_lines(query)) == batch + 1
        query(
            "insert into shop.order_lines select * except (id, inserted_at), "
            f"timestamp'{day}', '{day}' from shop.order_lines where id = 'a'"
        )


def test_the_history_keeps_what_new_lines_leave_and_equals_a_rebuilt_one(
    server: dict[str, str], query: Query, loader_session: SparkSession, tmp_path: Path
):
    """Runs that add lines at later and earlier days, on as-of dates that move on and back."""
    history = "marts.customer_segment_history"
    names = [history, "marts.segment_migration"]

    def runs() -> dict[str, str]:
        """Returns the run that wrote each month end of the history."""
        ((text,),) = query(f"show create table {history}")
        return dict(re.findall(r"month_end = date '([^']+)' and run = '(\d+)'", text))

    def build_history(as_of_date: str, *arguments: str) -> dict[str, str]:
        options = ["--select", "+segment_migration", "--vars", "{history_months: 4}", *arguments]
        build(server | {"AS_OF_DATE": as_of_date}, "run", *options)
        return runs()

    def add(*rows: str) -> None:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        path.write_text(f"updated_at,is_deleted,{HEADER}" + "\n".join(rows) + "\n")
        load_files(loader_session, path, append=path.stem != "0")

    def equals_a_rebuilt_one(as_of_date: str) -> bool:
        kept = fingerprint(query, names)
        build_history(as_of_date, "--full-refresh")
        return fingerprint(query, names) == kept

    add(
        *(f",,a{day},o{day},ann,2025-12-{day},1,10" for day in (10, 20)),
        ",,b1,p1,bob,2026-01-05,1,20",
        ",,r1,q1,eve,2026-01-09,-1,-3",
        ",,c1,s1,cid,2026-02-03,1,5",
        ",,g1,u1,gus,2026-01-07,-1,-1",
    )
    build(server, "seed", "--select", "rfm_segments")
    first = build_history("2026-02-10")
    # No customer is known at the end of October or November.
    assert list(first) == ["2025-12-31", "2026-01-31"]

    # A later line and a later as-of date: only the month that is over by then is new.
    # Ann returns goods of a December order, and a return of January becomes an order.
    add(
        *(",,b2,p2,bob,2026-03-02,2,30", ",,e1,q2,eve,2026-02-20,1,50"),
        *(",,a30,o10,ann,2026-02-20,-1,-10", ",,g2,u1,gus,2026-02-21,1,8"),
    )
    second = build_history("2026-03-15")
    assert first.items() <= second.items()
    assert set(second) == {"2025-12-31", "2026-01-31", "2026-02-28"}
    assert equals_a_rebuilt_one("2026-03-15")
    second = runs()

    # A late line changes the months from its day on.
    add(",,d1,t1,dan,2026-01-15,1,70")
    late = build_history("2026-03-15")
    assert {day for day in late if late[day] == second[day]} == {"2025-12-31"}

    # A correction moves a purchase from January 5 to 25: the months from the 5th on.
    add("2026-03-10,,b1,p1,bob,2026-01-25,1,20")
    corrected = build_history("2026-03-15")
    assert {day for day in corrected if corrected[day] == late[day]} == {"2025-12-31"}

    # A deletion brings no usable line; it changes the months from the deleted line on.
    add("2026-03-11,yes,c1,,,,,")
    deleted = build_history("2026-03-15")
    still = {day for day in deleted if deleted[day] == corrected[day]}
    assert still == {"2025-12-31", "2026-01-31"}
    assert build_history("2026-03-15") == deleted
    assert equals_a_rebuilt_one("2026-03-15")

    # The window of four month ends moves back.
    assert max(build_history("2026-02-10")) == "2026-01-31"
    assert equals_a_rebuilt_one("2026-02-10")

    # A killed run has written rows that the view does not show. The next run does not count them.
    right = fingerprint(query, names)
    ((text,),) = query(f"show create table {history}")
    (name,) = set(re.findall(r"marts_builds\.(\w+)", text))
    query(
        f"insert into marts_builds.{name} by name select * except (month_end, run), "
        f"date'2025-12-31' as month_end, '{'9' * 20}' as run from marts_builds.{name}"
    )
    build_history("2026-02-10")
    assert fingerprint(query, names) == right
    assert not query(f"select 1 from marts_builds.{name} where run = '{'9' * 20}'")

    # A build that somebody dropped is built again.
    query(f"drop table marts_builds.{name}")
    build_history("2026-02-10")
    assert fingerprint(query, names) == right
