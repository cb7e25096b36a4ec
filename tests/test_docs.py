"""Tests that the documents mention what the code offers, and that their links and paths exist."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
PARAMETERS = ROOT / "docs" / "parameters.md"
MAKEFILE = (ROOT / "Makefile").read_text()
# In backticks, a path that begins with one of these must exist.
FOLDERS = "analyses|docs|macros|ml|models|reports|seeds|server|tests"


def documents() -> list[Path]:
    """All Markdown files of the repository, new ones included."""
    command = "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def text_of(*patterns: str) -> str:
    """The text of all files that match."""
    paths = (path for pattern in patterns for path in sorted(ROOT.glob(pattern)))
    return "\n".join(path.read_text() for path in paths)


def first_column(page: Path, heading: str) -> set[str]:
    """The names in a table's first column: `customers`, or `run` for `make run`."""
    section = page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"(?m)^\| (`.+?) \|", section)
    return {name for cell in cells for name in re.findall(r"`(?:make )?([\w-]+)`", cell)}


def environment_variables() -> set[str]:
    """Variables that dbt, the PySpark steps, the server or the reports read."""
    of_dbt = text_of("*.yml", "models/**/*.sql", "models/**/*.yml", "macros/**/*.sql")
    of_python = text_of("ml/**/*.py", "reports/**/*.py", "server/**/*.py")
    return {
        *re.findall(r"env_var\(\s*['\"](\w+)", of_dbt),
        # Not those that the code itself sets: environ["NAME"] = ...
        *re.findall(r"environ(?:\.get\(\s*|\[)\"(\w+)\"(?!\] = )", of_python),
    }


def code_in(text: str) -> list[str]:
    """Returns the text in backticks and in indented blocks."""
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"(?m)^    (.+)$", text)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub forms them for the first of equal headings."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    found = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


def leads(page: Path, link: str) -> bool:
    """True when the file of a link exists and has the heading that the link names."""
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not heading or heading in headings(target))


def test_the_readme_stays_short():
    assert len(README.read_text().splitlines()) <= 130


def test_the_readme_lists_all_marts():
    marts = {path.stem for path in (ROOT / "models" / "marts").glob("**/*.sql")}
    assert first_column(README, "The marts") == marts


def test_the_commands_are_documented():
    with_help = set(re.findall(r"(?m)^([\w-]+):.*## ", MAKEFILE))
    assert with_help - {"help"} - first_column(PARAMETERS, "Commands") == set()


def test_the_parameters_are_documented():
    documented = first_column(PARAMETERS, "Parameters")
    assert set(re.findall(r"(?m)^(?:export )?(\w+) \?=", MAKEFILE)) - documented == set()
    assert documented - set(re.findall(r"\w+", MAKEFILE)) == set()


def test_the_variables_of_dbt_are_documented():
    variables = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
    assert first_column(PARAMETERS, "Variables of dbt") == set(variables)


def test_the_environment_variables_are_documented():
    pages = text_of("README.md", "docs/*.md", "ml/**/*.md")
    documented = {word for code in code_in(pages) for word in re.findall(r"\w+", code)}
    assert environment_variables() - documented == set()


def for_each(pages: list[Path]) -> pytest.MarkDecorator:
    """Runs a test once for each page."""
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


@for_each(documents())
def test_links_lead_to_files_and_headings(page: Path):
    prose = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", page.read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    inside = [link for link in links if not link.startswith("https://")]
    assert [link for link in inside if not leads(page, link)] == []


# The changelog also names paths and commands that no longer exist.
@for_each([page for page in documents() if page != CHANGELOG])
class TestCode:
    def test_paths_exist(self, page: Path):
        paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", page.read_text())
        places = page.parent, ROOT
        assert [
            path for path in paths if not any((place / path).exists() for place in places)
        ] == []

    def test_commands_exist(self, page: Path):
        named = re.findall(r"\bmake ((?!\w+=)[a-z_-]+)", "\n".join(code_in(page.read_text())))
        rules = re.findall(r"(?m)^([\w -]+):", MAKEFILE)
        assert set(named) - set(" ".join(rules).split()) == set()
