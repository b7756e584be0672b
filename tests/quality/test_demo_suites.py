"""The demo's suites on the real data: what is critical holds on every row of the year, and what is odd in the data is
found."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import drops
from forebay.model import Severity, Stage, Verdict
from forebay.quality import suite as suites
from forebay.quality.check import check, faults_of
from tests.quality.made import failing_rows, stage_of

SUITES = Path(__file__).parents[2] / "include" / "expectations"
WHOLE_YEAR = {
    "expect_table_row_count_to_be_between",
    "expect_column_unique_value_count_to_be_between",
}  # they are about one night's file


def real(path: str, types: str) -> pa.Table:
    with duckdb.connect() as con:
        return con.sql(f"select * replace ({types}) from read_csv('{path}', nullstr='NA')").to_arrow_table()


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("flights")
    header, nights = drops._flight_lines()
    (folder / "flights.csv").write_text("\n".join([header, *(line for lines in nights.values() for line in lines)]))
    return stage_of(real(str(folder / "flights.csv"), "hour::tinyint as hour, minute::tinyint as minute"), folder)


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return stage_of(
        real(str(drops._data() / "weather.csv"), "hour::tinyint as hour"), tmp_path_factory.mktemp("weather")
    )


def judged(stage: Stage, name: str, folder: Path) -> Verdict:
    return check(stage, suites.load(SUITES / f"{name}.json"), folder, run_name=name)


def test_no_row_of_the_real_flights_fails_a_critical_rule(flights: Stage, tmp_path: Path) -> None:
    verdict = judged(flights, "flights", tmp_path)
    assert flights.rows_in == 336_776
    assert {rule.rule for rule in verdict.failed(Severity.CRITICAL)} <= WHOLE_YEAR
    assert all(
        rule.unexpected == 0 for rule in verdict.results if rule.kind == "row" and rule.severity is Severity.CRITICAL
    )
    [tail] = [r for r in verdict.results if r.severity is Severity.WARNING and r.columns == ("tailnum",)]
    assert tail.unexpected == 4
    assert set(tail.sample) == {"D942DN"}


def test_no_row_of_the_real_weather_fails_a_critical_rule(weather: Stage, tmp_path: Path) -> None:
    verdict = judged(weather, "weather", tmp_path)
    assert {rule.rule for rule in verdict.failed(Severity.CRITICAL)} <= WHOLE_YEAR
    [wind] = [r for r in verdict.results if r.columns == ("wind_speed",)]
    assert (wind.unexpected, wind.success, wind.sample) == (1, False, ("1048.36058",))
    assert sum(map(len, failing_rows(verdict))) == 1 + 2729  # the gale, and the hours without a barometer


@pytest.mark.parametrize("name", ["flights", "weather"])
def test_every_rule_says_why_it_is_there(name: str) -> None:
    suite = suites.load(SUITES / f"{name}.json")
    assert all(rule.notes for rule in suite.expectations)
    assert faults_of(suite) == ()
