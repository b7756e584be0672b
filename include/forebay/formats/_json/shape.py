"""JSON that is no JSON lines: one array, values spread over lines, or values without line ends between them."""

from __future__ import annotations

from pathlib import Path

from forebay.errors import CorruptFileError
from forebay.formats._json.text import NotJson, value

HEAD = 1 << 16
"""Bytes of a file that are looked at."""
_BLANK = " \t\r\n"
_ARRAY = "it is one JSON array (write its elements as lines, with jq 1.7 or later: `jq -c '.[]'`)"
_SPREAD = "its JSON objects are spread over several lines (write each on one line, with jq 1.7 or later: `jq -c .`)"
_JOINED = (
    "its JSON objects follow one another without line ends (write each on a line of its own, with jq 1.7 or later: "
    "`jq -c .`)"
)
_LISTED = (
    "its JSON objects are joined by commas (put them in brackets and write each as a line, with jq 1.7 or later: "
    "`jq -c '.[]'`)"
)


def refuse_other_shapes(path: Path, uri: str) -> None:
    """Raise `CorruptFileError` for a file whose JSON is written otherwise than one object a line."""
    with path.open("rb") as file:
        head = file.read(HEAD + 1)
    shape = _shape(head[:HEAD].decode("utf-8-sig", "ignore"), whole=len(head) <= HEAD)
    if shape:
        raise CorruptFileError(f"reading `{uri}`: {shape}", uri=uri)


def _shape(text: str, whole: bool) -> str | None:
    """How the JSON at the beginning of a file is written, with the way out; None where it is one value a line, or none
    at all."""
    text = (text if "\n" in text else text.replace("\r", "\n")).lstrip(_BLANK)
    if text.startswith("["):
        line, _, rest = text.partition("\n")
        return None if _is_value(line) and (rest.strip(_BLANK) or not whole) else _ARRAY
    return _shape_of_objects(text) if text.startswith("{") else None


def _shape_of_objects(text: str) -> str | None:
    at, spread, joined, listed, comma = 0, 0, 0, 0, False
    while at < len(text):
        try:
            json_value = value(text, at)
        except NotJson as error:
            if not error.early:
                return None
            spread += error.early and "\n" in text[at:].strip(_BLANK)
            break
        if "\n" in text[json_value.start : json_value.end]:
            spread += 1
        elif not comma and _is_alone(text, json_value.start, json_value.end):
            return None
        else:
            joined += 1
        at = len(text) - len(text[json_value.end :].lstrip(_BLANK))
        comma = text[at : at + 1] == ","
        listed, at = listed + comma, at + comma
    if listed:
        return _LISTED
    return _SPREAD if spread else _JOINED if joined else None


def _is_alone(text: str, start: int, end: int) -> bool:
    """Whether nothing else stands on the line."""
    before, after = text[text.rfind("\n", 0, start) + 1 : start], text[end:].partition("\n")[0]
    return not (before + after).strip(_BLANK)


def _is_value(line: str) -> bool:
    try:
        return not line[value(line, 0).end :].strip(_BLANK)
    except NotJson:
        return False
