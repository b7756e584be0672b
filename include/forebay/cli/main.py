"""The `forebay` command: one sub-command a module, imported only when it is called (start-up is part of speed)."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "check": "check",
    "discover": "discover",
    "run": "run",
    "runs": "runs",
    "files": "runs",
    "trace": "trace",
    "quarantine": "quarantine",
    "ledger": "ledger",
    "cluster": "cluster",
    "consumers": "cluster",
    "index": "index",
    "broker": "broker",
}
"""Command name to the module of this package that holds it as `app` (a Typer: one command of that name, or a group of that name)."""


class Lazy(TyperGroup):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        app = importlib.import_module(f"forebay.cli.{COMMANDS[cmd_name]}").app
        command = typer.main.get_group(app)
        return command.commands.get(cmd_name, command)


app = typer.Typer(cls=Lazy, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _root() -> None:
    """Files in, Kafka records out, exactly once, with the proof kept."""


def main() -> None:
    """Entry point of the console script."""
    app()
