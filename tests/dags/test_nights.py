"""A run's night is its date: by hand, scheduled and backfilled, over a year of several zones, and on the days when
clocks change.

The judge is Python's own calendar (`zoneinfo`), not a cron library.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from forebay.model import Window

NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
ZONES = (
    NEW_YORK,
    BERLIN,
    "UTC",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "America/Havana",
)
CRONS = ("0 2 * * *", "30 1 * * *", "30 2 * * *", "0 0 * * *", "15 3 * * *", "0 19 * * *", "59 23 * * *")
FORWARD = {NEW_YORK: date(2013, 3, 10), BERLIN: date(2013, 3, 31)}
BACK = {NEW_YORK: date(2013, 11, 3), BERLIN: date(2013, 10, 27)}
DAY = timedelta(days=1)
SOME = [
    ("0 2 * * *", NEW_YORK),
    ("30 2 * * *", NEW_YORK),
    ("30 1 * * *", BERLIN),
    ("0 19 * * *", NEW_YORK),
    ("0 0 * * *", "Asia/Tokyo"),
]
ALL = [(cron, zone) for cron in CRONS for zone in ZONES if (cron, zone) not in SOME]
EACH = [*SOME, *(pytest.param(*one, marks=pytest.mark.long) for one in ALL)]


def nights(cron: str = "0 2 * * *", zone: str = NEW_YORK) -> Any:
    from forebay_airflow.nights import Nights

    return Nights(cron, zone)


def pendulum(moment: datetime) -> Any:
    import pendulum as p

    return p.instance(moment.astimezone(UTC))


def local(day: date, zone: str, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=ZoneInfo(zone))


def tick(day: date, zone: str) -> datetime:
    """02:00 of that day: the later one where it comes twice, and the first moment behind it where it does not come."""
    return max(local(day, zone, 2).replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def backfilled(table: Any, first: datetime, last: datetime) -> list[Any]:
    """As `SerializedDAG.iter_dagrun_infos_between` goes through them."""
    from airflow.timetables.base import TimeRestriction

    found, restriction = [], TimeRestriction(pendulum(first), pendulum(last), catchup=True)
    info = table.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    while info:
        found.append(info)
        info = table.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
    return found


def days(first: date, last: date) -> list[date]:
    return [first + DAY * n for n in range((last - first).days + 1)]


YEAR = days(date(2013, 1, 1), date(2013, 12, 31))


@pytest.mark.parametrize(("cron", "zone"), EACH)
def test_a_backfill_of_a_year_has_each_night_once_in_order(cron: str, zone: str) -> None:
    """Bounds as `airflow backfill create` makes them of plain dates (midnight UTC), and as a page in the local zone
    does."""
    table = nights(cron, zone)
    plain = backfilled(table, datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC))
    assert [table.window(info.logical_date) for info in plain] == [Window.of_day(day, zone) for day in YEAR]
    assert [info.run_after.isoformat() for info in plain] == [f"{day}T00:00:00+00:00" for day in YEAR], (
        "what names its run"
    )
    if cron != "0 19 * * *":  # 19:00 in New York is midnight UTC, which a bound that is no tick is read as a date of
        there = backfilled(table, local(YEAR[0], zone, 0, 0, 1), local(YEAR[-1], zone, 23, 59, 59))
        assert [info.logical_date for info in there] == [info.logical_date for info in plain]


@pytest.mark.parametrize(("cron", "zone"), EACH)
def test_a_year_of_runs_by_hand(cron: str, zone: str) -> None:
    """At the schedule's own moment, a plain date, and any other moment of the day."""
    table = nights(cron, zone)
    minute, hour = map(int, cron.split()[:2])
    for day in YEAR:
        moments = [
            local(day, zone, hour, minute),
            datetime(day.year, day.month, day.day, tzinfo=UTC),
            local(day, zone, 12, 34, 56),
        ]
        plain = moments[1].astimezone(ZoneInfo(zone))
        assert table.window(pendulum(moments[2])).day == day
        if (plain.hour, plain.minute) != (
            hour,
            minute,
        ) or plain.date() == day:  # else it is the tick of the evening before
            assert table.window(pendulum(moments[1])).day == day
        assert (
            table.window(pendulum(moments[0].astimezone(UTC))).day
            == moments[0].astimezone(UTC).astimezone(ZoneInfo(zone)).date()
        )


@pytest.mark.parametrize(("zone", "day"), [*FORWARD.items(), *BACK.items()])
def test_the_days_of_the_clock_change_by_hand_at_any_time(zone: str, day: date) -> None:
    """Airflow's own interval was of a wrong day for 23 hours of the day on which the clocks go forward."""
    table, moment = nights(zone=zone), local(day, zone).astimezone(UTC)
    while moment.astimezone(ZoneInfo(zone)).date() == day:
        wanted = moment.date() if (moment.hour, moment.minute) == (0, 0) else day
        assert table.window(pendulum(moment)) == Window.of_day(wanted, zone), moment
        assert table.night(table.infer_manual_data_interval(run_after=pendulum(moment)).start) == wanted
        moment += timedelta(minutes=10)


@pytest.mark.parametrize(("zone", "day"), [*FORWARD.items(), *BACK.items()])
def test_the_days_of_the_clock_change_scheduled(zone: str, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the DAG is switched on, the last night that is over runs, and then each following one once, at 02:00 or
    the first moment behind it."""
    from airflow.timetables import interval
    from airflow.timetables.base import TimeRestriction

    table = nights(zone=zone)
    free = TimeRestriction(pendulum(local(date(2013, 1, 1), zone)), None, catchup=False)
    now = local(day - DAY, zone, 12).astimezone(UTC)
    while now < local(day + 2 * DAY, zone, 12).astimezone(UTC):
        monkeypatch.setattr(interval, "utcnow", lambda now=now: pendulum(now))
        info = table.next_dagrun_info_v2(last_dagrun_info=None, restriction=free)
        today = now.astimezone(ZoneInfo(zone)).date()
        due = tick(today, zone)
        assert table.night(info.logical_date) == today - (DAY if now >= due else 2 * DAY), now
        following = table.next_dagrun_info_v2(last_dagrun_info=info, restriction=free)
        assert table.night(following.logical_date) == table.night(info.logical_date) + DAY, now
        assert following.run_after == tick(table.night(following.logical_date) + DAY, zone), now
        now += timedelta(minutes=30)


def test_run_ids_name_the_night() -> None:
    from airflow.utils.types import DagRunType

    table = nights()
    nine = table.infer_manual_data_interval(run_after=pendulum(datetime(2013, 1, 9, tzinfo=UTC)))
    now = pendulum(datetime(2026, 11, 28, 18, tzinfo=UTC))
    assert (
        table.generate_run_id(run_type=DagRunType.SCHEDULED, run_after=now, data_interval=nine)
        == "scheduled__2013-01-09"
    )
    by_hand = [table.generate_run_id(run_type=DagRunType.MANUAL, run_after=now, data_interval=nine) for _ in range(2)]
    assert [one.startswith("manual__2013-01-09__") for one in by_hand] == [True, True]
    assert by_hand[0] != by_hand[1]
    unknown = table.generate_run_id(
        run_type=DagRunType.MANUAL, run_after=now, data_interval=table.infer_manual_data_interval(run_after=now)
    )
    assert not unknown.startswith("manual__2026-11-28"), "Airflow's command line does not tell the date it was given"


def test_several_ticks_a_day_are_windows_between_ticks() -> None:
    """By hand the one that holds the moment; plain dates of a backfill are whole days; the hour that comes twice has
    two windows."""
    from forebay.config.paths import render

    table = nights("0 * * * *")
    found = table.window(pendulum(local(date(2013, 1, 9), NEW_YORK, 5, 30)))
    assert (found.start, found.end) == (local(date(2013, 1, 9), NEW_YORK, 5), local(date(2013, 1, 9), NEW_YORK, 6))
    for day, hours in ((date(2013, 1, 9), 24), (FORWARD[NEW_YORK], 23), (BACK[NEW_YORK], 25)):
        plain = datetime(day.year, day.month, day.day, tzinfo=UTC)
        windows = [table.window(info.logical_date) for info in backfilled(table, plain, plain)]
        assert len(windows) == hours
        assert {window.day for window in windows} == {day}
        assert len({render("{{ ds }}/{{ hour }}", window) for window in windows}) == min(hours, 24)
        assert [a.end.astimezone(UTC) for a in windows[:-1]] == [b.start.astimezone(UTC) for b in windows[1:]]


def test_a_night_is_not_scheduled_again_when_its_tick_moves() -> None:
    from airflow.timetables.base import DataInterval, TimeRestriction

    last = DataInterval(pendulum(local(date(2013, 1, 9), NEW_YORK, 2)), pendulum(local(date(2013, 1, 10), NEW_YORK, 2)))
    for cron in ("0 3 * * *", "0 1 * * *", "30 2 * * *"):
        table = nights(cron)
        info = table.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(None, None, catchup=True)
        )
        assert table.night(info.logical_date) == date(2013, 1, 10), cron


def test_days_before_the_first_and_behind_the_last_are_never_scheduled_nor_backfilled() -> None:
    from airflow.timetables.base import TimeRestriction

    from forebay_airflow.nights import Nights

    table = Nights("0 2 * * *", NEW_YORK, "2013-01-05", "2013-01-07")
    found = backfilled(table, datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 31, tzinfo=UTC))
    assert [table.night(info.logical_date) for info in found] == days(date(2013, 1, 5), date(2013, 1, 7))
    free = TimeRestriction(pendulum(datetime(1970, 1, 1, tzinfo=UTC)), None, catchup=False)
    assert table.next_dagrun_info(last_automated_data_interval=None, restriction=free) is None


def test_it_is_registered_and_survives_serialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow import plugins_manager
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    from forebay_airflow.nights import Nights

    assert Nights in plugins_manager.get_timetables_plugins().values()
    again = decode_timetable(encode_timetable(nights()))
    assert type(again) is Nights
    assert again == nights()
    bounded = Nights("0 2 * * *", NEW_YORK, "2013-01-05", "2013-01-07")
    assert decode_timetable(encode_timetable(bounded)).serialize() == bounded.serialize()
    assert again.summary == "0 2 * * *"


def test_control_airflows_own_timetable_has_the_wrong_day_for_23_hours() -> None:
    from airflow.timetables.interval import CronDataIntervalTimetable

    own, day = CronDataIntervalTimetable("0 2 * * *", NEW_YORK), FORWARD[NEW_YORK]
    found = own.infer_manual_data_interval(run_after=pendulum(local(day, NEW_YORK, 12)))
    assert found.start == found.end, "an interval of no length"
