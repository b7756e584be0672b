"""Which columns a file is held against: those of what was published last, or, half published, those it was begun
with."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.model import Column
from forebay.verbs import _pins

OLD, NEW = (Column("id", "int64"),), (Column("id", "string"),)


def view(*published: tuple[Column, ...], begun: dict[str, tuple[Column, ...]] | None = None) -> Any:
    entries = [
        SimpleNamespace(completion=SimpleNamespace(columns={c.name: c.type for c in columns})) for columns in published
    ]
    chunks = [
        {
            0: SimpleNamespace(
                receipt=SimpleNamespace(fingerprint=fp), origin=SimpleNamespace(schema_hash=_pins.schema_hash(columns))
            )
        }
        for fp, columns in (begun or {}).items()
    ]
    last = entries[-1].completion.columns if entries else {}
    return SimpleNamespace(columns=lambda: last, entries=lambda: iter(entries), unfinished=lambda: iter(chunks))


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        (view(), None),
        (view(OLD), OLD),
        (view(OLD, NEW), NEW),
        (view(OLD, NEW, begun={"f": OLD}), OLD),
        (view(OLD, begun={"f": OLD}), OLD),
        (view(OLD, begun={"f": NEW}), None),  # begun before anything was pinned
        (view(OLD, begun={"g": NEW}), OLD),
    ],
)
def test_what_a_file_is_held_against(ledger: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(_: Any) -> Any:
        yield ledger

    monkeypatch.setattr(_pins, "open_ledger", opened)
    ctx: Any = SimpleNamespace(pipeline=SimpleNamespace(schema_=None), pins={})
    assert [_pins.pinned(ctx, "f") for _ in range(2)] == [expected, expected]
