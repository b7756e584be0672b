"""What the pages show: frozen values that the verbs collect, so that rendering asks nobody anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from forebay.model import WAITING_WORDS, Json, JsonDict, Severity


class State(StrEnum):
    """How a pipeline's night stands."""

    OK = "ok"
    WARNINGS = "warnings"
    QUARANTINED = "quarantined rows"
    REPAIRED = "repaired"
    REJECTED = "rejected"
    WAITING = "held back"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    EMPTY = "no file"
    MISSING = "no run"
    RUNNING = "not finished"
    QUIET = "nothing new"

    @classmethod
    def _missing_(cls, value: object) -> State | None:
        """What earlier versions called one, and wrote into the facts of their nights."""
        return cls.WAITING if value in WAITING_WORDS else None


class Look(NamedTuple):
    """A state's sign (so that colour is never needed) and the sentence of the legend."""

    glyph: str
    meaning: str


LOOKS = {
    State.OK: Look("✓", "everything published, every rule passed"),
    State.WARNINGS: Look("!", "everything published, a critical or warning rule failed without quarantining rows"),
    State.QUARANTINED: Look("▲", "published without some rows, which are quarantined"),
    State.REPAIRED: Look("△", "rows were quarantined, and all of them repaired and replayed since"),
    State.REJECTED: Look("⊘", "a file was refused as a whole"),
    State.WAITING: Look("?", "a file is held back until a person decides"),
    State.FAILED: Look("✕", "the run or a file failed"),
    State.INCOMPLETE: Look("◐", "files that were expected had not come"),
    State.EMPTY: Look("∅", "a run found no file"),
    State.MISSING: Look("○", "expected by the schedule, but there was no run"),
    State.RUNNING: Look("▸", "a run has begun and not ended"),
    State.QUIET: Look("–", "all files seen were published before, or ignored"),
}

TROUBLE = (State.FAILED, State.MISSING, State.WAITING, State.REJECTED, State.INCOMPLETE, State.EMPTY)
"""States that somebody should look at, the worst first."""


@dataclass(frozen=True, slots=True)
class Night(Json):
    """One day of one pipeline as it stands: the last word on each file, whatever number of runs it took. `late_hours`
    after it was due.

    `failed_rules`: of severity critical or warning. `replayed`: how many of the quarantined rows were repaired and
    published since.
    """

    day: date
    state: State
    files: int = 0
    rows_in: int = 0
    published: int = 0
    quarantined: int = 0
    rejected: int = 0
    failed_rules: int = 0
    late_hours: float | None = None
    ended: datetime | None = None
    note: str = ""
    page: bool = False  # whether the night's own page is kept
    replayed: int = 0

    @property
    def share(self) -> float:
        """Quarantined rows by rows in."""
        return self.quarantined / self.rows_in if self.rows_in else 0.0


@dataclass(frozen=True, slots=True)
class Summary(Json):
    """A pipeline as the index page shows it; stored beside the pipeline's page, so that the index need not ask for the
    others' nights.

    `nights` are the last ones; `year` has all of them, a letter a day from `year_from` on (see `letters`), for the map
    of the year.
    """

    pipeline: str
    owner: str
    schedule: str
    nights: tuple[Night, ...]
    first_run: datetime | None = None
    last_run: datetime | None = None
    last_status: str | None = None
    watch: Watch | None = None
    year: str = ""
    year_from: date | None = None


def letters(nights: Sequence[Night]) -> str:
    """The states of nights in order, a letter for each day from the first to the last; a blank is a day without one."""
    if not nights:
        return ""
    by_day = {night.day: night.state for night in nights}
    days = (nights[0].day + timedelta(days=n) for n in range((nights[-1].day - nights[0].day).days + 1))
    return "".join(chr(ord("A") + _ORDER.index(by_day[day])) if day in by_day else " " for day in days)


def states(text: str, first: date | None) -> dict[date, State]:
    """The nights of `letters`."""
    if first is None:
        return {}
    return {first + timedelta(days=n): _ORDER[ord(letter) - ord("A")] for n, letter in enumerate(text) if letter != " "}


_ORDER = list(State)


@dataclass(frozen=True, slots=True)
class Watch(Json):
    """Which nights a schedule promises: those of `weekdays` (0 is Monday), due at `hour`:`minute` of the next of them,
    in `timezone`, from `start` to `end`."""

    weekdays: tuple[int, ...]
    hour: int
    minute: int
    timezone: str
    start: date
    end: date | None = None


@dataclass(frozen=True, slots=True)
class RuleNight:
    """What a rule said on one night, over all its files. `share` is failing by checked rows, for row rules only."""

    success: bool
    failing: int | None = None
    checked: int | None = None
    observed: str | None = None

    @property
    def share(self) -> float | None:
        if self.failing is None:
            return None
        return self.failing / self.checked if self.checked else 0.0


@dataclass(frozen=True, slots=True)
class RuleTrend:
    """One rule over the nights; `nights` holds only those on which it was asked."""

    rule: str
    columns: str
    severity: Severity
    kind: str
    nights: dict[date, RuleNight]


@dataclass(frozen=True, slots=True)
class PipelineHistory:
    """All of a pipeline's page. `unwatched` says why missing nights are not looked for, or is empty."""

    summary: Summary
    description: str
    rules: tuple[RuleTrend, ...]
    unwatched: str = ""


@dataclass(frozen=True, slots=True)
class QuarantinedRow(Json):
    """A row quarantined, as text. `raw` may be cut; it then ends with `…`. `observed` is what stood in its columns,
    `causes` every failing rule or reason."""

    row: int
    step: str
    columns: str
    rule: str
    reason: str
    raw: str
    observed: str = ""
    causes: tuple[str, ...] = ()
    replayed: bool = False

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """As `Json.from_json`; an earlier version wrote the step as `stage`."""
        named = {"step" if name == "stage" else name: value for name, value in data.items()}
        return super(QuarantinedRow, cls).from_json(named)  # slots make another class, which a bare `super` misses


@dataclass(frozen=True, slots=True)
class RowList(Json):
    """The first rows that a file quarantined, and how many there are. `redact`: columns whose values are not in it."""

    total: int
    rows: tuple[QuarantinedRow, ...]
    redact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedRule:
    """A rule that a file failed."""

    title: str
    severity: Severity
    observed: str


@dataclass(frozen=True, slots=True)
class Repair:
    """A replay of a file's quarantined rows: how many, by whom, when (as text), why, and the edited file's name."""

    rows: int
    who: str
    when: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class NightFile:
    """One file of a night: what became of it, the rules it failed, its first quarantined rows (None: `rows_note` says
    why)."""

    name: str
    uri: str
    status: str
    fate: str
    reason: str
    error: str | None
    decided: str | None
    rows_in: int
    published: int
    quarantined: int
    rejected: int
    docs: str | None
    rules: tuple[FailedRule, ...]
    rules_passed: int
    rows: RowList | None
    rows_note: str = ""
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class NightRun:
    """A run that worked on the night."""

    run_id: str
    status: str
    trigger: str
    started: str
    ended: str
    note: str


@dataclass(frozen=True, slots=True)
class NightHistory:
    """All of a night's page. `ignored` are files that were seen and not read, with the reason; `more` is how many files
    are not shown."""

    pipeline: str
    night: Night
    runs: tuple[NightRun, ...]
    files: tuple[NightFile, ...]
    more: int = 0
    ignored: tuple[tuple[str, str], ...] = ()
