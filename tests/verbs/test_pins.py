"""Which columns a file is held against: those of what was published last, or, half published, those it was begun
with."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.kafka.ledger.entries import Completion, Origin
from forebay.model import OPEN, Column, Stage
from forebay.verbs import _pins

OLD, NEW, UNDECIDED = (Column("id", "int64"),), (Column("id", "string"),), (Column("id", OPEN),)


def completion(columns: tuple[Column, ...]) -> Completion:
    """As publishing writes it: a column without a value has the type that its nulls were read as."""
    types = {c.name: "string" if c.type == OPEN else c.type for c in columns}
    return Completion(columns=types, open=tuple(c.name for c in columns if c.type == OPEN))


def view(
    *published: tuple[Column, ...],
    begun: dict[str, tuple[Column, ...]] | None = None,
    read_with: dict[str, tuple[Column, ...]] | None = None,
) -> Any:
    """A ledger: `begun` by an earlier version, which wrote what a file's columns were; `read_with` by this one."""
    entries = [SimpleNamespace(completion=completion(columns)) for columns in published]
    origins = {fp: Origin(schema_hash=_pins.schema_hash(columns)) for fp, columns in (begun or {}).items()}
    origins |= {fp: Origin(pins=_pins.name_of(columns)) for fp, columns in (read_with or {}).items()}
    chunks = [
        {0: SimpleNamespace(receipt=SimpleNamespace(fingerprint=fp), origin=origin)} for fp, origin in origins.items()
    ]
    last = entries[-1].completion.pins if entries else {}
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
        (view(UNDECIDED), UNDECIDED),
        (view(UNDECIDED, OLD), OLD),
        (view(UNDECIDED, OLD, read_with={"f": UNDECIDED}), UNDECIDED),  # begun before another file decided
        (view(UNDECIDED, OLD, read_with={"f": OLD}), OLD),
        (view(OLD, read_with={"f": ()}), None),  # begun before anything was pinned
        (view(UNDECIDED, read_with={"g": ()}), UNDECIDED),
    ],
)
def test_what_a_file_is_held_against(ledger: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(_: Any) -> Any:
        yield ledger

    monkeypatch.setattr(_pins, "open_ledger", opened)
    ctx: Any = SimpleNamespace(pipeline=SimpleNamespace(schema_=None), pins={})
    assert [_pins.pinned(ctx, "f") for _ in range(2)] == [expected, expected]


@pytest.mark.parametrize(
    ("read_with", "type_", "open_", "now", "refused"),
    [
        ((), "int64", (), {}, False),
        ((), "int64", (), {"id": "string"}, True),
        (UNDECIDED, "int64", (), {"id": OPEN}, False),
        (UNDECIDED, "int64", (), {"id": "int64"}, False),
        (UNDECIDED, "int64", (), {"id": "string"}, True),
        (UNDECIDED, "string", ("id",), {"id": "string"}, True),  # it would open the column again
        (OLD, "int64", (), {"id": "string"}, False),
    ],
)
def test_a_file_is_read_again_where_another_one_decided_meanwhile(
    read_with: Any, type_: str, open_: Any, now: Any, refused: bool
) -> None:
    ctx: Any = SimpleNamespace(pipeline=SimpleNamespace(schema_=None), pins={})
    file: Any = SimpleNamespace(pins=_pins.name_of(read_with), fingerprint="f")
    stage = Stage("f", Path("rows"), Path("rejects"), (Column("id", type_),), 1, 0, 0, pins=read_with, open=open_)
    ledger: Any = SimpleNamespace(columns=lambda: now, started=lambda _: ())
    with pytest.raises(_pins.PinnedMeanwhileError) if refused else nullcontext():
        _pins.refuse_pinned_meanwhile(ctx, file, stage, ledger)


def test_a_file_that_ends_behind_the_one_that_decided_does_not_open_the_column_again() -> None:
    begun = Completion(columns={"id": "string", "note": "string"}, open=("id", "note"))
    settled = begun.settled({"id": "int64", "note": OPEN})
    assert settled.pins == {"id": "int64", "note": OPEN}
