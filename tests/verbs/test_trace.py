"""What of a record `forebay trace` shows."""

from __future__ import annotations

from typing import Any

import pytest

from forebay.config.pipeline import Pipeline
from forebay.verbs import trace

MEMBERS = '{"id":9007199254740993,"pin":"4929","at":null}'


@pytest.mark.parametrize(
    ("data", "by_name", "redact", "shown"),
    [
        (MEMBERS, True, ("pin", "at"), '{"id":9007199254740993,"pin":"[redacted]","at":null}'),
        (MEMBERS, True, (), MEMBERS),
        (MEMBERS, False, ("pin",), f"[redacted: {len(MEMBERS)} bytes]"),
        ("1,4929", True, ("pin",), "[redacted: 6 bytes]"),
        ("[4929]", True, ("pin",), "[redacted: 6 bytes]"),
        ("", True, ("pin",), ""),
    ],
)
def test_a_value_is_shown_without_what_is_redacted(
    data: str, by_name: bool, redact: tuple[str, ...], shown: str
) -> None:
    assert trace._value(data.encode(), redact, by_name=by_name) == shown


@pytest.mark.parametrize(
    ("key", "data", "shown"),
    [
        ("pin", "4929", "[redacted]"),
        ("id", "4929", "4929"),
        (["id", "pin"], '{"id":1,"pin":4929}', '{"id":1,"pin":"[redacted]"}'),
    ],
)
def test_a_key_is_shown_without_what_is_redacted(key: Any, data: str, shown: str) -> None:
    assert trace._key(data.encode(), _pipeline(key)) == shown


def _pipeline(key: Any) -> Pipeline:
    return Pipeline.model_validate(
        {
            "pipeline": "p",
            "owner": "o",
            "source": {"type": "local", "path": "*.csv"},
            "format": {"type": "csv"},
            "quality": {"redact": ["pin"]},
            "record": {"key": key},
            "topic": {"name": "t"},
        }
    )
