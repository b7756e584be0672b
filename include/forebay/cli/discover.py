"""`forebay discover PIPELINE --date D`: every file seen, its fate, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, day, exit_codes, project, show
from forebay.model import Plan, Window
from forebay.support.words import printable

app = typer.Typer()

_ONE_LINE = 10_000
"""Width in a pipe or a file: one line a file, nothing folded or cut."""


@app.command("discover")
def discover(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    date: Annotated[str, typer.Option("--date", metavar="D", help="The day whose files are meant, like 2013-01-31.")],
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every file seen, its fate, and why. Publishes nothing."""
    wanted = day(date)
    with exit_codes(as_json):
        from forebay.config.load import load_pipeline
        from forebay.verbs.context import Context
        from forebay.verbs.discover import discover as look
        from forebay.verbs.discover import note_of

        where = project(root)
        loaded = load_pipeline(where, pipeline)
        plan = look(Context.of(loaded, where), Window.of_day(wanted, loaded.timezone), f"discover__{date}")
        document = plan.to_json() | {"note": note_of(plan), "ready": plan.ready}
        show(document, as_json, lambda console: plan_table(console, plan))


def plan_table(console: Console, plan: Plan) -> None:
    """A plan as a person reads it."""
    from forebay.verbs.discover import note_of

    if plan.files:
        table = Table(box=None)
        for title, side in (("file", "left"), ("size", "right"), ("fate", "left"), ("why", "left")):
            table.add_column(title, justify=side, overflow="fold")  # type: ignore[arg-type]
        for file in plan.files:
            table.add_row(Text(file.file.uri), f"{file.file.size:,}", file.fate.value, Text(file.error or file.reason))
        console.width = console.width if console.is_terminal else _ONE_LINE
        console.print(table)
    if note := note_of(plan):
        console.print(printable(note), markup=False)
