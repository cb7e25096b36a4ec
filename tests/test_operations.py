"""Tests docs/operations.md: a backup can be restored, and a full disk loses no data."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, query_function, run_make
from test_pipeline import all_tables, fingerprint


def table_fingerprints(own_state: dict[str, str]) -> dict[str, tuple]:
    """Returns the fingerprint of every table."""
    with query_function(own_state) as query:
        return fingerprint(query, all_tables())


def mart_rows(own_state: dict[str, str]) -> dict[str, list[str]]:
    """Returns the rows of every mart that is stored. These queries need no disk space.

    `recommended_customers` is a view, whose joins need space for a shuffle.
    """
    with query_function(own_state) as query:
        return {
            name: sorted(map(str, query(f"select * from marts.{name}")))
            for _, name, _ in query("show tables in marts")
            if name != "recommended_customers"
        }


@pytest.mark.slow
def test_documented_backup_restores_every_table(own_state: dict[str, str], tmp_path: Path):
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("## Backup and restore")[2].partition("\n## ")[0]
    backup, restore = re.findall(r"(?m)(?:^    .+\n)+", section)

    def run(commands: str) -> None:
        shell = "set -e\n" + commands.replace(".spark", own_state["STATE_DIR"]).replace(
            "backup.tar", str(tmp_path / "backup.tar")
        )
        subprocess.run(["bash", "-c", shell], cwd=ROOT, env=own_state, check=True)

    run_make(own_state, "run", "N_CUSTOMERS=300")
    before = table_fingerprints(own_state)
    run(backup)
    run_make(own_state, "up", "raw", "N_CUSTOMERS=200")
    assert table_fingerprints(own_state) != before
    run(restore)
    assert table_fingerprints(own_state) == before
    # A run works on the restored state.
    run_make(own_state, "run", "N_CUSTOMERS=300")


@pytest.fixture
def small_disk(own_state: dict[str, str]) -> Iterator[Path]:
    """Mounts a small disk at STATE_DIR."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a disk")
    path = Path(own_state["STATE_DIR"])
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", path]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not allow mounting a disk")
    yield path
    subprocess.run(["make", "down"], cwd=ROOT, env=own_state, check=True)
    # Lazy, because the server's Python workers end shortly after the server.
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.slow
def test_full_disk_is_one_clear_line_and_the_marts_answer(
    own_state: dict[str, str], small_disk: Path
):
    run_make(own_state, "run", "N_CUSTOMERS=3000")
    before, marts_before = table_fingerprints(own_state), mart_rows(own_state)
    filler = small_disk / "filler"
    for left in (3 * 2**20, 2**20 // 2):
        filler.unlink(missing_ok=True)
        with filler.open("wb") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - left)
        result = run_make(own_state, "run", "N_CUSTOMERS=20000", check=False)
        assert result.returncode != 0
        assert "No space left on device" in result.stdout + result.stderr
        assert mart_rows(own_state) == marts_before
    filler.unlink()
    run_make(own_state, "run", "N_CUSTOMERS=3000")
    assert table_fingerprints(own_state) == before
