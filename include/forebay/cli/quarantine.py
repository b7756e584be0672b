"""`forebay quarantine list|show|export|replay`: rows set aside, why, and their way back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.config.home import Project
from forebay.errors import ConfigError
from forebay.model import FileRun

app = typer.Typer(no_args_is_help=True, help=__doc__)

PipelineArgument = Annotated[str | None, typer.Argument(help="Only this pipeline.")]
FileOption = Annotated[str | None, typer.Option("--file", help="The end of the file's uri, or the beginning of its sha256.")]


def _context(here: Project, pipeline: str) -> Any:
    from forebay.config.load import load_pipeline
    from forebay.verbs.context import Context

    return Context.of(load_pipeline(here, pipeline), here)


@app.command("list")
def list_(pipeline: PipelineArgument = None, file: FileOption = None, root: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Which files have quarantined rows, and what set them aside."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        found = [(f, _reasons(here, f), quarantine.replayed(here, f)) for f in quarantine.files_with(here, pipeline, file)]
        document = {"files": [_summary(f) | {"replayed": replayed, "reasons": reasons} for f, reasons, replayed in found]}
        show(document, as_json, lambda console: _table(console, found))


def _reasons(here: Project, file: FileRun) -> list[dict[str, Any]]:
    from forebay.verbs import quarantine

    try:
        return quarantine.by_reason(quarantine.listed(_context(here, file.pipeline), file))
    except ConfigError as error:
        return [{"stage": "", "why": error.message, "rows": file.quarantined, "first_row": None}]


def _summary(file: FileRun) -> dict[str, Any]:
    names = ("pipeline", "run_id", "fingerprint", "generation", "rows_in", "quarantined", "published", "rejected")
    return {"uri": file.file.uri, "day": file.window.day.isoformat()} | {name: getattr(file, name) for name in names}


def _table(console: Console, found: list[tuple[FileRun, list[dict[str, Any]], int]]) -> None:
    if not found:
        console.print("no quarantined rows")
        return
    table = Table("day", "file", "quarantined", "replayed", "of", "stage", "why", "first row", box=None)
    for file, reasons, replayed in found:
        head = [file.window.day.isoformat(), file.file.name, f"{file.quarantined:,}", f"{replayed:,}", f"{file.rows_in:,}"]
        for reason in reasons:
            table.add_row(*head, reason["stage"], Text(f"{reason['why']} ×{reason['rows']}"), str(reason["first_row"] or ""))
            head = ["", "", "", "", ""]
    console.print(table)


@app.command("show")
def show_(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    file: FileOption = None,
    limit: Annotated[int, typer.Option(help="How many rows of each file.")] = 20,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The rows themselves: row number, columns, every reason, and the raw text."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        ctx = _context(here, pipeline)
        found = [(f, quarantine.rows(quarantine.listed(ctx, f), limit).to_pylist()) for f in quarantine.files_with(here, pipeline, file)]
        document = {"files": [_summary(f) | {"rows": rows} for f, rows in found]}
        show(document, as_json, lambda console: _rows(console, found))


def _rows(console: Console, found: list[tuple[FileRun, list[dict[str, Any]]]]) -> None:
    if not found:
        console.print("no quarantined rows")
    for file, rows in found:
        console.print(Text(f"{file.file.uri}: {file.quarantined:,} of {file.rows_in:,} rows", style="bold"))
        for row in rows:
            console.print(Text(f"  row {row['row']:,}  {row['stage']}  {row['columns'] or ''}\n    {row['reason']}"))
            console.print(Text(f"    {row['raw'][:300]}", style="dim"))


@app.command("export")
def export(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    to: Annotated[Path, typer.Option("--to", help="The CSV file to write.")],
    file: FileOption = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave cells that begin with = + - @ as they are (a spreadsheet would run them).")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="One column for each of the pipeline's, to be edited and given to `quarantine replay`.")
    ] = False,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """All quarantined rows as one CSV: to be read by people, or (--repair) to be edited and replayed."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        ctx = _context(here, pipeline)
        lists = [(f, quarantine.listed(ctx, f)) for f in quarantine.files_with(here, pipeline, file, limit=100_000)]
        count = _write_repair(ctx, lists, to) if repair else _write(lists, to, raw)
        show({"path": str(to), "rows": count}, as_json, lambda console: console.print(f"{count:,} rows written to {to}"))


def _write_repair(ctx: Any, lists: list[tuple[FileRun, Path]], to: Path) -> int:
    import pyarrow as pa
    import pyarrow.csv as pc

    from forebay.verbs import _repair
    from forebay.verbs.inspect import work_of

    tables = [_repair.exported(ctx, file, work_of(ctx, file.fingerprint or ""), path) for file, path in lists]
    if not tables:
        raise ConfigError(f"exporting rows of `{ctx.pipeline.pipeline}`: none is quarantined (forebay quarantine list)")
    table = pa.concat_tables(tables, promote_options="permissive")
    order = [name for name in table.column_names if name not in _repair.OWN]
    pc.write_csv(table.select([*order, *_repair.OWN]), to)
    return len(table)


@app.command("replay")
def replay(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    source: Annotated[Path, typer.Option("--from", help="The edited CSV of `quarantine export --repair`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger, the index and lineage.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish repaired rows, each exactly once; those that still fail stay, with the reason (exit code 3 then)."""
    with exit_codes(as_json):
        from forebay.cli.progress import follow
        from forebay.cli.run import getuser
        from forebay.verbs import replay as replaying

        ctx = _context(project(root), pipeline)
        with follow():
            done = replaying.replay(ctx, source, getuser(), reason)
        show({"files": [one.to_json() for one in done]}, as_json, lambda console: _replayed(console, done))
        raise typer.Exit(3 if any(one.still for one in done) else 0)


def _replayed(console: Console, done: list[Any]) -> None:
    for one in done:
        counts = f"{one.rows:,} rows: {one.published:,} published, {one.already:,} already replayed, {len(one.still):,} stay in quarantine"
        console.print(Text(f"{one.uri}: {counts}"))
        for row in one.still[:20]:
            console.print(Text(f"  row {row.row:,}  {row.reason}"))
        if one.note:
            console.print(Text(f"  {one.note}", style="dim"))


def _write(lists: list[tuple[FileRun, Path]], to: Path, raw: bool) -> int:
    import pyarrow as pa
    import pyarrow.csv as pc

    from forebay.verbs import quarantine

    count, writer = 0, None
    for file, path in lists:
        table = quarantine.rows(path)
        table = table.add_column(0, "file", pa.repeat(file.file.uri, len(table)))
        table = table if raw else _harmless(table)
        writer = writer or pc.CSVWriter(to, table.schema)
        writer.write_table(table)
        count += len(table)
    if writer:
        writer.close()
    else:
        to.write_text("file,row,stage,columns,rule,reason,raw\n")
    return count


def _harmless(table: Any) -> Any:
    """A quote before cells that a spreadsheet would take for a formula (OWASP: CSV injection)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(at, field, pc.replace_substring_regex(table.column(at), r"^([=+\-@\t\r])", r"'\1"))
    return table
