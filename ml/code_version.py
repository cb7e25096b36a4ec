"""The version of the code that builds a table. If it changes, the next run rebuilds the table."""

import hashlib
from importlib.resources import files


def code_version(*names: str) -> str:
    """Returns a hash of files under `ml`, such as `cluster.py`, or of all modules of a folder.

    Reads them as resources of the package, which works in a folder and in a zip (`--py-files`).
    """
    digest = hashlib.sha256()
    for name in names:
        source = files("ml") / name
        modules = [source] if source.is_file() else sorted(source.iterdir(), key=lambda m: m.name)
        for module in modules:
            if module.name.endswith(".py"):
                digest.update(f"{module.name}\n".encode() + module.read_bytes())
    return digest.hexdigest()[:12]
