"""The lineage of columns: a page that says which columns each column is computed from.

dbt's own site knows which tables a table is made from. This reads the compiled SQL of the models
with sqlglot and follows each of their columns to those of the tables that they select from. Links
lead on, hop by hop, to the raw line and back. Columns that decide which rows there are, by a join
or a filter, are not among those that a value is computed from.
"""

import json
import logging
from pathlib import Path

import jinja2
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from ml.session import StepError

# Order in which the page shows the schemas; any other comes last.
SCHEMAS = ("marts", "intermediate", "staging", "raw", "ml", "reference")

Column = tuple[str, str]  # table with its schema, and column
Tables = dict[str, dict[str, str]]  # table with its schema -> column -> type

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lineage of columns</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; width: 38%;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent);
  overflow-wrap: anywhere; }
tr > :first-child { width: 24%; }
tr:target { background: color-mix(in srgb, gold 30%, transparent); }
a { color: LinkText; text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
nav a { margin-right: .8rem; white-space: nowrap; }
</style>
<h1>Lineage of columns</h1>
<p>Which columns the values of each column are computed from, and where they go on to. Columns that
decide by a join or a filter which rows there are, are not among them; what counts rows or is a
fixed word is computed from none. The <a href="index.html">lineage site</a> describes the tables;
<a href="../index.html">back to the insights</a>.</p>
<nav>{% for table in tables %}<a href="#{{ table }}">{{ table }}</a> {% endfor %}</nav>
{% for table, columns in tables.items() %}
<h2 id="{{ table }}">{{ table }}</h2>
<table>
<tr><th scope="col">column</th><th scope="col">computed from</th><th scope="col">goes into</th></tr>
{%- for column in columns %}
<tr id="{{ table }}.{{ column }}"><th scope="row">{{ column }}</th>
{%- for links in (sources, targets) %}
<td>{% for link in links.get((table, column), ()) %}
<a href="#{{ link | join('.') }}">{{ link | join('.') }}</a>{{ ',' if not loop.last }}
{%- endfor %}</td>
{%- endfor %}</tr>
{%- endfor %}
</table>
{% endfor %}
</html>
"""


def table_name(node: dict) -> str:
    """The schema and name of a node of the manifest or of the catalog."""
    node = node.get("metadata", node)
    return f"{node['schema']}.{node['name']}"


def columns_of(catalog: dict) -> Tables:
    """The columns of every table of the catalog."""
    return {
        table_name(node): {name: column["type"] for name, column in node["columns"].items()}
        for node in (*catalog["nodes"].values(), *catalog["sources"].values())
    }


def computed_from(sql: str, columns: list[str], tables: Tables) -> dict[str, set[Column]]:
    """For each of the columns that a query returns, the columns of tables it is computed from."""
    schema = {}
    for table, types in tables.items():
        database, name = table.split(".")
        schema.setdefault(database, {})[name] = types
    query = qualify(sqlglot.parse_one(sql, dialect="spark"), schema=schema, dialect="spark")
    found = lineage(
        None,
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
        for column in columns
    }


def column_lineage(manifest: dict, tables: Tables) -> dict[Column, set[Column]]:
    """For each column of the models, the columns that it is computed from."""
    found = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        table = table_name(node)
        try:
            sources = computed_from(node["compiled_code"], list(tables[table]), tables)
        except SqlglotError as error:
            raise StepError(f"the SQL of {table} was not understood: {error}") from error
        # What an incremental model has already, and looks at, came from the same columns.
        found |= {
            (table, column): {source for source in columns if source[0] != table}
            for column, columns in sources.items()
        }
    return found


def page(tables: Tables, sources: dict[Column, set[Column]]) -> str:
    """The page, with a row for each column."""
    targets = {}
    for column, columns in sources.items():
        for source in columns:
            targets.setdefault(source, set()).add(column)
    ranks = {schema: rank for rank, schema in enumerate(SCHEMAS)}
    shown = sorted(tables, key=lambda table: (ranks.get(table.split(".")[0], len(ranks)), table))
    return (
        jinja2.Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            tables={table: tables[table] for table in shown},
            sources={column: sorted(columns) for column, columns in sources.items()},
            targets={column: sorted(columns) for column, columns in targets.items()},
        )
    )


def write(target: Path, path: Path) -> None:
    """Writes the page from what `dbt docs generate` has left in dbt's target folder."""
    # It warns of `stack`, whose columns it follows all the same.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    manifest, catalog = (
        json.loads((target / name).read_text()) for name in ("manifest.json", "catalog.json")
    )
    tables = columns_of(catalog)
    path.write_text(page(tables, column_lineage(manifest, tables)), encoding="utf-8")
