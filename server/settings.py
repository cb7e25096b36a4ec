"""The settings that the Spark server starts with, written to STATE_DIR/server.conf.

Settings on a command line are visible to every user of the machine. They may contain the password
of a metastore, so they go to a file that only its owner can read.
"""

import os
import re
import secrets
from pathlib import Path

from server.environment import EVENTS, PORTS, ROOT, STATE, ServerError
from server.memory import driver_memory

DEFAULTS = ROOT / "server" / "spark-defaults.conf"
POOLS = ROOT / "server" / "fair-scheduler.xml"
WRITTEN = STATE / "server.conf"
TOKEN_FILE = STATE / "connect-token"
SCRATCH = STATE / "scratch"


def machine_settings() -> dict[str, object]:
    """Returns the settings that depend on this machine and on the environment."""
    java_options = {"derby.stream.error.file": STATE / "derby.log", "java.io.tmpdir": SCRATCH}
    return {
        "spark.master": os.environ.get("SPARK_MASTER") or "local[*]",
        "spark.driver.memory": driver_memory(),
        "spark.driver.extraJavaOptions": " ".join(
            f'-D{name}="{value}"' for name, value in java_options.items()
        ),
        "spark.ui.port": PORTS["SPARK_UI_PORT"],
        "spark.scheduler.allocation.file": POOLS.as_uri(),
        "spark.connect.grpc.binding.port": PORTS["CONNECT_PORT"],
        "spark.sql.warehouse.dir": STATE / "warehouse",
        "spark.eventLog.dir": EVENTS.as_uri(),
        "spark.local.dir": SCRATCH,
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={STATE / 'metastore'};create=true"
        ),
    }


def write_settings() -> Path:
    """Writes all settings and returns the file.

    Spark takes the last of repeated settings, so the user's own file SPARK_SETTINGS wins.
    """
    lines = (f"{name} {value}" for name, value in machine_settings().items())
    texts = [DEFAULTS.read_text(), *lines]
    if own := os.environ.get("SPARK_SETTINGS"):
        try:
            texts.append(Path(own).read_text())
        except OSError as error:
            raise ServerError(f"SPARK_SETTINGS={own}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ServerError(f"SPARK_SETTINGS={own}: the file is not UTF-8") from None
    WRITTEN.touch(mode=0o600)
    WRITTEN.write_text("\n".join(texts) + "\n")
    return WRITTEN


def written_settings() -> dict[str, str]:
    """Returns the settings that the last server was started with; today's may differ."""
    setting = r"(?m)^[ \t]*(spark\.[^\s=:]+)[ \t=:]+(\S.*?)[ \t]*$"
    return dict(re.findall(setting, WRITTEN.read_text()))


def connect_token() -> str:
    """Returns the secret of Connect clients; the first call makes it, for its owner only."""
    # The file is empty when the call that made it was killed at that moment.
    if not (TOKEN_FILE.exists() and TOKEN_FILE.read_text()):
        TOKEN_FILE.touch(mode=0o600)
        TOKEN_FILE.write_text(secrets.token_urlsafe(32))
    return TOKEN_FILE.read_text()
