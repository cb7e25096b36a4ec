"""A folder that grows: each file is loaded once, whatever happens in between."""

import gzip
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml import erase, load
from ml.loading import ledger, raw_tables
from ml.loading.input_files import (
    InputFile,
    LoadedFile,
    check_changed,
    check_unchanged,
    compare,
    list_files,
    list_local,
)
from ml.loading.inputs import Inputs, read_inputs
from ml.session import StepError

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
HEADER = "customer_id,ordered_at,amount\n"


# --- which files are loaded already; without Spark ---------------------------------------


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty folder for files to load."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def recorded(files: list[InputFile]) -> list[LoadedFile]:
    """The rows of raw.loads for these files."""
    return [
        LoadedFile(
            *(number, "transactions", file.path, file.size, file.modified_at, file.checksum),
            *(None, 1, NOON),
        )
        for number, file in enumerate(files, 1)
    ]


def write(folder: Path, name: str, *lines: str) -> Path:
    """Writes a CSV file with a header."""
    path = folder / name
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


def rewrite(path: Path, *lines: str) -> None:
    """Replaces the lines of a file, one second later."""
    later = path.stat().st_mtime_ns + 10**9
    write(path.parent, path.name, *lines)
    os.utime(path, ns=(later, later))


def test_files_are_new_or_loaded_or_changed(inbox: Path):
    for name in "abcd":
        write(inbox, f"{name}.csv", f"{name},2026-01-01,1")
    loaded = recorded(list_local(str(inbox)))
    write(inbox, "new.csv", "e,2026-01-01,1")
    rewrite(inbox / "b.csv", "b,2026-01-01,1")  # as `touch`
    rewrite(inbox / "c.csv", "c,2026-01-01,2")  # the same size
    rewrite(inbox / "d.csv", "d,2026-01-01,1000")
    found = compare(list_local(str(inbox)), loaded)
    assert [Path(file.path).name for file in found.new] == ["new.csv"]
    assert [Path(file.path).name for file in found.changed] == ["c.csv", "d.csv"]
    assert [file.number for file in found.loaded] == [1, 2]
    # The next comparison does not need the content of the touched file.
    assert found.loaded[1].modified_at == list_local(str(inbox / "b.csv"))[0].modified_at


def test_a_file_with_the_same_size_and_time_is_not_read(inbox: Path):
    path = write(inbox, "a.csv", "a,2026-01-01,1")
    (file,) = list_local(str(path))
    loaded = recorded([file])
    path.unlink()
    assert compare([file], loaded).loaded == loaded


def test_a_file_at_a_path_with_a_scheme_has_no_checksum():
    file = InputFile("s3a://shop/a.csv", 10, 1, uri="s3a://shop/a.csv")
    loaded = recorded([file])
    assert compare([file], loaded).loaded == loaded
    later = InputFile("s3a://shop/a.csv", 10, 2, uri="s3a://shop/a.csv")
    assert compare([later], loaded).changed == [later]


def test_a_file_has_one_path_wherever_the_user_starts(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(inbox, "a.csv", "a,2026-01-01,1")
    (inbox.parent / "link").symlink_to(inbox)
    monkeypatch.chdir(inbox)
    paths = {
        file.path
        for text in (str(inbox), f"{inbox}/../inbox", str(inbox.parent / "link"), "a.csv", ".")
        for file in list_local(text)
    }
    assert paths == {str(path.resolve())}


def test_a_changed_file_is_one_line_that_says_what_to_do():
    check_changed([])
    files = [InputFile(f"/inbox/{day}.csv", 1, 1) for day in range(1, 8)]
    with pytest.raises(StepError, match="REPLACE=yes") as one:
        check_changed(files[:1])
    assert str(one.value).startswith("/inbox/1.csv has changed since it was loaded")
    with pytest.raises(StepError, match=r"under other names .* REPLACE=yes") as many:
        check_changed(files)
    assert "5.csv and 2 more)" in str(many.value)
    assert "\n" not in f"{one.value}{many.value}"


def test_a_file_that_changes_while_it_is_read_is_an_error(inbox: Path):
    path = write(inbox, "a.csv", "a,2026-01-01,1")
    files = list_local(str(path))
    check_unchanged(files)
    rewrite(path, "a,2026-01-01,1", "b,2026-01-01,1")
    with pytest.raises(StepError, match="load it when it is complete"):
        check_unchanged(files)


@pytest.mark.parametrize(
    ("is_loaded", "replaces_all", "kept"),
    [
        # The numbers of the files: a.csv, b.csv, customers, and a.csv again at one o'clock.
        (True, False, [2, 3, 4]),
        (True, True, [3, 4]),
        (False, False, [1, 2, 3]),
        (False, True, [1, 2, 3]),
    ],
)
def test_a_planned_load_needs_its_lines(is_loaded: bool, replaces_all: bool, kept: list):
    later = NOON + timedelta(hours=1)
    rows = [
        LoadedFile(number, section, path, 1, 1, None, None, 1, at)
        for number, section, path, at in (
            (1, "transactions", "a.csv", NOON),
            (2, "transactions", "b.csv", NOON),
            (3, "customers", "b.csv", later),  # a file of both
            (4, "transactions", "a.csv", later),
        )
    ]
    settled = ledger.settled(rows, later, is_loaded=is_loaded, replaces_all=replaces_all)
    assert [file.number for file in settled] == kept


# --- loads ------------------------------------------------------------------------------


@dataclass
class Shop:
    """Raw tables of their own, and the commands that load files into them."""

    spark: SparkSession
    inbox: Path
    hour: int = 0

    def inputs(self, customers: Path | None = None, mapping: Path | None = None) -> Inputs:
        """Returns what one command with this folder loads."""
        texts = [str(path) if path else None for path in (customers, mapping)]
        return read_inputs(str(self.inbox), *texts, may_be_empty=True)

    def next_hour(self) -> datetime:
        """Returns the time of the next load, one hour after the last."""
        self.hour += 1
        return NOON + timedelta(hours=self.hour)

    def load(self, *, replace_changed: bool = False, **inputs: Path) -> None:
        """Loads as `make load` does."""
        raw_tables.finish_replacements(self.spark)
        load.append(
            self.spark, self.inputs(**inputs), self.next_hour(), replace_changed=replace_changed
        )

    def run(self, **inputs: Path) -> None:
        """Loads as `make run` does."""
        raw_tables.finish_replacements(self.spark)
        load.replace(self.spark, self.inputs(**inputs), self.next_hour())

    def lines(self) -> list[tuple]:
        """Returns customer and amount of all lines, in order."""
        lines = self.spark.table(raw_tables.TRANSACTIONS)
        return sorted(map(tuple, lines.selectExpr("customer_id", "int(amount)").collect()))

    def files(self) -> list[tuple]:
        """Returns name, rows and loading hour of all rows of raw.loads; checks the numbers."""
        files = ledger.read(self.spark)
        lines = self.spark.table(raw_tables.TRANSACTIONS).groupBy("file_number").count().collect()
        expected = {f.number: f.rows for f in files if f.rows and f.section == "transactions"}
        assert dict(map(tuple, lines)) == expected
        return [
            (Path(f.path).name, f.rows, (f.loaded_at - NOON) // timedelta(hours=1)) for f in files
        ]


@pytest.fixture
def shop(loader_session: SparkSession, own_raw_tables: str, inbox: Path) -> Shop:
    """Raw tables that do not exist yet, in a session as the loader sets it."""
    return Shop(loader_session, inbox)


def test_each_file_is_loaded_once_from_nothing_on(shop: Shop, capsys: pytest.CaptureFixture):
    write(shop.inbox, "1.csv")
    with pytest.raises(StepError, match="has no rows"):
        shop.load()
    assert not raw_tables.exist(shop.spark)
    write(shop.inbox, "2.csv", "a,2026-01-02,1", "a,2026-01-02,1")
    shop.load()
    write(shop.inbox, "3.csv", "b,2026-01-03,2")
    write(shop.inbox, "4.csv")
    shop.load()
    assert "2 new files (3.csv, 4.csv), 2 loaded already" in capsys.readouterr().out
    write(shop.inbox, "5.csv")
    shop.load()
    shop.load()
    assert "nothing to add" in capsys.readouterr().out
    assert shop.lines() == [("a", 1), ("a", 1), ("b", 2)]
    assert shop.files() == [
        *[("1.csv", 0, 2), ("2.csv", 2, 2), ("3.csv", 1, 3), ("4.csv", 0, 3), ("5.csv", 0, 4)]
    ]
    # A job may move files away after their load.
    for file in shop.inbox.iterdir():
        file.rename(shop.inbox.parent / file.name)
    capsys.readouterr()
    shop.load()
    assert "nothing to add" in capsys.readouterr().out
    assert len(shop.lines()) == 3
    shop.inbox = shop.inbox.parent / "elsewhere"
    shop.inbox.mkdir()
    with pytest.raises(StepError, match="is a folder without"):
        shop.load()


@pytest.mark.slow
def test_an_empty_file_of_customers_does_not_stop_the_first_lines(shop: Shop, tmp_path: Path):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    people = tmp_path / "people.csv"
    people.write_text("customer_id,age\n")
    shop.load(customers=people)
    assert shop.lines() == [("a", 1)]
    assert shop.files() == [("1.csv", 1, 1), ("people.csv", 0, 1)]
    people.write_text("customer_id,age\na,30\n")
    shop.load(customers=people)
    assert [row.age for row in shop.spark.table(raw_tables.CUSTOMERS).collect()] == [30]


@pytest.mark.slow
def test_a_load_is_later_than_the_one_before_even_if_the_clock_goes_back(shop: Shop):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    shop.load()
    shop.hour -= 1
    write(shop.inbox, "2.csv", "b,2026-01-02,2")
    shop.load()
    times = shop.spark.sql(f"select max(loaded_at) - min(loaded_at) from {raw_tables.TRANSACTIONS}")
    assert times.first()[0] == timedelta(seconds=1)


@pytest.mark.slow
def test_a_load_does_not_change_which_version_of_an_order_counts(shop: Shop, tmp_path: Path):
    """With replaced orders, the version that was loaded last counts."""
    mapping = tmp_path / "mapping.yml"
    columns = "customer_id: customer_id, ordered_at: ordered_at, amount: amount"
    mapping.write_text(f"transactions: {{{columns}, order_id: customer_id}}")

    def append(**options: bool) -> None:
        inputs = read_inputs(str(shop.inbox), None, str(mapping), replaces_orders=True)
        load.append(shop.spark, inputs, shop.next_hour(), **options)

    first = write(shop.inbox, "1.csv", "a,2026-01-01,1", "b,2026-01-01,2")
    append()
    write(shop.inbox, "2.csv", "a,2026-01-01,9")
    append()
    loaded = shop.lines()
    rewrite(first, "a,2026-01-01,1", "b,2026-01-01,3")
    with pytest.raises(StepError, match="order a of a changed file is also in a file that was"):
        append(replace_changed=True)
    write(shop.inbox, "3.csv", "b,2026-01-01,4")
    with pytest.raises(StepError, match="order b is in 2 of the files to load"):
        append(replace_changed=True)
    assert shop.lines() == loaded
    rewrite(first, "c,2026-01-01,3")
    append(replace_changed=True)
    assert shop.lines() == [("a", 9), ("b", 4), ("c", 3)]


def test_a_changed_file_is_an_error_or_replaces_its_own_lines(shop: Shop):
    first = write(shop.inbox, "1.csv", "a,2026-01-01,1", "b,2026-01-01,2")
    write(shop.inbox, "2.csv", "c,2026-01-02,3")
    shop.load()
    os.utime(first)
    shop.load()
    version = shop.spark.sql(f"show tblproperties {raw_tables.TRANSACTIONS}('version')").first()
    rewrite(first, "a,2026-01-01,10")
    write(shop.inbox, "3.csv", "d,2026-01-03,4")
    with pytest.raises(StepError, match=r"1\.csv has changed since it was loaded"):
        shop.load()
    assert shop.lines() == [("a", 1), ("b", 2), ("c", 3)]
    shop.load(replace_changed=True)
    assert shop.lines() == [("a", 10), ("c", 3), ("d", 4)]
    assert shop.files() == [("2.csv", 1, 1), ("3.csv", 1, 4), ("1.csv", 1, 4)]
    # A new version makes the models rebuild.
    assert (
        version
        != shop.spark.sql(f"show tblproperties {raw_tables.TRANSACTIONS}('version')").first()
    )

    # Without rows the file only loses its lines.
    rewrite(first)
    shop.load(replace_changed=True)
    shop.load()
    assert shop.lines() == [("c", 3), ("d", 4)]
    assert shop.files() == [("2.csv", 1, 1), ("3.csv", 1, 4), ("1.csv", 0, 5)]


def test_a_run_replaces_everything_and_the_ledger(shop: Shop, capsys: pytest.CaptureFixture):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    shop.load()
    write(shop.inbox, "2.csv", "b,2026-01-02,2")
    shop.load()
    shop.run()
    assert shop.files() == [("1.csv", 1, 3), ("2.csv", 1, 3)]
    shop.run()
    shop.load()
    assert shop.files() == [("1.csv", 1, 3), ("2.csv", 1, 3)]
    assert capsys.readouterr().out.count("has not changed") == 2


@pytest.mark.slow
def test_erased_lines_are_not_loaded_again(shop: Shop):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    shop.load()
    write(shop.inbox, "2.csv", "b,2026-01-02,2")
    shop.load()
    erase.erase(shop.spark, "b")
    shop.load()
    assert shop.lines() == [("a", 1)]


@pytest.mark.slow
def test_customers_of_a_changed_file_replace_the_loaded_ones(shop: Shop, tmp_path: Path):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    people = tmp_path / "people.csv"
    people.write_text("customer_id,age\na,30\nb,40\n")
    shop.load(customers=people)
    shop.load(customers=people)
    assert shop.files() == [("1.csv", 1, 1), ("people.csv", 2, 1)]
    people.write_text("customer_id,age\na,31\nc,50\n,9\n")
    shop.load(customers=people)
    assert shop.files() == [("1.csv", 1, 1), ("people.csv", 3, 3)]
    rows = shop.spark.table(raw_tables.CUSTOMERS).select("customer_id", "age").collect()
    assert sorted(map(tuple, rows)) == [("a", 31), ("b", 40), ("c", 50)]


@pytest.mark.slow
def test_files_of_another_mapping_are_counted(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture
):
    mapping = tmp_path / "mapping.yml"
    text = "transactions: {customer_id: customer_id, ordered_at: ordered_at, amount: %s}"
    mapping.write_text(text % "amount")
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    shop.load(mapping=mapping)
    mapping.write_text(text % "2 * amount")
    write(shop.inbox, "2.csv", "b,2026-01-01,1")
    shop.load(mapping=mapping)
    assert "1 loaded file had another mapping" in capsys.readouterr().out
    assert shop.lines() == [("a", 1), ("b", 2)]
    shop.run(mapping=mapping)
    assert shop.lines() == [("a", 2), ("b", 2)]


@pytest.mark.slow
def test_files_in_parquet_folders_and_gzip_have_their_numbers(shop: Shop, spark: SparkSession):
    rows = spark.sql("select 'a' as customer_id, '2026-01-01' as ordered_at, 1 as amount")
    rows.coalesce(1).write.parquet(f"{shop.inbox}/k=1")
    shop.load()
    rows.union(rows).coalesce(1).write.parquet(f"{shop.inbox}/k=2")
    shop.load()
    assert [rows for _, rows, _ in shop.files()] == [1, 2]
    shutil.rmtree(shop.inbox)
    shop.inbox.mkdir()
    for name in ("1", "2"):
        (shop.inbox / f"{name}.csv.gz").write_bytes(
            gzip.compress(f"{HEADER}{name},2026-01-01,{name}\n".encode())
        )
    shop.run()
    assert shop.lines() == [("1", 1), ("2", 2)]
    assert [name for name, _, _ in shop.files()] == ["1.csv.gz", "2.csv.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_server_lists_and_reads_new_files_at_a_path_with_a_scheme(
    shop: Shop, spark: SparkSession, kind: str
):
    rows = spark.sql("select 'a' as customer_id, '2026-01-01' as ordered_at, 1 as amount")

    def add(folder: str, copies: int) -> None:
        data = rows.where("true") if copies == 1 else rows.union(rows)
        data.coalesce(1).write.options(header=True).format(kind).save(f"{shop.inbox}/{folder}")

    def load_from_server() -> None:
        inputs = shop.inputs()
        remote = Inputs({"transactions": f"file://{shop.inbox}"}, inputs.mapping, str(shop.hour))
        load.append(spark, remote, shop.next_hour())

    add("day [1]=x y", 1)
    load_from_server()
    load_from_server()
    add("day [1]=2", 2)
    load_from_server()
    assert [(rows, hour) for _, rows, hour in shop.files()] == [(1, 1), (2, 3)]
    assert all(file.checksum is None for file in ledger.read(spark))
    (file,) = [f for f in list_files(spark, f"file://{shop.inbox}") if "=2" in f.path]
    os.utime(file.path.removeprefix("file:"), (0, 0))
    with pytest.raises(StepError, match="has changed since it was loaded"):
        load_from_server()


# --- kills ------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for a kill of the load."""


def killed_at(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, after: bool, calls: int = 1
) -> None:
    """Lets one of the next calls of a function end the load, before or after its work."""
    work = getattr(module, name)
    left = iter(range(calls - 1, -1, -1))

    def call(*arguments: object, **options: object) -> object:
        if next(left):
            return work(*arguments, **options)
        monkeypatch.setattr(module, name, work)
        if after:
            work(*arguments, **options)
        raise KilledError

    monkeypatch.setattr(module, name, call)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "after", "calls"),
    [
        (ledger, "plan", True, 1),
        (raw_tables, "add_lines", True, 1),
        (raw_tables, "add_customers", True, 1),
        (raw_tables, "replace_lines", False, 1),
        (raw_tables, "replace_lines", True, 1),
        (raw_tables, "replace_raw_table", False, 1),
        (raw_tables, "replace_raw_table", True, 1),
        (raw_tables, "replace_raw_table", True, 2),
    ],
)
def test_the_load_after_a_killed_one_gives_all_lines_once(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    module: object,
    name: str,
    after: bool,
    calls: int,
):
    people = tmp_path / "people.csv"
    people.write_text("customer_id,age\na,30\n")
    first = write(shop.inbox, "1.csv", "a,2026-01-01,1", "a,2026-01-01,1")
    write(shop.inbox, "2.csv", "b,2026-01-02,2")
    shop.load(customers=people)
    write(shop.inbox, "3.csv", "c,2026-01-03,3")
    people.write_text("customer_id,age\na,31\n")
    replaces = name == "replace_lines"
    if replaces:
        rewrite(first)
    with pytest.raises(KilledError):
        killed_at(monkeypatch, module, name, after, calls)
        if name == "replace_raw_table":
            shop.run(customers=people)
        else:
            shop.load(customers=people, replace_changed=replaces)
    shop.load(customers=people, replace_changed=replaces)
    old = [] if replaces else [("a", 1), ("a", 1)]
    assert shop.lines() == [*old, ("b", 2), ("c", 3)]
    names = [name for name, _, _ in shop.files()]
    assert sorted(names) == ["1.csv", "2.csv", "3.csv", "people.csv"]
    rows = shop.spark.table(raw_tables.CUSTOMERS).select("customer_id", "age").collect()
    assert sorted(map(tuple, rows)) == [("a", 31)]


@pytest.mark.slow
def test_daily_files_with_kills_equal_one_load(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Lines without ids, so nothing but the ledger keeps them from counting twice."""
    moments = (
        (ledger, "plan", True, 1),
        (raw_tables, "add_lines", False, 1),
        (raw_tables, "add_lines", True, 1),
        (ledger, "settle", False, 2),
    )
    # Each moment occurs with and without a second load after the kill.
    days = range(1, 16)
    for day in days:
        lines = [f"c{each % 4},2026-01-{day:02},{each}" for each in range(day % 5)]
        write(shop.inbox, f"{day:02}.csv", *lines, *lines)
        with monkeypatch.context() as patch, suppress(KilledError):
            killed_at(patch, *moments[day % len(moments)])
            shop.load()
        if day % 3 == 1:
            shop.load()
    shop.load()
    by_day = shop.lines()
    names = [name for name, _, _ in shop.files()]
    assert names == [f"{day:02}.csv" for day in days]
    shop.run()
    assert shop.lines() == by_day
    assert len(by_day) == sum(2 * (day % 5) for day in days)


@pytest.mark.slow
def test_files_of_a_killed_addition_are_removed(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    write(shop.inbox, "1.csv", "a,2026-01-01,1")
    shop.load()
    write(shop.inbox, "2.csv", "b,2026-01-02,2")
    with pytest.raises(KilledError):
        killed_at(monkeypatch, ledger, "plan", after=True)
        shop.load()
    # A file written before the kill, in a partition that the table does not know yet.
    place = shop.spark.sql(f"describe extended {raw_tables.TRANSACTIONS}")
    (location,) = place.where("col_name = 'Location'").select("data_type").first()
    (known,) = Path(location.removeprefix("file:")).glob("loaded_at=*")
    cut_off = known.with_name(known.name.replace("13%3A", "14%3A"))
    shutil.copytree(known, cut_off)
    shop.load()
    assert not cut_off.exists()
    assert shop.lines() == [("a", 1), ("b", 2)]
    assert shop.files() == [("1.csv", 1, 1), ("2.csv", 1, 3)]
