"""Paths and ports of the server, the check of a port, and the error of this package."""

import errno
import os
import socket
from pathlib import Path

import pyspark

from ml.session import StepError

ROOT = Path(__file__).resolve().parent.parent
SPARK_HOME = Path(pyspark.__file__).parent
STATE = Path(os.environ.get("STATE_DIR") or ROOT / ".spark").resolve()
# Each start of the server writes a folder eventlog_v2_* here.
EVENTS = STATE / "events"
PORTS = {
    "THRIFT_PORT": os.environ.get("THRIFT_PORT") or "10000",
    "CONNECT_PORT": os.environ.get("CONNECT_PORT") or "15002",
    "SPARK_UI_PORT": os.environ.get("SPARK_UI_PORT") or "4040",
}
HISTORY_PORT = os.environ.get("HISTORY_PORT") or "18080"


class ServerError(StepError):
    """A mistake in the settings of the server."""


def check_port(name: str, port: str, command: str = "run") -> None:
    """Raises ServerError when `port` is no port number or another program holds it.

    `command` is the make target of the example in the message.
    """
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ServerError(f"{name} must be a port number from 1 to 65535, not '{port}'")
    with socket.socket() as probe:
        # As Java does: a port that a stopped server has just left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ServerError(f"{name}: port {port} cannot be used: {error.strerror}") from None
            other = int(port) + (100 if int(port) < 65436 else -100)
            raise ServerError(
                f"port {port} is in use by another program; "
                f"choose a free one, as in: make {command} {name}={other}"
            ) from None
