"""`forebay waiting` and `forebay decide`: files that are held back, and a steward's answer where there is no Airflow."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, plain, project, show
from forebay.model import Decision, FileRun

app = typer.Typer()

FileOption = Annotated[str | None, typer.Option("--file", help="Only this file: the end of its uri, or the beginning of its sha256.")]


@app.command("waiting")
def waiting(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline.")] = None,
    file: FileOption = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Files that wait for a person, and why."""
    with exit_codes(as_json):
        from forebay.verbs.decide import waiting as found_waiting

        found = found_waiting(project(root), pipeline, file)
        show({"files": [_document(one) for one in found]}, as_json, lambda console: _print(console, found))


def _document(file: FileRun) -> dict[str, Any]:
    names = ("pipeline", "run_id", "fingerprint", "generation", "rows_in", "quarantined", "reason")
    return {"uri": file.file.uri, "day": file.window.day.isoformat()} | {name: getattr(file, name) for name in names}


def _print(console: Console, found: list[FileRun]) -> None:
    if not found:
        console.print("no file waits for a person")
        return
    table = Table("day", "pipeline", "file", "rows", "to be set aside", "why", box=None)
    for file in found:
        counts = [f"{file.rows_in:,}", f"{file.quarantined:,}"]
        table.add_row(file.window.day.isoformat(), file.pipeline, Text(plain(file.file.name)), *counts, Text(plain(file.reason)))
    console.print(table)
    console.print('forebay decide PIPELINE --file NAME --publish|--publish-all|--reject --reason "…"', markup=False)


@app.command("decide")
def decide(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    file: FileOption = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish the rows that passed; the others are set aside.")] = False,
    publish_all: Annotated[bool, typer.Option("--publish-all", help="Publish the failing rows too; unreadable rows stay aside.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Publish nothing of it.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger, the index and lineage.")] = "",
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide for the files that wait (see: forebay waiting), and go on with them."""
    decision = _decision(publish, publish_all, reject)
    if not reason.strip():
        raise typer.BadParameter("a decision needs --reason: it is part of the record")
    with exit_codes(as_json):
        from forebay.cli import run as running
        from forebay.cli.progress import follow
        from forebay.config.load import load_pipeline
        from forebay.verbs.context import Context
        from forebay.verbs.decide import decide as take
        from forebay.verbs.decide import waiting as found_waiting

        where = project(root)
        ctx = Context.of(load_pipeline(where, pipeline), where, starts=True)
        files = found_waiting(where, pipeline, file)
        with follow():
            done = take(ctx, files, (decision, running.getuser(), reason))
        document = {"runs": [running.document(report) for report in done]}
        show(document, as_json, lambda console: running._print(console, done))
        failed = any(report.status == "failed" for report in done)
        raise typer.Exit(running.exit_code(done) if failed else 0)


def _decision(publish: bool, publish_all: bool, reject: bool) -> Decision:
    asked = {Decision.PUBLISH: publish, Decision.PUBLISH_ALL: publish_all, Decision.REJECT: reject}
    chosen = [decision for decision, wanted in asked.items() if wanted]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of --publish, --publish-all and --reject")
    return chosen[0]
