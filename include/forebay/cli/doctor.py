"""`forebay doctor`: can the promise be kept here? Each condition with what was found, why it matters and the way
out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.support.words import printable

if TYPE_CHECKING:
    from forebay.verbs.doctor import Finding

app = typer.Typer()
_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command("doctor")
def doctor(
    pipelines: Annotated[list[str] | None, typer.Argument(help="Pipelines to look at (default: all).")] = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Are the conditions of exactly once met: brokers, topics, rights, ledger, disk? Exit 2 if one fails, 4 if nothing
    could be reached."""
    with exit_codes(as_json):
        from forebay.config.load import load_all, load_pipeline
        from forebay.verbs import doctor as verb
        from forebay.verbs.context import Context

        here = project(root)
        chosen = [load_pipeline(here, name) for name in pipelines] if pipelines else load_all(here).pipelines.values()
        by_name = {pipeline.pipeline: verb.doctor(Context.of(pipeline, here)) for pipeline in chosen}
        code = max((verb.exit_code(findings) for findings in by_name.values()), default=0)
        document = {
            "ok": code == 0,
            "pipelines": [
                {"pipeline": name, "findings": [f.to_json() for f in findings]} for name, findings in by_name.items()
            ],
        }
        show(document, as_json, lambda console: _render(console, by_name))
    if code:
        raise typer.Exit(code)


def _render(console: Console, findings_of: dict[str, tuple[Finding, ...]]) -> None:
    for name, findings in findings_of.items():
        console.print(Text(name, style="bold"))
        for finding in findings:
            console.print(Text(f"  {finding.level.value:<5}", style=_STYLE[finding.level.value]), Text(_words(finding)))
    if not findings_of:
        console.print("there is no pipeline")


def _words(finding: Finding) -> str:
    reason = f" ({finding.why}; {finding.way_out})" if finding.why else ""
    return printable(f"{finding.check}: {finding.what}{reason}")
