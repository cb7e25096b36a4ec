"""Checks the parameters of `make run`, `load` and `erase`, before these change anything."""

import datetime
import os
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import NoReturn

from jinja2 import Environment

from ml.session import StepError, run, whole_number
from server.environment import ROOT


def refuse(message: str) -> NoReturn:
    """Replaces dbt's exceptions.raise_compiler_error in check_as_of_date."""
    raise StepError(message)


def check_as_of_date(text: str) -> None:
    """Raises StepError unless `text` is empty or a date.

    The rule is in the macro given_as_of_date. This function renders it, with substitutes for dbt.
    """
    macro = (ROOT / "macros" / "as_of_date.sql").read_text()
    from_dbt = {
        "env_var": lambda *_: text,
        "var": lambda _, default: default,
        "modules": SimpleNamespace(re=re, datetime=datetime),
        "exceptions": SimpleNamespace(raise_compiler_error=refuse),
    }
    template = Environment(autoescape=True).from_string(macro + "{{ given_as_of_date() }}")
    template.render(from_dbt)


def check_environment(parameters: Mapping[str, str]) -> None:
    """Raises StepError if dev has no schemas of its own, or would change the raw data."""
    target = parameters.get("DBT_TARGET", "prod")
    prefix = parameters.get("DBT_SCHEMA_PREFIX", "")
    if target == "prod":
        return
    if target != "dev":
        raise StepError(f"DBT_TARGET must be prod or dev, not '{target}'; ci is for plain dbt")
    if not re.fullmatch("[a-z]([a-z0-9_]*[a-z0-9])?", prefix):
        raise StepError(
            "DBT_SCHEMA_PREFIX must contain only lowercase letters, digits and _, start with a "
            f"letter, and end with a letter or digit, not '{prefix}'"
        )
    if parameters.get("TRANSACTIONS") or parameters.get("BEGIN") in ("added", "erased"):
        raise StepError(
            "all environments share the raw data: load and erase them without DBT_TARGET=dev"
        )


def check(parameters: Mapping[str, str]) -> None:
    """Raises StepError for the first parameter with a wrong value."""
    check_environment(parameters)
    whole_number("N_CUSTOMERS", parameters["N_CUSTOMERS"], least=1)
    whole_number("SEED", parameters["SEED"])
    check_as_of_date(parameters.get("AS_OF_DATE", ""))
    for name in ("REPLACE", "REPLACE_LOADED", "REPLACE_ORDERS", "FRESH"):
        if parameters.get(name, "") not in ("", "yes"):
            raise StepError(f"{name} must be yes or empty, not '{parameters[name]}'")
    if parameters.get("BEGIN") == "added" and not parameters.get("TRANSACTIONS"):
        raise StepError("make load needs files to load; as in: make load TRANSACTIONS=inbox/")
    for name in ("CUSTOMERS", "MAPPING"):
        if parameters.get(name) and not parameters.get("TRANSACTIONS"):
            raise StepError(
                f"{name}={parameters[name]} needs TRANSACTIONS too: a file, folder or table"
            )


if __name__ == "__main__":
    run(lambda: check(os.environ))
