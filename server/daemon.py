"""A background process of one state folder: start it, wait until it answers, stop it."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from server.environment import STATE, ServerError

START_SECONDS = 180
STOP_SECONDS = 60


def command_line(pid: int) -> str:
    """Returns the command line of a process; an empty text if it does not run."""
    # Not every Linux has the program ps, and not every system has /proc.
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except OSError:
            return ""
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout


@dataclass(frozen=True)
class Daemon:
    """A process that keeps running after the command that started it has ended."""

    title: str
    name: str
    main_class: str

    @property
    def pid_file(self) -> Path:
        return STATE / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return STATE / f"{self.name}.log"

    def running_pid(self) -> int | None:
        """Returns its process id; None when it does not run or the file is stale."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        command = command_line(pid)
        is_ours = str(STATE) in command or STATE.as_uri() in command
        return pid if self.main_class in command and is_ours else None

    def start(
        self, command: list[str], environment: Mapping[str, str], answers: Callable[[], bool]
    ) -> None:
        """Starts it and returns when it answers; raises ServerError when it does not."""
        with self.log_file.open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=STATE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if process.poll() is not None:
                self.pid_file.unlink(missing_ok=True)
                raise ServerError(
                    f"the {self.title} did not start: {self.last_error()} (log: {self.log_file})"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise ServerError(
                    f"the {self.title} did not answer within {START_SECONDS} s: see {self.log_file}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops it, if it runs, and returns when it is gone."""
        if pid := self.running_pid():
            deadline = time.monotonic() + STOP_SECONDS
            # The process may end after the check and before the signal.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                while self.running_pid():
                    if time.monotonic() > deadline:
                        os.kill(pid, signal.SIGKILL)
                    time.sleep(0.1)
            print(f"{self.title} stopped")
        self.pid_file.unlink(missing_ok=True)

    def last_error(self) -> str:
        """Returns the line of its log that best explains why it ended."""
        text = self.log_file.read_text(errors="replace")
        lines = [
            line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")
        ]
        # If a cluster refuses, the log states the reason first; later exceptions are consequences.
        for pattern in (r"Reason:", r"Caused by|Exception|[Ee]rror|Could not", ""):
            matching = [line for line in lines if re.search(pattern, line)]
            if matching:
                return matching[-1].strip()
        return "it printed nothing"
