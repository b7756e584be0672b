"""`{{ ds }}` and friends in paths: names only, filled in strictly. No Jinja: a pipeline file never runs code."""

from __future__ import annotations

import re
from datetime import date

from forebay.errors import ConfigError
from forebay.model import Window
from forebay.support.words import way_out

NAMES = ("ds", "ds_nodash", "ts", "year", "month", "day", "hour")
"""`ds` 2013-01-31, `ds_nodash` 20130131, `ts` the window's start in ISO 8601, `year` 2013, `month` 01, `day` 31, `hour`
00: of the window's start."""

DAY_NAMES = ("ds", "ds_nodash", "year", "month", "day")
"""Those that a day alone defines: what a settlement's path may use."""

_PLACE = re.compile(r"\{\{(.*?)\}\}|\{\{|\}\}|\{%|%\}", re.DOTALL)


def render(template: str, window: Window) -> str:
    """`template` with every `{{ name }}` filled in from the window's start.

    Raises `ConfigError` for an unknown name or a stray brace, and for an `hour` of a window that has more than one: its
    other hours would never be read.
    """
    seconds = (
        window.end.timestamp() - window.start.timestamp()
    )  # of one zone, they would be subtracted as clocks show them
    if seconds > 3600 and needs_hour(template):
        day = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
        raise ConfigError(
            f"filling in `{template}`: the window has several hours ({day}; {NO_HOUR})", template=template
        )
    values = {**_day_values(window.day), "ts": window.start.isoformat(), "hour": f"{window.start.hour:02d}"}
    return _fill(template, values)


NO_HOUR = "write `*` for the hour"
"""The way out of a path by the hour whose windows are longer."""


def needs_hour(template: str) -> bool:
    """Whether a path says an hour."""
    return any(match[1] is not None and match[1].strip() == "hour" for match in _PLACE.finditer(template))


def render_day(template: str, ds: str) -> str:
    """As `render`, for a day written `2013-01-31`; only `DAY_NAMES` are known."""
    return _fill(template, _day_values(date.fromisoformat(ds)))


def check(template: str, names: tuple[str, ...] = NAMES) -> None:
    """Raise the `ConfigError` that rendering would raise."""
    _fill(template, dict.fromkeys(names, ""))


def _day_values(day: date) -> dict[str, str]:
    return {
        "ds": day.isoformat(),
        "ds_nodash": f"{day:%Y%m%d}",
        "year": f"{day.year:04d}",
        "month": f"{day.month:02d}",
        "day": f"{day.day:02d}",
    }


def _fill(template: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda match: _value(template, match, values), template)


def _value(template: str, match: re.Match[str], values: dict[str, str]) -> str:
    if match[1] is None:
        raise ConfigError(
            f"filling in `{template}`: `{match[0]}` stands alone (write `{{{{ ds }}}}`; names only, no blocks)",
            template=template,
        )
    name = match[1].strip()
    if name not in values:
        hint = way_out(name, values)
        raise ConfigError(f"filling in `{template}`: `{name}` is not known here ({hint})", template=template, name=name)
    return values[name]
