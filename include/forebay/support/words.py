"""Text that a file brought, as it may stand in a sentence: on one line, without control characters, and not longer than
a person reads."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

SHOWN = 80
"""Characters of one name or value."""
MESSAGE = 2_000
"""Characters of an error's words."""


def shown(text: str, most: int = SHOWN) -> str:
    """The text, cut, and with escapes for what cannot be printed: no database, terminal or page takes a NUL for a
    letter."""
    return printable(text[:most] + ("…" if len(text) > most else ""))


def printable(text: str) -> str:
    """The text with every character that a terminal or a page would not show written as its escape: control characters,
    line ends, reversed writing."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def some(parts: Sequence[str], most: int, between: str = ", ", what: str = "") -> str:
    """The first parts, `most` of them, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(parts) - most} more{what}" if len(parts) > most else ""
    return between.join(parts[:most]) + more


def counted(number: int, noun: str) -> str:
    """A number of things, with the noun's plural where there is not one of them: `1 night`, `2,000 nights`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def meant(word: str, known: Iterable[str], but: Callable[[str], bool] | None = None) -> str | None:
    """The known word that `word` is probably a slip of; `but` says which of the known ones come into question."""
    known = list(known)
    close = difflib.get_close_matches(word, known, 5) or difflib.get_close_matches(word.lower(), known, 5)
    return next((name for name in close if but is None or but(name)), None)


def way_out(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """`did you mean …?`; where nothing is near: `otherwise`, or the list of what is known."""
    known = list(known)
    if close := meant(word, known):
        return f"did you mean `{close}`?"
    return f"known: {', '.join(known) or 'none'}" if otherwise is None else otherwise
