"""The values of JSON objects as text, one DuckDB expression a column.

DuckDB extracts tokens: strings in their quotes, numbers as text. Its parser reads more than JSON, takes the first of
two keys, and numbers with a point or an exponent went through a double. So a line's tokens count only if the line shows
that nothing of this matters:

* plain: its quotes are as many as those of the tokens that were found and of their keys, and it has no `\\u`. Then it
  has these keys, each once, and nothing else with a key or a string in it. If digits are at stake and it has no
  backslash, a number's own text stands behind its key.
* regular: it is strictly JSON, its keys are distinct, and no digits are at stake.
* any other line is read by `text`.
"""

from __future__ import annotations

from collections.abc import Sequence

from forebay.config.types import Type
from forebay.formats import _casts
from forebay.formats._json.split import BACKSLASH, CARE, CLOSER, ESCAPE
from forebay.formats._rules import STRICT, ColumnRules
from forebay.formats._staging import Besides, Cell
from forebay.support.sql import literal, literals

EXACT = "exact_members"
"""The function of a line that `reading` registers: the fault (or null), the line's keys as JSON (or null), and a token
for each key."""
NUMBERS = "('-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
_IN_STRING = r'''"(?:[^"\\]|\\.)*"'''
# Outside of strings, what is valid to DuckDB and no JSON has a comma before a closing bracket, or letters that only NaN
# and Infinity have.
_STRICT = rf"(?:[^\",nNiI]|null|{_IN_STRING}|,[ \t\r\n]*(?:[^ \t\r\n\]}}\",nNiI]|null|{_IN_STRING}))*"
_LF = "chr(10)"  # no token has one: JSON must escape it
# Stands before the token of a value that is no string where one must be: JSON text never decodes to it by accident.
_NO_STRING = "\x01\x00not a string\x00"


def source(lines: str, keys: Sequence[str], texts: bool = False) -> str:
    """SQL of a table with `line`, `row`, `octets`, `j` (the line as JSON, null if it is none), `x` (a list of tokens,
    in the order of `keys`), `rest` (all keys as JSON, null where they are among `keys`) and `wrong` (why the line is no
    row).

    `texts`: numbers are wanted as text, too. `close` says that the numbers of `x` may be short of digits, and that
    their text stands behind their keys.
    """
    pointers = ", ".join(literal(_pointer(key)) for key in keys)
    read = f"SELECT *, TRY_CAST(line AS JSON) AS j FROM {lines}"
    tokens = f"SELECT *, CAST(json_extract(j, [{pointers}]::VARCHAR[]) AS VARCHAR[]) AS x0 FROM ({read})"
    joined = f"SELECT *, coalesce(array_to_string(x0, {_LF}), '') AS cat FROM ({tokens})"
    signs = f"SELECT *, {_plain()} AS plain, {_risky(texts)} AS risky FROM ({joined})"
    ways = f"SELECT *, plain AND risky AND flags & {BACKSLASH} = 0 AS close, {_regular()} AS regular FROM ({signs})"
    closely = f"CASE WHEN NOT (plain AND (NOT risky OR close)) AND NOT regular THEN {EXACT}(line) END"
    exact = f"SELECT *, {closely} AS e FROM ({ways})"
    rest = "CASE WHEN e IS NOT NULL THEN e[2] WHEN NOT plain THEN CAST(to_json(json_keys(j)) AS VARCHAR) END"
    text = "CASE WHEN e IS NULL THEN x0 ELSE e[3:] END"
    return f"(SELECT line, row, octets, j, {text} AS x, close, {rest} AS rest, e[1] AS wrong FROM ({exact}))"


def _plain() -> str:
    """CASE, unlike AND, does not evaluate what it need not."""
    quotes = "2 * list_count(x0) + strlen(cat) - strlen(replace(cat, '\"', ''))"
    known = f"j IS NOT NULL AND list_count(x0) > 0 AND quotes = {quotes} AND flags & {ESCAPE} = 0"
    return f"CASE WHEN NOT ({known}) THEN false WHEN flags & {CLOSER} = 0 THEN true ELSE {_strict()} END"


def _risky(texts: bool) -> str:
    """Whether a number among the tokens may be short of digits; of texts, any number with a point is."""
    number, point = r"(?:^|\n)(?:-?[0-9]+[.e]|0(?:\n|$))", r"(?:^|\n)-?[0-9]+[.e]"
    any_point = f"regexp_matches(cat, {literal(point)})" if texts else "false"
    return f"CASE WHEN flags & {CARE} <> 0 THEN regexp_matches(cat, {literal(number)}) ELSE {any_point} END"


def _regular() -> str:
    distinct = "len(json_keys(j)) = len(list_distinct(json_keys(j)))"
    return (
        f"CASE WHEN plain OR risky OR j IS NULL THEN false WHEN json_type(j) = 'OBJECT' THEN {_strict()} AND "
        f"{distinct} ELSE false END"
    )


def _strict() -> str:
    return f"regexp_full_match(line, {literal(_STRICT)})"


def objects(lines: str, keys: Sequence[str] = ()) -> str:
    """SQL of a table with `keys` and `x` (a list of tokens, in the order of `keys`) of each line that is a JSON object,
    whatever else is wrong with it."""
    pointers = ", ".join(literal(_pointer(key)) for key in keys)
    read = f"SELECT *, TRY_CAST(line AS JSON) AS j FROM {lines}"
    tokens = f"CAST(json_extract(j, [{pointers}]::VARCHAR[]) AS VARCHAR[])"
    return (
        f"(SELECT json_keys(j) AS keys, {tokens} AS x FROM ({read}) WHERE CASE WHEN json_type(j) = 'OBJECT' THEN "
        f"{_strict()} ELSE false END)"
    )


def members(lines: str) -> str:
    """SQL of a table with `keys` and `tokens`, in the line's order, of each line that is a JSON object, whatever else
    is wrong with it."""
    return (
        f"(SELECT keys, tokens FROM ({_members(lines)}) WHERE CASE WHEN keys IS NOT NULL THEN {_strict()} ELSE "
        "false END)"
    )


def listed(lines: str, texts: bool = False) -> str:
    """SQL of `line`, `row`, `octets`, and `keys` and `tokens` (null: the line must be read exactly); `texts` as in
    `source`."""
    cat = f"SELECT *, coalesce(array_to_string(tokens, {_LF}), '') AS cat FROM ({_members(lines)})"
    distinct = "len(keys) = len(list_distinct(keys))"
    sure = f"CASE WHEN keys IS NULL OR {_risky(texts)} THEN false ELSE {_strict()} AND {distinct} END"
    both = ", ".join(f"CASE WHEN sure THEN {name} END AS {name}" for name in ("keys", "tokens"))
    return f"SELECT line, row, octets, {both} FROM (SELECT *, {sure} AS sure FROM ({cat}))"


def _members(lines: str) -> str:
    read = f"SELECT *, TRY_CAST(line AS JSON) AS j FROM {lines}"
    tokens = "CAST(json_extract(j, '$.*') AS VARCHAR[])"
    is_object = "CASE WHEN json_type(j) = 'OBJECT' THEN"
    return f"SELECT *, {is_object} json_keys(j) END AS keys, {is_object} {tokens} END AS tokens FROM ({read})"


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


BESIDES = Besides(
    raw="line", rest="rest", wrong="wrong", kept={"__number": "row", "__size": "octets"}, lengths="__text"
)
"""What is taken from a line besides its columns."""


def cell(name: str, i: int, type_: Type, rules: ColumnRules, loose: bool, own: bool = True) -> Cell:
    """The cell of the key `name`, whose token is `x[i + 1]`. `own`: a number's own text is to be found in the line
    where its token may be short of digits."""
    loose = loose or (type_.kind != "string" and rules.reads_text)
    rules = rules if loose or type_.kind != "bool" else STRICT

    def text(token: str) -> str:
        wanted = (
            _bool(token, rules) if loose and type_.kind == "bool" else _text(token, name if own else None, type_, loose)
        )
        return _ruled(token, wanted, rules)

    def value(text: str) -> str:
        if type_.kind == "string":
            return f"CASE WHEN NOT starts_with({text}, {literal(_NO_STRING)}) THEN {text} END"
        return _casts.value(text, type_, rules)

    def fault(text: str, column: str) -> str:
        return _casts.fault(
            f"replace({text}, {literal(_NO_STRING)}, '')",
            type_,
            column,
            " of JSON" if type_.kind == "string" else "",
            rules,
        )

    return Cell(name, type_, f"x[{i + 1}]", text, value, fault, rules=rules)


def _ruled(token: str, text: str, rules: ColumnRules) -> str:
    """SQL: the text as the column's rules want it: without blanks around it, and null for a null word, be it a string
    or a number."""
    blanks = "' ' || chr(9)"
    wanted = f"trim({text}, {blanks})" if rules.trim else text
    if not rules.null_values:
        return wanted
    said = f"CASE WHEN starts_with({token}, '\"') THEN {_unquoted(token)} ELSE {token} END"
    return (
        f"CASE WHEN {f'trim({said}, {blanks})' if rules.trim else said} IN ({literals(rules.null_values)}) THEN NULL "
        f"ELSE {wanted} END"
    )


def _bool(token: str, rules: ColumnRules) -> str:
    """SQL: a word of the rules; JSON's own true and false are the first of them."""
    words = (
        f"WHEN 'true' THEN {literal(rules.true_values[0])} WHEN 'false' THEN {literal(rules.false_values[0])} WHEN "
        "'null' THEN NULL"
    )
    return (
        f"CASE {token} {words} ELSE CASE WHEN starts_with({token}, '\"') THEN {_unquoted(token)} ELSE {token} END END"
    )


def _text(token: str, name: str | None, type_: Type, loose: bool) -> str:
    """SQL: the token's text as the type's cast wants it. Tokens that cannot be of the type are left to fail there,
    quotes and all."""
    string = f"WHEN starts_with({token}, '\"') THEN {_unquoted(token)}"
    if loose:
        # objects, lists, NaN and Infinity; null has gone before
        other = f"regexp_matches({token}, '^(?:[{{\\[nNiI]|-[nNiI])')"
        marked = f"WHEN {other} THEN concat({literal(_NO_STRING)}, {token})" if type_.kind == "string" else ""
        return f"CASE WHEN {token} = 'null' THEN NULL {string} {marked} ELSE {_own(token, name)} END"
    if type_.kind == "bool":
        return f"nullif({token}, 'null')"
    if type_.is_integer or type_.is_float:
        return f"CASE WHEN {token} <> 'null' THEN {_own(token, name)} END"
    if type_.kind == "decimal":
        return f"CASE WHEN {token} = 'null' THEN NULL {string} ELSE {_own(token, name, plain=True)} END"
    return f"CASE {string} WHEN {token} <> 'null' THEN concat({literal(_NO_STRING)}, {token}) END"


def _unquoted(token: str) -> str:
    escaped = f"json_extract_string({token}, '$')"
    return f"CASE WHEN contains({token}, '\\') THEN {escaped} ELSE substr({token}, 2, length({token}) - 2) END"


def _own(token: str, name: str | None, plain: bool = False) -> str:
    """The number's own text where its token may be short of digits; something that is no number if that text is not the
    same number.

    `plain`: a number with an exponent is wanted without it. Its token is that, and exact, as long as the number has no
    more than 15 digits.
    """
    if name is None:
        return token
    key = "".join(c if (c.isalnum() and c.isascii()) or c == "_" else rf"\x{{{ord(c):x}}}" for c in name)
    pattern = f'"{key}"' + r"\s*:\s*(-?[0-9][-+.0-9eE]*)"
    digits = f"regexp_extract(line, {literal(pattern)}, 1)"
    same = (
        f"CASE WHEN try_cast({digits} AS DOUBLE) = try_cast({token} AS DOUBLE) THEN {digits} ELSE concat('about ', "
        f"{token}) END"
    )
    if plain:
        same = (
            f"CASE WHEN strlen({digits}) <= 15 AND regexp_matches({digits}, '[eE][-+]?[0-9]{{1,2}}$') THEN {token} "
            f"ELSE {same} END"
        )
    passed = f"({token} = '0' OR regexp_matches({token}, '^-?[0-9]+[.e]'))"  # through a double
    return f"CASE WHEN close AND {passed} THEN {same} ELSE {token} END"
