"""Events: one name from one module, used, and never written by hand elsewhere."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from forebay import events

ROOT = Path(__file__).parents[2]
NAMES = {name: value for name, value in vars(events).items() if name.isupper()}
SOURCES = {
    p: p.read_text("utf-8")
    for base in ("include/forebay", "plugins", "tools")
    for p in sorted((ROOT / base).rglob("*.py"))
}


def test_names_are_noun_and_verb_and_say_their_constant() -> None:
    assert [value for value in NAMES.values() if not re.fullmatch(r"[a-z]+\.[a-z]+", value)] == []
    assert {name: value.upper().replace(".", "_") for name, value in NAMES.items()} == {name: name for name in NAMES}


def test_every_event_is_emitted_somewhere() -> None:
    text = "\n".join(SOURCES.values())
    assert [name for name in NAMES if not re.search(rf"emit\(\s*(events\.)?{name}\b", text)] == []


def test_no_event_is_named_by_hand() -> None:
    assert [
        str(path.relative_to(ROOT)) for path, text in SOURCES.items() if re.search(r"\bemit\(\s*f?[\"']", text)
    ] == []


def test_an_event_reaches_the_log_and_every_listener_until_it_stops(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, dict[str, object]]] = []
    stop = events.listen(lambda name, fields: seen.append((name, fields)))
    with caplog.at_level(logging.INFO, logger="forebay"):
        events.emit(events.FILE_SEEN, uri="a.csv")
        stop()
        events.emit(events.FILE_SEEN, level=logging.WARNING, uri="b.csv")
    assert seen == [("file.seen", {"uri": "a.csv"})]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "file.seen uri='a.csv'"),
        ("WARNING", "file.seen uri='b.csv'"),
    ]
