"""The timetable of a pipeline: a run's night is what a person reads as its date, whoever started it and however the
clocks stand.

    scheduled at 02:00 of day D+1      night D        scheduled__2013-01-09
    backfilled from D1 to D2           D1 … D2, both  backfill__2013-01-09T00:00:00+00:00
    by hand at a moment of day D       night D        manual__2013-01-09__20261128T184128

A night is a day in the schedule's zone, from midnight to midnight (`Window.of_day`), as the command line has it. A
schedule with several ticks a day has no nights: each of its runs covers the time between two ticks, and a run by hand
the one that holds its moment.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pendulum
from airflow._shared.timezones.timezone import parse_timezone
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from forebay.errors import ConfigError
from forebay.model import Window

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType

    from forebay.config.pipeline import Pipeline

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


def timetable(pipeline: Pipeline) -> Nights | None:
    """The pipeline's timetable; None without a schedule."""
    schedule = pipeline.schedule
    return Nights(schedule.cron, schedule.timezone, schedule.start, schedule.end) if schedule else None


def window(pipeline: Pipeline, moment: datetime) -> Window:
    """What a run of this moment covers: its logical date, or when it was started if it has none.

    Raises `ConfigError` for a day that `schedule.start` or `end` excludes.
    """
    table = timetable(pipeline)
    if table is None:
        return Window.of_day(moment.astimezone(ZoneInfo(pipeline.timezone)).date(), pipeline.timezone)
    night = table.window(moment)
    if not table.covers(night.day):
        bounds = f"from {table.first}" + (f" to {table.last}" if table.last else "")
        raise ConfigError(
            f"starting the run of {night.day}: the schedule covers days {bounds} (`schedule.start` and `end` of "
            "the pipeline)"
        )
    return night


def refuse_other_interval(
    pipeline: Pipeline, moment: datetime, run_after: datetime, given: tuple[datetime, datetime]
) -> None:
    """Raise `ConfigError` for a run by hand whose data interval was typed: it would be accepted and do nothing.

    `airflow dags trigger` infers the interval from the moment of calling (`run_after`), whatever logical date it was
    given: that one passes.
    """
    table = timetable(pipeline)
    known = (
        [table.infer_manual_data_interval(run_after=pendulum.instance(instant)) for instant in (moment, run_after)]
        if table
        else []
    )
    if table and given not in known:
        raise ConfigError(
            f"starting the run of {moment.isoformat()}: its data interval was given by hand ({given[0].isoformat()} "
            f"to {given[1].isoformat()})"
            " (trigger it with a logical date alone: the run is about that day)"
        )


class Nights(CronDataIntervalTimetable):
    """Airflow's own timetable of data intervals, but for runs by hand, the bounds of a backfill, run ids, and the days
    on which clocks change."""

    def __init__(self, cron: str, timezone: Any, first: str = "1970-01-01", last: str | None = None) -> None:
        """`first` and `last`: the days (ISO) that runs may cover. They are no start and end dates of the DAG: outside
        of those Airflow makes runs by hand that have no tasks, and are green.
        """
        super().__init__(cron, timezone)
        self.first, self.last = first, last

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Nights:
        return cls(data["expression"], parse_timezone(data["timezone"]), data["first"], data["last"])

    def serialize(self) -> dict[str, Any]:
        return super().serialize() | {"first": self.first, "last": self.last}

    def covers(self, day: date) -> bool:
        return self.first <= day.isoformat() <= (self.last or "9999")

    def night(self, moment: datetime) -> date:
        """The day that a run of this moment is about: its date in the schedule's zone.

        Midnight UTC is how a date is written without a time, and means that date; unless the schedule itself ticks
        then.
        """
        if _is_date(moment) and not self._ticks_at(moment):
            return moment.astimezone(UTC).date()
        return moment.astimezone(self._zone).date()

    def window(self, moment: datetime) -> Window:
        """What a run of this moment (its logical date) covers."""
        if self.nightly:
            return Window.of_day(self.night(moment), self._zone.key)
        start, end = self._between_ticks(moment)
        return Window(_plain(start, self._zone), _plain(end, self._zone))

    @property
    def nightly(self) -> bool:
        """Whether the schedule ticks once a day at most: at one minute of one hour."""
        minute, hour = self._expression.split()[:2]
        return minute.isdigit() and hour.isdigit()

    # ---- what Airflow asks

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """`run_after` is the logical date, or now where none was given."""
        if not self.nightly:
            return DataInterval(*self._between_ticks(run_after))
        day = self.night(run_after)
        first = self._get_next(_midnight(day, self._zone) - _SECOND)
        if first.astimezone(self._zone).date() == day:
            return DataInterval(first, self._get_next(first))
        return DataInterval(
            _midnight(day, self._zone), _midnight(day + timedelta(days=1), self._zone)
        )  # no tick on that day

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if restriction.catchup:  # a backfill: forebay's DAGs never catch up by themselves
            restriction = self._whole_days(restriction)
        info = self._after(last_automated_data_interval, self._within(restriction))
        if info is None or info.data_interval is None or not restriction.catchup:
            return info
        start = info.data_interval.start
        named = pendulum.datetime(*self.night(start).timetuple()[:3]) if self.nightly else start
        return info._replace(run_after=named)  # Airflow names a backfill's run by it

    def _after(self, last: DataInterval | None, restriction: TimeRestriction) -> DagRunInfo | None:
        """The next run; not the last one's night again, whose tick may have moved since."""
        info = super().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if (
            last
            and info
            and info.data_interval
            and self.nightly
            and self._day(info.data_interval.start) <= self._day(last.start)
        ):
            return super().next_dagrun_info(last_automated_data_interval=info.data_interval, restriction=restriction)
        return info

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: pendulum.DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        if data_interval is None:
            return run_type.generate_run_id(suffix=f"{self._named(run_after)}__{now}")
        if run_type.value != "manual":
            return run_type.generate_run_id(suffix=self._named(data_interval.start))
        if data_interval == self.infer_manual_data_interval(run_after=run_after):
            # `airflow dags trigger --logical-date` tells its moment of calling here, whatever date it was given: no
            # night is named that may not be the run's
            return run_type.generate_run_id(suffix=now)
        return run_type.generate_run_id(suffix=f"{self._named(data_interval.start)}__{now}")

    # ---- ticks

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(str(getattr(self._timezone, "name", self._timezone)))

    def _day(self, tick: datetime) -> date:
        return tick.astimezone(self._zone).date()

    def _named(self, moment: datetime) -> str:
        return (
            self.night(moment).isoformat()
            if self.nightly
            else moment.astimezone(self._zone).isoformat(timespec="minutes")
        )

    def _ticks_at(self, moment: datetime) -> bool:
        at = pendulum.instance(moment)
        return bool(self._get_next(at - _SECOND) == at)

    def _between_ticks(self, moment: datetime) -> tuple[pendulum.DateTime, pendulum.DateTime]:
        end = self._get_next(pendulum.instance(moment))
        return self._get_prev(end), end

    def _whole_days(self, restriction: TimeRestriction) -> TimeRestriction:
        """From the beginning of the first day to the end of the last one. With several ticks a day that is done to
        dates without a time only."""
        first, last = restriction.earliest, restriction.latest
        if first is not None and (self.nightly or _is_date(first)):
            first = _midnight(self._bound(first), self._zone)
        if last is not None and (self.nightly or _is_date(last)):
            last = _midnight(self._bound(last) + timedelta(days=1), self._zone) - _SECOND
        return TimeRestriction(first, last, restriction.catchup)

    def _within(self, restriction: TimeRestriction) -> TimeRestriction:
        """No day before the first one, none behind the last."""
        begin, end = _midnight(date.fromisoformat(self.first), self._zone), restriction.latest
        if self.last:
            over = _midnight(date.fromisoformat(self.last) + timedelta(days=1), self._zone) - _SECOND
            end = min(end, over) if end else over
        return TimeRestriction(max(restriction.earliest or begin, begin), end, restriction.catchup)

    def _bound(self, moment: datetime) -> date:
        return moment.astimezone(UTC).date() if _is_date(moment) else self._day(moment)

    def _get_next(self, current: pendulum.DateTime) -> pendulum.DateTime:
        """The first tick behind it. Airflow's own may name an earlier one in the hour that comes twice (tried with
        3.3.2)."""
        following, on = super()._get_next(current), current
        while following <= current:
            on += _HOUR
            following = super()._get_next(on)
        return following

    def _get_prev(self, current: pendulum.DateTime) -> pendulum.DateTime:
        """The last tick before it. Airflow's own names the same one where the clocks go forward over it (tried with
        3.3.2)."""
        previous, on = super()._get_prev(current), current
        while previous >= current:
            on -= _HOUR
            previous = super()._get_prev(on)
        return previous


def _midnight(day: date, zone: ZoneInfo) -> pendulum.DateTime:
    return pendulum.instance(Window.of_day(day, zone.key).start).in_timezone("UTC")


def _is_date(moment: datetime) -> bool:
    at = moment.astimezone(UTC)
    return (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)


def _plain(moment: datetime, zone: ZoneInfo) -> datetime:
    """Airflow's moments are pendulum's, whose ISO text and pickles need pendulum."""
    return datetime.fromtimestamp(moment.timestamp(), zone)
