"""`forebay index rebuild`: the projection again, from the ledger and the stored verdicts."""

from __future__ import annotations

from typing import Annotated

import typer

from forebay.cli.common import JsonOption, ProjectOption, chosen, exit_codes, project, show

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.callback()
def _group() -> None:
    """The relational projection that `runs`, `files` and `trace` read."""


@app.command("rebuild")
def rebuild(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="[PIPELINE…]", help="Only these pipelines.")] = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget the index and project the ledgers again."""
    with exit_codes(as_json):
        from forebay.verbs.context import Context
        from forebay.verbs.rebuild import rebuild as again

        here = project(root)
        counts = {pipeline.pipeline: again(Context.of(pipeline, here)) for pipeline in chosen(here, pipelines)}
        lines = [f"{name}: {count:,} contents" for name, count in counts.items()]
        show({"rebuilt": counts}, as_json, lambda console: console.print("\n".join(lines)))
