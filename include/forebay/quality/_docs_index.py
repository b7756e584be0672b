"""The index of Data Docs: a page over all pipelines, and one for each, from the facts that lie beside the pages.

    index.html                     the pipelines, with their last check
    PIPELINE/index.html            its checks, the latest first; `index.summary` beside it is its line above
    PIPELINE/…/PAGE.html           a check; PAGE.json beside it has its facts

A run writes its own pipeline's index and the small one above it; one writer at a time, so that no page is left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from forebay.quality._docs_page import render
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
    return render("index.html", pipelines=[json.loads(path.read_text(encoding="utf-8")) for path in paths])


def _of_pipeline(folder: Path) -> None:
    """A pipeline's index and its summary, or neither when it has no page (any more)."""
    checks = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json") if path.is_file()]
    if not checks:
        for name in ("index.html", SUMMARY):
            (folder / name).unlink(missing_ok=True)
        return
    checks.sort(key=lambda facts: (facts["checked"], facts["page"]), reverse=True)
    page = render("pipeline.html", pipeline=folder.name, count=len(checks), checks=checks[:MOST])
    swap(page, folder / "index.html")
    summary = {"name": folder.name, "count": len(checks), "last": checks[0]}
    swap(json.dumps(summary, ensure_ascii=False), folder / SUMMARY)
