"""`forebay ledger show|verify`: what was published, and the proof read again from the topic."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show

app = typer.Typer(no_args_is_help=True, help=__doc__)

PipelineArgument = Annotated[str, typer.Argument(help="The pipeline.")]


def _context(root: Any, pipeline: str) -> Any:
    from forebay.config.load import load_pipeline
    from forebay.verbs.context import Context

    here = project(root)
    return Context.of(load_pipeline(here, pipeline), here)


@app.command("show")
def show_(pipeline: PipelineArgument, root: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Every content that was published, with its totals; and what was begun and not finished."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        view = ledger.read(_context(root, pipeline))
        entries = list(view.files.values())
        document = {"topic_id": view.topic_id, "files": [entry.to_json() for entry in entries], "unfinished": ledger.unfinished(view)}
        show(document, as_json, lambda console: _entries(console, entries, document["unfinished"]))


def _entries(console: Console, entries: list[Any], unfinished: list[dict[str, Any]]) -> None:
    table = Table("published at", "file", "sha256", "generation", "chunks", "rows in", "published", "quarantined", "by run", box=None)
    for e in entries:
        numbers = [f"{n:,}" for n in (e.generation, e.chunks, e.rows_in, e.published, e.quarantined)]
        table.add_row(e.attempted.isoformat()[:19], e.file.name, e.fingerprint[:16], *numbers, e.identity.run_id)
    console.print(table if entries else "nothing was published yet")
    for item in unfinished:
        console.print(Text(f"unfinished: {item['uri']} has chunks {item['chunks']} committed (run it again: it goes on there)"))


@app.command("verify")
def verify(pipeline: PipelineArgument, root: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Read every offset range again under read_committed and compare with the ledger; exit 1 if anything differs."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        ctx = _context(root, pipeline)
        proofs = ledger.verify(ctx, ledger.read(ctx))
        document = {"files": [proof.to_json() for proof in proofs], "ok": all(proof.problem is None for proof in proofs)}
        show(document, as_json, lambda console: _proofs(console, proofs))
    if not document["ok"]:
        raise typer.Exit(1)


def _proofs(console: Console, proofs: list[Any]) -> None:
    for proof in proofs:
        if proof.problem:
            console.print(Text(f"DIFFERS {proof.uri} generation {proof.generation}: {proof.problem}"))
    records = sum(proof.found for proof in proofs)
    wrong = sum(proof.problem is not None for proof in proofs)
    console.print(f"{len(proofs)} contents, {records:,} records read again, {wrong} differ from the ledger")
