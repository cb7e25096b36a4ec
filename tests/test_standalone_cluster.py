"""The pipeline on a real cluster: a master, two workers, and a metastore in PostgreSQL.

The settings are those of docs/cluster.md, with this machine's addresses.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import (
    ROOT,
    SETTINGS_FOR_SMALL_DATA,
    empty_state,
    free_ports,
    on_data,
    query_function,
    run_make,
    with_java,
)
from test_monitoring import of_application
from test_pipeline import all_tables, fingerprint

DRIVER = Path("/usr/share/java/postgresql.jar")
SPARK_CLASS = Path(sys.executable).parent / "spark-class"
PASSWORD = secrets.token_urlsafe()


def postgres_program(name: str) -> str:
    """Returns the path of a PostgreSQL server program; skips the test if it is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not programs or not DRIVER.exists():
        pytest.skip("needs PostgreSQL: apt-get install postgresql libpostgresql-jdbc-java")
    return str(programs[-1])


@pytest.fixture(scope="module")
def metastore() -> Iterator[str]:
    """Starts a PostgreSQL server with an empty database `metastore`; yields its port."""
    postgres_program("initdb")  # skips before the folder is there
    # PostgreSQL does not run as root, and its user cannot read pytest's folder.
    folder = Path(tempfile.mkdtemp())
    as_owner = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]
    (port,) = free_ports(1)
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)

    def program(name: str, *arguments: str) -> None:
        command = [*as_owner, postgres_program(name), *arguments]
        with_password = os.environ | {"PGPASSWORD": PASSWORD}
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=with_password
        )

    data = f"{folder}/data"
    listening = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    try:
        program("initdb", "-D", data, "-U", "hive", "--auth=scram-sha-256", f"--pwfile={password}")
        program("pg_ctl", "-D", data, "-o", listening, "-l", f"{folder}/log", "--wait", "start")
        program("createdb", "-h", "127.0.0.1", "-p", port, "-U", "hive", "metastore")
        yield port
        program("pg_ctl", "-D", data, "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(*command: str, log: Path, **options) -> Iterator[subprocess.Popen]:
    """Runs a process until the block ends."""
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def master(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a standalone master with two workers of one core each."""
    options = {"env": with_java(environment) | {"SPARK_DAEMON_MEMORY": "512m"}, "cwd": tmp_path}
    port, ui_port = free_ports(2)
    address = f"spark://127.0.0.1:{port}"
    roles = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
    master_options = ["--host", "127.0.0.1", "--port", port, "--webui-port", ui_port]
    worker_options = ["--host", "127.0.0.1", "--cores", "1", "--memory", "2g", "--webui-port", "0"]
    first, second = (
        running(
            *(
                str(SPARK_CLASS),
                roles[1],
                *worker_options,
                "--work-dir",
                str(tmp_path / name),
                address,
            ),
            log=tmp_path / f"{name}.log",
            **options,
        )
        for name in ("first", "second")
    )
    command = str(SPARK_CLASS), roles[0], *master_options
    with running(*command, log=tmp_path / "master.log", **options), first, second:
        yield address


def documented_settings(metastore: str, warehouse: Path) -> str:
    """Returns the settings that docs/cluster.md shows, with the placeholders filled in."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    text = re.search(r"```properties\n(.*?)```", page, re.DOTALL)[1]
    for name, value in {
        "DRIVER_HOST": "127.0.0.1",
        "METASTORE_HOST": f"127.0.0.1:{metastore}",
        "METASTORE_PASSWORD": PASSWORD,
        "/shared/warehouse": str(warehouse),
        "/opt/postgresql.jar": str(DRIVER),
        "EXECUTOR_CORES": "1",
        "EXECUTOR_MEMORY": "1g",
        "ALL_CORES": "2",
    }.items():
        assert name in text
        text = text.replace(name, value)
    return text


@pytest.mark.slow
@on_data("generated")
def test_a_cluster_gives_the_tables_of_one_machine(
    master: str,
    metastore: str,
    environment: dict[str, str],
    query: Callable[[str], list[tuple]],
    tmp_path: Path,
):
    text = documented_settings(metastore, tmp_path / "warehouse")
    settings = tmp_path / "cluster.conf"
    settings.write_text(text + SETTINGS_FOR_SMALL_DATA)
    of_cluster = environment | {
        "SPARK_MASTER": master,
        "SPARK_SETTINGS": str(settings),
        "SPARK_DRIVER_MEMORY": "2g",
    }
    with empty_state(of_cluster, tmp_path) as cluster:
        run_make(cluster, "run", "N_CUSTOMERS=3000")
        with query_function(cluster) as cluster_query:
            found = fingerprint(cluster_query, all_tables())
        executors = of_application(cluster, "executors")
    assert found == fingerprint(query, all_tables())
    tasks = {each["id"]: each["totalTasks"] for each in executors if each["totalCores"]}
    print(f"{len(found)} tables are equal; tasks by executor: {tasks}")
    assert "driver" not in tasks
    assert len(tasks) == 2
    assert min(tasks.values()) > 100
