"""Attacks on the analysts' server of a shared machine, set up by docs/shared-server.md.

The setup is a build's server with its metastore in PostgreSQL, an LDAP server, a certificate, and
the analysts' server in its sandbox. Analysts with and without a password attack it.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import thrift_sasl
from conftest import ROOT, empty_state, free_ports
from pyhive import hive
from test_standalone_cluster import DRIVER, PASSWORD, documented_settings, metastore, running
from thrift.transport import TSSLSocket
from thrift.transport.TTransport import TTransportException

pytestmark = pytest.mark.slow

__all__ = ["metastore"]
NEEDED = "bwrap", "pasta", "slapd", "openssl", "setpriv"
SECRET = secrets.token_urlsafe()
# A text that is only in a raw table.
RAW = secrets.token_urlsafe()
NOBODY = 65534


def run(*command: object, **options) -> str:
    """Runs a command, which must succeed, and returns its output."""
    return subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True, **options
    ).stdout


def answers(port: str, trust: Path) -> bool:
    """Returns true when a server with a certificate in `trust` answers."""
    context = ssl.create_default_context(cafile=trust)
    try:
        with (
            socket.create_connection(("127.0.0.1", int(port))) as channel,
            context.wrap_socket(channel, server_hostname="localhost"),
        ):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Makes a folder that other accounts can read; they cannot read pytest's."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and apt-get install bubblewrap passt slapd; missing: {missing}")
    tunnels = Path("/dev/net/tun")
    if not tunnels.exists() or tunnels.stat().st_mode & 0o006 != 0o006:
        pytest.skip(f"needs {tunnels} open to all, as udev makes it: chmod 0666 {tunnels}")
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def build_server(metastore: str, environment: dict[str, str], folder: Path) -> Iterator[dict]:
    """Starts the build's server, with a table of each kind."""
    text = documented_settings(metastore, folder / "warehouse")
    text = re.sub(r"(?m)^spark\.(executor|cores|scheduler).*", "", text)
    settings = folder / "build.conf"
    settings.write_text(text)
    settings.chmod(0o600)
    of_build = environment | {"SPARK_SETTINGS": str(settings), "SPARK_DRIVER_MEMORY": "1g"}
    with empty_state(of_build, folder) as own:
        run(sys.executable, "-m", "server", "up", env=own)
        with hive.connect("localhost", int(own["THRIFT_PORT"]), username="dbt") as connection:
            cursor = connection.cursor()
            for statement in (
                "create database raw",
                "create database marts",
                "create database marts_builds",
                "create table raw.customers using parquet "
                f"as select 'ann' as customer_id, '{RAW}' as note",
                "create table marts_builds.customers__1 using parquet "
                "as select 'ann' as customer_id",
                "create view marts.customers as select * from marts_builds.customers__1",
            ):
                cursor.execute(statement)
        yield own | {"METASTORE_PORT": metastore}


@pytest.fixture(scope="module")
def directory(folder: Path) -> Iterator[str]:
    """Starts an LDAP server with the account ann; yields its address."""
    (port,) = free_ports(1)
    (folder / "ldap").mkdir()
    schemas = "".join(
        f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson")
    )
    (folder / "slapd.conf").write_text(
        f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\n"
        f"suffix dc=example,dc=org\ndirectory {folder}/ldap\n"
    )
    entries = folder / "people.ldif"
    entries.write_text(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\n"
        "o: example\ndc: example\n\n"
        "dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n"
        "dn: uid=ann,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ann\n"
        f"cn: Ann\nsn: Ann\nuserPassword: {SECRET}\n"
    )
    run("slapadd", "-f", folder / "slapd.conf", "-l", entries)
    address = f"ldap://127.0.0.1:{port}"
    command = "slapd", "-d", "0", "-h", address, "-f", str(folder / "slapd.conf")
    with running(*command, log=folder / "slapd.log"):
        yield address


def make_certificate(path: Path) -> Path:
    """Writes a certificate for localhost and its key in one folder; returns the path of the key."""
    key = path.with_suffix(".key")
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", path),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
    )
    return key


@pytest.fixture(scope="module")
def certificate(folder: Path) -> Path:
    """Makes a certificate for localhost, and its keystore in the same folder."""
    path = folder / "analysts.crt"
    key = make_certificate(path)
    keystore = folder / "analysts.p12"
    run(
        *("openssl", "pkcs12", "-export", "-in", path, "-inkey", key, "-out", keystore),
        *("-passout", "env:KEYSTORE_PASSWORD"),
        env=os.environ | {"KEYSTORE_PASSWORD": SECRET},
    )
    os.chown(keystore, NOBODY, NOBODY)
    keystore.chmod(0o400)
    return path


Connect = Callable[..., hive.Connection]


@pytest.fixture(scope="module")
def connect(
    build_server: dict[str, str], directory: str, certificate: Path, folder: Path
) -> Iterator[Connect]:
    """Starts the analysts' server; yields a function that connects as an analyst does."""
    document = (ROOT / "docs" / "shared-server.md").read_text()
    grants = re.search(r"```sql\n(.*?)```", document, re.DOTALL)[1]
    database = "-h", "127.0.0.1", "-p", build_server["METASTORE_PORT"], "-U", "hive", "metastore"
    run(
        *("psql", "--quiet", "-c", grants.replace("ANALYSTS_PASSWORD", SECRET), *database),
        env=os.environ | {"PGPASSWORD": PASSWORD},
    )
    (port,) = free_ports(1)
    text = re.search(r"```properties\n(.*?)```", document, re.DOTALL)[1]
    for name, value in {
        "/shared/warehouse": str(folder / "warehouse"),
        "/opt/postgresql.jar": str(DRIVER),
        "METASTORE_HOST": f"127.0.0.1:{build_server['METASTORE_PORT']}",
        "ANALYSTS_PASSWORD": SECRET,
        "SERVER_ADDRESS": "127.0.0.1",
        "10001": port,
        re.search(r"(?m)keystore\.path\s+(\S+)", text)[1]: str(folder / "analysts.p12"),
        "KEYSTORE_PASSWORD": SECRET,
        "ldaps://LDAP_HOST": directory,
        "spark.driver.memory                                       2g": "spark.driver.memory 1g",
    }.items():
        assert name in text, name
        text = text.replace(name, value)
    settings = folder / "analysts.conf"
    settings.write_text(text)
    os.chown(settings, NOBODY, NOBODY)
    settings.chmod(0o400)

    def connected(user: str = "ann", password: str = SECRET, trust: Path = certificate):
        context = ssl.create_default_context(cafile=trust)
        channel = TSSLSocket.TSSLSocket("localhost", int(port), ssl_context=context)
        channel.open()
        transport = thrift_sasl.TSaslClientTransport(
            lambda: hive.get_installed_sasl("localhost", "PLAIN", None, user, password),
            "PLAIN",
            channel,
        )
        return hive.Connection(username=user, thrift_transport=transport)

    as_nobody = "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
    command = *as_nobody, str(ROOT / "server" / "analysts_server.sh"), str(settings)
    log = folder / "analysts.log"
    environment = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    environment["LOCAL_PORTS"] = f"{build_server['METASTORE_PORT']},{directory.rpartition(':')[2]}"
    with running(*command, log=log, env=environment, cwd="/") as process:
        while not answers(port, certificate):
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield connected


REFUSED, ANSWERED = "refused", "answered"
BASH = "select transform(1) using 'bash -c \"{}\"' as (output string)"
# Each attack with its expected outcome. Answers come from inside the sandbox.
ATTACKS = {
    # The tables.
    "select customer_id from marts.customers": r"answered: \[\('ann',\)\]",
    "select * from raw.customers": r"answered: \[\]",
    "insert into marts_builds.customers__1 values ('eve')": REFUSED,
    "insert overwrite raw.customers values ('eve', 'x')": REFUSED,
    "truncate table marts_builds.customers__1": REFUSED,
    "drop view marts.customers": REFUSED,
    "drop table marts_builds.customers__1": REFUSED,
    "drop table raw.customers": REFUSED,
    "drop database marts cascade": REFUSED,
    "alter view marts.customers as select 'eve' as customer_id": REFUSED,
    "alter table raw.customers set tblproperties ('version' = 'x')": REFUSED,
    "create table marts.eve (customer_id string) using parquet": REFUSED,
    "create table marts.eve using parquet as select 1 as x": REFUSED,
    "create database eve": REFUSED,
    # Files of the server.
    "select * from text.`/etc/passwd`": r"answered: \[\('analysts:[^,]*',\)\]",
    "select * from text.`/etc/shadow`": REFUSED,
    "select * from text.`{folder}/build.conf`": REFUSED,
    "select * from parquet.`{folder}/warehouse/raw.db/customers`": REFUSED,
    "create temporary view other using text options (path '/root')": REFUSED,
    "insert overwrite directory '{folder}/warehouse/marts.db' using text select 'x'": REFUSED,
    "insert overwrite local directory '/usr/bin' using text select 'x'": REFUSED,
    "insert overwrite local directory '/tmp/eve' using text select 'x'": ANSWERED,
    # The analyst's own code.
    "select reflect('java.lang.System', 'getenv', 'PATH')": r"answered: .*/usr/bin:/bin",
    BASH.format(
        "id -u; ls {folder}"
    ): r"answered: \[\('1000',\), \('analysts.p12',\), \('warehouse',\)\]",
    BASH.format("ls {folder}/warehouse"): r"answered: \[\('marts.db',\), \('marts_builds.db',\)\]",
    BASH.format("touch /usr/x /x {folder}/x || echo refused"): "answered: .*refused",
    BASH.format("grep -as {secret} /proc/*/environ /run/* || echo none"): "answered: .*none",
    BASH.format("(echo > /dev/tcp/127.0.0.1/{port}) || echo refused"): "answered: .*refused",
    BASH.format("(echo > /dev/tcp/$(hostname -i)/{port}) || echo refused"): "answered: .*refused",
    "add jar {folder}/build.conf": ANSWERED,
    "select count(*) from marts.customers": r"answered: \[\(1,\)\]",
    # This ends the analysts' server, and no other process.
    "select reflect('java.lang.System', 'exit', 1)": REFUSED,
}


def outcome(cursor: hive.Cursor, sql: str) -> str:
    """Runs an attack; returns its outcome in one line."""
    try:
        cursor.execute(sql)
        return f"{ANSWERED}: {cursor.fetchall() if cursor.description else 'nothing'}"
    except Exception as error:  # an attack that ends the server gives no SQL error
        return f"{REFUSED}: {' '.join(str(error).split())}"


def state(build_server: dict[str, str], folder: Path) -> list:
    """Returns the tables and rows of the build's server, and every file of its warehouse."""
    with hive.connect("localhost", int(build_server["THRIFT_PORT"]), username="dbt") as connection:
        cursor = connection.cursor()
        found = [
            outcome(cursor, sql)
            for sql in (
                "show databases",
                "show tables in marts",
                "show tables in marts_builds",
                "show tblproperties raw.customers",
                "select * from raw.customers",
                "select * from marts.customers",
            )
        ]
    files = (path for path in (folder / "warehouse").rglob("*") if path.is_file())
    return [*found, sorted((str(path), path.stat().st_mtime_ns) for path in files)]


def test_no_connection_without_password_or_with_another_certificate(connect: Connect, folder: Path):
    connect().close()
    for user, password in (("ann", "wrong"), ("ann", ""), ("eve", SECRET)):
        with pytest.raises(TTransportException):
            connect(user, password)
    other = folder / "other.crt"
    make_certificate(other)
    with pytest.raises(TTransportException):
        connect(trust=other)


def test_an_analyst_can_read_the_marts_and_do_nothing_else(
    connect: Connect, build_server: dict[str, str], folder: Path
):
    before = state(build_server, folder)
    places = {"folder": folder, "port": build_server["THRIFT_PORT"], "secret": PASSWORD}
    found = {}
    with contextlib.suppress(TTransportException), connect() as connection:
        for attack in ATTACKS:
            found[attack] = outcome(connection.cursor(), attack.format(**places))
            print(f"{attack} -> {found[attack][:160]}")
    for attack, expected in ATTACKS.items():
        assert re.match(expected, found[attack]), (attack, found[attack])
        assert RAW not in found[attack]
        assert PASSWORD not in found[attack]
    assert state(build_server, folder) == before
