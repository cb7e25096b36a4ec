"""The inputs of one load: the paths, the mapping, and a fingerprint of them."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ml.code_version import code_version
from ml.loading.columns import WATERMARK
from ml.loading.files import NoFilesError, find_files, is_remote, is_table, locate
from ml.loading.mapping import Mapping, Source, read_mapping
from ml.session import StepError


@dataclass(frozen=True)
class Inputs:
    """The inputs of one load: absolute paths, the mapping, and the fingerprint of all of them."""

    paths: dict[str, str]  # by section, for the sections that have one
    mapping: Mapping
    fingerprint: str
    # SHA-256 of the mapping, with its select.
    mapping_checksum: str | None = None
    # Whether the lines of an order replace its earlier lines.
    replaces_orders: bool = False

    def source(self, section: str) -> Source:
        """Returns the source of a section that has a path."""
        return self.mapping.source(self.paths[section], section)

    def is_in_place(self, section: str) -> bool:
        """Returns whether the section is a table that stays where it is."""
        return is_table(self.paths.get(section, ""))


def read_inputs(
    transactions: str,
    customers: str | None,
    mapping: str | None,
    replaces_orders: bool = False,
    may_be_empty: bool = False,
) -> Inputs:
    """Returns what these paths name; raises StepError for a mapping or a path that is wrong.

    A folder without data files is wrong, unless it `may_be_empty`.
    """
    given = {"transactions": transactions, "customers": customers}
    paths = {section: locate(path) for section, path in given.items() if path}
    expressions = read_mapping(mapping)
    if WATERMARK in expressions.sections.get("transactions", {}) and not is_table(
        paths["transactions"]
    ):
        raise StepError(
            f"mapping {mapping}: transactions.{WATERMARK} is for tables only; lines of files have "
            "the time of their load"
        )
    texts = [Path(mapping).read_text()] if mapping else []
    texts += [query.text for query in expressions.queries.values()]
    checksum = hash_of(texts) if mapping else None
    name = fingerprint(list(paths.values()), checksum, may_be_empty)
    return Inputs(paths, expressions, name, checksum, replaces_orders)


def hash_of(parts: Iterable[object]) -> str:
    """Returns the SHA-256 of the parts, in their order."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def fingerprint(paths: list[str], mapping_checksum: str | None, may_be_empty: bool = False) -> str:
    """Returns a hash of the files (name, size, time of change), of the mapping and of this code.

    The files at a path with a scheme are unknown here, so the fingerprint differs each time. The
    rows of a table are not part of it.
    """
    parts = [code_version("load.py", "loading", "tables.py"), mapping_checksum or ""]
    for path in paths:
        if is_table(path):
            parts.append(path)
            continue
        if is_remote(path):
            parts += [path, str(time.time_ns())]
            continue
        try:
            files = find_files(path).files
        except NoFilesError:
            if not may_be_empty:
                raise
            files = []
        for file in files:
            status = file.path.stat()
            parts.append(f"{file.path} {status.st_size} {status.st_mtime_ns}")
    return hash_of(parts)
