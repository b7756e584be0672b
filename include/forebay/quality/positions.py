"""Where the elements of a list stand in a JSON file, so that a fault can name its line."""

from __future__ import annotations

import json

_BLANK = " \t\r\n"


def lines_of(text: str, key: str) -> list[int]:
    """1-based lines on which the elements of the list under the top-level `key` begin. `text` is valid JSON, an object
    with that list."""
    decoder = json.JSONDecoder()
    at = _skip(text, 0) + 1
    while True:
        name, at = decoder.raw_decode(text, _skip(text, at))
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if name == key:
            return [text.count("\n", 0, place) + 1 for place in _elements(text, at, decoder)]
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at) + 1  # over the comma


def _elements(text: str, at: int, decoder: json.JSONDecoder) -> list[int]:
    places = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        places.append(at)
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at
    return places


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
