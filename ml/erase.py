"""Erases one customer from the raw tables; `make erase` then rebuilds everything else.

    CUSTOMER_ID=... python -m ml.erase

The id comes from the environment because every user of a machine can read command lines. It goes
to the engine as data because the engine logs the text of queries.

raw.loads still lists the files as loaded, so `make load` does not load the customer's lines again.
"""

import argparse
import os

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ml.loading import ledger, raw_tables
from ml.loading.columns import CANONICAL
from ml.loading.rows import without_ansi
from ml.loading.sources import remove_staged_files
from ml.loading.tables_in_place import all_rows
from ml.loading.wording import counted
from ml.session import StepError, log, run, start
from ml.tables import RAW_TABLES, is_view, set_version, table_properties

# A line whose fields cannot be separated has no customer, but its text may contain the id.
# The id is quoted for the pattern as Java's Pattern.quote does.
IN_BROKEN_LINE = (
    r"get_json_object(unparsed_values, '$.line') rlike "
    r"concat(r'(?U)(?<!\w)\Q', replace(id, r'\E', r'\E\\E\Q'), r'\E(?!\w)')"
)


def check_deleted_by_owner(spark: SparkSession, rows: dict[str, int]) -> None:
    """Stops if the view of a table that stays where it is still has rows of the customer."""
    for view, count in rows.items():
        if count:
            source = table_properties(spark, view)["source"]
            raise StepError(
                f"{source} has {counted(count, 'row')} of this CUSTOMER_ID, which its owner must "
                "delete first; nothing was erased"
            )


def erase(spark: SparkSession, customer_id: str) -> dict[str, int]:
    """Rewrites the raw tables without the customer; returns how many rows each table loses.

    Lines whose fields cannot be separated go, too, if their text has the id as a word of its own.

    The tables keep their properties, so that the next run does not load or generate them again. The
    owner of a table that stays where it is must delete the customer's rows there first. The view of
    such a table then counts as changed. Raises StepError when the table still has such rows, and
    when there is nothing to erase.
    """
    if not raw_tables.exist(spark):
        raise StepError("nothing is loaded yet: there is nothing to erase")
    erased = spark.createDataFrame([(customer_id,)], "id string")

    def joined(rows: DataFrame, kind: str) -> DataFrame:
        is_erased = "customer_id = id"
        if "unparsed_values" in rows.columns:
            is_erased += f" or {IN_BROKEN_LINE}"
        return rows.join(F.broadcast(erased), F.expr(is_erased), kind)

    tables = [RAW_TABLES[section] for section in CANONICAL]
    views = [table for table in tables if is_view(spark, table.name)]
    rows = {
        table.name: all_rows(spark, table.name) if table in views else spark.table(table.name)
        for table in tables
    }
    lost = {name: joined(each, "left_semi").count() for name, each in rows.items()}
    check_deleted_by_owner(spark, {view.name: lost[view.name] for view in views})
    if not any(lost.values()) and not views:
        raise StepError(
            "no raw table has a customer of this CUSTOMER_ID: nothing was erased; if an earlier "
            "`make erase` stopped halfway, end it with: make run && make forgotten"
        )
    for view in views:
        set_version(spark, view.name)
    for table in tables:
        if lost[table.name]:
            kept = joined(rows[table.name], "left_anti")
            table.replace(kept, table_properties(spark, table.name))
    return lost


def main() -> None:
    """Erases the customer that the environment names."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    customer_id = os.environ.get("CUSTOMER_ID")
    if not customer_id:
        raise StepError("CUSTOMER_ID is not set; as in: CUSTOMER_ID=C0000000042 make erase")
    spark = start("erase")
    without_ansi(spark)
    raw_tables.finish_replacements(spark)
    remove_staged_files(spark)
    # First, a load that was killed is settled. Perhaps all its lines are of this customer. Without
    # them, the load would look as if it had failed.
    ledger.settle(spark)
    for table, rows in erase(spark, customer_id).items():
        log(f"{table}: {counted(rows, 'row')} erased")
    log("Erase the customer in your files, too: a load that replaces everything reads them again")


if __name__ == "__main__":
    run(main)
