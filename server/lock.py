"""Runs a command as soon as no other one is at work on the same tables: `make run`, `make load`.

    python3 -m server.lock STATE_DIR COMMAND...

The lock is the system's, on a file in STATE_DIR: it ends with the last process that the command
has started, however that ends, so no kill leaves it behind. The server is not one of them.
"""

import fcntl
import os
import sys
from datetime import datetime
from pathlib import Path


def main(state: str, *command: str) -> None:
    """Becomes `command`, which inherits the lock; waits where another has it, and says so."""
    path = Path(state) / "at-work"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text()
        print(f"Waiting for the run in {state} that {holder} to end", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.write(lock, f"process {os.getpid()} began at {datetime.now():%H:%M:%S}".encode())
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
