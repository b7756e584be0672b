"""Where the pages lie below `reports/quality`, written so that a reader never meets half a page.

index.html                    the project
PIPELINE/index.html           a pipeline, with summary.json for the index
PIPELINE/DAY.html             a night
PIPELINE/rows/KEY.json        first quarantined rows of one file in one run: the work folder may be gone when a page is
                              made again
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from forebay.model import Json
from forebay.pages import render, views
from forebay.pages.values import NightHistory, PipelineHistory, RowList, Summary, letters
from forebay.support.files import locked, swap
from forebay.support.folders import private


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one project; `reports` is its reports folder."""

    reports: Path

    @property
    def folder(self) -> Path:
        return self.reports / "quality"

    @property
    def index(self) -> Path:
        return self.folder / "index.html"

    def pipeline(self, name: str) -> Path:
        return self.folder / name / "index.html"

    def night(self, pipeline: str, day: date) -> Path:
        return self.folder / pipeline / f"{day.isoformat()}.html"

    def write_night(self, history: NightHistory, now: datetime) -> Path:
        path = self.night(history.pipeline, history.night.day)
        _write(path, render.night(history, now))
        return path

    def write_pipeline(self, history: PipelineHistory, now: datetime) -> Path:
        """The pipeline's page, its summary for the index, and no page of a night that the history does not link."""
        summary, completed = history.summary, views.completed(history, now)
        every = completed.summary.nights
        path = self.pipeline(summary.pipeline)
        year_from = every[0].day if every else None
        kept = dataclasses.replace(
            summary, nights=summary.nights[-views.COLUMNS :], year=letters(every), year_from=year_from
        )
        _save(path.with_name("summary.json"), kept)
        _write(path, render.pipeline(completed, now))
        self._drop_nights(summary)
        return path

    def _drop_nights(self, summary: Summary) -> None:
        kept = {f"{night.day.isoformat()}.html" for night in summary.nights if night.page}
        for path in (self.folder / summary.pipeline).glob("????-??-??.html"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def write_index(self, now: datetime) -> Path:
        """The project's page, from the summaries of all pipelines; one writer at a time, so that none is left out."""
        with _alone(self.folder):
            _write(self.index, self.index_of(None, now))
        return self.index

    def index_of(self, pipelines: Collection[str] | None, now: datetime) -> str:
        """The project's page as one sees it who may see these pipelines (None: all)."""
        paths = (
            path
            for path in sorted(self.folder.glob("*/summary.json"))
            if pipelines is None or path.parent.name in pipelines
        )
        summaries = [Summary.from_json(json.loads(path.read_text("utf-8"))) for path in paths]
        return render.index(summaries, now, (self.reports / "data_docs" / "index.html").exists())

    def save_rows(self, pipeline: str, run_id: str, uri: str, rows: RowList) -> None:
        _save(self._rows(pipeline, run_id, uri), rows)

    def rows(self, pipeline: str, run_id: str, uri: str) -> RowList | None:
        """What `save_rows` kept, or None."""
        path = self._rows(pipeline, run_id, uri)
        return RowList.from_json(json.loads(path.read_text("utf-8"))) if path.exists() else None

    def forget_rows(self, pipeline: str, run_id: str, uri: str) -> None:
        """Remove what `save_rows` kept."""
        self._rows(pipeline, run_id, uri).unlink(missing_ok=True)

    def _rows(self, pipeline: str, run_id: str, uri: str) -> Path:
        key = hashlib.sha256(f"{run_id}\n{uri}".encode()).hexdigest()[:32]
        return self.folder / pipeline / "rows" / f"{key}.json"

    def expire(self, pipeline: str, days: int, now: datetime) -> int:
        """Remove what was written more than `days` ago and holds values of rows: kept rows, and Data Docs pages;
        returns how many files."""
        places = (self.folder / pipeline / "rows", self.reports / "data_docs" / pipeline)
        before = (now - timedelta(days=days)).timestamp()
        old = [p for place in places for p in place.rglob("*") if p.is_file() and p.stat().st_mtime < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def docs(self, page: Path | None) -> str | None:
        """The address of a Data Docs page from a night's page, or None if it is not below the reports (any more)."""
        if page is None or not page.is_relative_to(self.reports) or not page.exists():
            return None
        return f"../../{page.relative_to(self.reports).as_posix()}"


def _save(path: Path, value: Json) -> None:
    _write(path, json.dumps(value.to_json(), ensure_ascii=False))


def _write(path: Path, text: str) -> None:
    private(path.parent)
    swap(text, path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with locked(private(folder) / ".lock"):
        yield
