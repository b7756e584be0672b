"""`forebay report`: the quality pages once more, from the index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from forebay.cli.common import JsonOption, ProjectOption, chosen, exit_codes, project, show
from forebay.support.words import counted, printable

app = typer.Typer()


@app.command("report")
def report(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="[PIPELINE…]", help="Only these pipelines.")] = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the quality pages again from the index, and say where they are. Each run does this for its own night."""
    with exit_codes(as_json):
        from forebay.verbs.context import Context
        from forebay.verbs.history import write

        here = project(root)
        written = {pipeline.pipeline: write(Context.of(pipeline, here)) for pipeline in chosen(here, pipelines)}
        index = here.reports / "quality" / "index.html"
        document = {
            "index": str(index),
            "pipelines": {name: {"page": str(paths[1]), "nights": len(paths) - 2} for name, paths in written.items()},
        }
        show(document, as_json, lambda console: _tell(console, index, written))


def _tell(console: Console, index: Path, written: dict[str, list[Path]]) -> None:
    if not written:
        console.print("no pipelines (write one to include/pipelines)")
        return
    console.print(printable(str(index)))
    for name, paths in written.items():
        console.print(printable(f"{name}: {counted(len(paths) - 2, 'night')} in {paths[1].parent}"))
