"""The lineage of columns: a page that lists, for each column, the columns it is computed from.

dbt's own site shows the tables that a table is built from. This module reads the compiled SQL of
the models with sqlglot, and follows each column to the columns of the tables in the query. Links
lead step by step to the raw tables and back. If a column only decides which rows there are, in a
join or a filter, it does not count, because values are not computed from it.
"""

import json
import logging
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

from ml.environment import PREFIX
from ml.session import StepError
from reports.project import TEMPLATES

# The page shows the schemas in this order, and others after them.
SCHEMAS = ("marts", "intermediate", "staging", "raw", "ml", "reference")

Column = tuple[str, str]  # table with its schema, and column
Tables = dict[str, dict[str, str]]  # table with its schema -> column -> type


def table_name(node: dict) -> str:
    """Names the table of a node of the manifest or of the catalog, with its schema."""
    node = node.get("metadata", node)
    return f"{node['schema']}.{node['name']}"


def schema_of(table: str) -> str:
    """Returns the schema of a table, without the prefix of the environment."""
    return table.removeprefix(PREFIX).split(".")[0]


def columns_of(catalog: dict) -> Tables:
    """Returns the columns of every table of the catalog, with their types."""
    return {
        table_name(node): {name: column["type"] for name, column in node["columns"].items()}
        for node in (*catalog["nodes"].values(), *catalog["sources"].values())
    }


def computed_from(sql: str, columns: list[str], tables: Tables) -> dict[str, set[Column]]:
    """Returns, for each of the columns of a query, the table columns that it is computed from."""
    schema = MappingSchema(dialect="spark")
    for table, types in tables.items():
        schema.add_table(table, types)
    query = qualify(sqlglot.parse_one(sql, dialect="spark"), schema=schema, dialect="spark")
    found = lineage(
        None,  # every column of the query
        query,
        schema=schema,
        dialect="spark",
        scope=build_scope(query),
        trim_selects=False,
        copy=False,
    )
    return {
        column: {
            (f"{leaf.source.db}.{leaf.source.name}", exp.to_column(leaf.name).name)
            for leaf in found[column].walk()
            if not leaf.downstream and isinstance(leaf.source, exp.Table)
        }
        # A table that was built from earlier SQL may have other columns.
        for column in columns
        if column in found
    }


def column_lineage(manifest: dict, tables: Tables) -> dict[Column, set[Column]]:
    """Returns, for each column of the models, the columns that it is computed from.

    Raises StepError when sqlglot cannot read the SQL of a model.
    """
    found: dict[Column, set[Column]] = {}
    for node in manifest["nodes"].values():
        table = table_name(node)
        # An ephemeral model has no table, and a new one has none until it is built.
        if node["resource_type"] != "model" or table not in tables:
            continue
        try:
            sources = computed_from(node["compiled_code"], list(tables[table]), tables)
        except SqlglotError as error:
            raise StepError(
                f"the lineage of {table} is unknown, its SQL cannot be read: {error}"
            ) from error
        # An incremental model also reads itself; those rows came from the same columns.
        found |= {
            (table, column): {source for source in columns if source[0] != table}
            for column, columns in sources.items()
        }
    return found


def page(tables: Tables, sources: dict[Column, set[Column]]) -> str:
    """Renders the page, with a row for each column."""
    targets: dict[Column, set[Column]] = {}
    for column, columns in sources.items():
        for source in columns:
            targets.setdefault(source, set()).add(column)
    ranks = {schema: rank for rank, schema in enumerate(SCHEMAS)}
    shown = sorted(tables, key=lambda table: (ranks.get(schema_of(table), len(ranks)), table))
    return TEMPLATES.get_template("lineage.html.j2").render(
        tables={table: tables[table] for table in shown},
        sources={column: sorted(columns) for column, columns in sources.items()},
        targets={column: sorted(columns) for column, columns in targets.items()},
    )


def write(target: Path, path: Path) -> None:
    """Writes the page from the files that `dbt docs generate` left in dbt's target folder."""
    # sqlglot warns about `stack`, although it follows the columns through it.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    manifest, catalog = (
        json.loads((target / name).read_text()) for name in ("manifest.json", "catalog.json")
    )
    tables = columns_of(catalog)
    path.write_text(page(tables, column_lineage(manifest, tables)), encoding="utf-8")
