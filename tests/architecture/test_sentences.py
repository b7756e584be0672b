"""No code reads a sentence that code wrote: what a sentence says is a value somewhere, and that is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_layers import ROOT

SENTENCES = {"reason", "note", "error", "message", "decision_reason", "detail", "way_out"}
LOOKS = {"startswith", "endswith", "find", "index", "count", "split", "partition", "rpartition", "removeprefix"}
IN_SQL = re.compile(r"(contains|regexp_\w+|starts_with|split_part)\(\s*(\w+\.)?(reason|note|error)\b|\breason\s+like\b")
EXCEPTIONS = {
    "include/forebay/verbs/hidden.py": "takes out of an error's words what a file brought",
}
"""Each with its reason. Nothing is added here."""


def sources() -> list[Path]:
    """The program; `forebay.testing` is tests, which read sentences to see what people are told."""
    paths = [path for base in ("include", "plugins") for path in sorted((ROOT / base).rglob("*.py"))]
    return [path for path in paths if "testing" not in path.parts]


def readings(tree: ast.AST) -> Iterator[int]:
    """The lines in which a sentence is searched, cut, or compared with words."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left, [ast.In() | ast.NotIn()], [right]) if _sentence(right) and not _layout(left):
                yield node.lineno
            case ast.Compare(left, [ast.Eq() | ast.NotEq()], [right]) if any(
                _sentence(side) and isinstance(other, ast.Constant | ast.JoinedStr)
                for side, other in ((left, right), (right, left))
            ):
                yield node.lineno
            case ast.Call(ast.Attribute(subject, name)) if name in LOOKS and _sentence(subject):
                yield node.lineno
            case ast.Call(ast.Attribute(ast.Name("re")), arguments) if any(map(_sentence, arguments)):
                yield node.lineno
            case ast.Constant(str(text)) if IN_SQL.search(text):
                yield node.lineno


def _sentence(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(_, name):
            return name in SENTENCES
        case ast.Name(name):
            return name in {"reason", "note", "decision_reason"}
        case ast.BoolOp(ast.Or(), values):
            return any(map(_sentence, values))
        case ast.Call(ast.Name("str"), [value]):
            return _sentence(value)
        case ast.Subscript(_, ast.Constant(str(name))):
            return name in SENTENCES
    return False


def _layout(node: ast.AST) -> bool:
    """A line break is no word."""
    return isinstance(node, ast.Constant) and node.value == "\n"


def test_no_code_reads_a_sentence() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        for line in readings(ast.parse(path.read_text("utf-8")))
    }
    assert {place for place in found if place.rpartition(":")[0] not in EXCEPTIONS} == set()
    assert set(EXCEPTIONS) <= {place.rpartition(":")[0] for place in found}


@pytest.mark.parametrize(
    "code",
    [
        'WARNING in (file.decision_reason or "")',
        'plan.note.startswith("not ready")',
        'file.reason == "the marker"',
        're.search("not ready", run.note)',
        '"gone" in str(entry.error)',
        'row["reason"].split("; ")',
        "\"select contains(reason, 'column') from found\"",
    ],
)
def test_control_a_reading_is_found(code: str) -> None:
    assert list(readings(ast.parse(code))) == [1]


@pytest.mark.parametrize(
    "code", ["file.reason or file.note", "answer.reason == entry.reason", '"\\n" in error.message', "reason.strip()"]
)
def test_control_what_is_no_reading_is_let_be(code: str) -> None:
    assert list(readings(ast.parse(code))) == []


def test_only_the_edges_of_ledger_and_index_read_a_replay_from_a_uri() -> None:
    """Everybody else has it as a field. `model` fills that field where an earlier version wrote none."""
    texts = {
        str(path.relative_to(ROOT / "include/forebay")): path.read_text("utf-8")
        for path in sources()
        if path.is_relative_to(ROOT / "include/forebay")
    }
    reading = {name for name, text in texts.items() if re.search(r"\breplayed_uri\(", text)}
    assert {name for name in reading if not name.startswith("model")} == {"index/queries.py", "kafka/ledger/entries.py"}
    assert [name for name, text in texts.items() if "replay+" in text and not name.startswith("model")] == []
