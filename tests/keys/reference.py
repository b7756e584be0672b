"""The keys of the reference page, as people read them: their places, and the values of those that have few."""

from __future__ import annotations

import re

from forebay.config.schema import reference

_TITLE = re.compile(r"^(#{2,5}) (.*)$")
_ROW = re.compile(r"^\| `([^`|]+)` \| (.*?) \| (.*?) \| (.*) \|$")
_KIND = re.compile(r"\(`(.*)`\)")
_WORDS = re.compile(r"`([^`]*)`(?:, |$)")

LISTS = ("quality.history.rules", "quality.notify")
"""Sections that stand in lists: `quality.notify[].on`."""


def keys(page: str | None = None) -> dict[str, tuple[str, ...]]:
    """Every key of the page by its place (`schedule.cron`, `format[csv].delimiter`, `format[csv].columns.NAME.trim`),
    with its values if they are few words.

    A key that only holds a section is left out: its keys are there.
    """
    found: dict[str, tuple[str, ...]] = {}
    section = where = plugin = ""
    for line in (page or reference()).splitlines():
        if title := _TITLE.match(line):
            depth, words = len(title[1]), title[2].strip("`")
            if depth == 2:
                section = "" if words in {"The file", "Plug-ins"} else words + "[]" * (words in LISTS)
            elif depth == 3:
                where = _KIND.search(title[2])[1]  # type: ignore[index]
            elif depth == 4:
                section = plugin = f"{where}[{words}]"
            else:
                section = f"{plugin}.{words.split(': `')[1]}"
        elif (row := _ROW.match(line)) and "[section]" not in row[2] and row[2] != "mapping to section":
            found[f"{section}.{row[1]}".lstrip(".")] = (
                tuple(_WORDS.findall(row[2])) if re.fullmatch(r"(`[^`]*`(, )?)+", row[2]) else ()
            )
    return found
