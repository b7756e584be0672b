"""`forebay check`: are the pipeline files, their suites and what they are together right? Nothing is contacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.errors import ConfigError
from forebay.support.words import printable
from forebay.verbs.check import Checked, checked

if TYPE_CHECKING:
    pass

app = typer.Typer()


@app.command("check")
def check(
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="[PIPELINE]...", help="Only these (default: all).")
    ] = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Are the pipeline files, suites and schemas right? No network."""
    with exit_codes(as_json):
        found = checked(project(root), pipelines or [])
        count = sum(len(one.faults) for one in found)
        show(
            {"ok": not count, "files": [one.to_json() for one in found]},
            as_json,
            lambda console: _print(console, found),
        )
        if count:
            raise typer.Exit(ConfigError.exit_code)


def _print(console: Console, found: list[Checked]) -> None:
    for one in found:
        console.print(
            f"[green]ok[/]     {one.file.label}" if not one.faults else f"[bold red]faults[/] {one.file.label}"
        )
        for fault in one.faults:
            console.print(f"       {printable(str(fault))}", markup=False)
        for note in one.notes:
            console.print(f"       {printable(note)}", markup=False)
    console.print(_summary(found))


def _summary(found: list[Checked]) -> str:
    if not found:
        return "no pipeline files in include/pipelines"
    faults = sum(len(one.faults) for one in found)
    files = f"{len(found)} file{'s' * (len(found) != 1)}"
    return f"{files}, {faults} fault{'s' * (faults != 1)}" if faults else f"{files}, all right"
