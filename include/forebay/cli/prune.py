"""`forebay prune`: what the home need not hold any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from forebay.cli.common import JsonOption, ProjectOption, chosen, exit_codes, project, show

if TYPE_CHECKING:
    from forebay.verbs.prune import Pruned

app = typer.Typer()


@app.command("prune")
def prune(
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="[PIPELINE]...", help="Only these (default: all).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove work folders of settled files, and what killed processes left. Each run does so at its end. What waits,
    failed or is under way stays."""
    with exit_codes(as_json):
        from forebay.verbs import prune as verb
        from forebay.verbs.context import Context

        here = project(root)
        results = [verb.prune(Context.of(pipeline, here), dry_run=dry_run) for pipeline in chosen(here, pipelines)]
        document = {
            "dry_run": dry_run,
            "freed": sum(pruned.freed for pruned in results),
            "pipelines": [pruned.to_json() | {"freed": pruned.freed} for pruned in results],
        }
        show(document, as_json, lambda console: _print(console, results, dry_run))


def _print(console: Console, results: list[Pruned], dry_run: bool) -> None:
    for pruned in results:
        removed = [
            f"{number} {what}, {size / 1e6:,.1f} MB"
            for number, what, size in (
                (pruned.stages, "stages of settled files", pruned.stage_bytes),
                (pruned.expired, "work folders past their days", pruned.expired_bytes),
                (pruned.leftovers, "leftovers of killed processes", pruned.leftover_bytes),
            )
            if number
        ]
        left = f"; {pruned.in_use} left, somebody is at work" if pruned.in_use else ""
        console.print(f"{pruned.pipeline}: {'; '.join(removed) or 'nothing to remove'}{left}", markup=False)
    console.print(f"{'would free' if dry_run else 'freed'} {sum(pruned.freed for pruned in results) / 1e6:,.1f} MB")
