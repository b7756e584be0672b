"""Which nights a schedule promised, and which of them are missing or late."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from forebay.pages.freshness import due, late_hours, missing, watch
from forebay.pages.values import Night, State, Summary, Watch
from forebay.pages.views import with_missing

NIGHTLY = Watch(tuple(range(7)), 2, 0, "UTC", date(2013, 1, 1))
WORKDAYS = Watch((0, 1, 2, 3, 4), 6, 30, "America/New_York", date(2013, 1, 1))
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def at(day: int, hour: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def days(*numbers: int) -> list[date]:
    return [date(2026, 1, n) for n in numbers]


@pytest.mark.parametrize(
    ("cron", "weekdays"),
    [
        ("0 2 * * *", (0, 1, 2, 3, 4, 5, 6)),
        ("30 6 * * 1-5", (0, 1, 2, 3, 4)),
        ("0 0 * * 0,3", (2, 6)),
        ("0 0 * * 7", (6,)),
        ("0 0 * * FRI-mon", (0, 4, 5, 6)),
    ],
)
def test_one_tick_a_day_is_watched(cron: str, weekdays: tuple[int, ...]) -> None:
    found = watch(cron, "UTC", "2013-01-01")
    assert found and found.weekdays == weekdays


@pytest.mark.parametrize(
    "cron", ["*/5 * * * *", "0 2,14 * * *", "0 * * * *", "0 2 1 * *", "0 2 * 6 *", "0 2 * * 1#2", "0 2 * * */2"]
)
def test_other_schedules_are_not(cron: str) -> None:
    assert watch(cron, "UTC", "2013-01-01") is None


def test_a_night_is_due_at_the_next_tick() -> None:
    assert due(NIGHTLY, date(2026, 1, 5)) == at(6, 2)
    assert due(WORKDAYS, date(2026, 1, 9)).isoformat() == "2026-01-12T06:30:00-05:00"


def test_a_night_is_due_at_the_clock_of_its_zone_when_clocks_change() -> None:
    assert due(WORKDAYS, date(2026, 3, 6)).astimezone(UTC) == datetime(2026, 3, 9, 10, 30, tzinfo=UTC)


def test_a_hole_and_what_came_after_are_missing() -> None:
    assert missing(NIGHTLY, days(1, 2, 4), FIRST, at(7, 9)) == days(3, 5, 6)


@pytest.mark.parametrize(("now", "found"), [(at(7, 7), days(5)), (at(7, 8), days(5, 6))])
def test_a_night_is_missing_only_when_its_grace_of_six_hours_is_over(now: datetime, found: list[date]) -> None:
    assert missing(NIGHTLY, days(4), FIRST, now) == found


@pytest.mark.parametrize(("state", "files", "gap"), [(State.INCOMPLETE, 0, []), (State.OK, 1, days(3, 4))])
def test_a_look_at_a_day_without_files_makes_no_other_night_missing(state: State, files: int, gap: list[date]) -> None:
    """By hand, for the 2nd; the schedule's first night is the 5th. A file on the 2nd is the control: then the 3rd and
    4th are a hole."""
    nights = tuple(Night(date(2026, 1, n), now, files=held) for n, now, held in ((2, state, files), (5, State.OK, 1)))
    told = with_missing(Summary("p", "o", "s", nights, first_run=at(6), watch=NIGHTLY), at(6, 12))
    assert [night.day for night in told if night.state is State.MISSING] == gap


def test_days_that_the_schedule_leaves_out_are_not_missing() -> None:
    assert missing(WORKDAYS, days(8), FIRST, at(13, 20)) == days(9, 12)


def test_history_of_years_ago_does_not_promise_the_years_between() -> None:
    known = [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 4)]
    assert missing(NIGHTLY, known, at(5, 12), at(8, 9)) == [date(2013, 1, 3), *days(5, 6, 7)]


def test_nights_before_the_start_are_not_promised() -> None:
    started = Watch(NIGHTLY.weekdays, 2, 0, "UTC", date(2026, 1, 5))
    assert missing(started, days(1, 4), FIRST, at(8, 9)) == days(5, 6, 7)


def test_a_late_night_is_one_that_ended_past_its_grace() -> None:
    assert late_hours(NIGHTLY, date(2026, 1, 5), FIRST, at(6, 7)) is None
    assert late_hours(NIGHTLY, date(2026, 1, 5), FIRST, at(6, 12)) == 10.0


def test_a_backfill_is_not_late() -> None:
    assert late_hours(NIGHTLY, date(2013, 1, 5), FIRST, at(6, 12)) is None


def test_a_schedule_that_has_ended_promises_nothing_more() -> None:
    ended = watch("0 2 * * *", "UTC", "2013-01-01", "2026-01-03")
    assert ended and ended.end == date(2026, 1, 3)
    assert missing(ended, days(1), FIRST, at(10)) == days(2, 3)
    assert Watch.from_json(ended.to_json()) == ended
