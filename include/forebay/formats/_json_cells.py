"""The values of JSON objects as text, one DuckDB expression a column.

DuckDB extracts tokens: strings in their quotes, numbers as text, except that numbers with a point or an exponent went through a double.
Where a line holds more digits than a double keeps, the number's own text is searched in the line and must be the same double.
"""

from __future__ import annotations

from collections.abc import Sequence

from forebay.config.types import Type
from forebay.formats._duck import literal
from forebay.formats._rules import ColumnRules
from forebay.formats._staging import Cell

NUMBERS = "('-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
_KINDS = """CASE substr({t}, 1, 1) WHEN '"' THEN 'a string' WHEN '{{' THEN 'an object' WHEN '[' THEN 'a list' WHEN 't' THEN 'true'
WHEN 'f' THEN 'false' WHEN 'N' THEN 'NaN' WHEN 'I' THEN 'Infinity' ELSE 'a number' END"""
# More digits than a double surely keeps (15), with a point among them.
_LONG = "regexp_matches(line, '[0-9.]{16,}')"


def source(lines: str, keys: Sequence[str]) -> str:
    """SQL of a table with `line`, `j` (the line as JSON, null if it is none) and `x` (a list of tokens, in the order of `keys`)."""
    pointers = ", ".join(literal(_pointer(key)) for key in keys)
    valid = "CASE WHEN json_valid(line) AND NOT ends_with(rtrim(line, ' }' || chr(9)), ',') THEN CAST(line AS JSON) END"
    text = f"SELECT line, {valid} AS j FROM (SELECT c0 AS line FROM {lines} WHERE c0 IS NOT NULL)"
    return f"(SELECT line, j, CAST(json_extract(j, [{pointers}]::VARCHAR[]) AS VARCHAR[]) AS x FROM ({text}))"


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def cell(name: str, i: int, type_: Type, rules: ColumnRules, loose: bool) -> Cell:
    """The cell of the key `name`, whose token is `x[i + 1]`."""
    token = f"x[{i + 1}]"
    first = f"substr({token}, 1, 1)"
    fits = _fits(first, type_, rules, loose)
    text = _text(token, first, name, type_, loose)
    wrong = f"{token} <> 'null' AND NOT ({fits})"
    kind = f"concat({literal(f'column `{name}`: ')}, {_KINDS.format(t=token)}, {literal(f' is not {type_}')})"
    reason = f"CASE WHEN {wrong} THEN {kind}"
    if type_.is_float or type_.kind == "decimal":
        vague = literal(f"column `{name}`: a number with more digits than can be read exactly")
        reason += f" WHEN {token} <> 'null' AND {first} IN {NUMBERS} AND ({text}) IS NULL THEN {vague}"
    return Cell(name, type_, f"CASE WHEN {token} <> 'null' AND ({fits}) THEN {text} END", rules, wrong=f"{reason} END")


def _fits(first: str, type_: Type, rules: ColumnRules, loose: bool) -> str:
    """SQL: whether a token that begins so can be a value of the type at all."""
    if loose:
        return f"{first} NOT IN ('{{', '[')"
    number = f"{first} IN {NUMBERS}" + (f" OR {first} IN ('N', 'I')" if rules.allow_nan else "")
    if type_.kind == "bool":
        return f"{first} IN ('t', 'f')"
    if type_.is_integer or type_.is_float:
        return number
    return f"{first} = '\"' OR {number}" if type_.kind == "decimal" else f"{first} = '\"'"


def _text(token: str, first: str, name: str, type_: Type, loose: bool) -> str:
    string = f"CASE WHEN contains({token}, '\\') THEN json_extract_string({token}, '$') ELSE substr({token}, 2, length({token}) - 2) END"
    if type_.is_integer and not loose:
        return token
    number = token if type_.kind in {"bool", "date", "time", "timestamp", "timestamp[tz]", "binary"} else _exact(token, name)
    if type_.is_float and not loose:
        return number
    return f"CASE WHEN {first} = '\"' THEN {string} ELSE {number} END"


def _exact(token: str, name: str) -> str:
    """The number's own text where its token may be short of digits; null if that text cannot be found for sure."""
    key = "".join(c if (c.isalnum() and c.isascii()) or c == "_" else rf"\x{{{ord(c):x}}}" for c in name)
    pattern = f'"{key}"' + r"\s*:\s*(-?[0-9][-+.0-9eE]*)"
    found = f"regexp_extract(line, {literal(pattern)}, 1)"
    same = f"CASE WHEN try_cast({found} AS DOUBLE) = try_cast({token} AS DOUBLE) THEN {found} END"
    return f"CASE WHEN {_LONG} AND contains({token}, '.') THEN {same} ELSE {token} END"


# Every key that is written compactly has one `":`; strings can only hold `\":`. So as many of them as tokens were found, and no blank behind
# a quote, mean that the object has these keys, each once. Anything else is looked at closely.
_PLAIN = """(length(line) - length(replace(line, '":', ''))) = 2 * list_count(x)
AND NOT contains(line, '" ') AND NOT contains(line, '"' || chr(9)) AND NOT contains(line, '"' || chr(13))"""

KEYS = f"CASE WHEN j IS NULL OR {_PLAIN} THEN NULL ELSE array_to_string(json_keys(j), chr(31)) END"
"""SQL: the keys of an object that has others than those asked for, or that is written unusually."""

WRONG = f"""CASE WHEN j IS NULL THEN 'not a JSON object: the text is malformed' WHEN {_PLAIN} AND list_count(x) > 0 THEN NULL
WHEN json_type(j) <> 'OBJECT' THEN concat('not a JSON object but ', lower(json_type(j)))
WHEN len(json_keys(j)) <> len(list_distinct(json_keys(j))) THEN 'a key is there twice' END"""
"""SQL: why a line is no row at all."""
