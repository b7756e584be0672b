"""`forebay suite propose` and `forebay suite test`: a suite from a sample, and a suite on a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, context, err, exit_codes, project, show, write
from forebay.errors import ConfigError, QualityError
from forebay.support.words import counted, printable

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="A sample file, as the partner delivers it.")],
    pipeline: Annotated[str, typer.Option("--pipeline", help="The pipeline that says how it is read.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Where to write it (default: standard output). Never overwrites.")
    ] = None,
    sample: Annotated[
        str, typer.Option("--sample", help="How much of a large file is read, from its beginning.")
    ] = "64MiB",
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A suite of what held in every row of a sample, each rule with its reason: to be reviewed by a person."""
    with exit_codes(as_json):
        from forebay.verbs import suites

        if to and to.exists():
            raise ConfigError(
                f"writing `{to}`: it is there already, and perhaps reviewed (name another file, or remove it)"
            )
        suite = suites.propose(context(project(root), pipeline), file, to.stem if to else pipeline, _bytes(sample))
        err.print(_basis(suite["meta"], sample), style="dim", markup=False)
        if to is None:
            write(suite)
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(json.dumps(suite, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        show(
            {"path": str(to), "rules": len(suite["expectations"])} | suite["meta"],
            as_json,
            lambda console: _proposed(console, suite, to),
        )


def _bytes(size: str) -> int:
    from pydantic import TypeAdapter, ValidationError

    from forebay.config.units import Size

    try:
        return int(TypeAdapter(Size).validate_python(size))
    except ValidationError:
        raise typer.BadParameter(f"`{size}` is not a size (write it like 64MiB)") from None


def _basis(meta: dict[str, Any], sample: str) -> str:
    """What the proposal rests on."""
    part = (
        "the whole file"
        if meta["sample"] == "the whole file"
        else f"the first {sample} of it (--sample), so nothing is said of how many rows a file has"
    )
    bad = (
        f"; {meta['unreadable']:,} {'row' if meta['unreadable'] == 1 else 'rows'} could not be read and left out"
        if meta["unreadable"]
        else ""
    )
    return printable(f"{meta['proposed_from']}: {counted(meta['rows'], 'row')}, {part}{bad}")


def _proposed(console: Console, suite: dict[str, Any], to: Path) -> None:
    """The rules as a table for the first look; the file has them in full."""
    table = Table("severity", "rule", "why", box=None, pad_edge=False, header_style="dim")
    for rule in suite["expectations"]:
        name = f"{rule['type'].removeprefix('expect_')}({rule['kwargs'].get('column', 'table')})"
        table.add_row(rule["severity"], Text(printable(name)), Text(printable(rule["notes"])))
    console.print(table)
    console.print(
        Text(
            f"{counted(len(suite['expectations']), 'rule')} written to {to}: review them (severity, bounds), "
            "then name it in quality.suite"
        )
    )


@app.command("test")
def test(
    pipeline: Annotated[str, typer.Argument(help="The pipeline whose suite is tried.")],
    file: Annotated[Path, typer.Argument(help="The file.")],
    limit: Annotated[int, typer.Option(help="How many failing rows to show.")] = 20,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The suite on one file: each rule's result, and the failing rows. Nothing is published; exit code 3 when a rule
    fails."""
    with exit_codes(as_json):
        from forebay.verbs import suites

        tried = suites.attempt(context(project(root), pipeline), file, limit)
        names = ("suite", "rows_in", "unreadable", "failing", "success")
        document = {name: getattr(tried, name) for name in names}
        document |= {"results": [result.to_json() for result in tried.results], "rows": list(tried.rows)}
        show(document, as_json, lambda console: _print(console, tried))
        raise typer.Exit(0 if tried.success else QualityError.exit_code)


def _print(console: Console, tried: Any) -> None:
    table = Table("", "severity", "rule", "found", box=None)
    for result in tried.results:
        observed = (
            f"{result.unexpected:,} of {result.checked:,} rows"
            if result.kind == "row"
            else f"observed {result.observed}"
        )
        mark = Text("ok", style="green") if result.success else Text("failed", style="bold red")
        table.add_row(mark, result.severity.value, Text(printable(result.title)), Text(printable(observed)))
    console.print(table)
    console.print(f"{counted(tried.rows_in, 'row')}, {tried.unreadable:,} unreadable, {tried.failing:,} fail a rule")
    for row in tried.rows:
        _row(console, tried, row)


def _row(console: Console, tried: Any, row: dict[str, Any]) -> None:
    """A failing row: what stands in the columns of its rules, the rules, and the row."""
    rules = [tried.results[at] for at in row["rules"]]
    columns = dict.fromkeys(name for rule in rules for name in rule.columns)
    seen = ", ".join(
        f"{name}: {'null' if row['values'].get(name) is None else row['values'][name]}" for name in columns
    )
    console.print(Text(printable(f"  row {row['row']:,}  {seen}")))
    for rule in rules:
        console.print(Text(printable(f"    {rule.title}{' (few enough: the rule passed)' if rule.success else ''}")))
    whole = printable(json.dumps(row["values"], ensure_ascii=False))
    console.print(Text(f"    {whole if len(whole) <= 300 else whole[:300] + '…'}", style="dim"))
