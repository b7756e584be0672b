"""`forebay trace TOPIC PARTITION OFFSET` and `forebay trace FILE`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.errors import ConfigError
from forebay.model import Begun, FileRun
from forebay.support.words import counted, printable

app = typer.Typer()


@app.command("trace")
def trace(
    what: Annotated[list[str], typer.Argument(metavar="TOPIC PARTITION OFFSET | FILE")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A record → its file, row, run and suite; a file → its topics, partitions, offset ranges and quarantined rows."""
    with exit_codes(as_json):
        match what:
            case [topic, partition, offset] if partition.isdigit() and offset.isdigit():
                _record(topic, int(partition), int(offset), root, as_json)
            case [name]:
                _file(name, root, as_json)
            case _:
                raise ConfigError("tracing: give TOPIC PARTITION OFFSET (two numbers), or one FILE")


def _record(topic: str, partition: int, offset: int, root: Any, as_json: bool) -> None:
    from forebay.config.load import load_all
    from forebay.verbs.context import Context
    from forebay.verbs.trace import trace_record

    here = project(root)
    contexts = {name: Context.of(pipeline, here) for name, pipeline in load_all(here).pipelines.items()}
    origin = trace_record(here, contexts, topic, partition, offset)
    document = origin.to_json()

    def render(console: Console) -> None:
        table = Table.grid(padding=(0, 2))
        row = (
            f"{origin.row:,} (by {origin.how})"
            if origin.row is not None
            else f"one of {origin.first_row:,} to {origin.last_row:,}"
        )
        rows = [("record", f"{topic} partition {partition} offset {offset}"), ("file", origin.uri), ("row", row)]
        rows += [
            ("sha256", origin.fingerprint),
            ("generation", str(origin.generation)),
            ("chunk", f"{origin.chunk} (rows {origin.first_row:,} to {origin.last_row:,})"),
        ]
        rows += [
            ("run", origin.run_id),
            ("pipeline", origin.pipeline),
            ("suite", origin.suite or ("that of its pipeline, when it was replayed" if origin.replay else "none")),
            ("key", origin.key),
            ("value", _short(origin.value)),
        ]
        if origin.replay:
            rows.append(
                ("repaired", f"replayed from {origin.replay.source} (sha256 {origin.replay.source_fingerprint[:16]})")
            )
        for name, value in rows:
            table.add_row(f"[dim]{name}[/]", _plain(value))
        console.print(table)

    show(document, as_json, render)


def _plain(value: str) -> Any:
    from rich.text import Text

    return Text("\n".join(map(printable, value.split("\n"))))


def _short(value: str) -> str:
    return value if len(value) <= 300 else value[:300] + "…"


def _file(name: str, root: Any, as_json: bool) -> None:
    from forebay.verbs.trace import trace_file

    files = trace_file(project(root), name)
    document = {"files": [{"file": file.to_json(), "ranges": ranges} for file, ranges in files]}
    show(json.loads(json.dumps(document, default=str)), as_json, lambda console: _files(console, files))


def _files(console: Console, files: list[tuple[FileRun, list[dict[str, Any]]]]) -> None:
    for file, ranges in files:
        of = file.counts
        counts = (
            f"{counted(of.rows_in, 'row')} in, {of.published:,} published, {of.quarantined:,} quarantined, "
            f"{of.rejected:,} rejected"
        )
        console.print(_plain(f"{file.file.uri}  ({_what(file)}, {file.status})"), style="bold")
        content = f"sha256 {file.fingerprint}  generation {file.generation}  " if file.fingerprint else ""
        console.print(
            _plain(f"  {content}run {file.run_id}\n  {counts if file.counts.rows_in else file.error or file.reason}")
        )
        for begun in file.earlier.left:
            console.print(
                _plain(
                    f"  instead of {begun.fingerprint[:16]}, whose rows {begun.first_row:,} to {begun.last_row:,} stay "
                    f"visible: {_places(begun)}"
                )
            )
        table = Table("  topic", box=None, pad_edge=False, header_style="dim")
        for name in ("partition", "first", "last", "records", "chunk", "rows of the file"):
            table.add_column(name, justify="right")
        for r in ranges:
            numbers = [str(r[n]) for n in ("partition", "first", "last", "count", "chunk")]
            rows = file.replay.rows if file.replay else f"{r['first_row']:,} to {r['last_row']:,}"
            table.add_row(f"  {r['topic']}", *numbers, rows)
        console.print(table if ranges else "  nothing of it was published")


def _places(begun: Begun) -> str:
    return ", ".join(f"{p.topic} {p.partition}: {p.first}-{p.last}" for p in begun.outputs) or "none of them published"


def _what(file: FileRun) -> str:
    """A file's fate; of a replay, who repaired which rows of what, and why."""
    if not file.replay:
        return str(file.fate.value)
    said = file.answer
    who = f" by {said.by}" if said and said.by else ""
    return (
        f"repaired rows of {file.replay.fingerprint[:16]}{who}, from {file.replay.source}: "
        f"{(said and said.reason) or file.reason}"
    )
