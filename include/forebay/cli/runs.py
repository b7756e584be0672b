"""`forebay runs` and `forebay files`: what happened, from the index."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.model import FileRun
from forebay.support.words import printable

app = typer.Typer()

PipelineArgument = Annotated[str | None, typer.Argument(help="Only this pipeline.")]


@app.command("runs")
def runs(
    pipeline: PipelineArgument = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 20,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What happened, run by run."""
    with exit_codes(as_json):
        from forebay.index import queries
        from forebay.verbs.alive import tell_interrupted

        here = project(root)
        tell_interrupted(here)
        rows = queries.runs(here.index, pipeline, limit)
        show({"runs": rows}, as_json, lambda console: _runs_table(console, rows))


def _runs_table(console: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("no runs yet (start one: forebay run PIPELINE --date DAY)")
        return
    table = Table("pipeline", "day", "status", box=None, pad_edge=False, header_style="dim")
    for name in ("files", "rows in", "published", "quarantined", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("started (UTC)")
    table.add_column("run id")
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("files", "rows_in", "published", "quarantined", "rejected")]
        table.add_row(
            row["pipeline"],
            row["ds"],
            row["status"],
            *counts,
            row["started"][:19].replace("T", " "),
            Text(printable(row["run_id"])),
        )
    console.print(table)


@app.command("files")
def files(
    pipeline: PipelineArgument = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Only this run.")] = None,
    name: Annotated[str | None, typer.Option(help="The end of the file's uri, or the beginning of its sha256.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 50,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """How each file ended, and why."""
    with exit_codes(as_json):
        from forebay.index import queries

        shown = queries.files(project(root).index, pipeline, run_id, name, limit=limit)
        shown.sort(key=lambda file: file.file.uri)
        shown.sort(key=lambda file: file.window.start, reverse=True)
        show({"files": [file.to_json() for file in shown]}, as_json, lambda console: files_table(console, shown))


def said(file: FileRun) -> str:
    """Why a file ended as it did. Of rows that come again (a correction, a new generation, a replay) why they
    came, not how they were judged."""
    again = file.replay or file.earlier.supersedes or file.generation > 1
    return file.error or (None if again or not file.answer else file.answer.reason) or file.reason


def files_table(console: Console, files: list[FileRun]) -> None:
    """Files, their fates and their rows, as a person reads them."""
    if not files:
        console.print("no files yet (what would be read: forebay discover PIPELINE --date DAY)")
        return
    table = Table("day", "file", "fate", "status", box=None, pad_edge=False, header_style="dim")
    for name in ("rows in", "published", "quarantined", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for file in files:
        counts = [f"{n:,}" if n else "[dim]·[/]" for n in file.counts.to_json().values()]
        why = Text(printable(said(file)))
        table.add_row(
            file.window.day.isoformat(),
            Text(printable(unquote(file.file.name))),
            file.fate.value,
            file.status.value,
            *counts,
            why,
        )
    console.print(table)
