"""Values arranged as the templates want them: which nights make the columns, sums, marks and charts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import NamedTuple

from forebay.model import Severity
from forebay.pages import charts, freshness
from forebay.pages.charts import Bar
from forebay.pages.values import TROUBLE, Night, PipelineHistory, RuleNight, RuleTrend, State, Summary
from forebay.pages.year import Year, year_of

COLUMNS = 60
"""Nights on the index page."""
RECENT = 30
"""Nights of the rule matrix, and of the list that is open."""
FRESH = 7
"""The last nights of which trouble is told first."""
WIDTH, HEIGHT = 1100, 110
SPARK = (200, 26)


class Month(NamedTuple):
    """Neighbouring columns of one month."""

    name: str
    days: int


class Sums(NamedTuple):
    """Totals over some nights."""

    nights: int
    good: int
    trouble: int
    missing: int
    late: int
    rows_in: int
    published: int
    quarantined: int
    rejected: int

    @classmethod
    def of(cls, nights: Iterable[Night]) -> Sums:
        all_of = list(nights)
        rows = (sum(getattr(n, name) for n in all_of) for name in ("rows_in", "published", "quarantined", "rejected"))
        missing = sum(n.state is State.MISSING for n in all_of)
        trouble = sum(n.state in TROUBLE for n in all_of)
        late = sum(n.late_hours is not None for n in all_of)
        return cls(len(all_of), len(all_of) - trouble, trouble, missing, late, *rows)

    @property
    def share(self) -> float:
        return self.quarantined / self.rows_in if self.rows_in else 0.0


class IndexRow(NamedTuple):
    """A pipeline's row: a night, or nothing, per column."""

    summary: Summary
    cells: tuple[Night | None, ...]
    sums: Sums
    last: Night | None


@dataclass(frozen=True, slots=True)
class IndexView:
    """The project's page: rows by pipeline, columns by the last days that any pipeline has or misses."""

    rows: tuple[IndexRow, ...]
    days: tuple[date, ...]
    months: tuple[Month, ...]
    sums: Sums
    look_at: tuple[tuple[str, Night], ...]
    year: Year | None

    @classmethod
    def of(cls, summaries: list[Summary], now: datetime) -> IndexView:
        whole = {s.pipeline: (s, with_missing(s, now)) for s in sorted(summaries, key=lambda s: s.pipeline)}
        days = tuple(sorted({n.day for _, nights in whole.values() for n in nights})[-COLUMNS:])
        rows = tuple(_index_row(summary, nights, days) for summary, nights in whole.values())
        shown = [night for row in rows for night in row.cells if night]
        fresh = set(days[-FRESH:])
        troubles = [
            (row.summary.pipeline, n) for row in rows for n in row.cells if n and n.day in fresh and n.state in TROUBLE
        ]
        troubles.sort(key=lambda pair: (-pair[1].day.toordinal(), TROUBLE.index(pair[1].state), pair[0]))
        return cls(rows, days, months(days), Sums.of(shown), tuple(troubles), year_of(whole))


def _index_row(summary: Summary, nights: Sequence[Night], days: tuple[date, ...]) -> IndexRow:
    by_day = {night.day: night for night in nights}
    cells = tuple(by_day.get(day) for day in days)
    return IndexRow(summary, cells, Sums.of(n for n in cells if n), nights[-1] if nights else None)


def with_missing(summary: Summary, now: datetime) -> tuple[Night, ...]:
    """The nights with those that have no run though the schedule promised them, by now, in order."""
    if not (summary.watch and summary.first_run):
        return summary.nights
    known = {night.day for night in summary.nights}
    nights = [
        night.day for night in summary.nights if night.files
    ]  # a look at a day without files says nothing of the nights around it
    gone = [day for day in freshness.missing(summary.watch, nights, summary.first_run, now) if day not in known]
    made = [
        Night(day, State.MISSING, note=f"due {freshness.due(summary.watch, day):%Y-%m-%d %H:%M %Z}, no run since")
        for day in gone
    ]
    return tuple(sorted([*summary.nights, *made], key=lambda night: night.day))


def months(days: Iterable[date]) -> tuple[Month, ...]:
    """Column headings: runs of days of one month."""
    return tuple(Month(name, len(list(group))) for name, group in groupby(days, key=lambda d: f"{d:%b %Y}"))


class CalendarRow(NamedTuple):
    """A month and its 31 places."""

    name: str
    days: tuple[Night | None, ...]


class NightBars(NamedTuple):
    """One night's bars: rows published, rows rejected, share quarantined."""

    night: Night
    published: Bar | None
    rejected: Bar | None
    share: Bar | None
    x: float
    width: float


class RuleRow(NamedTuple):
    """A rule's line: its sparkline (the failing share of a row rule; of a table rule the numbers that it observed,
    `span` their least and largest, with strokes where it failed), its last answer, and the last nights' cells."""

    trend: RuleTrend
    path: str
    strokes: str
    span: tuple[float, float] | None
    last: RuleNight | None
    failed: int
    worst: tuple[date, RuleNight] | None
    cells: tuple[RuleNight | None, ...]


@dataclass(frozen=True, slots=True)
class PipelineView:
    """A pipeline's page, nights oldest first."""

    history: PipelineHistory
    nights: tuple[Night, ...]
    sums: Sums
    calendar: tuple[CalendarRow, ...]
    chart: tuple[NightBars, ...]
    most_rows: int
    most_share: float
    rules: tuple[RuleRow, ...]
    recent: tuple[Night, ...]
    months: tuple[Month, ...]

    @classmethod
    def of(cls, history: PipelineHistory) -> PipelineView:
        nights = history.summary.nights
        recent = tuple(n for n in nights if n.state is not State.MISSING)[-RECENT:]
        order = list(Severity)
        rules = sorted(history.rules, key=lambda r: order.index(r.severity))
        return cls(
            history,
            nights,
            Sums.of(nights),
            _calendar(nights),
            _chart(nights),
            max((n.published + n.rejected for n in nights), default=0),
            max((n.share for n in nights), default=0.0),
            tuple(_rule_row(rule, nights, recent) for rule in rules),
            recent,
            months(n.day for n in recent),
        )


def _calendar(nights: Iterable[Night]) -> tuple[CalendarRow, ...]:
    rows = []
    for name, group in groupby(nights, key=lambda n: f"{n.day:%b %Y}"):
        by_day = {night.day.day: night for night in group}
        rows.append(CalendarRow(name, tuple(by_day.get(day) for day in range(1, 32))))
    return tuple(rows)


def _chart(nights: Sequence[Night]) -> tuple[NightBars, ...]:
    published, rejected = [n.published for n in nights], [n.rejected for n in nights]
    top = max(map(sum, zip(published, rejected, strict=True)), default=0)
    columns = (
        charts.bars(published, WIDTH, HEIGHT, top),
        charts.bars(rejected, WIDTH, HEIGHT, top, published),
        charts.bars([n.share for n in nights], WIDTH, HEIGHT / 2, max((n.share for n in nights), default=0.0)),
    )
    step = WIDTH / max(1, len(nights))
    places = zip(nights, *columns, strict=True)
    return tuple(NightBars(*place, round(number * step, 2), round(step, 2)) for number, place in enumerate(places))


def _rule_row(rule: RuleTrend, nights: Sequence[Night], recent: Sequence[Night]) -> RuleRow:
    said = [rule.nights.get(night.day) for night in nights]
    asked = [(day, answer) for day, answer in sorted(rule.nights.items())]
    failures = [(day, answer) for day, answer in asked if not answer.success]
    worst = max(failures, key=lambda pair: (pair[1].share or 0.0, pair[0]), default=None)
    cells = tuple(rule.nights.get(night.day) for night in recent)
    drawn = _row_line(said) if rule.kind == "row" else _table_line(said)
    return RuleRow(rule, *drawn, asked[-1][1] if asked else None, len(failures), worst, cells)


def _row_line(said: Sequence[RuleNight | None]) -> tuple[str, str, None]:
    return charts.line([answer.share if answer else None for answer in said], *SPARK), "", None


def _table_line(said: Sequence[RuleNight | None]) -> tuple[str, str, tuple[float, float] | None]:
    numbers = [_number(answer.observed) if answer else None for answer in said]
    known = [number for number in numbers if number is not None]
    strokes = charts.ticks([bool(answer and not answer.success) for answer in said], *SPARK)
    return charts.trend(numbers, *SPARK), strokes, (min(known), max(known)) if known else None


def _number(observed: str | None) -> float | None:
    """What was observed, where it is a number."""
    try:
        number = float(observed or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def completed(history: PipelineHistory, now: datetime) -> PipelineHistory:
    """The history with its missing nights."""
    summary = dataclasses.replace(history.summary, nights=with_missing(history.summary, now))
    return dataclasses.replace(history, summary=summary)
