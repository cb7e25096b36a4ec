"""Tests that analysts' clients get what docs/clients.md and the README promise."""

import re
import subprocess
from collections.abc import Callable
from decimal import Decimal

import pytest
from conftest import ROOT, Query, on_data


@on_data("generated")
class TestGenerated:
    """What clients get from a run of 3,000 generated customers."""

    # pandas warns about every connection without SQLAlchemy; docs/clients.md mentions it.
    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy")
    def test_code_of_the_page_runs(self, server: dict[str, str], query: Query):
        page = (ROOT / "docs" / "clients.md").read_text()
        (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
        names = {}
        exec(code.replace("10000", server["THRIFT_PORT"]), names)  # noqa: S102
        customers = names["customers"]
        ((count, net_revenue),) = query(
            "select count(*), sum(net_revenue) from marts.customers where segment = 'Champions'"
        )
        assert len(customers) == count > 0
        assert Decimal(f"{customers['net_revenue'].sum():.2f}") == net_revenue
        assert isinstance(customers["first_order_on"][0], str)

    def test_sql_prompt_answers_and_shows_comments(
        self, make: Callable[..., subprocess.CompletedProcess], query: Query
    ):
        (sql,) = re.findall(r"```sql\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        printed = make("sql", input=f"{sql}!tables\n!columns customers\n!quit\n").stdout
        assert "Error" not in printed
        ((customer, segment, *_), *_) = query(sql.replace("from ", "from marts.").strip(" ;\n"))
        assert f" {segment} " in next(line for line in printed.splitlines() if customer in line)
        assert re.search(r"\| marts +\| customers +\| VIEW +\| One row per customer: ", printed)
        assert re.search(r"\| customers +\| customer_id .*\| Key of the customer, ", printed)


def test_hive_can_register_its_functions(query: Query):
    """Hive may do this when two sessions end together. If it fails, the next session never ends."""
    registry = "org.apache.hadoop.hive.ql.exec.FunctionRegistry"
    assert query(f"select reflect('java.lang.Class', 'forName', '{registry}')") == [
        (f"class {registry}",)
    ]
