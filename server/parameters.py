"""Checks the parameters of `make run` before anything is touched: one clear line, exit code 1."""

import os
import sys
from datetime import date

from ml.session import StepError, whole_number


def check(parameters: dict[str, str]) -> None:
    """Raises StepError for the first parameter that cannot be used; an empty one is not given."""
    whole_number("N_CUSTOMERS", parameters["N_CUSTOMERS"], least=1)
    whole_number("SEED", parameters["SEED"])
    if as_of_date := parameters.get("AS_OF_DATE"):
        try:
            if date.fromisoformat(as_of_date).isoformat() != as_of_date:
                raise ValueError
        except ValueError:
            raise StepError(
                f"AS_OF_DATE must be a date such as 2026-06-30, not '{as_of_date}'"
            ) from None
    for name in ("CUSTOMERS", "MAPPING"):
        if parameters.get(name) and not parameters.get("TRANSACTIONS"):
            raise StepError(
                f"{name}={parameters[name]} needs TRANSACTIONS too: the file or folder to load"
            )


if __name__ == "__main__":
    try:
        check(dict(os.environ))
    except StepError as error:
        sys.exit(f"error: {error}")
