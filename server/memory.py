"""The memory of the Spark server: SPARK_DRIVER_MEMORY, or a default that fits the machine."""

import os
import re
from pathlib import Path

from server.environment import ServerError

# In MiB, as all sizes here.
LARGEST_DEFAULT = 6 * 1024
SMALLEST = 1024
# The limit of a container: cgroup version 2, then version 1. Absent on most other machines.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_memory() -> int:
    """Returns the memory of the machine, or of the container if that has less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CONTAINER_LIMITS:
        # The text is "max" where there is no limit.
        if path.exists() and (text := path.read_text().strip()).isdecimal():
            limits.append(int(text))
    return min(limits) // 2**20


def driver_memory() -> str:
    """Returns the size to start the server with, as in "6g" or "3072m".

    Raises ServerError when SPARK_DRIVER_MEMORY is not a size, too small, or more than there is.
    """
    available = available_memory()
    fitting = max(SMALLEST, min(LARGEST_DEFAULT, available // 2))
    text = os.environ.get("SPARK_DRIVER_MEMORY") or f"{fitting}m"
    size = re.fullmatch(r"(\d+)([mg])", text.lower())
    if not size:
        raise ServerError(f"SPARK_DRIVER_MEMORY must be a size such as 4g, not '{text}'")
    wanted = int(size[1]) * (1024 if size[2] == "g" else 1)
    if available < SMALLEST:
        raise ServerError(
            f"this machine has {available} MiB of memory, and the Spark server needs {SMALLEST} MiB"
        )
    if wanted > available:
        raise ServerError(
            f"SPARK_DRIVER_MEMORY={text} is more than this machine's {available} MiB; "
            f"set a smaller one, as in: make run SPARK_DRIVER_MEMORY={fitting}m"
        )
    if wanted < SMALLEST:
        raise ServerError(
            f"SPARK_DRIVER_MEMORY={text} is too little for the Spark server; give it at least 1g"
        )
    return text
