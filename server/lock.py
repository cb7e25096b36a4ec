"""Waits for a lock, then runs a command: `make run`, `make load`, `make erase`, `make up`.

    python3 -m server.lock FILE COMMAND...

The operating system keeps the lock, on that file. The command and the processes that make starts
inherit it. So the lock ends with the last of these processes, and a kill leaves no lock behind.
Processes that Python starts, such as the Spark server, do not inherit it. This module runs with the
system's Python, before .venv exists.
"""

import fcntl
import os
import sys
from datetime import datetime
from pathlib import Path


def main(file: str, *command: str) -> None:
    """Takes the lock, after waiting for the process that has it, and becomes `command`."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for {path.read_text()}", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    began = f"{datetime.now():%H:%M:%S}"
    holder = f"process {os.getpid()}, which has worked in {path.parent} since {began}"
    os.write(lock, holder.encode())
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python3 -m server.lock FILE COMMAND...")
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
