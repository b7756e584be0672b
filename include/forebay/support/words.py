"""Text that a file brought, as it may stand in a sentence: on one line, without control characters, and not longer than a person reads."""

from __future__ import annotations

SHOWN = 80
"""Characters of one name or value."""
MESSAGE = 2_000
"""Characters of an error's words."""


def shown(text: str, most: int = SHOWN) -> str:
    """The text, cut, and with escapes for what cannot be printed: no database, terminal or page takes a NUL for a letter."""
    cut = text[:most] + ("…" if len(text) > most else "")
    return cut if cut.isprintable() else "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
