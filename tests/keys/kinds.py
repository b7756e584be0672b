"""How the effect of a key is shown: by a trial under each of its values, or by a test of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.keys.looks import Look
from tests.keys.trial import ROWS

Case = tuple[Any, Any]


@dataclass(frozen=True)
class Shown:
    """Seen by `look` under each of the values; `more` are other settings, `put` says how a value is written where it is
    not at the key's own place."""

    look: Look
    cases: list[Case]
    data: bytes | dict[str, bytes] = ROWS
    more: dict[str, Any] = field(default_factory=dict)
    suite: dict[str, Any] | None = None
    kept: dict[str, bytes] | None = None
    pins: dict[str, str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    put: Callable[[Any], dict[str, Any]] | None = None

    def changes(self, key: str, value: Any) -> dict[str, Any]:
        """The settings of one case."""
        place = re.sub(r"\[\w+\]", "", key).replace("NAME", "x")
        own = {"record.value.type": "json"} if key.startswith("record.value[") else {}
        return self.more | own | (self.put(value) if self.put else {place: value})


@dataclass(frozen=True)
class Elsewhere:
    """Shown by a test of its own; `word` is how that test's module writes the key."""

    test: str
    word: str


def csv(type_: str, text: bytes, **more: Any) -> dict[str, Any]:
    """A CSV file of an id and one column `x`."""
    return {"more": {"schema.columns": {"id": "int64", "x": type_}} | more, "data": b"id,x\n" + text}


def lines(type_: str, *values: str, **more: Any) -> dict[str, Any]:
    """JSON lines of the same."""
    settings = {"format": {"type": "json_lines"}, "schema.columns": {"id": "int64", "x": type_}}
    return {
        "more": settings | more,
        "data": "".join(f'{{"id": {n}, "x": {value}}}\n' for n, value in enumerate(values, 1)).encode(),
    }
