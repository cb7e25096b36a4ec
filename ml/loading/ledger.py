"""The ledger of loaded files, raw.loads: each file is loaded once, also after a kill.

A load changes the ledger and raw.transactions, and no step of Spark changes two tables at once. So
a load has three steps:

1. `plan` adds the rows of the new load to the ledger. A property of the ledger has the time of this
   load. The rows of files that the load replaces are still there.
2. The lines change in one step: the load adds a partition, or replaces the whole table.
3. `settle` checks whether raw.transactions has the lines of this load. If so, the ledger keeps the
   new rows, and loses those of replaced files. If not, it loses the new rows of transactions files.
   Then `settle` removes the property.

A load begins with `settle`, too. Of transactions files, the ledger then lists exactly those whose
lines are in raw.transactions, at whatever moment an earlier load was killed. A killed load can
leave data files that raw.transactions does not know; `settle` removes these.

A customer replaces the earlier row with the same id, so it does no harm to read a file of customers
again. These files are recorded after the customers are in raw.customers.
"""

from dataclasses import astuple
from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ml.loading import raw_tables
from ml.loading.input_files import LoadedFile
from ml.tables import RAW_TABLES, table_properties

# Properties of raw.loads: the loading time of a plan, and whether it replaces all lines.
PLANNED = "planned"
REPLACES_ALL = "planned_replaces_all"
# Times as whole numbers, because Python and Spark may differ in their time zones.
ROW = """
    file_number int, section string, path string, size bigint, modified_at bigint, checksum string,
    mapping_checksum string, rows bigint, loaded_at bigint
"""


def read(spark: SparkSession) -> list[LoadedFile]:
    """Returns the rows of raw.loads in the order of their numbers; none without the table."""
    if not spark.catalog.tableExists(raw_tables.LOADS):
        return []
    rows = spark.table(raw_tables.LOADS).withColumns(
        {"modified_at": F.unix_micros("modified_at"), "loaded_at": F.unix_seconds("loaded_at")}
    )
    return [
        LoadedFile(
            *(row.file_number, row.section, row.path, row.size, row.modified_at, row.checksum),
            *(row.mapping_checksum, row.rows, datetime.fromtimestamp(row.loaded_at, UTC)),
        )
        for row in rows.orderBy("file_number").collect()
    ]


def write(
    spark: SparkSession, files: list[LoadedFile], properties: dict[str, str] | None = None
) -> None:
    """Replaces the rows and the properties of raw.loads."""
    rows = [(*astuple(file)[:-1], int(file.loaded_at.timestamp())) for file in files]
    table = spark.createDataFrame(rows, ROW).withColumns(
        {
            "modified_at": F.timestamp_micros("modified_at"),
            "loaded_at": F.timestamp_seconds("loaded_at"),
        }
    )
    RAW_TABLES["loads"].replace(table.coalesce(1), properties or {})


def plan(
    spark: SparkSession, files: list[LoadedFile], loaded_at: datetime, *, replaces_all: bool
) -> None:
    """Writes the rows of a load before its lines change.

    `files` has the rows of all loaded transactions files, too.
    """
    marks = {PLANNED: loaded_at.isoformat(), REPLACES_ALL: str(replaces_all)}
    write(spark, files, marks)


def settle(spark: SparkSession) -> list[LoadedFile]:
    """Ends the last plan, whether or not its load was killed; returns the rows of raw.loads."""
    files, properties = read(spark), table_properties(spark, raw_tables.LOADS)
    if PLANNED not in properties:
        return files
    loaded_at = datetime.fromisoformat(properties[PLANNED])
    replaces_all = properties[REPLACES_ALL] == str(True)
    is_loaded = raw_tables.holds_load(spark, loaded_at)
    if not is_loaded and not replaces_all:
        raw_tables.remove_leftovers(spark, loaded_at)
    kept = settled(files, loaded_at, is_loaded=is_loaded, replaces_all=replaces_all)
    if kept == files:
        marks = f"'{PLANNED}', '{REPLACES_ALL}'"
        spark.sql(f"alter table {raw_tables.LOADS} unset tblproperties ({marks})")
    else:
        write(spark, kept)
    return kept


def settled(
    files: list[LoadedFile], loaded_at: datetime, *, is_loaded: bool, replaces_all: bool
) -> list[LoadedFile]:
    """Returns the rows that count after a plan: `is_loaded` tells whether its lines are there."""
    replaced = {
        file.path
        for file in files
        if file.section == "transactions" and file.loaded_at == loaded_at
    }

    def counts(file: LoadedFile) -> bool:
        if file.section != "transactions":
            return True
        if file.loaded_at == loaded_at:
            return is_loaded
        return not (is_loaded and (replaces_all or file.path in replaced))

    return [file for file in files if counts(file)]


def is_of(spark: SparkSession, fingerprint: str) -> bool:
    """Returns whether the last load replaced everything, with the inputs of this fingerprint."""
    return table_properties(spark, raw_tables.LOADS).get("fingerprint") == fingerprint
