"""Parses and runs the queries of the insight site (queries/*.sql).

A query selects named columns from one relation, and may filter, group, order and limit them. Its
form is fixed, with one column per line. Each number on the page can therefore have a short query of
its own: one expression, for one row. The unit of a column and the grain of a model come from dbt's
manifest (`config.meta`); text, dates and flags have their unit from the type of the column.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import jinja2
from pyspark.sql import SparkSession

from ml.environment import in_environment
from reports.numbers import UNITS, Number
from reports.project import PROJECT

# A row of the page: an attribute per column.
Row = SimpleNamespace

UNITS_BY_TYPE = {"string": "text", "date": "date", "timestamp": "date", "boolean": "flag"}

QUERY_FORM = re.compile(
    r"(--[^\n]*\n)*"
    r"select\s+(?P<columns>.*?)"
    r"\s+from (?P<relation>\w+\.\w+)"
    r"(\s+where (?P<where>.*?))?"
    r"(\s+group by (?P<groups>.*?))?"
    r"(\s+order by .*?)?"
    r"(\s+limit (?P<limit>\d+))?\s*",
    re.DOTALL,
)


@dataclass(frozen=True)
class Relation:
    """The unit of each column and the grain of a table or view, from the manifest."""

    units: Mapping[str, str]
    grain: tuple[str, ...]


def unit_of(column: Mapping) -> str | None:
    """Returns the unit of a column of a manifest or a YAML file; None if it has none."""
    stated = column.get("config", {}).get("meta", {}).get("unit")
    return stated or UNITS_BY_TYPE.get(column.get("data_type") or "")


def relations_of(manifest: Mapping) -> dict[str, Relation]:
    """Returns the models, seeds and sources of a manifest, by `schema.name`."""
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    return {
        f"{node['schema']}.{node['name']}": Relation(
            units={
                name: unit for name, column in node["columns"].items() if (unit := unit_of(column))
            },
            grain=tuple(node["config"].get("meta", {}).get("grain", "").split(", ")),
        )
        for node in nodes
        if node["resource_type"] in ("model", "seed", "source")
    }


@dataclass(frozen=True)
class Query:
    """A parsed query of the page; `columns` maps names to SQL expressions."""

    sql: str
    columns: Mapping[str, str]
    relation: str
    where: str
    groups: tuple[str, ...]
    limit: int | None

    @classmethod
    def parse(cls, sql: str) -> "Query":
        """Parses a query; raises ValueError when it does not match QUERY_FORM."""
        parts = QUERY_FORM.fullmatch(sql)
        if not parts:
            raise ValueError(f"the query does not have the form that the page needs: {sql}")
        columns = {}
        for column in re.split(r",\n\s*", parts["columns"]):
            expression, _, alias = column.rpartition(" as ")
            columns[alias] = " ".join((expression or alias).split())
        return cls(
            sql=sql,
            columns=columns,
            relation=parts["relation"],
            where=" ".join((parts["where"] or "").split()),
            groups=tuple(parts["groups"].split(", ")) if parts["groups"] else (),
            limit=int(parts["limit"]) if parts["limit"] else None,
        )

    def key(self, relation: Relation) -> list[str]:
        """Returns the columns that identify a row: the groups, or the grain of the relation."""
        return [name for name in self.columns if name in (self.groups or relation.grain)]

    def unit(self, name: str, relation: Relation) -> str:
        """Returns the unit of a column: that of the first column of the relation that it uses.

        Raises ValueError when that column has no unit.
        """
        expression = self.columns[name]
        if name == "unit":
            return "text"
        if expression.startswith("count("):
            return "count"
        known = (relation.units.get(word) for word in re.findall(r"\w+", expression))
        unit = next(filter(None, known), None)
        if unit is None:
            raise ValueError(f"the column {name} of {self.relation} has no unit in its YAML")
        return unit

    def rows(self, spark: SparkSession, relations: Mapping[str, Relation]) -> list[Row]:
        """Returns the rows in the order of the query, with a Number for each number of a row."""
        relation = relations[self.relation]
        key = self.key(relation)
        units = {name: self.unit(name, relation) for name in self.columns if name not in key}
        # A complete key needs no other condition to find its row.
        conditions = [] if set(key) == set(relation.grain) or not self.where else [self.where]
        found = spark.sql(self.sql).toArrow().to_pylist()
        return [
            self.row(values, [*conditions, *(f"{k} = {literal(values[k])}" for k in key)], units)
            for values in found
        ]

    def row(self, values: dict, conditions: list[str], units: Mapping[str, str]) -> Row:
        """Returns one row; the query of each number has these conditions."""
        where = f" where {' and '.join(conditions)}" if conditions else ""
        numbers = {}
        for name, column_unit in units.items():
            unit = values["unit"] if column_unit == "row" else column_unit
            if unit == "date" or UNITS[unit].is_number:
                query = f"select {self.columns[name]} from {self.relation}{where}"
                numbers[name] = Number(values[name], unit, query, self.relation)
        return Row(**values | numbers)


def literal(value: object) -> str:
    """Returns a value of a key as a SQL literal."""
    if isinstance(value, datetime):
        return f"timestamp '{value:%Y-%m-%d %H:%M:%S.%f}'"
    if isinstance(value, date):
        return f"date '{value}'"
    if isinstance(value, str):
        # People copy the query, so a quote is doubled as in standard SQL.
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return str(value)


def load_queries() -> dict[str, Query]:
    """Returns the queries by the names of their files; dbt_project.yml has the values of `var`."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - SQL, not HTML
    environment.globals["var"] = PROJECT["vars"].__getitem__
    files = sorted((Path(__file__).parent / "queries").rglob("*.sql"))
    return {
        file.stem: Query.parse(in_environment(environment.from_string(file.read_text()).render()))
        for file in files
    }


QUERIES = load_queries()


def read(spark: SparkSession, relations: Mapping[str, Relation]) -> SimpleNamespace:
    """Reads all rows that the page shows, by the names of their queries."""
    with ThreadPoolExecutor(4) as pool:
        tables = pool.map(lambda query: query.rows(spark, relations), QUERIES.values())
        return SimpleNamespace(**dict(zip(QUERIES, tables, strict=True)))
