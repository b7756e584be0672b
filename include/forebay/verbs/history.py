"""The quality history: collects from the index and the work folders what the pages show, and has them written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from forebay.config.pipeline import Schedule
from forebay.errors import ConfigError
from forebay.index import queries
from forebay.model import Fate, FileRun, Severity, SourceFile, Status
from forebay.pages import freshness
from forebay.pages.render import percent
from forebay.pages.store import Pages
from forebay.pages.values import (
    FailedRule,
    Night,
    NightFile,
    NightHistory,
    NightRun,
    PipelineHistory,
    QuarantinedRow,
    Repair,
    RowList,
    Summary,
    Watch,
)
from forebay.verbs import daily_status, quarantine
from forebay.verbs.context import Context

NIGHTS = 366
"""Nights of a pipeline's page."""
FILES = 200
"""Files of a night's page."""
ROWS = 50
"""Quarantined rows of a file."""
ROWS_OF_A_NIGHT = 1000
RAW = 500
"""Characters of a raw record, or of a reason."""


def write(ctx: Context, days: Iterable[date] | None = None, now: datetime | None = None) -> list[Path]:
    """Write the pages of these days (default: of all that are kept), of the pipeline and of the project; returns where
    they are, the index first.

    For given days the quarantined rows are taken from the work folder as it is now; else what was kept when the night
    ran has precedence.
    """
    made = _History(ctx, now or datetime.now(UTC), fresh=days is not None)
    return made.write(set(days) if days is not None else None)


@dataclass(frozen=True)
class _History:
    """One pipeline's history at one moment. `fresh`: the days to write have just run."""

    ctx: Context
    now: datetime
    fresh: bool

    @property
    def name(self) -> str:
        return self.ctx.pipeline.pipeline

    @property
    def pages(self) -> Pages:
        return Pages(self.ctx.project.reports)

    @cached_property
    def since(self) -> str:
        """The first of the last `NIGHTS` days that have a run."""
        days = sorted({run["ds"] for run in self.all_runs})
        return days[-NIGHTS:][0] if days else ""

    @cached_property
    def all_runs(self) -> list[dict[str, Any]]:
        return queries.night_runs(self.ctx.project.index, self.name)

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        return [run for run in self.all_runs if run["ds"] >= self.since]

    @cached_property
    def files(self) -> list[dict[str, Any]]:
        return queries.night_files(self.ctx.project.index, self.name, self.since)

    @cached_property
    def rules(self) -> list[dict[str, Any]]:
        return queries.night_rules(self.ctx.project.index, self.name, self.since)

    def write(self, days: set[date] | None) -> list[Path]:
        history = self.collect(days)
        wanted = [night for night in history.summary.nights if night.page and (days is None or night.day in days)]
        for night in wanted:
            self.pages.write_night(self.night(night), self.now)
        pipeline = self.pages.write_pipeline(history, self.now)
        if self.pages.expire(self.name, self.ctx.project.report_days, self.now):
            from forebay.quality.docs import build_index

            build_index(self.ctx.project.reports / "data_docs", self.name)
        return [
            self.pages.write_index(self.now),
            pipeline,
            *(self.pages.night(self.name, night.day) for night in wanted),
        ]

    def collect(self, days: set[date] | None) -> PipelineHistory:
        """The pipeline's history; nights have a page that are young enough, and either have one or are to be
        written."""
        p = self.ctx.pipeline
        watched = _watched(p.schedule) if p.schedule else None
        seen = daily_status.nights(self.runs, self.files, self.rules, watched, self.now)
        kept = tuple(dataclasses.replace(night, page=self._has_page(night, days)) for night in seen)
        last = self.all_runs[-1] if self.all_runs else None
        summary = Summary(
            self.name,
            p.owner,
            in_words(p.schedule),
            kept,
            first_run=datetime.fromisoformat(self.all_runs[0]["started"]) if last else None,
            last_run=datetime.fromisoformat(last["started"]) if last else None,
            last_status=last["status"] if last else None,
            watch=watched,
        )
        return PipelineHistory(
            summary,
            p.description,
            tuple(daily_status.trends(self.files, self.rules)),
            "" if watched else _unwatched(p.schedule),
        )

    def _has_page(self, night: Night, days: set[date] | None) -> bool:
        oldest = self.now - timedelta(days=self.ctx.project.report_days)
        young = night.ended is None or night.ended >= oldest
        return young and (days is None or night.day in days or self.pages.night(self.name, night.day).exists())

    def night(self, night: Night) -> NightHistory:
        """A night with its runs and files, the files that need a look first, and the first rows they quarantined."""
        ds = night.day.isoformat()
        last = {(row["run_id"], row["uri"]) for row in self.words.get(ds, [])}
        every = queries.files(self.ctx.project.index, self.name, ds=ds, limit=100_000)
        seen = sorted((f for f in every if (f.run_id, f.file.uri) in last), key=_trouble_first)
        files = [f for f in seen if f.fate is not Fate.IGNORED]
        ignored = tuple((_readable(f.file), f.reason) for f in seen if f.fate is Fate.IGNORED)
        left, shown = ROWS_OF_A_NIGHT, []
        for file in files[:FILES]:
            rows, note = self._rows_of(file, left)
            left -= len(rows.rows) if rows else 0
            shown.append(self._file(file, rows, note))
        runs = tuple(_run(run) for run in self.runs if run["ds"] == ds)
        return NightHistory(self.name, night, runs, tuple(shown), max(0, len(files) - FILES), ignored[:FILES])

    @cached_property
    def words(self) -> dict[str, list[dict[str, Any]]]:
        return daily_status.last_words(self.files)

    @cached_property
    def rules_by_file(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        by_file: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for rule in self.rules:
            by_file.setdefault((rule["run_id"], rule["uri"]), []).append(rule)
        return by_file

    @cached_property
    def replays(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        return daily_status.replays(self.files)

    def _replays(self, file: FileRun) -> list[FileRun]:
        """The replays of a file's rows; the index is asked again only if there are any."""
        known = (file.file.uri, (file.fingerprint or "")[:16]) in self.replays
        return quarantine.replays(self.ctx.project, file) if known else []

    def _file(self, file: FileRun, rows: RowList | None, note: str) -> NightFile:
        replays = self._replays(file)
        said = self.rules_by_file.get((file.run_id, file.file.uri), [])
        failed = tuple(
            FailedRule(_title(answer), Severity(answer["severity"]), _found(answer))
            for answer in said
            if not answer["success"]
        )
        return NightFile(
            name=_readable(file.file),
            uri=file.file.uri,
            status=file.status.value,
            fate=file.fate.value,
            reason=file.reason,
            error=file.error,
            decided=_decided(file),
            rows_in=file.counts.rows_in,
            published=file.counts.published,
            quarantined=file.counts.quarantined,
            rejected=file.counts.rejected,
            docs=self.pages.docs(file.docs),
            rules=failed,
            rules_passed=len(said) - len(failed),
            rows=_marked(rows, quarantine.rows_of(replays)),
            rows_note=note,
            repairs=tuple(map(_repair, replays)),
        )

    def _rows_of(self, file: FileRun, left: int) -> tuple[RowList | None, str]:
        """The first rows that a file quarantined (or would have, if it was refused), and a word if they are not to be
        had."""
        if not file.fingerprint or not (
            file.counts.quarantined or file.counts.rejected or file.status is Status.WAITING
        ):
            return None, ""
        kept = self._kept(file)
        if self.fresh or kept is None:
            try:
                kept = self._read(file)
            except ConfigError as error:
                if kept is None:
                    return None, error.message if file.counts.quarantined else ""
        return dataclasses.replace(kept, rows=kept.rows[: max(0, left)]), ""

    def _kept(self, file: FileRun) -> RowList | None:
        """The rows that were kept when the night ran; they are given up if they show what may not be shown any more."""
        kept = self.pages.rows(self.name, file.run_id, file.file.uri)
        if kept and set(self.ctx.pipeline.quality.redact) - set(kept.redact):
            self.pages.forget_rows(self.name, file.run_id, file.file.uri)
            return None
        return kept

    def _read(self, file: FileRun) -> RowList:
        path = quarantine.listed(self.ctx, file)
        total = file.counts.quarantined or quarantine.count(path)
        listed = quarantine.rows(path, limit=ROWS, redact=self.ctx.pipeline.quality.redact).to_pylist()
        rows = RowList(total, tuple(map(_row, listed)), self.ctx.pipeline.quality.redact)
        self.pages.save_rows(self.name, file.run_id, file.file.uri, rows)
        return rows


def _row(row: dict[str, Any]) -> QuarantinedRow:
    return QuarantinedRow(
        **{name: _cut(value) for name, value in row.items() if name != "causes"},
        causes=tuple(map(_cut, quarantine.said(row))),
    )


def _marked(rows: RowList | None, done: set[int]) -> RowList | None:
    """The rows with those marked that were replayed."""
    if rows is None or not done:
        return rows
    return dataclasses.replace(
        rows, rows=tuple(dataclasses.replace(row, replayed=row.row in done) for row in rows.rows)
    )


def _repair(file: FileRun) -> Repair:
    source = file.replay.source if file.replay else ""
    said = file.answer
    when = f"{said.at:%Y-%m-%d %H:%M}" if said and said.at else ""
    return Repair(file.counts.published, said.by if said else "", when, said.reason if said else "", source)


def _cut(value: Any) -> Any:
    if not isinstance(value, str | None):
        return value
    text = value or ""
    return text if len(text) <= RAW else text[: RAW - 1] + "…"


def _watched(schedule: Schedule) -> Watch | None:
    return freshness.watch(schedule.cron, schedule.timezone, schedule.start, schedule.end)


def in_words(schedule: Schedule | None) -> str:
    """A schedule for people."""
    if schedule is None:
        return "no schedule"
    watched = _watched(schedule)
    if watched and len(watched.weekdays) == 7:
        return f"daily at {watched.hour:02}:{watched.minute:02} {schedule.timezone}"
    return f"cron {schedule.cron} {schedule.timezone}"


def _unwatched(schedule: Schedule | None) -> str:
    if schedule is None:
        return "Nights without a run are not looked for: the pipeline has no schedule."
    return f"Nights without a run are not looked for: `{schedule.cron}` is not one tick a day."


def _trouble_first(file: FileRun) -> tuple[int, int, str]:
    order = (Status.FAILED, Status.WAITING, Status.REJECTED)
    return (order.index(file.status) if file.status in order else len(order), -file.counts.quarantined, file.file.uri)


def _run(run: dict[str, Any]) -> NightRun:
    return NightRun(
        run["run_id"], run["status"], run["trigger"], _second(run["started"]), _second(run["ended"]), run["note"] or ""
    )


def _second(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}" if moment else ""


def _title(rule: dict[str, Any]) -> str:
    return f"{rule['rule']}({rule['columns'] or 'table'})"


def _found(rule: dict[str, Any]) -> str:
    if rule["unexpected"] is None:
        return f"observed {rule['observed'] or 'nothing'}"
    checked = rule["checked"] or 0
    return f"{rule['unexpected']:,} of {checked:,} rows ({percent(rule['unexpected'] / checked if checked else 0.0)})"


def _readable(file: SourceFile) -> str:
    """A file's name as its partner wrote it: a canonical uri has it percent-encoded."""
    return unquote(file.name)


def _decided(file: FileRun) -> str | None:
    if not (said := file.answer):
        return None
    who = f" by {said.by}" if said.by else ""
    return f"Decision: {said.decision.value}{who}{': ' + said.reason if said.reason else ''}"
