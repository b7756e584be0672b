"""The map of a year: pipelines by months, in each cell a strip with a stroke a night, as high as the night was bad, and
what to look at as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from forebay.pages.values import LOOKS, TROUBLE, Night, State, Summary, states

MONTHS = 13
"""Columns: the running month and the twelve before it."""
SHORTEST = 62
"""With no more days the map of nights shows all of them already."""
DAY, LOW, MIDDLE, HIGH = 3, 4, 8, 12
"""Width of a night and heights of strokes, in units of the strip."""
_SET_ASIDE = (State.QUARANTINED, State.WARNINGS)


class Stroke(NamedTuple):
    """Neighbouring nights of one state."""

    x: int
    width: int
    height: int
    state: State


class MonthCell(NamedTuple):
    """A pipeline's month: its strip, what it says in words, and counts of the states to look at."""

    strip: tuple[Stroke, ...]
    label: str
    counts: tuple[tuple[State, int], ...]


class Year(NamedTuple):
    """Names of the months, and by pipeline its cells (None: nothing in that month)."""

    months: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MonthCell | None, ...]], ...]


def year_of(pipelines: Mapping[str, tuple[Summary, Sequence[Night]]]) -> Year | None:
    """The map over the last `MONTHS` months, or None while it would say no more than the map of nights."""
    nights_of = {
        name: states(summary.year, summary.year_from) | {n.day: n.state for n in nights}
        for name, (summary, nights) in pipelines.items()
    }
    days = sorted({day for nights in nights_of.values() for day in nights})
    if not days or (days[-1] - days[0]).days < SHORTEST:
        return None
    firsts = _months(days[0], days[-1])[-MONTHS:]
    rows = tuple((name, tuple(_cell(first, nights) for first in firsts)) for name, nights in nights_of.items())
    return Year(tuple(f"{first:%b %Y}" for first in firsts), rows)


def _months(first: date, last: date) -> list[date]:
    """The first days of the months from one day to another."""
    months = [first.replace(day=1)]
    while (after := (months[-1] + timedelta(days=32)).replace(day=1)) <= last:
        months.append(after)
    return months


def _cell(first: date, nights: Mapping[date, State]) -> MonthCell | None:
    days = (first + timedelta(days=n) for n in range(31))
    here = [(day.day, nights[day]) for day in days if day.month == first.month and day in nights]
    if not here:
        return None
    counts = Counter(state for _, state in here)
    counted_states = ", ".join(f"{counts[state]} {state.value}" for state in LOOKS if counts[state])
    shown = tuple((state, counts[state]) for state in (*TROUBLE, State.QUARANTINED) if counts[state])
    return MonthCell(tuple(_strokes(here)), f"{first:%b %Y}: {counted_states}", shown)


def _strokes(nights: Iterable[tuple[int, State]]) -> Iterable[Stroke]:
    """Runs of equal states on days that follow each other."""
    for (_, state), group in groupby(enumerate(nights), key=lambda n: (n[1][0] - n[0], n[1][1])):
        days = [day for _, (day, _) in group]
        height = HIGH if state in TROUBLE else MIDDLE if state in _SET_ASIDE else LOW
        yield Stroke((days[0] - 1) * DAY, len(days) * DAY, height, state)
