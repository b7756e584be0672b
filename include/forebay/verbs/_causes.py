"""Why a row was set aside, for people: each failing rule and every other reason by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_SAID = ("column", "column_A", "column_B", "column_list", "column_set")  # the rule's title names them


def causes(rule: str, reason: str) -> tuple[str, ...]:
    """Every failing rule of a row with what it asks for, and every other reason, each by itself.

    `rule` and `reason` are those of the list, where rules are joined by `; ` and followed by their settings as JSON;
    what is not so made stays whole.
    """
    found, rest = [], reason
    for title in titles(rule):
        if not rest.startswith(title):
            return (reason,)
        asked, rest = _settings(rest.removeprefix(title))
        found.append(f"{title}{': ' if asked else ''}{asked}")
    return (*found, *([rest] if rest else []))


def _settings(text: str) -> tuple[str, str]:
    """The JSON object that a text begins with, in words, and what follows it."""
    try:
        settings, end = json.JSONDecoder().raw_decode(text.lstrip())
    except ValueError:
        return "", text.removeprefix("; ")
    words = (
        f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in settings.items()
        if name not in _SAID
    )
    return ", ".join(words), text.lstrip()[end:].removeprefix("; ")


def titles(rule: str) -> Iterator[str]:
    """The rules that are joined in a list's `rule`."""
    return (title for title in re.split(r"; (?=[a-z_0-9]+\()", rule) if title)
