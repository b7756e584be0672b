"""`forebay quarantine list|show|export|replay`: quarantined rows, why, and their way back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, chosen, context, exit_codes, project, show
from forebay.config.home import Project
from forebay.errors import ConfigError
from forebay.model import FileRun
from forebay.support.words import counted, printable

app = typer.Typer(no_args_is_help=True, help=__doc__)

PipelineArgument = Annotated[str | None, typer.Argument(help="Only this pipeline.")]
NOTHING = "no quarantined rows"
FileOption = Annotated[
    str | None, typer.Option("--file", help="The end of the file's uri, or the beginning of its sha256.")
]


@app.command("list")
def list_(
    pipeline: PipelineArgument = None, file: FileOption = None, root: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Which files have quarantined rows, what quarantined them, and how many are left after replays."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        if pipeline:
            chosen(here, [pipeline])
        files = [
            (f, _reasons(here, f), quarantine.replayed(here, f)) for f in quarantine.files_with(here, pipeline, file)
        ]
        document = {
            "files": [_summary(f) | {"replayed": replayed, "reasons": reasons} for f, reasons, replayed in files]
        }
        show(document, as_json, lambda console: _table(console, files))


def _reasons(here: Project, file: FileRun) -> list[dict[str, Any]]:
    from forebay.verbs import quarantine

    try:
        return quarantine.by_reason(quarantine.listed(context(here, file.pipeline), file))
    except ConfigError as error:
        return [{"step": "", "why": error.message, "rows": file.counts.quarantined, "first_row": None}]


def _summary(file: FileRun) -> dict[str, Any]:
    names = ("pipeline", "run_id", "fingerprint", "generation", "rows_in", "quarantined", "published", "rejected")
    kept = file.to_json()
    return {"uri": file.file.uri, "day": file.window.day.isoformat()} | {name: kept[name] for name in names}


def _table(console: Console, files: list[tuple[FileRun, list[dict[str, Any]], int]]) -> None:
    if not files:
        console.print(NOTHING)
        return
    for file, reasons, replayed in files:
        left = f", {replayed:,} of them replayed, {file.counts.quarantined - replayed:,} left" if replayed else ""
        console.print(Text(f"{file.pipeline}  {file.window.day}  {printable(file.file.name)}", style="bold"), end="")
        console.print(f": {file.counts.quarantined:,} of {file.counts.rows_in:,} rows quarantined{left}")
        table = Table("step", "why", box=None, pad_edge=False, header_style="dim")
        table.add_column("rows", justify="right")
        table.add_column("first", justify="right")
        for reason in reasons:
            table.add_row(
                reason["step"], Text(printable(reason["why"])), f"{reason['rows']:,}", f"{reason['first_row'] or ''}"
            )
        console.print(Padding(table, (0, 0, 1, 2), expand=False))
    console.print(
        "the rows: forebay quarantine show PIPELINE; to mend them: forebay quarantine export PIPELINE --to "
        "FILE --repair",
        style="dim",
    )


@app.command("show")
def show_(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    file: FileOption = None,
    limit: Annotated[int, typer.Option(help="How many rows of each file.")] = 20,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The rows themselves: row number, columns and what stood there, every failing rule or other reason, the raw text,
    and whether it was replayed."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        ctx = context(here, pipeline)
        files = [(f, _lines(here, ctx, f, limit)) for f in quarantine.files_with(here, pipeline, file)]
        document = {"files": [_summary(f) | {"rows": rows} for f, rows in files]}
        show(document, as_json, lambda console: _rows(console, files))


def _lines(here: Project, ctx: Any, file: FileRun, limit: int) -> list[dict[str, Any]]:
    """The first rows of one file, each with its `causes` and whether it was `replayed`."""
    from forebay.verbs import quarantine

    done = quarantine.rows_of(quarantine.replays(here, file))
    listed = quarantine.rows(quarantine.listed(ctx, file), limit, redact=ctx.pipeline.quality.redact).to_pylist()
    return [row | {"causes": list(quarantine.said(row)), "replayed": row["row"] in done} for row in listed]


def _rows(console: Console, files: list[tuple[FileRun, list[dict[str, Any]]]]) -> None:
    if not files:
        console.print(NOTHING)
    for file, rows in files:
        counts = file.counts
        words = f"{printable(file.file.uri)}: {counts.quarantined:,} of {counts.rows_in:,} rows"
        console.print(Text(words, style="bold"))
        for row in rows:
            _row(console, row)
        if more := max(0, counts.quarantined - len(rows)):
            name = file.pipeline
            console.print(f"  and {more:,} more (--limit, or: forebay quarantine export {name} --to FILE)", style="dim")


def _row(console: Console, row: dict[str, Any]) -> None:
    where = row["observed"] or row["columns"]
    console.print(
        Text(
            f"  row {row['row']:,}  {row['step']}{', replayed' if row['replayed'] else ''}  {printable(where)}".rstrip()
        )
    )
    for cause in row["causes"]:
        console.print(Text(f"    {printable(cause)}"))
    console.print(Text(f"    {printable(_cut(row['raw']))}", style="dim"))


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


@app.command("export")
def export(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    to: Annotated[Path, typer.Option("--to", help="The CSV file to write. With --repair it is never overwritten.")],
    file: FileOption = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Leave cells that begin with = + - @ as they are (a spreadsheet would run them)."),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="One column for each of the pipeline's, to be edited and given to `quarantine replay`."
        ),
    ] = False,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """All quarantined rows as one CSV: to be read by people, or (--repair) those not yet replayed, to be edited and
    replayed."""
    with exit_codes(as_json):
        from forebay.verbs import quarantine

        here = project(root)
        ctx = context(here, pipeline)
        lists = [(f, quarantine.listed(ctx, f)) for f in quarantine.files_with(here, pipeline, file, limit=100_000)]
        count = _write_repair(ctx, lists, to) if repair else _write(lists, to, raw, ctx.pipeline.quality.redact)
        show({"path": str(to), "rows": count}, as_json, lambda console: _exported(console, pipeline, count, to, repair))


def _exported(console: Console, pipeline: str, count: int, to: Path, repair: bool) -> None:
    console.print(Text(f"{counted(count, 'row')} written to {to}"))
    if repair:
        console.print(
            "edit the columns that do not begin with __ (an empty cell is null), "
            "delete the lines that stay as they are, then:"
        )
        console.print(Text(f'  forebay quarantine replay {pipeline} --from {to} --reason "…"'))


def _write_repair(ctx: Any, lists: list[tuple[FileRun, Path]], to: Path) -> int:
    import pyarrow as pa
    import pyarrow.csv as pc

    from forebay.verbs import repair

    if to.exists():
        raise ConfigError(f"writing `{to}`: it is there already, and perhaps edited (name another file, or remove it)")
    tables = [_left(ctx, file, path) for file, path in lists]
    if not sum(map(len, tables)):
        raise ConfigError(
            f"exporting rows of `{ctx.pipeline.pipeline}`: none is left in quarantine (forebay quarantine list)"
        )
    table = pa.concat_tables(tables, promote_options="permissive")
    order = [name for name in table.column_names if name not in repair.OWN]
    pc.write_csv(table.select([*order, *repair.OWN]), to)
    return len(table)


def _left(ctx: Any, file: FileRun, path: Path) -> Any:
    """The rows of one file that were not replayed yet, as far as the index knows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from forebay.verbs import quarantine, repair

    table = repair.exported(ctx, file, quarantine.kept(ctx, file), path)
    done = quarantine.rows_of(quarantine.replays(ctx.project, file))
    return table.filter(pc.invert(pc.is_in(table["__row"], pa.array([str(row) for row in sorted(done)], pa.string()))))


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

        ctx = context(project(root), pipeline, starts=True)
        with follow():
            done = replaying.replay(ctx, source, getuser(), reason)
        show({"files": [each.to_json() for each in done]}, as_json, lambda console: _replayed(console, done))
        raise typer.Exit(3 if any(each.still for each in done) else 0)


def _replayed(console: Console, done: list[Any]) -> None:
    for part in done:
        counts = (
            f"{counted(part.rows, 'row')}: {part.published:,} published, {part.already:,} already replayed, "
            f"{len(part.still):,} stay in quarantine"
        )
        console.print(Text(printable(f"{part.uri}: {counts}")))
        for row in part.still[:20]:
            console.print(Text(printable(f"  row {row.row:,}  {row.reason}")))
        if len(part.still) > 20:
            console.print(f"  and {len(part.still) - 20:,} more (--json names them all)", style="dim")
        if part.note:
            console.print(Text(f"  {part.note}", style="dim"))


def _write(lists: list[tuple[FileRun, Path]], to: Path, raw: bool, redact: tuple[str, ...]) -> int:
    import pyarrow as pa
    import pyarrow.csv as pc

    from forebay.verbs import quarantine

    count, writer = 0, None
    for file, path in lists:
        table = quarantine.rows(path, redact=redact).drop_columns(["causes"])
        table = table.add_column(0, "file", pa.repeat(file.file.uri, len(table)))
        table = table if raw else _harmless(table)
        writer = writer or pc.CSVWriter(to, table.schema)
        writer.write_table(table)
        count += len(table)
    if writer:
        writer.close()
    else:
        to.write_text("file,row,step,columns,rule,reason,observed,raw\n")
    return count


def _harmless(table: Any) -> Any:
    """A quote before cells that a spreadsheet would take for a formula (OWASP: CSV injection)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(at, field, pc.replace_substring_regex(table.column(at), r"^([=+\-@\t\r])", r"'\1"))
    return table
