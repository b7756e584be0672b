"""What compiled code may decide about a text in Python's stead.

Great Expectations' regular expressions and time formats are Python's (`re`, `datetime.strptime`); DuckDB's are RE2's
and its own. They differ on `$` before a newline, on Unicode classes, on look-ahead, on padding and blanks in times, and
more. So neither a pattern nor a format is handed over as it is. Python's own parse of the pattern is written anew for
RE2 over printable ASCII, the domain on which both surely agree: a text that RE2 then accepts is accepted by Python, and
a text of printable ASCII that RE2 refuses is refused by Python. Every other text, and every pattern that cannot be
written anew, is Python's to judge (`udf.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from re import _constants as sre  # type: ignore[attr-defined]  # Python's own parse, the only one that is right by definition
from re import _parser  # type: ignore[attr-defined]
from typing import Any

PRINTABLE = frozenset(range(0x20, 0x7F))
PLAIN = "[ -~]*"
"""RE2 for any printable ASCII."""
_NEVER = r"[^\x00-\x{10FFFF}]"
_MOST_REPEATS = 1000  # RE2's bound
_CATEGORIES = {
    sre.CATEGORY_DIGIT: frozenset(map(ord, "0123456789")),
    sre.CATEGORY_SPACE: frozenset({0x20}),
    sre.CATEGORY_WORD: frozenset(c for c in PRINTABLE if chr(c).isalnum() or chr(c) == "_"),
}
_NEGATED = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
}
_ANCHORS = {
    sre.AT_BEGINNING: r"\A",
    sre.AT_BEGINNING_STRING: r"\A",
    sre.AT_END: r"\z",
    sre.AT_END_STRING: r"\z",
    sre.AT_BOUNDARY: r"\b",
}


class _Unsure(Exception):
    """This part of a pattern has no equal in RE2."""


@cache
def accepting(pattern: str) -> str | None:
    """RE2 that matches exactly those texts of printable ASCII in which `re.search(pattern, text)` finds something;
    None: ask Python.

    Raises `re.error` when Python itself does not understand the pattern.
    """
    parsed = _parser.parse(pattern)
    flags = parsed.state.flags
    if flags & re.LOCALE:
        return None
    try:
        body = _sequence(parsed, flags)
    except (_Unsure, RecursionError):
        return None
    head = "" if _begins(parsed) else PLAIN
    tail = "" if _ends(parsed) else PLAIN
    return rf"\A{head}(?:{body}){tail}\z"


def _begins(parsed: Any) -> bool:
    return len(parsed) > 0 and parsed[0][0] is sre.AT and parsed[0][1] in {sre.AT_BEGINNING, sre.AT_BEGINNING_STRING}


def _ends(parsed: Any) -> bool:
    return len(parsed) > 0 and parsed[-1][0] is sre.AT and parsed[-1][1] in {sre.AT_END, sre.AT_END_STRING}


def _sequence(items: Iterable[tuple[Any, Any]], flags: int) -> str:
    return "".join(_item(op, argument, flags) for op, argument in items)


def _item(op: Any, argument: Any, flags: int) -> str:
    if op is sre.LITERAL:
        return _class(_folded({argument}, flags))
    if op is sre.NOT_LITERAL:
        return _class(PRINTABLE - _folded({argument}, flags))
    if op is sre.ANY:
        return _class(PRINTABLE)
    if op is sre.IN:
        return _class(_members(argument, flags))
    if op is sre.AT and argument in _ANCHORS:
        return _ANCHORS[argument]
    if op is sre.BRANCH:
        return "(?:" + "|".join(_sequence(branch, flags) for branch in argument[1]) + ")"
    if op is sre.SUBPATTERN:
        _, added, removed, inner = argument
        return "(?:" + _sequence(inner, (flags | added) & ~removed) + ")"
    if op in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
        least, most, inner = argument
        return _repeat(least, most, inner, flags)
    raise _Unsure


def _repeat(least: Any, most: Any, inner: Any, flags: int) -> str:
    if least > _MOST_REPEATS or (most is not sre.MAXREPEAT and most > _MOST_REPEATS):
        raise _Unsure
    bound = "" if most is sre.MAXREPEAT else str(int(most))
    return f"(?:{_sequence(inner, flags)}){{{int(least)},{bound}}}"


def _members(items: list[tuple[Any, Any]], flags: int) -> frozenset[int]:
    """The printable ASCII characters of a class such as `[^a-z\\d]`."""
    negated = items[0][0] is sre.NEGATE
    members: set[int] = set()
    for op, argument in items[1:] if negated else items:
        if op is sre.LITERAL:
            members |= _folded({argument}, flags)
        elif op is sre.RANGE:
            members |= _folded(
                set(range(argument[0], argument[1] + 1)) if argument[1] < 0x80 else _beyond(argument, flags), flags
            )
        elif op is sre.CATEGORY:
            members |= _category(argument)
        else:
            raise _Unsure
    return PRINTABLE - members if negated else PRINTABLE & members


def _beyond(bounds: tuple[int, int], flags: int) -> set[int]:
    """A range that leaves ASCII: within our domain its ASCII part, unless case folding may lead back into ASCII."""
    if flags & re.IGNORECASE:
        raise _Unsure
    return set(range(bounds[0], 0x80))


def _category(category: Any) -> frozenset[int]:
    if category in _NEGATED:
        return PRINTABLE - _CATEGORIES[_NEGATED[category]]
    if category not in _CATEGORIES:
        raise _Unsure
    return _CATEGORIES[category]


def _folded(codes: set[int], flags: int) -> frozenset[int]:
    if not flags & re.IGNORECASE:
        return frozenset(codes)
    if any(code > 0x7F for code in codes):
        raise _Unsure  # `ſ` matches `s`, the Kelvin sign matches `k`
    return frozenset(ord(case) for code in codes for case in (chr(code), chr(code).lower(), chr(code).upper()))


def _class(codes: frozenset[int]) -> str:
    codes = codes & PRINTABLE
    if not codes:
        return _NEVER
    ranges, start = [], None
    for code in range(0x20, 0x80):
        if code in codes:
            start = code if start is None else start
        elif start is not None:
            ranges.append(f"\\x{start:02x}" + (f"-\\x{code - 1:02x}" if code - 1 > start else ""))
            start = None
    return "[" + "".join(ranges) + "]"


# Strictly padded times in the proleptic Gregorian calendar: Python and DuckDB agree on all of them that DuckDB can
# parse at all.
_TIME_PARTS = {
    "Y": "[1-9][0-9]{3}",
    "m": "(?:0[1-9]|1[0-2])",
    "d": "(?:0[1-9]|[12][0-9]|3[01])",
    "H": "(?:[01][0-9]|2[0-3])",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
    "%": "%",
}


_DAY_OF_ANY_MONTH = "(?:0[1-9]|1[0-9]|2[0-8])"


@cache
def accepting_time(time_format: str, *, surely: bool = False) -> str | None:
    """RE2 for times in that format which Python accepts if DuckDB's `strptime` parses them (the 30th of February is its
    to see); else None.

    With `surely`, for times up to the 28th of a month, which Python accepts anyhow.
    """
    known_parts = _TIME_PARTS | ({"d": _DAY_OF_ANY_MONTH} if surely else {})
    parts = re.findall(r"%.|[^%]+|%$", time_format, re.DOTALL)
    names = [part[1:] for part in parts if part.startswith("%")]
    known = (
        set(names) <= _TIME_PARTS.keys()
        and len(names) == len(set(names))
        and len({"Y", "m", "d"} & set(names)) in {0, 3}
    )
    plain = all(ord(c) in PRINTABLE for c in time_format)
    if not (known and plain):
        return None
    return r"\A" + "".join(known_parts[p[1:]] if p.startswith("%") else _literals(p) for p in parts) + r"\z"


def _literals(text: str) -> str:
    return "".join(_class(frozenset({ord(c)})) for c in text)
