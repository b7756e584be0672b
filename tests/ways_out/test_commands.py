"""Every `forebay …` command that a message prints is one that the command line has, with its options: it can be run as
it is printed."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from forebay.cli.main import COMMANDS, app
from tests.ways_out.sites import ROOT, modules, texts

_COMMAND = re.compile(r"(?:^|[`: ;(>])(forebay (?:[a-z]+)(?: [^`;()\n]*)?)")


PROSE = {"forebay ledger", "forebay ledger take", "forebay ledger verify", "forebay ledger export"}
"""Commands that are spoken of where nobody is told to run one."""


def commands() -> dict[str, str]:
    """Each printed command with `x` for what is filled in, and where it stands."""
    found: dict[str, str] = {}
    for path in modules():
        for text in texts(ast.parse(path.read_text("utf-8"))):
            dated = text.replace("--date {}", "--date 2026-01-05").replace("--date DAY", "--date 2026-01-05")
            for match in _COMMAND.finditer(re.sub(r"\{[a-z_]*\}", "x", dated).replace("…", "x")):
                if match[1].split(" ", 2)[1] in COMMANDS and match[1].strip() not in PROSE:
                    found[match[1].strip()] = str(path.relative_to(ROOT))
    return found


def parse(line: str) -> None:
    """Raise `TyperException` for a command or an option that the command line does not know."""
    command: Any = typer.main.get_command(app)
    words, context = shlex.split(line)[1:], None
    while True:
        context = command.make_context(command.name, words, parent=context, resilient_parsing=False)
        words = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
        if not words:
            return
        name, command, rest = command.resolve_command(context, words)
        if command is None:
            context.fail(f"no such command `{name}`")
        words = rest


@pytest.mark.parametrize("line", sorted(commands()))
def test_a_printed_command_can_be_run(line: str) -> None:
    parse(line)


def test_they_are_found() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize(
    "line", ["forebay quarantine mend x", "forebay run x --dat 2026-01-05", "forebay decide x --publish|--reject"]
)
def test_control_one_that_is_not_there_is_found_out(line: str) -> None:
    with pytest.raises(TyperException):
        parse(line)
