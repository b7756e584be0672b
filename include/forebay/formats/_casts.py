"""Text to values by rule: a value is accepted if its cast, written back, is the same number, date or instant.

DuckDB's own casts round, truncate and drop offsets in silence (`1.5` is 2, `2026-01-05 10:00:00+02` loses its offset),
so every cast here is checked against its text. The cheap comparison comes first; `CASE` evaluates the dearer ones only
for what it did not settle.
"""

from __future__ import annotations

from datetime import datetime

from forebay.config.types import Type
from forebay.contracts import causes
from forebay.errors import ConfigError
from forebay.formats._rules import STRICT, ColumnRules
from forebay.formats._types import to_duckdb
from forebay.support.sql import literal, literals

_NUMBER = r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?"
_OFFSET = r"(Z|[-+](0[0-9]|1[0-8])(:?[0-5][0-9])?)"
_BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_BEYOND = r"-?[1-9][0-9]{18,37}"
LONGEST = Type("decimal", 38, 0)
"""Every whole number of up to 38 digits."""
_EXAMPLE = datetime(2026, 1, 5, 10, 0, 0, 500_000)
_HINTS = {
    "date": "such as 2026-01-05",
    "time": "such as 10:00:00.5, with at most 6 decimals",
    "timestamp": "such as 2026-01-05 10:00:00, without an offset and with at most 6 decimals",
    "timestamp[tz]": "such as 2026-01-05T10:00:00+02:00, with its offset and at most 6 decimals",
    "binary": "in base64",
}


def value(text: str, type_: Type, rules: ColumnRules) -> str:
    """SQL: the typed value of the SQL expression `text`, or null where the text is not exactly such a value."""
    if type_.kind == "string":
        return text
    if type_.kind == "bool":
        return _bool(text, rules)
    if type_.is_integer or type_.is_float or type_.kind == "decimal":
        return _number(text, type_, rules)
    if type_.kind == "binary":
        return (
            f"CASE WHEN {_matches(text, _BASE64)} THEN CASE WHEN to_base64(from_base64({text})) = {text} THEN "
            f"from_base64({text}) END END"
        )
    return _formatted(text, type_, rules.format) if rules.format else _iso(text, type_)


def fault(text: str, type_: Type, name: str, hint: str = "", rules: ColumnRules = STRICT) -> str:
    """SQL: why `text` is no value of the type (a written cause), with a value that would be one; `name` is SQL of the
    column's name."""
    if rules.format and type_.kind in {"date", "time", "timestamp"}:
        hint = f" such as {_EXAMPLE.strftime(rules.format)}, as `format` says"
    hint = hint or (f" {_HINTS[type_.kind]}" if type_.kind in _HINTS else "")
    shown = f"CASE WHEN length({text}) > 80 THEN left({text}, 80) || '…' ELSE {text} END"
    detail = f"concat({literal(f'is not {type_}{hint}')}{_way_out(text, type_)})"
    return causes.written(causes.made(detail, f"[{name}]", shown))


def _way_out(text: str, type_: Type) -> str:
    """SQL of what is said beside of a whole number that no integer type has and no float keeps."""
    if type_.kind not in {"int64", "uint64", "float64"}:
        return ""
    beyond = f"{_matches(text, _BEYOND)} AND try_cast({text} AS BIGINT) IS NULL"
    return f", CASE WHEN {beyond} THEN {literal(f' (declare it `{LONGEST}`)')} END"


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _bool(text: str, rules: ColumnRules) -> str:
    return (
        f"CASE WHEN {text} IN ({literals(rules.true_values)}) THEN true WHEN {text} IN "
        f"({literals(rules.false_values)}) THEN false END"
    )


def _number(text: str, type_: Type, rules: ColumnRules) -> str:
    plain = _plain_number(text, rules)
    if type_.is_integer:
        return _integer(plain, type_)
    return _decimal(plain, type_) if type_.kind == "decimal" else _float(plain, type_, rules)


def _integer(text: str, type_: Type) -> str:
    """`1001.0` is 1001: a column with nulls was made of floats on its way. Digits behind the point must be zeros."""
    cast = f"try_cast({text} AS {to_duckdb(type_)})"
    whole = rf"regexp_extract({text}, '^(0|-?[1-9][0-9]*)\.0+$', 1)"
    return (
        f"CASE WHEN CAST({cast} AS VARCHAR) = {text} THEN {cast} WHEN ends_with({text}, "
        f"'0') THEN try_cast(nullif({whole}, '') AS {to_duckdb(type_)}) END"
    )


def strict_integer(text: str, type_: Type, rules: ColumnRules = STRICT) -> str:
    """SQL: the integer that is written as one, without a point; for types that nobody declared."""
    plain = _plain_number(text, rules)
    cast = f"try_cast({plain} AS {to_duckdb(type_)})"
    return f"CASE WHEN CAST({cast} AS VARCHAR) = {plain} THEN {cast} END"


def _plain_number(text: str, rules: ColumnRules) -> str:
    """The number without what the column's settings allow around it; text that they do not allow is left to fail."""
    if rules.thousands:
        group = _escaped(rules.thousands)
        grouped = _matches(text, rf"[-+]?[0-9]{{1,3}}({group}[0-9]{{3}})+([^0-9{group}].*)?")
        text = f"CASE WHEN {grouped} THEN replace({text}, {literal(rules.thousands)}, '') ELSE {text} END"
    if rules.decimal_point != ".":
        text = (
            f"CASE WHEN contains({text}, '.') THEN NULL ELSE replace({text}, {literal(rules.decimal_point)}, '.') END"
        )
    if rules.loose_numbers:
        text = rf"regexp_replace(regexp_replace({text}, '^\+([0-9.])', '\1'), '^(-?)0+([0-9])', '\1\2')"
    return f"({text})" if text.startswith("CASE") else text


def _escaped(sign: str) -> str:
    return sign if sign.isalnum() or sign == " " or ord(sign) > 127 else "\\" + sign


def _decimal(text: str, type_: Type) -> str:
    """Exact: digits behind the scale must be zeros. `17` and `17.5` are as good as `17.00` and `17.50`."""
    cast = f"try_cast({text} AS {to_duckdb(type_)})"
    written = f"CAST({cast} AS VARCHAR)"
    point = f"|\\.[0-9]{{1,{type_.scale}}}0*" if type_.scale else ""
    loose = _matches(text, rf"-?((0|[1-9][0-9]*)(\.[0-9]{{0,{type_.scale}}}0*)?{point})")
    padded = f" WHEN {written} = concat({text}, {literal('.' + '0' * type_.scale)}) THEN {cast}" if type_.scale else ""
    return f"CASE WHEN {written} = {text} THEN {cast}{padded} WHEN {loose} THEN {cast} END"


def _float(text: str, type_: Type, rules: ColumnRules) -> str:
    """Finite, and the same number when written with its shortest or with all of its 17 (9) digits.

    Numbers of up to 15 (6) digits always are (IEEE 754), unless they are next to zero.
    """
    double = type_.kind == "float64"
    cast = f"try_cast({text} AS {to_duckdb(type_)})"
    surely, smallest, full = (15, "2.3e-308", "%.16e") if double else (6, "1.2e-38", "%.8e")
    short = f"length({text}) <= {surely} AND (abs({cast}) >= {smallest} OR {text} = '0')"
    written = f"{_digits(f'CAST({cast} AS VARCHAR)')}, {_digits(f'printf({literal(full)}, CAST({cast} AS DOUBLE))')}"
    number = f"{_matches(text, _NUMBER)} AND isfinite({cast})"
    nan = (
        f"WHEN lower({text}) IN ('nan', 'inf', '-inf', 'infinity', '-infinity') THEN {cast} " if rules.allow_nan else ""
    )
    return (
        f"CASE WHEN CAST({cast} AS VARCHAR) = {text} AND isfinite({cast}) THEN {cast} {nan}"
        f"WHEN {number} THEN CASE WHEN {short} OR {_digits(text)} IN ({written}) THEN {cast} END END"
    )


def _digits(text: str) -> str:
    """The significant digits of a number's text."""
    return f"trim(translate(split_part(lower({text}), 'e', 1), '-+.', ''), '0')"


def _iso(text: str, type_: Type) -> str:
    cast = f"try_cast({text} AS {to_duckdb(type_)})"
    same = f"CAST({cast} AS VARCHAR) = {text}"
    if type_.kind == "date":
        return f"CASE WHEN {same} AND length({text}) = 10 THEN {cast} END"
    if type_.kind == "time":
        return f"CASE WHEN {_matches(text, _CLOCK)} THEN {cast} END"
    if type_.kind == "timestamp":
        return (
            f"CASE WHEN {same} AND length({text}) = 19 THEN {cast} WHEN {_matches(text, f'{_DAY}[T ]{_CLOCK}')} THEN "
            f"{_in_era(cast, type_)} END"
        )
    return f"CASE WHEN {_matches(text, f'{_DAY}[T ]{_CLOCK}{_OFFSET}')} THEN {_in_era(cast, type_)} END"


def _in_era(cast: str, type_: Type) -> str:
    """Years 1 to 9999, as the pattern has four digits: DuckDB reads year 0 as 1 BC, and an offset can lead out of
    them."""
    first, last = (
        ("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'")
        if type_.kind == "timestamp"
        else ("'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'")
    )
    sql = to_duckdb(type_)
    return f"CASE WHEN {cast} BETWEEN CAST({first} AS {sql}) AND CAST({last} AS {sql}) THEN {cast} END"


def _formatted(text: str, type_: Type, pattern: str) -> str:
    if type_.kind not in {"date", "time", "timestamp"}:
        raise ConfigError(
            f"reading a column's rules: `format` is for date, time and timestamp, not for {type_} (leave it out)"
        )
    parsed = f"try_strptime({text}, {literal(pattern)})"
    same = f"strftime({parsed}, {literal(pattern)}) = {text}"
    return f"CASE WHEN {same} THEN CAST({parsed} AS {to_duckdb(type_)}) END"
