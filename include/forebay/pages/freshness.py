"""Which nights a schedule promised, which of them have no run, and which came late.

Watched are schedules with one tick a day, on all or some days of the week (`0 2 * * *`, `30 6 * * 1-5`). A night is
promised

* when it was due after the pipeline's first run (before that, nobody was there to run it), and between the schedule's
  `start` and `end`; or
* when it lies in a gap of at most `GAP` days between nights that did run (a hole in a backfill).

It is missing when it has no run `GRACE` after it was due, and late when its first good run ended later than that.
Not covered: other schedules (several ticks a day, days of a month), pauses, and catchups that were never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from forebay.pages.values import Watch

GRACE = timedelta(hours=6)
GAP = 31
LONGEST = 400
"""Days that are looked back at most."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def watch(cron: str, timezone: str, start: str, end: str | None = None) -> Watch | None:
    """The nights a cron expression promises, or None if it is not one tick a day."""
    minute, hour, day, month, weekday = cron.split()
    days = _weekdays(weekday)
    if not (minute.isdigit() and hour.isdigit() and (day, month) == ("*", "*") and days):
        return None
    return Watch(
        days, int(hour), int(minute), timezone, date.fromisoformat(start), date.fromisoformat(end) if end else None
    )


def _weekdays(field: str) -> tuple[int, ...] | None:
    """Days of the week, Monday 0; None for what is not `*`, a list or a range of days."""
    if field == "*":
        return tuple(range(7))
    weekdays: set[int] = set()
    for part in field.lower().split(","):
        first, dash, last = part.partition("-")
        ends = [_weekday(name) for name in ((first, last) if dash else (first, first))]
        if None in ends:
            return None
        low, high = (int(end) for end in ends if end is not None)
        weekdays |= {day % 7 for day in range(low, (high if high >= low else high + 7) + 1)}
    return tuple(sorted(weekdays))


def _weekday(name: str) -> int | None:
    if name.isdigit() and int(name) <= 7:
        return (int(name) + 6) % 7  # cron's Sunday is 0 or 7
    return _DAYS.index(name) if name in _DAYS else None


def due(watched: Watch, day: date) -> datetime:
    """When the run of that night starts: the next tick."""
    ahead = next(n for n in range(1, 8) if (day + timedelta(days=n)).weekday() in watched.weekdays)
    return datetime.combine(day + timedelta(days=ahead), time(watched.hour, watched.minute), ZoneInfo(watched.timezone))


def missing(watched: Watch, known: list[date], first_run: datetime, now: datetime) -> list[date]:
    """Promised nights without a run, oldest first. `known`: nights that have one."""
    have = set(known)
    return [day for day in _promised(watched, sorted(have), first_run, now) if day not in have]


def _promised(watched: Watch, known: list[date], first_run: datetime, now: datetime) -> Iterator[date]:
    today = now.astimezone(ZoneInfo(watched.timezone)).date()
    begin = max([watched.start, today - timedelta(days=LONGEST), *known[:1]])
    in_gap = _gaps(known)
    day = min([begin, *in_gap])
    last = min(today, watched.end or today)
    while day <= last:
        if day.weekday() in watched.weekdays and day >= watched.start and due(watched, day) + GRACE <= now:
            used = day >= begin and due(watched, day) >= first_run
            if used or day in in_gap:
                yield day
        day += timedelta(days=1)


def _gaps(known: list[date]) -> set[date]:
    """Days between neighbours that are not too far apart."""
    gaps = set()
    for before, after in pairwise(known):
        if 1 < (after - before).days <= GAP:
            gaps |= {before + timedelta(days=n) for n in range(1, (after - before).days)}
    return gaps


def late_hours(watched: Watch, day: date, first_run: datetime, ended: datetime) -> float | None:
    """Hours after it was due, if that is more than the grace and the schedule was in use by then; else None."""
    promised = due(watched, day)
    over = ended - promised
    return round(over.total_seconds() / 3600, 1) if over > GRACE and promised >= first_run else None
