"""`forebay ledger show|verify|export|restore|accept|take`: what was published, the proof read again from the topic, and
the ledger's care."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, out, project, show, write_streamed
from forebay.support.words import counted, printable

app = typer.Typer(no_args_is_help=True, help=__doc__)

PAGE = 500
"""Contents in one table, so that a ledger of any length can be shown."""

HEAD = ("published at", "file", "sha256", "generation", "chunks", "rows in", "published", "quarantined", "by run")

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

        with ledger.opened(_context(root, pipeline)) as view:
            if as_json:
                files, unfinished = (entry.to_json() for entry in view.entries()), ledger.unfinished(view)
                write_streamed(
                    {"topic_id": view.topic_id, "owner": _owner(view), "files": files, "unfinished": unfinished}
                )
            else:
                _entries(out(), view.entries(), ledger.unfinished(view))


def _owner(view: Any) -> Any:
    """The topic and source that its latest record is of."""
    owner = view.owner()
    return owner.to_json() if owner else None


def _entries(console: Console, entries: Iterator[Any], unfinished: Iterator[dict[str, Any]]) -> None:
    page = list(islice(entries, PAGE))
    if not page:
        console.print("nothing was published yet")
    while page:
        console.out(_table(page), highlight=False)
        page = list(islice(entries, PAGE))
    for item in unfinished:
        console.print(
            Text(
                f"unfinished: {printable(item['uri'])} has chunks {item['chunks']} committed (run it again: "
                "it goes on there)"
            )
        )


def _table(entries: list[Any]) -> str:
    """Columns under one another. (Rich needs a third of a millisecond for each row.)"""
    rows = [HEAD, *(_row(entry) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(e: Any) -> tuple[str, ...]:
    numbers = [f"{n:,}" for n in (e.generation, e.chunks, e.rows_in, e.published, e.quarantined)]
    return (
        e.attempted.isoformat()[:19],
        printable(e.file.name),
        e.fingerprint[:16],
        *numbers,
        printable(e.identity.run_id),
    )


@app.command("verify")
def verify(pipeline: PipelineArgument, root: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Read every offset range again under read_committed and compare with the ledger; exit 1 if anything differs."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        ctx, count = _context(root, pipeline), _Count()
        with ledger.opened(ctx) as view:
            proofs = count.each(ledger.verify(ctx, view))
            if as_json:
                files = (proof.to_json() for proof in proofs)
                write_streamed({"files": files, "ok": lambda: not count.wrong})
            else:
                _proofs(out(), proofs, count)
    if count.wrong:
        raise typer.Exit(1)


@dataclass
class _Count:
    """Proofs that went by."""

    contents: int = 0
    records: int = 0
    wrong: int = 0
    expired: int = 0
    compacted: int = 0

    def each(self, proofs: Iterator[Any]) -> Iterator[Any]:
        for proof in proofs:
            self.contents += 1
            self.records += proof.present
            self.wrong += proof.problem is not None
            self.expired += proof.expired
            self.compacted += proof.compacted
            yield proof


def _proofs(console: Console, proofs: Iterator[Any], count: _Count) -> None:
    for proof in proofs:
        if proof.problem:
            console.print(Text(f"DIFFERS {printable(proof.uri)} generation {proof.generation}: {proof.problem}"))
    console.print(
        f"{counted(count.contents, 'content')}, {counted(count.records, 'record')} read again, "
        f"{count.wrong} differ from the ledger"
    )
    if count.expired:
        console.print(
            f"{count.expired:,} more records have expired, not been lost: the topic's retention has taken them"
        )
    if count.compacted:
        console.print(
            f"{count.compacted:,} more records are gone from a compacted topic: it keeps the last record of each key"
        )


@app.command("export")
def export(
    pipeline: PipelineArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write it; replaced whole.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every record of the ledger to a file, with a checksum: the backup that `restore` takes."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        count = ledger.export(_context(root, pipeline), to)
        show(
            {"records": count, "file": str(to)},
            as_json,
            lambda console: console.print(Text(f"{counted(count, 'record')} written to {to}")),
        )


@app.command("restore")
def restore(
    pipeline: PipelineArgument,
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="An export of this pipeline's ledger.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring an exported ledger back into an empty or recreated topic, and take that topic as the ledger from now on."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        done = ledger.restore(_context(root, pipeline), source)
        document = {"written": done.written, "present": done.present, "kept": done.kept, "topic_id": done.topic_id}
        written = counted(done.written, "record")
        words = f"{written} written, {done.present:,} were there, {done.kept:,} more only in the topic"
        show(document, as_json, lambda console: console.print(words))


@app.command("accept")
def accept(
    pipeline: PipelineArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is right to go on; kept in forebay's home.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with the ledger topic as it is, though it was recreated or lost records: what only they recorded is
    published again."""
    with exit_codes(as_json):
        from forebay.verbs import ledger

        if not reason.strip():
            raise typer.BadParameter("say why (`--reason`)")
        topic_id = ledger.accept(_context(root, pipeline), reason)
        words = (
            f"topic `{topic_id}` is the ledger from now on" if topic_id else "there is no ledger: a new one may begin"
        )
        show({"topic_id": topic_id, "reason": reason}, as_json, lambda console: console.print(Text(words)))


@app.command("take")
def take(
    pipeline: PipelineArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is this project's; kept in the ledger.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a ledger that was written last for another topic or source: what is published stays where it is, what
    comes goes where the pipeline says."""
    with exit_codes(as_json):
        from forebay.cli.run import getuser
        from forebay.verbs import ledger

        if not reason.strip():
            raise typer.BadParameter("say why (`--reason`)")
        before = ledger.take(_context(root, pipeline), getuser(), reason)
        words = (
            f"taken over: it was written for topic `{before}`"
            if before
            else "it is this project's already: nothing was changed"
        )
        show(
            {"taken": before is not None, "from_topic": before, "reason": reason},
            as_json,
            lambda console: console.print(Text(words)),
        )
