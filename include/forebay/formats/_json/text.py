"""The exact text of a JSON object's members, by a small state machine over RFC 8259's tokens.

DuckDB's parser reads more than JSON (a comma before a closing bracket, `nan`) and passes numbers with a point through a
double. Lines of which cheap signs do not prove that neither matters come here. A line is never nested too deep: nothing
is recursive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![-+.0-9eE])"
_TOKEN = re.compile(
    rf"[ \t\n\r]*(?:({_STRING})|({_NUMBER})|(true|false|null)(?![a-zA-Z])|(NaN|-?Infinity)|([{{}}\[\],:]))"
)
_MEMBER = re.compile(
    rf"[ \t\n\r]*({_STRING})[ \t\n\r]*:[ \t\n\r]*({_STRING}|{_NUMBER}|(?:true|false|null)(?![a-zA-Z]))[ "
    rf"\t\n\r]*([,}}])[ \t\n\r]*"
)
_BLANK = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")
_OPEN = {"{": "}", "[": "]"}


class NotJson(ValueError):
    """The text is no JSON; the message says what is found, and where (bytes from 1), and holds none of the text.
    `early`: it only lacks its end."""

    def __init__(self, words: str, early: bool = False) -> None:
        super().__init__(words)
        self.early = early


@dataclass(frozen=True, slots=True)
class Value:
    """A value at the top of a text: characters `start` to `end`; `members` are an object's decoded keys and its values'
    own text."""

    start: int
    end: int
    members: tuple[tuple[str, str], ...] | None


def members(text: str, not_numbers: bool = False) -> tuple[tuple[str, str], ...]:
    """The members of the one object that the text is: decoded keys, each once, and the values' own text.

    With `not_numbers`, NaN, Infinity and -Infinity are values anywhere, else only directly in the object, for their
    column to judge. Raises `NotJson`.
    """
    pairs = _flat(text) or _whole(text, not_numbers)
    if len({name for name, _ in pairs}) < len(pairs):
        raise NotJson("a key is there twice")
    return pairs


def _flat(text: str) -> tuple[tuple[str, str], ...] | None:
    """The members of an object without anything nested, a member at a step; None for any other text."""
    if not text.startswith("{"):
        return None
    at, held, sign = 1, [], ","
    while sign == ",":
        match = _MEMBER.match(text, at)
        if not match:
            return None
        key, token, sign = match[1], match[2], match[3]
        if token[0] == '"':
            _decoded(text, token, match.start(2))
        held.append((_decoded(text, key, match.start(1)), token))
        at = match.end()
    return tuple(held) if at == len(text) else None


def _whole(text: str, not_numbers: bool) -> tuple[tuple[str, str], ...]:
    json_value = value(text, 0, not_numbers)
    rest = _BLANK.match(text, json_value.end)
    if rest and rest.end() < len(text):
        raise NotJson(f"more text follows the value{_at(text, rest.end())}")
    if json_value.members is None:
        raise NotJson(f"not a JSON object: {_kind(text[json_value.start])}")
    return json_value.members


def value(text: str, at: int, not_numbers: bool = False) -> Value:
    """The value that begins at character `at`, or behind the blanks there. Raises `NotJson`."""
    held: list[tuple[str, str]] = []
    key, begin, start = "", -1, -1
    for part in _parts(text, at):
        token, where, depth, is_key = part
        if start < 0:
            start = where
        if token in NOT_NUMBERS and not not_numbers and (depth != 1 or text[start] != "{"):
            raise NotJson(f"{token} is no JSON{_at(text, where)}")
        if depth == 1 and is_key:
            key, begin = _decoded(text, token, where), -1
        elif token[0] == '"':
            _decoded(text, token, where)
        if text[start] == "{" and depth == 1 and not is_key and token not in ",:" and begin < 0:
            begin = where
        if begin >= 0 and depth == 1 and token not in ",:" and not is_key and token not in _OPEN:
            held.append((key, text[begin : where + len(token)]))
            begin = -1
        end = where + len(token)
    return Value(start, end, tuple(held) if text[start] == "{" else None)


def _parts(text: str, at: int) -> Iterator[tuple[str, int, int, bool]]:
    """Each token of one value: its text, where it begins, how deep it lies (brackets lie where their value does), and
    whether it is a key."""
    stack: list[str] = []
    wants = "value"  # value | first | key | first key | colon | comma
    while True:
        match = _TOKEN.match(text, at)
        if not match:
            raise _unexpected(text, at)
        token, at = match[match.lastindex or 0], match.end()
        where, sign = match.start(match.lastindex or 0), match.lastindex == 5
        closes = bool(stack) and token == stack[-1] and sign and wants in {"first", "first key", "comma"}
        if closes:
            stack.pop()
        if not closes and not _fits(token, sign, wants):
            raise _unexpected(text, where)
        is_key = wants in {"key", "first key"} and not closes
        yield token, where, len(stack), is_key
        if sign and token in _OPEN and not closes:
            stack.append(_OPEN[token])
            wants = "first key" if token == "{" else "first"
        elif sign and token in ",:" and not closes:
            wants = "value" if token == ":" or stack[-1] == "]" else "key"
        elif is_key:
            wants = "colon"
        elif stack:
            wants = "comma"
        else:
            return


def _fits(token: str, sign: bool, wants: str) -> bool:
    match wants:
        case "value" | "first":
            return not sign or token in _OPEN
        case "key" | "first key":
            return token[0] == '"'
    return token == (":" if wants == "colon" else ",")


def _decoded(text: str, token: str, where: int) -> str:
    """A string's characters. Raises `NotJson` for a half of a surrogate pair, which no UTF-8 has."""
    if "\\" not in token:
        return token[1:-1]
    plain = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _SHORT.get(m[2], m[2]), token[1:-1])
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise NotJson(f"a string has half of a surrogate pair{_at(text, where)}") from error


def _unexpected(text: str, at: int) -> NotJson:
    blank = _BLANK.match(text, at)
    at = blank.end() if blank else at
    if at >= len(text):
        return NotJson("malformed JSON: it ends too early", early=True)
    if text[at] in "]}" and text[:at].rstrip(" \t\r\n").endswith(","):
        return NotJson(f"malformed JSON: a comma stands before a closing bracket{_at(text, at)}")
    return NotJson(f"malformed JSON{_at(text, at)}")


def _at(text: str, at: int) -> str:
    return f", at byte {len(text[:at].encode('utf-8', 'surrogatepass')) + 1}"


def _kind(first: str) -> str:
    return {"[": "an array", '"': "a string"}.get(first, "a number" if first in "-0123456789" else "a word")
