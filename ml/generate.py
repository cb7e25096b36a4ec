"""Generates customers and transactions by simulation, together with the truth behind them.

    python -m ml.generate --customers 100000 --seed 42

Every customer belongs to one of the personas in `ml/generation/personas.py`. A persona's customers
arrive in growing numbers and first buy on the day they arrive (a few never do). Then they buy as a
Poisson process, each customer at a rate from a gamma distribution, until an exponentially
distributed time at which the customer leaves for good (Schmittlein, Morrison and Colombo 1987,
"Counting your customers"). Habits of weekday and hour place each purchase inside its week; the
seasons of the year thin the process out (Lewis and Shedler 1979, "Simulation of nonhomogeneous
Poisson processes by thinning"). Orders have lines, some lines come back, guests buy too, and a
known number of dirty rows is planted. Customers go on buying for a year after the raw data end, so
that `truth.customers` knows what each customer does next.

Each draw is a hash of (seed, purpose, ids). So the same seed gives the same rows for any split of
the work, and the first N customers are the same for any number of customers.

Writes `truth.customers`, `truth.rejected_rows`, `raw.customers`, `raw.transactions`, and an empty
`raw.loads`. Data that a user has loaded into the raw tables stay as they are, unless
`--replace-loaded` is given.
"""

import argparse
import math
import time

from pyspark.sql import DataFrame, SparkSession

from ml import tables
from ml.code_version import code_version
from ml.generation import truth
from ml.generation.dirty_rows import defect_carriers
from ml.generation.draws import Draws
from ml.generation.profiles import customers_and_guests
from ml.generation.raw_tables import raw_customers, raw_transactions
from ml.loading import raw_tables
from ml.session import StepError, log, run, start, whole_number

MAX_CUSTOMERS = 10**10 - 1  # a customer_id has ten digits
CUSTOMERS_PER_TASK = 250_000  # each task writes a file
OPTIMIZER = "org.apache.spark.sql.catalyst.optimizer"


def outputs(spark: SparkSession, customers: int, seed: int) -> list[tuple[tables.Table, DataFrame]]:
    """The tables, not yet computed; the truth comes first, so it is never older than its lines."""
    draw = Draws(seed)
    # The rows are the same for any number of tasks.
    tasks = max(4, math.ceil(customers / CUSTOMERS_PER_TASK))
    people, guests = customers_and_guests(spark, customers, draw, tasks)
    carriers = defect_carriers(spark, customers, draw, tasks)
    raw = tables.RAW_TABLES
    return [
        (truth.CUSTOMERS, truth.truth_customers(people, draw)),
        (truth.REJECTED_ROWS, truth.truth_rejected_rows(carriers, draw)),
        # Before the other raw tables: a run that is killed here leaves all loaded data as they are.
        (raw["transactions"], raw_transactions(people, guests, carriers, draw)),
        (raw["customers"], raw_customers(people, draw)),
        # Last: as long as raw.transactions holds loaded lines, their files are listed.
        (raw["loads"], spark.createDataFrame([], tables.LOADS_COLUMNS)),
    ]


def loaded_source(spark: SparkSession) -> str | None:
    """The user's file, folder or table that raw.transactions was loaded from; None without one."""
    source = tables.table_properties(spark, "raw.transactions").get("source", "")
    return source if tables.is_of_user(source) else None


def generate(spark: SparkSession, customers: int, seed: int) -> None:
    """Writes the tables, unless they already hold the requested data."""
    origin = {
        "source": "generated",
        "customers": f"{customers}",
        "seed": f"{seed}",
        "code": code_version("generate.py", "generation", "tables.py", "loading/columns.py"),
    }
    wanted = outputs(spark, customers, seed)
    if all(
        origin.items() <= tables.table_properties(spark, table.name).items() for table, _ in wanted
    ):
        log(f"{customers:,} customers of seed {seed} exist already: nothing to do")
        return
    for table, rows in wanted:
        started = time.monotonic()
        count = table.replace(rows, origin)
        log(f"{table.name}: {count:,} rows in {time.monotonic() - started:.1f} s")


def compile_each_draw_once(spark: SparkSession) -> None:
    """Lets Spark compute each draw once, in compiled code and without checks for overflow."""
    # Filters here test draws. These rules push filters down, and each draw would be computed twice.
    rules = ("PushDownPredicates", "InferFiltersFromGenerate")
    excluded = ",".join(f"{OPTIMIZER}.{rule}" for rule in rules)
    spark.conf.set("spark.sql.optimizer.excludedRules", excluded)
    # The JVM does not compile methods of more bytes. With this limit Spark fuses fewer operators.
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")
    # ANSI mode makes an object per addition to check for overflow; no number here can overflow.
    spark.conf.set("spark.sql.ansi.enabled", "false")


def arguments() -> argparse.Namespace:
    """The command line: customers and seed, checked, and whether to replace loaded data."""
    parser = argparse.ArgumentParser(description="Generate customers, transactions and the truth.")
    parser.add_argument("--customers", default="100000", help="how many (default %(default)s)")
    parser.add_argument("--seed", default="42", help="same seed, same rows (default %(default)s)")
    parser.add_argument(
        "--replace-loaded", action="store_true", help="replace data that you loaded"
    )
    options = parser.parse_args()
    options.customers = whole_number("N_CUSTOMERS", options.customers, least=1)
    if options.customers > MAX_CUSTOMERS:
        raise StepError(f"N_CUSTOMERS must be at most {MAX_CUSTOMERS}, not {options.customers}")
    options.seed = whole_number("SEED", options.seed)
    return options


def main() -> None:
    """Reads the command line and generates."""
    options = arguments()
    spark = start("generate")
    raw_tables.finish_replacements(spark)
    source = loaded_source(spark)
    if source and not options.replace_loaded:
        log(
            f"your data from {source} stay loaded; to replace them with generated data: "
            "make run REPLACE_LOADED=yes"
        )
        return
    compile_each_draw_once(spark)
    generate(spark, options.customers, options.seed)


if __name__ == "__main__":
    run(main)
