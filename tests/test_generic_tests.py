"""Tests that each generic data test passes on good data and fails on bad data."""

from collections.abc import Callable

import pytest
from dbt.artifacts.schemas.results import NodeResult
from tiny_project import TinyProject

BETWEEN = {"between": {"arguments": {"column_name": "a", "lowest": 1, "highest": 5}}}
UNIQUE_COMBINATION = {"unique_combination_of_columns": {"arguments": {"columns": ["a", "b"]}}}

# Name -> test, its rows (a, b), and the number of failures.
CASES = {
    "between_takes_both_bounds": (BETWEEN, "(1, 0), (3, 0), (5, 0)", 0),
    "between_takes_no_rows_at_all": (BETWEEN, "", 0),
    "between_refuses_values_outside": (BETWEEN, "(0, 0), (1, 0), (6, 0)", 2),
    "between_refuses_null": (BETWEEN, "(null, 0), (1, 0)", 1),
    "combination_may_share_one_column": (UNIQUE_COMBINATION, "(1, 1), (1, 2), (2, 1)", 0),
    "combination_may_share_a_null": (UNIQUE_COMBINATION, "(1, null), (null, 1), (2, null)", 0),
    "combination_is_not_repeated": (UNIQUE_COMBINATION, "(1, 1), (1, 1), (1, 1), (2, 1)", 1),
    "combination_with_null_is_not_repeated": (UNIQUE_COMBINATION, "(1, null), (1, null)", 1),
    "combination_of_nulls_is_not_repeated": (UNIQUE_COMBINATION, "(null, null), (null, null)", 1),
}


@pytest.fixture(scope="module")
def results(tiny_project: Callable[[str], TinyProject]) -> dict[str, NodeResult]:
    """Returns the result of each test on its rows."""
    project = tiny_project("generic_tests")
    for name, (test, rows, _) in CASES.items():
        kind, arguments = next(iter(test.items()))
        project.add_model(
            f"rows_of_{name}",
            "select cast(a as int) as a, cast(b as int) as b "
            f"from values {rows or '(null, null)'} as rows (a, b)" + " where false" * (not rows),
            config={"materialized": "view"},
            data_tests=[{kind: {"name": name, **arguments}}],
        )
    return project.dbt("build")


@pytest.mark.parametrize("name", CASES)
def test_generic_test_finds_what_it_must(results: dict[str, NodeResult], name: str):
    _, _, failures = CASES[name]
    assert (results[name].status, results[name].failures) == (
        "fail" if failures else "pass",
        failures,
    )
