"""Tests of the lineage of columns."""

import json
import re
from pathlib import Path

import pytest
from conftest import on_data

from reports import column_lineage

TABLES = {
    "raw.orders": {"id": "bigint", "customer": "string", "cents": "bigint", "status": "string"},
    "raw.customers": {"customer": "string", "region": "string"},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(cents) / 100", {("raw.orders", "cents")}),
        ("region", {("raw.customers", "region")}),
        ("max(if(status = 'paid', cents, 0))", {("raw.orders", "status"), ("raw.orders", "cents")}),
        ("count(*)", set()),
    ],
)
def test_values_come_from_columns_and_not_from_joins_or_filters(expression: str, expected: set):
    sql = f"""
        with orders as (select * from raw.orders where id > 0),
        final as (
            select region, {expression} as value
            from orders inner join raw.customers as known on orders.customer = known.customer
            group by region
        )
        select * from final
    """
    # A table may still have a column that its model no longer has.
    assert column_lineage.computed_from(sql, ["value", "old"], TABLES) == {"value": expected}


@on_data("generated")
def test_every_column_leads_to_tables_that_its_model_selects_from(
    server: dict[str, str], compiled_manifest: dict
):
    catalog = Path(server["DBT_TARGET_PATH"]) / "catalog.json"
    tables = column_lineage.columns_of(json.loads(catalog.read_text()))
    found = column_lineage.column_lineage(compiled_manifest, tables)
    nodes = compiled_manifest["nodes"] | compiled_manifest["sources"]
    models = [node for node in nodes.values() if node["resource_type"] == "model"]
    for model in models:
        name = column_lineage.table_name(model)
        parents = {column_lineage.table_name(nodes[each]) for each in model["depends_on"]["nodes"]}
        if name == "intermediate.int_history_months":
            # It reads the history of the last run, which is no parent: it depends on this model.
            parents.add("marts.customer_segment_history")
        sources = [found[name, column] for column in tables[name]]
        assert {table for each in sources for table, _ in each} <= parents, name
        assert all(column in tables[table] for each in sources for table, column in each), name
        assert any(sources), name
    # Read from the SQL of the models by hand.
    assert found["marts.customers", "persona"] == {("marts.personas", "persona")}
    assert found["marts.customer_rfm", "monetary"] == {("marts.customer_features", "net_revenue")}
    assert found["marts.segment_summary", "customers"] == set()
    measures = {
        ("intermediate.int_customer_rfm_by_date", name) for name in ("recency_days", "orders")
    }
    assert measures <= found["intermediate.int_rfm_ranks", "value"]  # through `stack`

    page = column_lineage.page(tables, found)
    links, places = set(re.findall(r'href="#(.+?)"', page)), set(re.findall(r'id="(.+?)"', page))
    assert links <= places
    assert len(places) == len(tables) + sum(map(len, tables.values()))
