"""`{{ ds }}` and friends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from forebay.config import paths
from forebay.errors import ConfigError
from forebay.model import Window

WINDOW = Window.of_day(date(2013, 1, 2), "America/New_York")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("flights/{{ ds }}/*.csv.gz", "flights/2013-01-02/*.csv.gz"),
        ("{{ds}}-{{  ds  }}", "2013-01-02-2013-01-02"),
        ("{{ ds_nodash }}", "20130102"),
        ("{{ year }}/{{ month }}/{{ day }}", "2013/01/02"),
        ("{{ ts }}", "2013-01-02T00:00:00-05:00"),
        ("plain/{single}/path", "plain/{single}/path"),
    ],
)
def test_names_are_filled_in_from_the_windows_start(template: str, expected: str) -> None:
    assert paths.render(template, WINDOW) == expected


def test_an_hourly_window() -> None:
    start = datetime(2013, 1, 2, 17, tzinfo=ZoneInfo("UTC"))
    assert paths.render("{{ ds }}T{{ hour }}", Window(start, start + timedelta(hours=1))) == "2013-01-02T17"


@pytest.mark.parametrize("hours", [2, 24])
def test_a_window_of_several_hours_has_no_hour_and_the_way_out_works(hours: int) -> None:
    """Only the first hour's files would be seen, and nobody would miss the others."""
    start = datetime(2013, 1, 2, tzinfo=ZoneInfo("UTC"))
    window = Window(start, start + timedelta(hours=hours))
    with pytest.raises(ConfigError, match=r"the window has several hours \(.*write `\*` for the hour\)"):
        paths.render("in/{{ ds }}/{{ hour }}/*.csv", window)
    assert paths.render("in/{{ ds }}/*/*.csv", window) == "in/2013-01-02/*/*.csv"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ dss }}", "`dss` is not known here (did you mean `ds`?)"),
        ("{{ DS }}", "`DS` is not known here (did you mean `ds`?)"),
        ("{{ ds | upper }}", "is not known here"),
        ("{{ ''.__class__ }}", "is not known here"),
        ("{% if 1 %}", "`{%` stands alone"),
        ("a/{{ ds", "`{{` stands alone"),
        ("a/ds }}", "`}}` stands alone"),
    ],
)
def test_anything_else_is_wrong_configuration(template: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        paths.render(template, WINDOW)
    assert words in str(caught.value)
    with pytest.raises(ConfigError):
        paths.check(template)


def test_a_day_knows_no_hour() -> None:
    assert paths.render_day("done/{{ year }}/{{ ds }}/", "2013-01-02") == "done/2013/2013-01-02/"
    with pytest.raises(ConfigError, match="`hour` is not known here"):
        paths.render_day("{{ hour }}", "2013-01-02")
