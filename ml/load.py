"""Loads your own transactions (and customers) into raw.transactions and raw.customers.

    python -m ml.load --transactions PATH [--customers PATH] [--mapping PATH]
                      [--append [--replace-changed] [--replace-orders]]

A source is a CSV or Parquet file, a folder of either, or a table (table:shop.order_lines), which
stays where it is. A mapping (YAML or SQL, see ml/mappings/README.md) gives an expression for each
canonical column, or one select over the files. It can also name the format of a file, if the load
cannot recognize it. Every row of the transactions, or of their select, becomes one row of
raw.transactions; raw.customers gets one row per customer. A value that does not fit its column
becomes null, and `unparsed_values` keeps its text, so that staging can reject the row with a
reason. If no row can be used, nothing is replaced or added.

Without --append the source replaces all loaded data. With --append each file is loaded once:
raw.loads lists the files that are loaded (see ml/loading/ledger.py). A file of transactions
that has changed since its load is an error, unless --replace-changed replaces its lines. A changed
file of customers is read again.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.loading import ledger, raw_tables
from ml.loading.files import NoFilesError
from ml.loading.input_files import (
    Comparison,
    InputFile,
    LoadedFile,
    check_changed,
    compare,
    list_files,
    log_comparison,
)
from ml.loading.inputs import Inputs, read_inputs
from ml.loading.reader import Reader
from ml.loading.report import report_lines
from ml.loading.rows import without_ansi
from ml.loading.sources import NoRowsError, staging
from ml.loading.tables_in_place import View
from ml.session import StepError, log, run, start


def replace(spark: SparkSession, inputs: Inputs, loaded_at: datetime) -> None:
    """Replaces all loaded data by the inputs, unless the tables hold exactly these inputs."""
    earlier = ledger.settle(spark)
    if raw_tables.are_loaded(spark, inputs) and ledger.is_of(spark, inputs.fingerprint):
        log(f"{inputs.paths['transactions']} is loaded already and has not changed: nothing to do")
        return
    with staging(spark) as folder:
        reader = Reader(spark, inputs, folder, loaded_at, earlier)
        lines, files = reader.all("transactions")
        people, people_files = reader.all("customers")
        if isinstance(lines, DataFrame):
            check_order_versions(reader, lines, [])
        if files:
            earlier = [file for file in earlier if file.section == "transactions"]
            ledger.plan(spark, earlier + files, loaded_at, replaces_all=True)
        # Customers first: if a first load is killed before raw.transactions exists, the next load
        # replaces both.
        raw_tables.replace_raw_table(spark, "customers", people, inputs)
        raw_tables.replace_raw_table(spark, "transactions", lines, inputs)
        ledger.write(spark, files + people_files, {"fingerprint": inputs.fingerprint})
    new_lines = lines.new_rows if isinstance(lines, View) else raw_tables.lines_of(spark, loaded_at)
    # Perhaps only customers are new.
    if not new_lines.isEmpty():
        report_lines(new_lines, inputs.paths["transactions"])


def append(
    spark: SparkSession, inputs: Inputs, loaded_at: datetime, *, replace_changed: bool = False
) -> None:
    """Loads the files of the inputs that are not loaded yet.

    The customers of a changed file replace the loaded ones. Changed lines do so only with
    `replace_changed`; otherwise they raise StepError. Files without rows are recorded. The first
    load needs rows.
    """
    if not raw_tables.exist(spark):
        log("nothing is loaded yet: this is the first load")
        replace(spark, inputs, loaded_at)
        return
    raw_tables.check_can_add(spark)
    if "customers" in inputs.paths:
        raw_tables.check_can_add_customers(spark)
    known = ledger.settle(spark)
    # Later than every earlier load, even if the clock has gone back: the models check only lines
    # with a later time.
    loaded_at = max([loaded_at, *(file.loaded_at + timedelta(seconds=1) for file in known)])
    found = {}
    for section, path in inputs.paths.items():
        of_section = [file for file in known if file.section == section]
        found[section] = compare(files_at(spark, path, of_section), of_section)
    if not replace_changed:
        check_changed(found["transactions"].changed)
    if not any(each.new or each.changed for each in found.values()):
        log(f"{inputs.paths['transactions']} is loaded already and has not changed: nothing to add")
    for section, each in found.items():
        log_comparison(section, each, inputs.mapping_checksum)
    # A file that was touched without a change gets its new time when raw.loads is written, that is,
    # if another file is new or has changed.
    loaded = {file.number: file for each in found.values() for file in each.loaded}
    known = [loaded.get(file.number, file) for file in known]
    with staging(spark) as folder:
        add(Reader(spark, inputs, folder, loaded_at, known), found, known)


def files_at(spark: SparkSession, path: str, known: list[LoadedFile]) -> list[InputFile]:
    """Returns the data files at a path; none if all loaded files have left the folder.

    Raises StepError as list_files does.
    """
    try:
        return list_files(spark, path)
    except NoFilesError:
        if not any(Path(path).resolve() in Path(file.path).parents for file in known):
            raise
        return []


def check_only_files(inputs: Inputs) -> None:
    """Raises StepError for a table in place, to which nothing is added."""
    for section, path in inputs.paths.items():
        if inputs.is_in_place(section):
            raise StepError(f"{path} stays where it is: make run reads what is new in it")


def add(reader: Reader, found: dict[str, Comparison], known: list[LoadedFile]) -> None:
    """Adds the new files, and replaces the lines of the changed ones; see ledger.py.

    `known` are the rows of raw.loads. Everything is read and checked before a table changes.
    """
    spark, loaded_at = reader.spark, reader.loaded_at
    lines, files = read_or_record(reader, "transactions", found)
    people, people_files = read_or_record(reader, "customers", found)
    if not files and not people_files:
        return
    if people is not None:
        raw_tables.add_customers(spark, people)
    reloaded = {file.path for file in people_files}
    known = [file for file in known if file.section == "transactions" or file.path not in reloaded]
    rows = known + files + people_files
    paths = {file.path for file in found["transactions"].changed}
    replaced = [
        file.number for file in known if file.section == "transactions" and file.path in paths
    ]
    if lines is None and not replaced:
        ledger.write(spark, rows)
        return
    if lines is not None:
        check_order_versions(reader, lines, [file for file in known if file.number in replaced])
    ledger.plan(spark, rows, loaded_at, replaces_all=False)
    if replaced:
        raw_tables.replace_lines(spark, replaced, lines, loaded_at)
    elif lines is not None:
        raw_tables.add_lines(spark, lines)
    ledger.settle(spark)
    if lines is not None:
        report_lines(raw_tables.lines_of(spark, loaded_at), reader.inputs.paths["transactions"])


def check_order_versions(reader: Reader, lines: DataFrame, replaced: list[LoadedFile]) -> None:
    """Raises StepError when the load would change which version of an order counts.

    With REPLACE_ORDERS, the version that was loaded last counts. So an order must not be in two
    files of a load, and not in a changed file and in one that was loaded after it.
    """
    numbers = [file.number for file in replaced]
    loaded = reader.spark.table(raw_tables.TRANSACTIONS).where("replaces_order")
    has_versions = bool(numbers) and not loaded.where(F.col("file_number").isin(numbers)).isEmpty()
    if not (reader.inputs.replaces_orders or has_versions):
        return
    orders = lines.where("order_id is not null").groupBy("order_id", "customer_id")
    twice = orders.agg(F.countDistinct("file_number").alias("files")).where("files > 1").first()
    if twice:
        raise StepError(
            f"order {twice.order_id} is in {twice.files} of the files to load, but only one version"
            " of an order can count: load these files one after another, the oldest first"
        )
    if has_versions:
        first = min(file.loaded_at for file in replaced)
        later = loaded.where(~F.col("file_number").isin(numbers) & (F.col("loaded_at") > first))
        later = later.selectExpr("order_id as later_order", "customer_id as later_customer")
        # The customer of a guest's order is null.
        same = "order_id = later_order and customer_id <=> later_customer"
        if row := lines.join(later, F.expr(same), "left_semi").select("order_id").first():
            raise StepError(
                f"order {row.order_id} of a changed file is also in a file that was loaded after "
                "it: load everything again, the oldest file with make run TRANSACTIONS=..., and "
                "each later one with make load TRANSACTIONS=... REPLACE_ORDERS=yes"
            )


def read_or_record(
    reader: Reader, section: str, found: dict[str, Comparison]
) -> tuple[DataFrame | None, list[LoadedFile]]:
    """Returns the rows to load from the new and changed files of a section, and these files.

    The rows are None if there are none.
    """
    if section not in found or not (files := found[section].new + found[section].changed):
        return None, []
    try:
        return (reader.lines if section == "transactions" else reader.people)(files)
    except NoRowsError:
        log(f"{section}: the files to load have no rows; they are recorded")
        return None, reader.record(section, files, None)


def main() -> None:
    """Reads the command line and loads; see the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", required=True, help="a file, a folder or table:NAME")
    parser.add_argument("--customers", help="a file, a folder or table:NAME")
    parser.add_argument("--mapping", help="YAML: canonical column -> SQL expression; or a SQL file")
    parser.add_argument("--append", action="store_true", help="add to the loaded data")
    parser.add_argument(
        "--replace-changed", action="store_true", help="with --append: replace changed files"
    )
    parser.add_argument(
        "--replace-orders",
        action="store_true",
        help="with --append: the lines of an order replace its earlier lines",
    )
    arguments = parser.parse_args()
    if not arguments.append and (arguments.replace_changed or arguments.replace_orders):
        parser.error("--replace-changed and --replace-orders need --append")
    # This comes before the start of Spark, because most mistakes are found without Spark.
    inputs = read_inputs(
        arguments.transactions,
        arguments.customers,
        arguments.mapping,
        arguments.replace_orders,
        may_be_empty=arguments.append,
    )
    if arguments.append:
        check_only_files(inputs)
    spark = start("load")
    without_ansi(spark)
    raw_tables.finish_replacements(spark)
    loaded_at = datetime.now(UTC).replace(microsecond=0)
    if arguments.append:
        append(spark, inputs, loaded_at, replace_changed=arguments.replace_changed)
    else:
        replace(spark, inputs, loaded_at)


if __name__ == "__main__":
    run(main)
