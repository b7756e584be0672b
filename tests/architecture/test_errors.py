"""Errors: the tree that the module draws is the tree that is, each survives a process border, and its type says the
exit code."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from pathlib import Path

import pytest

from forebay import errors
from forebay.errors import Fault, ForebayError, SettingsError

ROOT = Path(__file__).parents[2]
CLASSES = {
    name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, ForebayError)
}
EXIT_CODES = {"ConfigError": 2, "RetryableError": 4, "FatalError": 1, "QualityError": 3}
"""design: 0 done, 1 failed, 2 wrong usage or configuration, 3 blocked by quality, 4 could not reach something."""


def made(cls: type[ForebayError]) -> ForebayError:
    if cls is SettingsError:
        return SettingsError((Fault("a.yaml", 3, "wrong"), Fault("b.yaml", None, "worse")))
    return cls("reading `a.csv`: cut off", uri="a.csv", row=7)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES.keys())
def test_an_error_survives_pickling(cls: type[ForebayError]) -> None:
    error = made(cls)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.where, str(again)) == (cls, error.message, error.where, str(error))
    assert getattr(again, "faults", None) == getattr(error, "faults", None)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES.keys())
def test_the_type_says_the_exit_code(cls: type[ForebayError]) -> None:
    branches = [EXIT_CODES[base.__name__] for base in cls.__mro__ if base.__name__ in EXIT_CODES]
    assert [cls.exit_code] == (branches or [1])


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES.keys())
def test_an_error_is_named_and_documented(cls: type[ForebayError]) -> None:
    assert (
        cls.__name__.endswith("Error") and cls.__doc__ and cls.__doc__ != ForebayError.__doc__
    ) or cls is ForebayError


def drawn() -> dict[str, str]:
    """The tree of the module's docstring: parent by name."""
    assert errors.__doc__
    tree, branch = {"ForebayError": "Exception"}, ""
    for line in errors.__doc__.splitlines():
        if found := re.match(r"  x (\w+Error)\b", line):
            branch = found[1]
            tree[branch] = "ForebayError"
        elif re.match(r"    (- |  )", line):
            tree |= dict.fromkeys(re.findall(r"\b\w+Error\b", line), branch)
    return tree


def test_the_drawn_tree_is_the_tree() -> None:
    assert drawn() == {name: cls.__base__.__name__ for name, cls in CLASSES.items() if cls.__base__}


def test_the_drawn_exit_codes_are_those_of_the_classes() -> None:
    assert errors.__doc__
    told = dict(re.findall(r"^  x (\w+) .*exit (\d)$", errors.__doc__, re.M))
    assert {name: int(code) for name, code in told.items()} == EXIT_CODES


def raised() -> list[tuple[str, str]]:
    """(place, first words and end) of every message that stands where its error is raised."""
    found = []
    for path in sorted((ROOT / "include/forebay").rglob("*.py")) + sorted(
        (ROOT / "plugins/forebay_airflow").rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", None)) in CLASSES
                and node.args
            ):
                text = (
                    ast.unparse(node.args[0]) if not isinstance(node.args[0], ast.Constant) else str(node.args[0].value)
                )
                if isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", text.removeprefix("f").strip("'\"")))
    return found


def test_messages_follow_their_grammar() -> None:
    """Lower case, no full stop; a way out or what was found behind a colon."""
    messages = raised()
    assert len(messages) > 50
    assert [(place, text) for place, text in messages if text[0].isupper() or text.endswith(".")] == []
