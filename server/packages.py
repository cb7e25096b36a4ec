"""Finds the jars of the packages that `spark.jars.packages` names, for the server's class path.

Spark loads these packages with a separate class loader. Hive's Thrift server closes that loader
when the first session ends, and finds no further class of a package. So the jars go on the class
path, after Spark's own jars, which take precedence.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from tempfile import NamedTemporaryFile

from server.environment import ServerError

PRINT_JARS = "print(__import__('pyspark').SparkContext.getOrCreate().getConf().get('spark.jars'))"


def jars_of_packages(settings: Mapping[str, str], java_home: str) -> list[str]:
    """Returns the jars of the packages, which are downloaded unless Ivy's folder has them.

    Raises ServerError when one is not found.
    """
    if not settings.get("spark.jars.packages"):
        return []
    print(f"Looking for {settings['spark.jars.packages']}", flush=True)
    with NamedTemporaryFile("w", suffix=".conf") as file:  # settings may have passwords
        own = {name: value for name, value in settings.items() if name.startswith("spark.jars")}
        own |= {"spark.master": "local[1]", "spark.ui.enabled": "false"}
        file.write("".join(f"{name} {value}\n" for name, value in own.items()))
        file.flush()
        environment = os.environ | {
            "JAVA_HOME": java_home,
            "PYSPARK_SUBMIT_ARGS": f"--properties-file {file.name} pyspark-shell",
        }
        environment.pop("SPARK_REMOTE", None)
        done = subprocess.run(
            [sys.executable, "-c", PRINT_JARS], env=environment, capture_output=True, text=True
        )
    if done.returncode:
        # Ivy lists what it did not find, as group#name;version.
        reasons = [
            line.strip(": \t")
            for line in (done.stdout + done.stderr).splitlines()
            if "#" in line and ("not found" in line or "download failed" in line)
        ]
        last_line = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ServerError(
            f"spark.jars.packages {settings['spark.jars.packages']} cannot be fetched: "
            f"{reasons[0] if reasons else last_line}"
        )
    return [jar.removeprefix("file://") for jar in done.stdout.split()[-1].split(",")]
