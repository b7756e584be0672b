"""What is written is so: commands, files, links, make targets, and the tests that prove the guarantees."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import readme
from forebay.cli.main import COMMANDS, app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN_BY_RUNS = {"docs/benchmarks.md": "make bench", "docs/trials.md": "the trials under faults"}
"""Pages that a long run writes; a link to one may be there first."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def plain(page: Path) -> str:
    return page.read_text("utf-8")


def commands() -> list[str]:
    """Every `forebay …` of README: in the table, in running text and in blocks."""
    text = plain(ROOT / "README.md")
    quoted = re.findall(r"`(forebay [^`]+)`", text)
    typed = re.findall(r"^    (?:\.venv/bin/)?(forebay .+?)(?:\s{2,}#.*)?$", text, re.M)
    return list(dict.fromkeys(command.replace("\\|", "|") for command in quoted + typed))


@cache
def helped(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, f"forebay {' '.join(words)}: {result.output}"
    return " ".join(result.output.split())


def test_readme_names_every_command() -> None:
    named = {command.split()[1] for command in commands()}
    assert set(COMMANDS) - named == set(), "commands that README does not name"


@pytest.mark.parametrize("command", commands())
def test_a_command_of_readme_exists_with_its_arguments(command: str) -> None:
    _, name, *rest = command.split()
    assert name in COMMANDS
    subs = (
        rest.pop(0).split("|")
        if (rest and re.fullmatch(r"[a-z]+(\|[a-z]+)+", rest[0])) or (name, *rest[:1]) == ("index", "rebuild")
        else [""]
    )
    if name == "broker" and rest and rest[0].islower() and not rest[0].startswith("-"):
        subs = [rest.pop(0)]
    for sub in subs:
        text = helped(name, *filter(None, [sub]))
        for word in rest:
            if word.startswith("--"):
                assert word.rstrip(")") in text, f"{command}: {word}"
            elif re.fullmatch(r"\[?[A-Z]{2,}…?\]?", word):
                assert word.strip("[]…").rstrip("…") in text.upper(), f"{command}: {word}"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links only: nobody can test the web."""
    targets = [t.split("#")[0] for t in re.findall(r"\]\((?!https?:)([^)\s]+)\)", plain(page)) if not t.startswith("#")]
    missing = {str((page.parent / t).resolve().relative_to(ROOT)) for t in targets if not (page.parent / t).exists()}
    assert missing - set(WRITTEN_BY_RUNS) == set()


EXAMPLE_PLUGIN = {"include/forebay/partitioners/prefix.py", "tests/partitioners/test_prefix.py"}
"""What docs/plugins.md shows, which test_plugins_page.py runs."""

ROOTS = ("include", "plugins", "dags", "docs", "tools", "tests", ".ci")


@each_page
def test_paths_that_are_named_exist(page: Path) -> None:
    """A word in backticks that begins with a folder of ours and holds no placeholder is a path."""
    words = re.findall(r"`([\w./-]+)`", plain(page))
    paths = {word for word in words if word.split("/")[0] in ROOTS and "/" in word}
    missing = {path for path in paths if not (ROOT / path).exists()}
    made_up = {"include/pipelines/orders.yaml", "include/expectations/NAME.json"} | EXAMPLE_PLUGIN
    assert missing - made_up - set(WRITTEN_BY_RUNS) == set()


def test_the_site_has_every_page() -> None:
    """`make docs-site` is strict about links; that no page is left out is told without building it."""
    named = set(re.findall(r"[\w/-]+\.md", plain(ROOT / "mkdocs.yml")))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


@each_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", plain(ROOT / "Makefile"), re.M))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", plain(page), re.M))
    assert named - targets == set()


def test_every_make_target_explains_itself() -> None:
    text = plain(ROOT / "Makefile")
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.M)[1].split())  # type: ignore[index]
    assert {target for target in phony if not re.search(rf"^{target}:.*## \w", text, re.M)} == set()


@cache
def proofs_in(path: Path) -> set[str]:
    """The test functions of a module, those of its classes and of the contracts that these inherit included."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def proofs() -> list[tuple[str, str]]:
    """(module, test) pairs of docs/guarantees.md; a test without a module belongs to the one named before it on its
    line."""
    found: list[tuple[str, str]] = []
    for line in plain(ROOT / "docs/guarantees.md").splitlines():
        module = ""
        for word in re.findall(r"`((?:tests/[\w/]+\.py(?:::\w+)?)|test_\w+)`", line):
            path, _, test = (
                word.rpartition("::") if "::" in word else (word, "", "") if word.endswith(".py") else ("", "", word)
            )
            module = path or module
            found.append((module, test))
    return found


def test_each_guarantee_names_tests_that_exist() -> None:
    named = proofs()
    assert len(named) > 10
    wrong = [f"{m}::{t}" for m, t in named if not m or not (ROOT / m).exists() or (t and t not in proofs_in(ROOT / m))]
    assert wrong == []


def test_each_line_of_the_promise_has_a_proof() -> None:
    table = plain(ROOT / "docs/guarantees.md").split("| what | proved by |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    assert rows and [row for row in rows if "`tests/" not in row] == []


@pytest.mark.parametrize("page", readme.PAGES)
def test_a_page_shows_what_its_sources_say(page: str) -> None:
    assert readme.filled(plain(ROOT / page), ROOT) == plain(ROOT / page), "run `make docs`"


def test_readme_is_read_in_minutes() -> None:
    assert len(plain(ROOT / "README.md").splitlines()) <= 160


def test_a_part_of_the_session_is_shown_alone(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/session.txt").write_text("x\n── 1. A ── 0 s\n$ a\n\n── 2. B ── 1 s\n$ b\n", "utf-8")
    assert readme.filled("<!-- session: 1 -->\n", tmp_path) == "<!-- session: 1 -->\n```text\n$ a\n```\n<!-- end -->\n"
    assert readme.filled("<!-- session: 2 -->\n", tmp_path) == "<!-- session: 2 -->\n```text\n$ b\n```\n<!-- end -->\n"


def test_every_rule_that_the_code_cites_is_on_the_protocols_page() -> None:
    """`C2`, `F16` … in a docstring or comment lead somewhere."""
    rules = set(re.findall(r"^\| ([CF]\d+) \|", plain(ROOT / "docs/protocol.md"), re.M))
    sources = [
        *(ROOT / "include").rglob("*.py"),
        *(ROOT / "tests/simulation").glob("*.py"),
        *(ROOT / "tests/chaos").glob("*.py"),
    ]
    cited = {
        rule
        for path in sources
        for rule in re.findall(r"(?:[Rr]ules? |\(|^)([CF]\d{1,2})(?=[),: ]| {2})", plain(path), re.M)
    }
    assert len(cited) > 5 and cited - rules == set()


def test_blocks_are_filled_once_and_anew(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pipeline: a\n")
    text = "x\n<!-- pipeline: a.yaml -->\n\ny\n<!-- session -->\nz\n"
    once = readme.filled(text, tmp_path)
    assert (
        once == "x\n<!-- pipeline: a.yaml -->\n```yaml\npipeline: a\n```\n<!-- end -->\n\ny\n<!-- session -->\n<!-- "
        "end -->\nz\n"
    )
    assert readme.filled(once, tmp_path) == once
    (tmp_path / "a.yaml").write_text("pipeline: b\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/session.txt").write_text("$ make demo\n")
    again = readme.filled(once, tmp_path)
    assert again == once.replace("pipeline: a\n", "pipeline: b\n").replace(
        "<!-- session -->\n", "<!-- session -->\n```text\n$ make demo\n```\n"
    )
