"""Whether two source patterns can match the same file, on any day."""

from __future__ import annotations

import posixpath
import re
from datetime import UTC, datetime, timedelta

from forebay.config import paths
from forebay.model import Window

Token = tuple[frozenset[str], bool]
"""Characters that one place may hold, and whether it may hold any number of them."""

_PIECE = re.compile(
    r"(?P<place>\{\{.*?\}\})|(?P<deep>\*\*)|(?P<star>\*)|(?P<any>\?)|(?P<set>\[!?[^\]]+\])|(?P<char>.)", re.DOTALL
)
_DIGITS = frozenset("0123456789")
_OTHER = "\0"  # stands for every character that neither pattern names


def overlap(a: str, b: str) -> bool:
    """Whether some path, on some day, matches both templates. `{{ ds }}` and friends stand for any day, each place for
    itself."""
    a, b = posixpath.normpath(a), posixpath.normpath(b)
    alphabet = frozenset(a + b) | _DIGITS | {_OTHER, "/"}
    return any(_meet(_tokens(x, alphabet), _tokens(y, alphabet)) for x in _variants(a) for y in _variants(b))


def _variants(pattern: str) -> list[str]:
    """`a/**/b` also means `a/b`: the pattern with each `**/` kept and left out."""
    head, deep, tail = pattern.partition("**/")
    if not deep:
        return [pattern]
    return [head + kept + rest for rest in _variants(tail) for kept in ("", deep)]


def _tokens(pattern: str, alphabet: frozenset[str]) -> list[Token]:
    name = alphabet - {"/"}
    tokens: list[Token] = []
    for piece in _PIECE.finditer(pattern):
        match piece.lastgroup:
            case "place":
                tokens += _day(piece[0])
            case "deep":
                tokens.append((alphabet, True))
            case "star":
                tokens.append((name, True))
            case "any":
                tokens.append((name, False))
            case "set":
                tokens.append((_members(piece[0], alphabet), False))
            case _:
                tokens.append((frozenset(piece[0]), False))
    return tokens


def _day(place: str) -> list[Token]:
    """What `{{ ds }}` may be: a sample day's text with every digit free."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    text = paths.render(place, Window(start, start + timedelta(hours=1)))
    return [(_DIGITS if char.isdigit() else frozenset(char), False) for char in text]


def _members(pattern: str, alphabet: frozenset[str]) -> frozenset[str]:
    """The characters of `[abc]`, `[a-z]`, `[!abc]`."""
    body = pattern[1:-1].removeprefix("!")
    ranges = [(low, high) for low, high in re.findall(r"(.)-(.)", body)]
    singles = re.sub(r".-.", "", body)
    members = frozenset(c for c in alphabet if c in singles or any(low <= c <= high for low, high in ranges))
    return alphabet - members - {"/"} if pattern.startswith("[!") else members


def _meet(a: list[Token], b: list[Token]) -> bool:
    """Whether the languages of two token lists share a word: a walk over pairs of places."""
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        for step in _steps(a, b, i, j):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _steps(a: list[Token], b: list[Token], i: int, j: int) -> list[tuple[int, int]]:
    left, right = (a[i] if i < len(a) else None), (b[j] if j < len(b) else None)
    steps = []
    if left and left[1]:
        steps.append((i + 1, j))
    if right and right[1]:
        steps.append((i, j + 1))
    if left and right and left[0] & right[0]:
        steps.append((i if left[1] else i + 1, j if right[1] else j + 1))
    return steps
