"""The materialization `published_table`: what it refuses, replaces and sweeps, what readers see."""

import json
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from conftest import Query
from dbt.artifacts.schemas.results import NodeResult
from pyhive import hive
from tiny_project import TinyProject

MakeProject = Callable[[str], TinyProject]

ID_AND_VALUE = {"id": "int", "value": "decimal(18,2)"}


def values(*rows: str) -> str:
    """A query that returns these rows of an id and a value."""
    rows = ", ".join(f"({row})" for row in rows)
    return (
        "select cast(id as int) as id, cast(value as decimal(18, 2)) as value "
        f"from values {rows} as rows (id, value)"
    )


def constrained(*constraints: dict) -> dict:
    """The columns with constraints on the id."""
    column = {"description": "The id.", "data_type": "int", "constraints": list(constraints)}
    return ID_AND_VALUE | {"id": column}


def builds(query: Query, database: str, model: str) -> list[str]:
    """The builds of a model, oldest first."""
    tables = query(f"show tables in {database}_builds like '{model}__*'")
    return sorted(row[1] for row in tables)


def described(query: Query, table: str) -> dict[str, tuple[str, str]]:
    """Names of columns and of properties with their values and comments."""
    return {name: (value, comment) for name, value, comment in query(f"describe extended {table}")}


NOT_NULL = {"type": "not_null"}
UNIQUE = {"type": "unique"}
PRIMARY_KEY = {"type": "primary_key"}
POSITIVE = {"type": "check", "expression": "id > 0"}
NAMED = {"type": "check", "name": "value_is_the_id", "expression": "value = id"}
TWO_COLUMN_KEY = {"type": "primary_key", "columns": ["id", "value"]}

ONE_ROW = values("1, 1")


class Case(NamedTuple):
    """A model, rows that it accepts, rows that it refuses, and the text of the error."""

    bad: str
    message: str
    good: str = ONE_ROW
    columns: dict[str, str | dict] = ID_AND_VALUE
    constraints: tuple[dict, ...] = ()


# Nulls are among the good rows where standard SQL lets them pass.
CASES = {
    "null_in_not_null": Case(
        columns=constrained(NOT_NULL),
        bad=values("null, 1", "2, 2"),
        message="id is not null (1 row)",
    ),
    "null_in_one_of_two": Case(
        constraints=({"type": "not_null", "columns": ["id", "value"]},),
        bad=values("1, null", "2, 2"),
        message="nothing published: value is not null (1 row)",
    ),
    "repeated_unique": Case(
        columns=constrained(UNIQUE),
        good=values("1, 1", "null, 2", "null, 3"),
        bad=values("1, 1", "1, 2", "1, 3"),
        message="id is unique (2 rows)",
    ),
    "repeated_key": Case(
        columns=constrained(PRIMARY_KEY),
        good=values("1, 1", "2, 1"),
        bad=values("1, 1", "1, 2"),
        message="id is the primary key (1 row)",
    ),
    "null_in_key": Case(
        columns=constrained(PRIMARY_KEY),
        bad=values("null, 1", "2, 1"),
        message="id is the primary key (1 row)",
    ),
    "repeated_key_of_two": Case(
        constraints=(TWO_COLUMN_KEY,),
        good=values("1, 1", "1, 2"),
        bad=values("1, 1", "1, 1", "2, 1"),
        message="id, value is the primary key (1 row)",
    ),
    "null_in_key_of_two": Case(
        constraints=(TWO_COLUMN_KEY,),
        bad=values("1, null", "1, 1"),
        message="id, value is the primary key (1 row)",
    ),
    "broken_check": Case(
        columns=constrained(POSITIVE),
        good=values("1, 1", "null, 2"),
        bad=values("0, 1", "-1, 2", "1, 3"),
        message="id > 0 (2 rows)",
    ),
    "broken_named_check": Case(
        constraints=(NAMED,), bad=values("1, 2"), message="value_is_the_id (1 row)"
    ),
    "two_of_three": Case(
        columns=constrained(NOT_NULL, UNIQUE, POSITIVE),
        bad=values("2, 1", "2, 2", "-3, 1"),
        message="nothing published: id is unique (1 row); id > 0 (1 row)",
    ),
    "missing_column": Case(
        bad=f"select id from ({ONE_ROW})",
        message="the YAML lists value, which the query does not return",
    ),
    "extra_column": Case(
        bad=f"select *, true as other from ({ONE_ROW})",
        message="the query returns other, which the YAML does not list",
    ),
    "other_precision": Case(
        bad=f"select id, cast(value as decimal(10, 2)) as value from ({ONE_ROW})",
        message="value is decimal(10,2) in the query and decimal(18,2) in the YAML",
    ),
    "other_type": Case(
        bad=f"select cast(id as bigint) as id, value from ({ONE_ROW})",
        message="id is bigint in the query and int in the YAML",
    ),
}


REFUSALS = "publishing_refusals"


@pytest.fixture(scope="module")
def refused(tiny_project: MakeProject) -> dict[str, NodeResult]:
    """Results of a run on bad rows, after one on good rows has published every model."""
    project = tiny_project(REFUSALS)
    for name, case in CASES.items():
        sql = f"{{% if var('bad') %}} {case.bad} {{% else %}} {case.good} {{% endif %}}"
        project.add_published_table(name, sql, case.columns, constraints=list(case.constraints))
    assert {result.status for result in project.dbt("run", bad=False).values()} == {"success"}
    return project.dbt("run", bad=True)


class TestRefusals:
    """A build that breaks its contract or a constraint is reported and never published."""

    @pytest.mark.parametrize("name", CASES)
    def test_error_names_what_is_broken_and_the_old_rows_stay(
        self, refused: dict[str, NodeResult], query: Query, name: str
    ):
        assert refused[name].status == "error"
        assert f"of {name} broken, nothing published: " in refused[name].message
        assert CASES[name].message in refused[name].message
        found = query(f"select * from {REFUSALS}.{name} order by id, value")
        assert found == query(f"select * from ({CASES[name].good}) order by id, value")
        assert len(builds(query, REFUSALS, name)) == 1

    def test_what_cannot_be_checked_is_an_error_before_anything_is_built(
        self, tiny_project: MakeProject, query: Query
    ):
        project = tiny_project("publishing_unsupported")
        foreign_key = {"type": "foreign_key", "columns": ["id"], "expression": "other (id)"}
        project.add_published_table("of_others", ONE_ROW, ID_AND_VALUE, constraints=[foreign_key])
        same_name = [NAMED, NAMED | {"expression": "value > 0"}]
        project.add_published_table("twice", ONE_ROW, ID_AND_VALUE, constraints=same_name)
        project.add_model(
            "unbound", ONE_ROW, ID_AND_VALUE, config={"materialized": "published_table"}
        )
        results = project.dbt("run")
        assert "constraint foreign_key is not supported" in results["of_others"].message
        assert "twice: two different checks are named value_is_the_id" in results["twice"].message
        assert "unbound: published_table needs `contract: " in results["unbound"].message
        assert ("publishing_unsupported_builds",) not in query("show databases")


class TestReplacing:
    """Tests of a run after the model or the database has changed."""

    @pytest.mark.slow
    def test_materializations_take_over_from_each_other(
        self, tiny_project: MakeProject, query: Query
    ):
        project = tiny_project("publishing_turns")
        sql = "{{ config(materialized=var('as')) }} select {{ var('version') }} as version"
        contract = {"contract": {"enforced": True}}
        project.add_model("turning", sql, {"version": "int"}, config=contract)
        turns = ["table", "published_table", "view", "published_table", "published_table", "table"]
        kinds, left = [], []
        for version, materialized in enumerate(turns):
            (result,) = project.dbt(
                "run", "--full-refresh", version=version, **{"as": materialized}
            ).values()
            assert result.status == "success", result.message
            assert query("select version from publishing_turns.turning") == [(version,)]
            kinds.append(described(query, "publishing_turns.turning")["Type"][0])
            if version > 0:
                left.append(len(builds(query, "publishing_turns", "turning")))
        assert kinds == ["MANAGED", "VIEW", "VIEW", "VIEW", "VIEW", "MANAGED"]
        assert left == [1, 0, 1, 2, 0]

    def test_columns_change_with_the_model(self, tiny_project: MakeProject, query: Query):
        project = tiny_project("publishing_columns")
        project.add_published_table("changing", ONE_ROW, ID_AND_VALUE)
        project.dbt("run")
        project.add_published_table(
            "changing",
            "select 'one' as name, cast(1 as bigint) as id",
            {"name": "string", "id": "bigint"},
        )
        (result,) = project.dbt("run").values()
        assert result.status == "success", result.message
        assert [row[:2] for row in query("describe publishing_columns.changing")] == [
            ("name", "string"),
            ("id", "bigint"),
        ]
        assert query("select * from publishing_columns.changing") == [("one", 1)]

    def test_a_view_is_replaced_only_after_a_change(self, tiny_project: MakeProject, query: Query):
        project = tiny_project("publishing_views")
        project.add_model("below", "select 1 as id", config={"materialized": "table"})
        sql = "select *, {{ var('factor') }} * id as product from {{ ref('below') }}"
        project.add_model("above", sql, config={"materialized": "view"})

        def is_replaced(*options: str, factor: int = 1) -> bool:
            """Runs dbt. A replaced view has lost the mark that it got after the run before."""
            for result in project.dbt("run", *options, factor=factor).values():
                assert result.status == "success", result.message
            properties = dict(query("show tblproperties publishing_views.above"))
            query("alter view publishing_views.above set tblproperties ('mark' = 'kept')")
            return "mark" not in properties

        assert is_replaced()
        assert not is_replaced()
        assert is_replaced(factor=2)
        assert query("select * from publishing_views.above") == [(1, 2)]
        project.add_model("below", "select '3' as id", config={"materialized": "table"})
        assert is_replaced(factor=2)
        assert query("select * from publishing_views.above") == [("3", 6)]
        assert is_replaced("--full-refresh", factor=2)

    def test_all_but_two_builds_are_dropped_and_no_neighbor_is(
        self, tiny_project: MakeProject, query: Query
    ):
        project = tiny_project("publishing_sweep")
        project.add_published_table("swept", ONE_ROW, ID_AND_VALUE)
        project.add_published_table("swept__late", ONE_ROW, ID_AND_VALUE)
        project.dbt("run")
        neighbors = builds(query, "publishing_sweep", "swept__late")
        query("create table publishing_sweep_builds.swept__20200101000000000000 (id int)")
        for _ in range(2):
            project.dbt("run", "--select", "swept")
        left = builds(query, "publishing_sweep", "swept")
        assert neighbors == builds(query, "publishing_sweep", "swept__late")
        own = [name for name in left if name not in neighbors]
        assert len(own) == 2
        assert "swept__20200101000000000000" not in own
        assert described(query, "publishing_sweep.swept")["View Text"][0].endswith(own[-1])

    def test_empty_run_publishes_the_columns_without_rows(
        self, tiny_project: MakeProject, query: Query
    ):
        project = tiny_project("publishing_empty")
        project.add_published_table("first", ONE_ROW, ID_AND_VALUE)
        project.add_published_table("second", "select * from {{ ref('first') }}", ID_AND_VALUE)
        results = project.dbt("run", "--empty")
        assert {result.status for result in results.values()} == {"success"}
        assert query("select * from publishing_empty.second") == []
        assert [row[:2] for row in query("describe publishing_empty.second")] == [
            *ID_AND_VALUE.items()
        ]


class TestKeeping:
    """Tests of a published table that keeps the rows of the dates that have not changed."""

    MONTHS = """
        {{ config(materialized='table') }}
        select date(day) as day, day < '{{ var("first_new") }}' as is_kept
        from values ('2026-01-31'), ('2026-02-28'), ('2026-03-31') as days (day)
        where day > '{{ var("after") }}'
    """
    KEPT = """
        {{ config(meta={'kept_by': 'day', 'kept_in': 'months'}, clustered_by='id', buckets=2) }}
        select day, cast(id as int) as id, {{ var('version') }} as version
        from {{ ref('months') }} cross join values (1), (2) as ids (id)
        where not is_kept
        union all
        select date'2026-03-31' as day, 1 as id, 0 as version where {{ var('is_broken') }}
    """

    @pytest.fixture
    def project(self, tiny_project: MakeProject, request: pytest.FixtureRequest) -> TinyProject:
        project = tiny_project(f"keeping_{request.node.originalname.partition('_')[2][:20]}")
        project.add_model("months", self.MONTHS)
        project.add_published_table(
            "kept",
            self.KEPT,
            {"day": "date", "id": "int", "version": "int"},
            constraints=[{"type": "primary_key", "columns": ["day", "id"]}],
        )
        return project

    def build(self, project: TinyProject, version: int, **variables) -> NodeResult:
        """Builds; the months before `first_new` are kept, those up to `after` are left out."""
        defaults = {"first_new": "2026", "after": "2026", "is_broken": False}
        return project.dbt("run", **defaults | variables | {"version": version})["kept"]

    def versions(self, project: TinyProject, query: Query) -> dict[int, int]:
        """The version of each month that has rows, by the number of the month."""
        return dict(query(f"select distinct month(day), version from {project.database}.kept"))

    def test_only_new_dates_are_written_and_only_wanted_ones_shown(
        self, project: TinyProject, query: Query
    ):
        self.build(project, 1)
        assert self.versions(project, query) == {1: 1, 2: 1, 3: 1}
        first = builds(query, project.database, "kept")
        self.build(project, 2, first_new="2026-03-01", after="2026-02-01")
        assert self.versions(project, query) == {2: 1, 3: 2}
        self.build(project, 3, first_new="2027", after="2026-02-01")
        assert self.versions(project, query) == {2: 1, 3: 2}
        assert builds(query, project.database, "kept") == first
        assert described(query, f"{project.database}.kept")["Table Properties"][0].count(
            "row_count=4"
        )
        # The dates that neither this view nor the one before shows are gone.
        left = query(f"show partitions {project.database}_builds.{first[0]}")
        assert sorted(name[:14] for (name,) in left) == ["day=2026-02-28", "day=2026-03-31"]
        # Without a date to keep, the next build is a new one.
        self.build(project, 4)
        assert self.versions(project, query) == {1: 4, 2: 4, 3: 4}
        assert len(builds(query, project.database, "kept")) == 2

    def test_an_addition_that_breaks_a_constraint_is_never_seen(
        self, project: TinyProject, query: Query
    ):
        self.build(project, 1)
        (build,) = builds(query, project.database, "kept")
        partitions = query(f"show partitions {project.database}_builds.{build}")
        broken = self.build(project, 2, first_new="2026-03-01", is_broken=True)
        assert "nothing published: day, id is the primary key (1 row)" in broken.message
        assert self.versions(project, query) == {1: 1, 2: 1, 3: 1}
        assert query(f"show partitions {project.database}_builds.{build}") == partitions


@pytest.fixture(scope="module")
def catalog(tiny_project: MakeProject) -> dict[str, dict]:
    """Nodes of the docs catalog, after a published table was built twice."""
    project = tiny_project("publishing_documentation")
    column = {"description": r"A customer's `\n`: no line's end.", "data_type": "string"}
    project.add_published_table(
        "documented",
        "select cast(id % 2 as int) as parity, cast(id as string) as name from range(10)",
        {"parity": "int", "name": column},
        description="One row per 'id'.",
        config={"partition_by": ["parity"], "clustered_by": "name", "buckets": 2},
    )
    for _ in range(2):
        project.dbt("run")
    project.dbt("docs", "generate")
    return json.loads((project.folder / "target" / "catalog.json").read_text())["nodes"]


class TestDocumentation:
    """Tests of the comments and row counts of a published table in clients and the docs site."""

    def test_descriptions_are_comments(self, catalog: dict[str, dict], query: Query):
        found = described(query, "publishing_documentation.documented")
        assert found["name"] == ("string", r"A customer's `\n`: no line's end.")
        assert found["parity"] == ("int", "The parity.")
        assert found["Comment"][0] == "One row per 'id'."

    def test_partitions_do_not_change_the_order_of_columns(
        self, catalog: dict[str, dict], query: Query
    ):
        rows = query("select * from publishing_documentation.documented order by name limit 2")
        assert rows == [(0, "0"), (1, "1")]
        (build, _) = described(query, "publishing_documentation.documented")["View Text"]
        found = described(query, build.split(" from ")[-1])
        assert found["Num Buckets"][0] == "2"
        assert "# Partition Information" in found

    def test_catalog_has_columns_and_the_number_of_rows(self, catalog: dict[str, dict]):
        (node,) = catalog.values()
        assert {name: column["type"] for name, column in node["columns"].items()} == {
            "parity": "integer",
            "name": "string",
        }
        assert node["stats"]["rows"]["value"] == 10


class Reader(threading.Thread):
    """A client that queries tables without pause, round after round, until it is told to stop."""

    def __init__(self, port: int, tables: list[str], started: threading.Barrier):
        super().__init__()
        self.port = port
        self.tables = tables
        self.started = started
        self.stopping = threading.Event()
        self.answers: list[tuple[str, int, int, int]] = []
        self.failures: list[Exception] = []

    def run(self) -> None:
        with hive.connect("localhost", self.port, username="reader") as connection:
            self.read_all(connection.cursor())
            self.started.wait()
            while not self.stopping.is_set():
                self.read_all(connection.cursor())
            self.read_all(connection.cursor())

    def read_all(self, cursor: hive.Cursor) -> None:
        for table in self.tables:
            try:
                cursor.execute(f"select min(version), max(version), count(*) from {table}")
                self.answers.append((table, *cursor.fetchone()))
            except Exception as failure:
                self.failures.append(failure)


def test_readers_never_see_a_missing_mixed_or_broken_table(
    tiny_project: MakeProject, server: dict[str, str]
):
    """Version v has 1000 v rows, each with the value v, so a mixture of versions is visible."""
    project = tiny_project("publishing_readers")
    names = [f"table_{number}" for number in range(1, 6)]
    version = {
        "data_type": "int",
        "description": "The version.",
        "constraints": [{"type": "check", "expression": "version < 4"}],
    }
    for name in names:
        rows = "range(0, 1000 * {{ var('version') }}, 1, 4)"
        sql = f"select {{{{ var('version') }}}} as version, id from {rows}"
        project.add_published_table(name, sql, {"version": version, "id": "bigint"})
    project.dbt("run", version=1)

    started = threading.Barrier(4)
    tables = [f"publishing_readers.{name}" for name in names]
    readers = [Reader(int(server["THRIFT_PORT"]), tables, started) for _ in range(3)]
    for reader in readers:
        reader.start()
    started.wait()
    statuses = [
        {result.status for result in project.dbt("run", version=each).values()}
        for each in (2, 3, 4)
    ]
    for reader in readers:
        reader.stopping.set()
    for reader in readers:
        reader.join()

    print(sum(len(reader.answers) for reader in readers), "queries were answered")
    assert statuses == [{"success"}, {"success"}, {"error"}]
    assert [failure for reader in readers for failure in reader.failures] == []
    for reader in readers:
        assert all(low == high and rows == 1000 * low for _, low, high, rows in reader.answers)
        for table in tables:
            seen = [low for name, low, _, _ in reader.answers if name == table]
            assert seen[0] == 1
            assert seen[-1] == 3
            assert seen == sorted(seen)
