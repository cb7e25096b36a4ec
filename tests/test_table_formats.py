"""Tables in place in Hive, Delta and PostgreSQL give the rows of files, and add only new rows."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest
from conftest import (
    DATA,
    ROOT,
    Query,
    build,
    empty_state,
    query_function,
    run_step,
    shared_file,
)
from deltalake import write_deltalake
from test_incremental import STAGING
from test_monitoring import of_application
from test_standalone_cluster import PASSWORD, metastore  # noqa: F401 -- a fixture

pytestmark = pytest.mark.slow

DRIVER = "org.postgresql.Driver"
SETTINGS_FOR_POSTGRESQL = "spark.jars.packages org.postgresql:postgresql:42.7.14\n"
SETTINGS_FOR_DELTA = """
spark.jars.packages io.delta:delta-spark_4.2_2.13:4.4.0
spark.sql.extensions io.delta.sql.DeltaSparkSessionExtension
spark.sql.catalog.spark_catalog org.apache.spark.sql.delta.catalog.DeltaCatalog
"""
# The newest release of Delta is for Spark 4.2: with 4.3 it fails, as it calls a constructor that is
# gone. The steps and dbt are the same on a server of either version.
SPARK_OF_DELTA = "pyspark==4.2.1"
UV = Path(sys.executable).parent / "uv"
CDNOW_MAPPING = (ROOT / "ml" / "mappings" / "cdnow.yml").read_text()


def rows_for_delta(source: str) -> pyarrow.Table:
    """Returns the rows of Parquet files; times are in UTC, and all columns may be null."""
    rows = pyarrow.parquet.read_table(source)
    fields = [
        pyarrow.field(
            field.name,
            pyarrow.timestamp("us", "UTC")
            if pyarrow.types.is_timestamp(field.type)
            else field.type,
        )
        for field in rows.schema
    ]
    return rows.cast(pyarrow.schema(fields))


@dataclass
class Shop:
    """A server with the packages of some formats, and a schema for the tables of each."""

    server: dict[str, str]
    query: Query
    folder: Path
    formats: tuple[str, ...]
    port: str  # of PostgreSQL

    def make_table(self, name: str, source: str) -> None:
        """Makes the table `name` in each format; its rows are in the Parquet files at `source`."""
        if "delta" in self.formats:
            write_deltalake(self.folder / name, rows_for_delta(source))
        kinds = {
            "hive": "parquet",
            "delta": f"delta location '{self.folder / name}'",
            "postgresql": f"jdbc options (user 'hive', password '{PASSWORD}', dbtable '{name}', "
            f"url 'jdbc:postgresql://127.0.0.1:{self.port}/metastore', driver '{DRIVER}')",
        }
        for schema in self.formats:
            rows = "" if schema == "delta" else f"as select * from parquet.`{source}`"
            self.query(f"create database if not exists {schema}")
            self.query(f"create table {schema}.{name} using {kinds[schema]} {rows}")

    def add(self, schema: str, name: str, source: str) -> None:
        """Adds the rows in the Parquet file at `source` to a table."""
        if schema == "delta":
            write_deltalake(self.folder / name, rows_for_delta(source), mode="append")
        else:
            self.query(f"insert into {schema}.{name} select * from parquet.`{source}`")

    def load(self, source: str, mapping: Path, customers: str | None = None) -> str:
        """Loads as `make run` does."""
        people = ["--customers", customers] if customers else []
        arguments = ["--transactions", source, *people, "--mapping", str(mapping)]
        return run_step(self.server, "ml.load", *arguments)

    def raw(self) -> list[tuple]:
        """Returns a checksum of the raw tables, but not of file numbers and loading times."""
        return self.checksums(
            "(select * except (file_number, loaded_at) from raw.transactions)", "raw.customers"
        )

    def checksums(self, *tables: str) -> list[tuple]:
        """Returns the number of rows of each table, and a checksum of them in any order."""
        checksum = "select count(*), bit_xor(xxhash64(*)), sum(hash(*)) from"
        return self.query(" union all ".join(f"{checksum} {table}" for table in tables))

    def staged(self) -> list[tuple]:
        """Builds the models that read the raw tables, and returns a checksum of their rows."""
        build(self.server, "run", "--select", *STAGING, "stg_customers")
        return self.checksums(
            "(select * except (loaded_at, batch, file_number) from staging.stg_transactions)",
            "staging.stg_customers",
        )

    def scans(self) -> list[tuple[int, int]]:
        """Returns query and rows of each scan of a table `lines` so far."""
        return [
            (each["id"], int(metric["value"].replace(",", "")))
            for each in of_application(self.server, "sql?length=10000&details=true")
            for node in each["nodes"]
            if "Scan" in node["nodeName"] and "lines" in node["nodeName"]
            for metric in node["metrics"]
            if metric["name"] == "number of output rows"
        ]


@pytest.fixture(scope="module", params=["hive and postgresql", "delta"])
def shop(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    metastore: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A server that reads these formats; skips where Maven Central cannot be reached."""
    formats = tuple(request.param.split(" and "))
    folder = tmp_path_factory.mktemp("formats")
    settings = folder / "settings.conf"
    own = environment | {"SPARK_SETTINGS": str(settings)}
    packages = SETTINGS_FOR_POSTGRESQL
    if "delta" in formats:
        packages = SETTINGS_FOR_DELTA
        install = [UV, "pip", "install", "--quiet", "--no-deps", "--target", folder / "spark"]
        if subprocess.run([*install, SPARK_OF_DELTA]).returncode:
            pytest.skip(f"needs the package index: {SPARK_OF_DELTA} cannot be installed")
    settings.write_text(Path(environment["SPARK_SETTINGS"]).read_text() + packages)
    with ExitStack() as stack:
        server = stack.enter_context(empty_state(own, folder))
        starting = server | ({"PYTHONPATH": str(folder / "spark")} if "delta" in formats else {})
        up = subprocess.run(
            [sys.executable, "-m", "server", "up"],
            cwd=ROOT,
            env=starting,
            capture_output=True,
            text=True,
        )
        if "cannot be fetched" in up.stderr:
            pytest.skip(f"needs Maven Central: {up.stderr.strip()}")
        assert up.returncode == 0, up.stderr
        query = stack.enter_context(query_function(server))
        yield Shop(server, query, folder, formats, metastore)


@pytest.mark.parametrize(("name", "staged_from"), [("online_retail", "delta"), ("olist", "hive")])
def test_tables_give_what_files_give(shop: Shop, name: str, staged_from: str):
    """The raw rows in each format, and in one what staging makes of them; all else follows."""
    mapping = ROOT / "ml" / "mappings" / f"{name}.yml"
    if name == "olist":
        files = shared_file("data/olist_sample")
        for file in files.glob("*.csv"):
            shop.query(
                f"create or replace temporary view rows using csv options (path '{file}', "
                "header true, multiLine true, escape '\"')"
            )
            parquet = shop.folder / f"{file.stem}.parquet"
            shop.query(f"insert overwrite directory '{parquet}' using parquet select * from rows")
            shop.make_table(file.stem, str(parquet))
        shop.load(str(files), mapping, str(files))
    else:
        files = DATA / f"{name}.parquet"
        shop.make_table(name, str(files))
        shop.load(str(files), mapping)
    raw = shop.raw()
    assert raw[0][0] > 20_000
    staged = shop.staged() if staged_from in shop.formats else []
    for schema in shop.formats:
        table = f"table:{schema}" if name == "olist" else f"table:{schema}.{name}"
        shop.load(table, mapping, table if name == "olist" else None)
        assert shop.raw() == raw, schema
        if schema == staged_from:
            assert shop.staged() == staged


def test_an_increment_reads_only_new_rows(shop: Shop, tmp_path: Path):
    """CDNOW until April 1998, and then its last two months, by the day of the purchase.

    In the end, the rows are those of the file.
    """
    shop.load(str(DATA / "cdnow_master.parquet"), ROOT / "ml" / "mappings" / "cdnow.yml")
    of_file = shop.raw()
    mapping = tmp_path / "mapping.yml"
    mapping.write_text(CDNOW_MAPPING + "  loaded_at: came\n")
    master = pyarrow.parquet.read_table(DATA / "cdnow_master.parquet")
    master = master.append_column("came", master["date"].cast(pyarrow.timestamp("us", "UTC")))
    is_new = pyarrow.compute.greater_equal(master["date"], date(1998, 5, 1))
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    pyarrow.parquet.write_table(master.filter(pyarrow.compute.invert(is_new)), old)
    pyarrow.parquet.write_table(master.filter(is_new), new)
    new_rows = pyarrow.parquet.read_metadata(new).num_rows
    assert 2_000 < new_rows < master.num_rows / 5
    shop.make_table("lines", str(old))
    for schema in shop.formats:
        shop.load(f"table:{schema}.lines", mapping)
        build(shop.server, "run", "--select", *STAGING)
        shop.add(schema, "lines", str(new))
        before = shop.scans()
        printed = shop.load(f"table:{schema}.lines", mapping)
        assert f"{new_rows:,} lines from 1998-05-01 to 1998-06-30" in printed
        build(shop.server, "run", "--select", *STAGING)
        read = [rows for number, rows in shop.scans() if (number, rows) not in before]
        assert len(read) > 2
        assert max(read) == new_rows, schema
        assert shop.raw() == of_file, schema
        ((staged,),) = shop.query("select count(*) from staging.stg_checked_transactions")
        assert staged == master.num_rows
        assert len(shop.query("show partitions staging.stg_checked_transactions")) == 2
