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
        files = checked(project(root), pipelines or [])
        count = sum(len(file.faults) for file in files)
        show(
            {"ok": not count, "files": [file.to_json() for file in files]},
            as_json,
            lambda console: _print(console, files),
        )
        if count:
            raise typer.Exit(ConfigError.exit_code)


def _print(console: Console, files: list[Checked]) -> None:
    for file in files:
        console.print(
            f"[green]ok[/]     {file.file.label}" if not file.faults else f"[bold red]faults[/] {file.file.label}"
        )
        for fault in file.faults:
            console.print(f"       {printable(str(fault))}", markup=False)
        for note in file.notes:
            console.print(f"       {printable(note)}", markup=False)
    console.print(_summary(files))


def _summary(checked_files: list[Checked]) -> str:
    if not checked_files:
        return "no pipeline files in include/pipelines"
    faults = sum(len(file.faults) for file in checked_files)
    files = f"{len(checked_files)} file{'s' * (len(checked_files) != 1)}"
    return f"{files}, {faults} fault{'s' * (faults != 1)}" if faults else f"{files}, all right"
