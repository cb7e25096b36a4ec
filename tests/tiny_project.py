"""A dbt project of a few models to test this repository's macros with."""

from pathlib import Path

import pytest
import yaml
from dbt.artifacts.schemas.results import NodeResult
from dbt.cli.main import dbtRunner

ROOT = Path(__file__).resolve().parent.parent


def run_dbt(environment: dict[str, str], folder: Path, *arguments: str) -> list[NodeResult]:
    """Runs dbt on the project in the folder, inside this process; returns the results by node."""
    options = ["--project-dir", str(folder), "--profiles-dir", str(ROOT)]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        run = dbtRunner().invoke([*arguments, *options])
    if run.exception:
        raise run.exception
    return list(getattr(run.result, "results", []))


class TinyProject:
    """Models and tests in a folder and a database of their own, run inside this process."""

    def __init__(self, folder: Path, database: str, environment: dict[str, str]):
        self.folder = folder
        self.database = database
        self.environment = environment | {
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }
        (folder / "models").mkdir(parents=True)
        (folder / "macros").symlink_to(ROOT / "macros")
        self.write(
            "dbt_project.yml",
            {
                # The macros call each other by this name.
                "name": "customer_behavior",
                "profile": "customer_behavior",
                "flags": {"send_anonymous_usage_stats": False},
                "models": {"+schema": database, "+file_format": "parquet"},
                "on-run-end": ["{{ drop_unused_builds(results) }}"],
            },
        )

    def write(self, name: str, content: dict) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def add_model(
        self, name: str, sql: str, columns: dict[str, str | dict] | None = None, **properties
    ) -> None:
        """Adds a model; `columns` maps names to types, or to the whole YAML of a column."""
        (self.folder / "models" / f"{name}.sql").write_text(sql)
        listed = [
            {"name": column, "description": f"The {column}.", "data_type": content}
            if isinstance(content, str)
            else {"name": column, **content}
            for column, content in (columns or {}).items()
        ]
        description = f"The model {name}."
        model = {"name": name, "description": description, "columns": listed} | properties
        self.write(f"models/{name}.yml", {"version": 2, "models": [model]})

    def add_published_table(self, name: str, sql: str, columns: dict, **properties) -> None:
        """Adds a model that is a published table with an enforced contract."""
        config = {"materialized": "published_table", "contract": {"enforced": True}}
        config |= properties.pop("config", {})
        self.add_model(name, sql, columns, config=config, **properties)

    def dbt(self, *arguments: str, **variables) -> dict[str, NodeResult]:
        """Runs dbt; returns the result of each model and test by name."""
        arguments += "--vars", yaml.safe_dump(variables)
        return {
            result.node.name: result
            for result in run_dbt(self.environment, self.folder, *arguments)
            if result.node.resource_type != "operation"
        }
