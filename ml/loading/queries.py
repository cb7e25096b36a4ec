"""The SQL file of a mapping: one select over the files of a source.

The select is checked here without Spark, by its syntax tree; `query_rows` runs it.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from ml.loading.time_patterns import pattern_problem, patterns_in
from ml.session import StepError

# Under this name, a select reads every file of the source, one after another. Any other table is
# the one file with that name.
ALL_FILES = "source"


@dataclass(frozen=True)
class Query:
    """A select, the tables that it reads, and the columns that it takes from them, in lowercase."""

    path: str
    text: str
    tables: frozenset[str]
    columns: frozenset[str]

    def covers(self, names: list[str]) -> bool:
        """Returns whether a header with these names is that of a table that the select reads.

        If the select reads several tables, a column may belong to any of them. So two known names
        are enough.
        """
        found = self.columns & {name.lower() for name in names}
        if len(self.tables) == 1:
            return bool(found) and found == self.columns
        return len(found) >= min(2, len(names))

    def needs(self, name: str) -> bool:
        """Returns whether the select takes a column of this name from a table."""
        return name.lower() in self.columns


def read_query(path: Path) -> Query:
    """Returns the select in a SQL file; raises StepError for anything but one select."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StepError(f"mapping {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StepError(f"mapping {path} is not UTF-8: {error}") from error
    for pattern in patterns_in(text):
        if problem := pattern_problem(pattern):
            raise StepError(f"mapping {path} has the pattern '{pattern}': {problem}")
    tree = parsed_select(path, text)
    return Query(str(path), text.rstrip().rstrip(";"), tables_of(path, tree), columns_of(tree))


def parsed_select(path: Path, text: str) -> exp.Query:
    """Returns the syntax tree of the only statement of a SQL file, which must be a select."""
    # sqlglot warns about commands that it does not know; the check below refuses them.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = [each for each in sqlglot.parse(text, dialect="spark") if each]
    except SqlglotError as error:
        place = (getattr(error, "errors", None) or [{}])[0]
        near = f" near {place['highlight']!r} in line {place['line']}" if place else ""
        raise StepError(f"mapping {path} is not a SQL select: syntax error{near}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise StepError(
            f"mapping {path} must be one select; it has "
            f"{', '.join(each.key for each in statements) or 'no statement'}"
        )
    return statements[0]


def tables_of(path: Path, tree: exp.Query) -> frozenset[str]:
    """Returns the tables of a select without its CTEs; StepError for one that cannot be a file."""
    everywhere = list(tree.find_all(exp.Table))
    for table in everywhere:
        if table.db or not isinstance(table.this, exp.Identifier):
            raise StepError(
                f"mapping {path} reads {table.sql(dialect='spark')}; it may read only the files "
                f"of the source: `{ALL_FILES}`, or each file by its name"
            )
    if tree.find(exp.TableSample):
        raise StepError(f"mapping {path} has a tablesample; each load must give the same rows")
    names_of_ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables = {each.name.lower() for each in everywhere} - names_of_ctes
    # A CTE may have the name of the table that it reads.
    for scope in traverse_scope(tree):
        read = (each for each in scope.sources.values() if isinstance(each, exp.Table))
        tables |= {table.name.lower() for table in read}
    if not tables:
        raise StepError(f"mapping {path} reads no file of the source")
    if ALL_FILES in tables and len(tables) > 1:
        others = ", ".join(sorted(tables - {ALL_FILES}))
        raise StepError(
            f"mapping {path} reads both `{ALL_FILES}` and {others}; a select reads either "
            f"`{ALL_FILES}` (each file by itself) or files by their names"
        )
    return frozenset(tables)


def columns_of(tree: exp.Query) -> frozenset[str]:
    """Returns the columns that a select reads, without its own aliases, in lowercase."""
    own = {each.alias for each in tree.find_all(exp.Alias, exp.CTE)}
    own |= {column.name for each in tree.find_all(exp.TableAlias) for column in each.columns}
    named = {column.name.lower() for column in tree.find_all(exp.Column) if column.name}
    return frozenset(named - {name.lower() for name in own})
