"""The mapping file: an expression for each canonical column or a select, and the files' format."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ml.loading.columns import CANONICAL, REQUIRED, WATERMARK
from ml.loading.formats import Format, read_format
from ml.loading.queries import Query, read_query
from ml.session import StepError


class UniqueKeyLoader(yaml.SafeLoader):
    """Reads YAML as yaml.safe_load does, but a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Returns the map; raises ConstructorError for a repeated key."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"the key {key!r} stands there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Source:
    """A source to read: its path, its section of the mapping, and the format of its files."""

    path: str
    section: str
    mapping: dict[str, str] | None = None
    format: Format = field(default_factory=Format)
    query: Query | None = None

    def covers(self, names: list[str]) -> bool:
        """Returns whether a header has a source for each required column.

        An expression needs at least one of the columns that it names.
        """
        if self.query:
            return self.query.covers(names)
        if self.mapping is None:
            return set(REQUIRED[self.section]) <= {name.lower() for name in names}
        needed = [
            self.mapping[column]
            for column in REQUIRED[self.section]
            if column in self.mapping
            and re.search("[A-Za-z`]", without_texts(self.mapping[column]))
        ]
        return bool(needed) and all(any(mentions(each, n) for n in names) for each in needed)

    def needs(self, name: str) -> bool:
        """Returns whether a canonical column comes from the source column `name`."""
        if self.query:
            return self.query.needs(name)
        if self.mapping is None:
            return name.lower() in CANONICAL[self.section]
        return any(mentions(expression, name) for expression in self.mapping.values())


def without_texts(expression: str) -> str:
    """Returns an expression with its string literals emptied."""
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", expression)


def mentions(expression: str, name: str) -> bool:
    """Returns whether an expression has the name as a word or in backticks, in any letter case."""
    quoted = re.escape(f"`{name.replace('`', '``')}`")
    plain = rf"(?<![\w`]){re.escape(name)}(?![\w`])" if re.fullmatch(r"\w+", name) else quoted
    return bool(name) and bool(re.search(f"(?i){plain}|{quoted}", without_texts(expression)))


@dataclass(frozen=True)
class Mapping:
    """A mapping file: section -> canonical column -> expression, and the format by section.

    A section that is a SQL file is in `queries` instead.
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)

    def source(self, path: str, section: str) -> Source:
        """Returns the source at `path`, as this mapping describes its section."""
        file_format = self.formats.get(section, Format())
        query = self.queries.get(section)
        return Source(path, section, self.sections.get(section), file_format, query)


def read_mapping(path: str | None) -> Mapping:
    """Returns the mapping in the YAML or SQL file at `path`, an empty one without a file.

    A SQL file is the section of the transactions. Raises StepError for a file that cannot be read
    or has unknown keys.
    """
    if path is None:
        return Mapping()
    if path.lower().endswith(".sql"):
        return Mapping(queries={"transactions": read_query(Path(path))})
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        content = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 -- it is a SafeLoader
    except OSError as error:
        raise StepError(f"mapping {path} cannot be read: {error.strerror}") from error
    # ValueError: a day that does not exist, such as 2026-02-30, or bytes that are not UTF-8.
    except (yaml.YAMLError, ValueError) as error:
        raise StepError(f"mapping {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StepError(
            f"mapping {path} must be a map with one or more of the keys transactions:, customers: "
            "and format:"
        )
    formats = read_formats(path, content.pop("format", {}))
    files = {name: path_of_query(path, name, columns) for name, columns in content.items()}
    queries = {name: read_query(file) for name, file in files.items() if file}
    sections = {
        name: read_section(path, name, columns)
        for name, columns in content.items()
        if name not in queries
    }
    return Mapping(sections, formats, queries)


def read_formats(path: str, values: object) -> dict[str, Format]:
    """Returns the format of each section; a value under the section's own name wins."""
    if not isinstance(values, dict):
        return {section: read_format(path, values) for section in CANONICAL}
    common = {key: value for key, value in values.items() if key not in CANONICAL}
    formats = {}
    for section in CANONICAL:
        own = values.get(section, {})
        formats[section] = read_format(path, common | own if isinstance(own, dict) else own)
    return formats


def path_of_query(path: str, section: str, columns: object) -> Path | None:
    """Returns the SQL file of a section, which is named relative to the mapping, if it has one."""
    if section not in CANONICAL or not isinstance(columns, dict) or "sql" not in columns:
        return None
    if len(columns) > 1 or not isinstance(columns["sql"], str):
        raise StepError(
            f"mapping {path}: {section} must be a map of column -> expression, or only sql: FILE"
        )
    return Path(path).parent / columns["sql"]


def read_section(path: str, section: str, columns: object) -> dict[str, str]:
    """Returns one section of a mapping with every expression as a string; raises StepError."""
    if section not in CANONICAL:
        raise StepError(
            f"mapping {path} has the unknown section {section!r}; the known sections are "
            f"{', '.join(CANONICAL)}, format"
        )
    if not isinstance(columns, dict):
        raise StepError(f"mapping {path}: {section} must be a map of column -> expression")
    known = [*CANONICAL[section], *([WATERMARK] if section == "transactions" else [])]
    for column, expression in columns.items():
        if column not in known:
            raise StepError(
                f"mapping {path}: {section} has the unknown column {column!r}; "
                f"the known columns are {', '.join(known)}"
            )
        if isinstance(expression, bool) or not isinstance(expression, str | int | float):
            raise StepError(f"mapping {path}: {section}.{column} is not a text with an expression")
    return {column: str(expression) for column, expression in columns.items()}
