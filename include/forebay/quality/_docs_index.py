"""The index of Data Docs: a page over all pipelines, and one for each, from the facts that lie beside the pages.

    index.html                     the pipelines, with their last check
    PIPELINE/index.html            its checks, the latest first; `index.summary` beside it is its line above
    PIPELINE/…/PAGE.html           a check; PAGE.json beside it has its facts

A run writes its own pipeline's index and the small one above it; one writer at a time, so that no page is left out.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from forebay.model import JsonDict
from forebay.quality._docs_page import frame, readable
from forebay.support.files import locked, swap
from forebay.support.folders import private

MOST = 3000
"""Checks of one pipeline's index: more make a page that no browser likes. Older ones keep their pages."""
SUMMARY = "index.summary"


def build_index(docs: Path, only: str | None = None) -> Path:
    """Write the index of `docs`; of the pipelines' own ones all, or the one that is named and those that have none.
    Returns where the index is."""
    private(docs)
    with locked(docs / ".lock"):
        for folder in docs.iterdir():
            if folder.is_dir() and (only in {None, folder.name} or not (folder / SUMMARY).exists()):
                _of_pipeline(folder)
        index = docs / "index.html"
        swap(index_of(docs, None), index)
    return index


def index_of(docs: Path, pipelines: Collection[str] | None) -> str:
    """The index over all pipelines as one sees it who may see these (None: all)."""
    paths = (path for path in sorted(docs.glob(f"*/{SUMMARY}")) if pipelines is None or path.parent.name in pipelines)
    return _all([json.loads(path.read_text(encoding="utf-8")) for path in paths])


def _of_pipeline(folder: Path) -> None:
    """A pipeline's index and its summary, or neither when it has no page (any more)."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json") if path.is_file()]
    if not found:
        for name in ("index.html", SUMMARY):
            (folder / name).unlink(missing_ok=True)
        return
    found.sort(key=lambda facts: (facts["checked"], facts["page"]), reverse=True)
    swap(_checks(folder.name, found), folder / "index.html")
    summary = {"name": folder.name, "count": len(found), "last": found[0]}
    swap(json.dumps(summary, ensure_ascii=False), folder / SUMMARY)


def _checks(name: str, found: list[JsonDict]) -> str:
    where = '<a href="../../quality/index.html">Quality history</a> / <a href="../index.html">Data Docs</a>'
    more = f", the last {MOST:,} of them here" if len(found) > MOST else ""
    table = _table(
        ("Checked (UTC)", "File", "Suite", "Rows", "Result"), (_check(name, facts) for facts in found[:MOST])
    )
    return frame(
        f"Data Docs of {readable(name)}", where, f"{_count(len(found), 'check')}{more}, the latest first", table
    )


def _check(name: str, facts: JsonDict) -> list[str]:
    page = facts["page"].removeprefix(f"{name}/")
    link = f'<a href="{html.escape(quote(page))}">{_text(facts["run"].removeprefix(f"{name}/"))}</a>'
    return [_moment(facts), link, _text(facts["suite"]), f"{facts['rows']:,}", _outcome(facts)]


def _all(found: list[JsonDict]) -> str:
    where = '<a href="../quality/index.html">Quality history</a>'
    table = _table(("Pipeline", "Checks", "Last check (UTC)", "File", "Result"), map(_pipeline, found))
    return frame("Data Docs", where, f"The check of each file, in full: {_count(len(found), 'pipeline')}", table)


def _pipeline(summary: JsonDict) -> list[str]:
    last, name = summary["last"], summary["name"]
    link = f'<a href="{html.escape(quote(name))}/index.html">{_text(name)}</a>'
    return [link, f"{summary['count']:,}", _moment(last), _text(last["run"].removeprefix(f"{name}/")), _outcome(last)]


def _table(heads: tuple[str, ...], lines: Iterator[list[str]]) -> str:
    body = "\n".join(
        "<tr>"
        + "".join(f'<td data-label="{head}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))
        + "</tr>"
        for cells in lines
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<table class="table own"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _text(value: object) -> str:
    return html.escape(readable(str(value)))


def _moment(facts: JsonDict) -> str:
    return _text(str(facts["checked"])[:19].replace("T", " "))


def _outcome(facts: JsonDict) -> str:
    told = "all passed" if facts["success"] else f"{facts['failed']} of {facts['rules']} failed"
    return f'<strong class="{"passed" if facts["success"] else "failed"}">{told}</strong>'
