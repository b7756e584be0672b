"""Text to values by rule: accepted exactly, or not at all."""

from __future__ import annotations

import duckdb
import pytest

from forebay.config.types import parse
from forebay.errors import ConfigError
from forebay.formats._casts import value
from forebay.formats._rules import STRICT, ColumnRules

ACCEPTED = {
    "int64": {"1": "1", "-1": "-1", "9223372036854775807": "9223372036854775807"},
    "decimal(10,2)": {
        "1": "1.00",
        "1.5": "1.50",
        "1.500": "1.50",
        "-0.00": "0.00",
        ".5": "0.50",
        "99999999.99": "99999999.99",
    },
    "float64": {
        "1": "1.0",
        "0": "0.0",
        "-0.0": "-0.0",
        "1e5": "100000.0",
        "0.30000000000000004": "0.30000000000000004",
        "1.10": "1.1",
    },
    "float32": {"0.1": "0.1", "16777216": "16777216.0"},
    "date": {"2026-01-05": "2026-01-05", "0001-01-01": "0001-01-01"},
    "timestamp": {
        "2026-01-05T10:00": "2026-01-05 10:00:00",
        "2026-01-05 10:00:00.1234560": "2026-01-05 10:00:00.123456",
    },
    "timestamp[tz]": {
        "2026-01-05T10:00:00Z": "2026-01-05 10:00:00+00",
        "2026-01-05 10:00:00+0230": "2026-01-05 07:30:00+00",
    },
    "time": {"10:00": "10:00:00", "10:00:00.5": "10:00:00.5"},
    "bool": {"true": "true", "FALSE": "false"},
    "binary": {"": "", "YQ==": "a"},
}
REFUSED = {
    "int64": ["", "007", "+1", " 7", "7 ", "1.5", "1e3", "0x10", "1_000", "9223372036854775808", "abc"],
    "uint8": ["256", "-1"],
    "decimal(10,2)": ["1.505", "1.005", "1e2", "100000000.00", "1_0", "00.5", "+1", "."],
    "float64": [
        "1e400",
        "1e-400",
        "nan",
        "inf",
        "1_0",
        "007",
        "9007199254740993",
        "12345678901234567890",
        "0.1000000000000000055",
        "-",
        "1e",
    ],
    "float32": ["16777217", "1e39", "0.123456789"],
    "date": ["2026-1-5", "2026/01/05", "2026-01-05 10:00:00", "infinity", "0000-01-01", "12026-01-01", "2026-02-30"],
    "timestamp": [
        "2026-01-05",
        "2026-01-05 10:00:00Z",
        "2026-01-05 10:00:00+02",
        "2026-01-05 10:00:00.1234567",
        "2026-01-05 24:00:00",
        "infinity",
    ],
    "timestamp[tz]": [
        "2026-01-05 10:00:00",
        "2026-01-05 10:00:00+25:00",
        "2026-01-05 10:00:00+14:99",
        "0001-01-01 00:00:00+02",
    ],
    "time": ["24:00:00", "1:00:00", "10:00:00+02", "10:00:00.1234567"],
    "bool": ["1", "yes", "t"],
    "binary": ["YW=", "####", "YR=="],
}


def cast(texts: list[str], type_: str, rules: ColumnRules = STRICT) -> list[str | None]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        sql = f"SELECT CAST({value('t', parse(type_), rules)} AS VARCHAR) FROM (SELECT unnest($1) AS t)"
        return [found for (found,) in connection.execute(sql, [texts]).fetchall()]


@pytest.mark.parametrize("type_", ACCEPTED)
def test_exact_values_are_accepted(type_: str) -> None:
    assert cast(list(ACCEPTED[type_]), type_) == list(ACCEPTED[type_].values())


@pytest.mark.parametrize("type_", REFUSED)
def test_values_that_would_change_are_refused(type_: str) -> None:
    assert dict(zip(REFUSED[type_], cast(REFUSED[type_], type_), strict=True)) == dict.fromkeys(REFUSED[type_])


def test_rules_allow_what_they_name() -> None:
    assert cast(["007", "+7", "-007", "000"], "int64", ColumnRules(loose_numbers=True)) == ["7", "7", "-7", "0"]
    assert cast(["12,345", "1,00", "1,000,00"], "int64", ColumnRules(thousands=",")) == ["12345", None, None]
    assert cast(["NaN", "-inf", "1e400"], "float64", ColumnRules(allow_nan=True)) == ["nan", "-inf", None]
    assert cast(["05/01/2026", "5/1/2026", " 05/01/2026"], "date", ColumnRules(format="%d/%m/%Y")) == [
        "2026-01-05",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "meant"), [("int", "int64"), ("varchar", "string"), ("timestmp", "timestamp"), ("datetime", "timestamp")]
)
def test_an_unknown_type_says_what_may_have_been_meant(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean `{meant}`"):
        parse(name)


@pytest.mark.parametrize("name", ["decimal(39,0)", "decimal(0,0)", "decimal(5,6)"])
def test_a_decimal_has_bounds(name: str) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        parse(name)
