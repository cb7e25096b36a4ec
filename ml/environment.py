"""The schemas of the environment that a run builds.

Those of `prod` have plain names, such as `marts`. Those of any other environment begin with its
prefix: `alice_marts`. The macro generate_schema_name gives dbt the same names.
"""

import os
import re
import sys

TARGET = os.environ.get("DBT_TARGET")
# In lowercase, as dbt writes it.
NAME = "" if TARGET == "prod" else os.environ.get("DBT_SCHEMA_PREFIX", "").lower()
PREFIX = f"{NAME}_" if NAME else ""
# dbt has a default for the prefix, but the PySpark steps have none. Without a prefix, they would
# read and write the tables of prod.
if not PREFIX and TARGET not in (None, "", "prod"):
    sys.exit(
        f"error: DBT_TARGET is {TARGET}: set DBT_SCHEMA_PREFIX too, to the prefix of its schemas"
    )
if not re.fullmatch(r"\w*", NAME):
    sys.exit(f"error: DBT_SCHEMA_PREFIX must be letters, digits and _, not '{NAME}'")
# The schema `raw` is not in the list, because all environments share it.
SCHEMAS = ("staging", "intermediate", "marts", "reference", "ml", "audit")
SCHEMA_START = re.compile(rf"(?<![\w.])(?=(?:{'|'.join(SCHEMAS)})\.\w)")


def in_environment(text: str) -> str:
    """Returns a text, such as SQL or the name of a table, with this environment's schemas."""
    return SCHEMA_START.sub(PREFIX, text)
