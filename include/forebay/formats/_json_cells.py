"""The values of JSON objects as text, one DuckDB expression a column.

DuckDB extracts tokens: strings in their quotes, numbers as text, except that numbers with a point or an exponent went through a double.
Where a line holds more digits than a double keeps, the number's own text is searched in the line and must be the same double.
"""

from __future__ import annotations

from collections.abc import Sequence

from forebay.config.types import Type
from forebay.formats import _casts
from forebay.formats._rules import STRICT, ColumnRules
from forebay.formats._staging import Besides, Cell
from forebay.support.sql import literal

NUMBERS = "('-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
# DuckDB's parser lets a comma before the last brace pass. A line that ends in a string and braces has none.
_TRAILING_COMMA = r"""ends_with(line, ',}') OR (NOT ends_with(line, '"}') AND regexp_matches(line, ',\s*[}\s]*$'))"""
# Every key that is written compactly has one `":`; strings can only hold `\":`. So as many of them as tokens were found, and no blank behind
# a quote, mean that the object has these keys, each once. Any other line is looked at closely.
_PLAIN = r"""j IS NOT NULL AND list_count(x) > 0 AND (strlen(line) - strlen(replace(line, '":', ''))) = 2 * list_count(x)
AND NOT regexp_matches(line, '"\s')"""
# More digits than a double surely keeps (15), or nearly so with a point among them; or so near to zero that a double may be zero.
_LONG = "regexp_matches(line, '[0-9.]{16,}|[eE]-[0-9]{3}')"
_KEYS = "CASE WHEN plain OR j IS NULL THEN NULL ELSE array_to_string(json_keys(j), chr(31)) END"
_WRONG_LINE = """CASE WHEN plain THEN NULL WHEN j IS NULL THEN 'not a JSON object: the text is malformed'
WHEN json_type(j) <> 'OBJECT' THEN concat('not a JSON object: ', left(line, 80))
WHEN len(json_keys(j)) <> len(list_distinct(json_keys(j))) THEN 'a key is there twice' END"""
# Stands before the token of a value that is no string where one must be: JSON text never decodes to it by accident.
_NO_STRING = "\x01\x00not a string\x00"


def source(lines: str, keys: Sequence[str], real: bool = False) -> str:
    """SQL of a table with `line`, `j` (the line as JSON, null if it is none) and `x` (a list of tokens, in the order of `keys`).

    `plain` says that a line has these keys and no others, each once; `long` (if `real`) that numbers of it may be short of digits.
    """
    pointers = ", ".join(literal(_pointer(key)) for key in keys)
    valid = f"CASE WHEN json_valid(line) AND NOT ({_TRAILING_COMMA}) THEN CAST(line AS JSON) END"
    parsed = f"SELECT line, {valid} AS j FROM (SELECT c0 AS line FROM {lines} WHERE c0 IS NOT NULL)"
    tokens = f"SELECT line, j, CAST(json_extract(j, [{pointers}]::VARCHAR[]) AS VARCHAR[]) AS x FROM ({parsed})"
    return f"(SELECT line, j, x, {_PLAIN} AS plain, {_LONG if real else 'false'} AS long FROM ({tokens}))"


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


BESIDES = Besides(raw="line", rest=_KEYS, wrong=_WRONG_LINE)
"""What is taken from a line besides its columns."""


def cell(name: str, i: int, type_: Type, rules: ColumnRules, loose: bool) -> Cell:
    """The cell of the key `name`, whose token is `x[i + 1]`."""
    rules = rules if loose or type_.kind != "bool" else STRICT

    def value(text: str) -> str:
        if type_.kind == "string":
            return f"CASE WHEN NOT starts_with({text}, {literal(_NO_STRING)}) THEN {text} END"
        return _casts.value(text, type_, rules)

    def fault(text: str) -> str:
        return _casts.fault(f"replace({text}, {literal(_NO_STRING)}, '')", type_, name, " of JSON" if type_.kind == "string" else "")

    return Cell(name, type_, _text(f"x[{i + 1}]", name, type_, loose), value, fault)


def _text(token: str, name: str, type_: Type, loose: bool) -> str:
    """SQL: the token's text as the type's cast wants it. Tokens that cannot be of the type are left to fail there, quotes and all."""
    string = f"WHEN starts_with({token}, '\"') THEN {_unquoted(token)}"
    if loose:
        nested = f"starts_with({token}, '{{') OR starts_with({token}, '[')"
        marked = f"WHEN {nested} THEN concat({literal(_NO_STRING)}, {token})"
        return f"CASE WHEN {token} = 'null' THEN NULL {string} {marked} ELSE {_exact(token, name)} END"
    if type_.is_integer or type_.kind == "bool":
        return f"nullif({token}, 'null')"
    if type_.is_float:
        return f"CASE WHEN {token} <> 'null' THEN {_exact(token, name)} END"
    if type_.kind == "decimal":
        return f"CASE WHEN {token} = 'null' THEN NULL {string} ELSE {_exact(token, name)} END"
    return f"CASE {string} WHEN {token} <> 'null' THEN concat({literal(_NO_STRING)}, {token}) END"


def _unquoted(token: str) -> str:
    escaped = f"json_extract_string({token}, '$')"
    return f"CASE WHEN contains({token}, '\\') THEN {escaped} ELSE substr({token}, 2, length({token}) - 2) END"


def _exact(token: str, name: str) -> str:
    """The number's own text where its token may be short of digits; something that is no number if that text cannot be found for sure."""
    key = "".join(c if (c.isalnum() and c.isascii()) or c == "_" else rf"\x{{{ord(c):x}}}" for c in name)
    pattern = f'"{key}"' + r"\s*:\s*(-?[0-9][-+.0-9eE]*)"
    found = f"regexp_extract(line, {literal(pattern)}, 1)"
    same = f"CASE WHEN try_cast({found} AS DOUBLE) = try_cast({token} AS DOUBLE) THEN {found} ELSE concat('about ', {token}) END"
    return f"CASE WHEN long AND contains({token}, '.') THEN {same} ELSE {token} END"
