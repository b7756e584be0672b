"""Path patterns that local folders and object stores share.

`*` any characters of one name, `?` one, `[abc]` `[a-z]` `[!a]` one of a set, `**` as a whole component any number of
folders. Names that begin with `.` or `_` (Hadoop's and Spark's convention for hidden files and markers such as
`_SUCCESS`) match only a component that begins so itself. A literal `*`, `?` or `[` is written `[*]`, `[?]`, `[[]`.
Matching is case-sensitive.
"""

from __future__ import annotations

import re
from functools import cache

_WILD = re.compile(r"[*?\[]")
_HIDDEN = r"(?![._])"


def is_wild(text: str) -> bool:
    return _WILD.search(text) is not None


def literal_prefix(pattern: str) -> str:
    """The text before the first wildcard: every match begins with it."""
    match = _WILD.search(pattern)
    return pattern[: match.start()] if match else pattern


def split(pattern: str) -> tuple[str, tuple[str, ...]]:
    """The fixed folder in front, and the components after it, of which the first is the first with a wildcard (or the
    file's name)."""
    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if is_wild(part)), len(parts) - 1)
    return "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ""), tuple(parts[fixed:])


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression that fully matches what the pattern means."""
    parts = pattern.split("/")
    return re.compile("".join(_part(part, last=i == len(parts) - 1) for i, part in enumerate(parts)), re.DOTALL)


def _part(part: str, *, last: bool) -> str:
    if part == "**":
        folders = rf"(?:{_HIDDEN}[^/]*/)*"  # the key of an object may have a folder without a name: `in//a.csv`
        return rf"{folders}{_HIDDEN}[^/]+" if last else folders
    hidden = "" if part[:1] in {".", "_"} or not is_wild(part) else _HIDDEN
    return hidden + _component(part) + ("" if last else "/")


def _component(part: str) -> str:
    pieces, at = [], 0
    while at < len(part):
        piece, at = _piece(part, at)
        pieces.append(piece)
    return "".join(pieces)


def _piece(part: str, at: int) -> tuple[str, int]:
    """The regular expression of what begins at `at`, and where the next piece begins."""
    if part[at] == "*":
        return "[^/]*", at + 1
    if part[at] == "?":
        return "[^/]", at + 1
    match = re.compile(r"\[(!?)(\]?[^\]]*)\]").match(part, at)
    if part[at] != "[" or not match or not match[2]:
        return re.escape(part[at]), at + 1
    inside = re.sub(r"([\\^\[&~|])", r"\\\1", match[2]).replace("]", r"\]", 1 if match[2].startswith("]") else 0)
    return rf"(?:(?!/)[{'^' if match[1] else ''}{inside}])", match.end()
