"""The local copy without a broker: it answers every question as the ledger in memory does, whatever was written and
however it was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay.kafka.ledger import cache
from forebay.kafka.ledger.cache import CacheView
from forebay.kafka.ledger.entries import ChunkEntry, Completion, FileEntry, Origin, Record, dump
from forebay.kafka.ledger.memory import MemoryView
from forebay.kafka.ledger.view import LedgerView
from forebay.model import Identity, OffsetRange, Receipt, SourceFile
from tests.support import ledger as made

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
WHO = Identity("run-1", "0190-run")
ORIGIN = Origin("cluster", "flights", "abc", None, "def", None, "murmur2", 6, 2, "0.1.0")
FINGERPRINTS = [
    "a" * 64,
    "b" * 16 + "c" * 48,
    "b" * 16 + "d" * 48,
    "0" * 64,
]  # two that begin alike, as a replay and its origin do
URIS = ["file:///drops/a.csv", "s3://b/ä €.csv", 's3://b/"quoted" \\ and\nbroken.csv', "s3://b/\x00.csv"]
SIZES = [0, 1, 2**53]


def entry(fp: str, generation: int, chunk: int | None, uri: str, size: int, number: int) -> ChunkEntry | FileEntry:
    file, at = SourceFile(uri, size, 1.5), NOW + timedelta(seconds=number)
    if chunk is None:
        return FileEntry("flights", file, fp, generation, 2, 16, 14, 2, 0, "plan", ORIGIN, Completion("again"), WHO, at)
    outputs = (OffsetRange("flights", 0, number, number + 4, 5),)
    receipt = Receipt(fp, generation, chunk, 3, 1, 8, 8, 7, 1, outputs, (), "c" * 64, f"plan {number}")
    return ChunkEntry("flights", file, receipt, ORIGIN, WHO, at, at)


things = st.tuples(
    st.sampled_from(FINGERPRINTS),
    st.integers(1, 3),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from(URIS),
    st.sampled_from(SIZES),
)


def records(drawn: list[tuple[Any, ...]]) -> list[Record]:
    """One partition each for the two halves of the fingerprints; offsets with gaps, as markers make them."""
    entries = [entry(*(*thing, number)) for number, thing in enumerate(drawn)]
    return [
        (e.key, dump(e.to_json()), FINGERPRINTS.index(thing[0]) % 2, 3 * n)
        for n, (e, thing) in enumerate(zip(entries, drawn, strict=True))
    ]


def answers(view: LedgerView) -> dict[str, Any]:
    return {
        "of_file": {(fp, g): view.of_file(fp, g) for fp in FINGERPRINTS for g in (1, 2, 3)},
        "file": {(fp, g): view.file(fp, g) for fp in FINGERPRINTS for g in (None, 1, 2, 3)},
        "generations": [view.generations(fp) for fp in FINGERPRINTS],
        "started": [view.started(fp) for fp in FINGERPRINTS],
        "receipts": [view.receipts(fp, g) for fp in FINGERPRINTS for g in (1, 2, 3)],
        "by_fingerprint": [{e.generation for e in view.by_fingerprint(fp)} for fp in FINGERPRINTS],
        "sizes": [view.has_size(size) for size in (*SIZES, 7)],
        "unfinished": sorted(
            sorted((c.receipt.fingerprint, c.receipt.generation, n) for n, c in chunks.items())
            for chunks in view.unfinished()
        ),
        "entries": sorted((e.fingerprint, e.generation, e.attempted) for e in view.entries()),
        "uris": sorted(view.uris()),
        "moves": view.moves,
    }


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(things, max_size=20, unique_by=lambda thing: thing[:3]), st.integers(1, 20), st.booleans())
def test_a_copy_answers_as_the_ledger_in_memory(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], step: int, asked: bool
) -> None:
    folder, memory = tmp_path_factory.mktemp("copy"), MemoryView("flights", 2)
    found = cache.open_view(folder, "flights", "topic", 2)
    assert found is not None
    written = records(drawn)
    for first in range(0, len(written), step):
        part = written[first : first + step]
        memory.add(part)
        found.add(part)
        found.reached({p: max([offset + 1 for _, _, q, offset in part if q == p], default=0) for p in (0, 1)})
        if asked:  # what was asked before more came must be told anew
            assert answers(found) == answers(memory)
    assert answers(found) == answers(memory)
    found.close()
    again = cache.open_view(folder, "flights", "topic", 2)
    assert again is not None
    assert {**answers(again), "moves": memory.moves} == answers(memory)
    again.close()


def held(folder: Path, first: int, last: int) -> CacheView:
    view = cache.open_view(folder, "p", "topic", 1)
    assert view is not None
    told = [(k, v, p, 2 * first + n) for n, (p, k, v) in enumerate(made.records("p", first, last))]
    for start in range(0, len(told), 1000):
        view.add(told[start : start + 1000])
        view.reached({0: told[min(start + 999, len(told) - 1)][3] + 1}, force=False)
    view.reached({0: 2 * last})
    return view


def test_all_entries_of_a_long_ledger_in_order(tmp_path: Path) -> None:
    held(tmp_path, 0, 3000).close()
    view = held(tmp_path, 3000, 3100)
    assert [e.file.uri for e in view.entries()] == [made.uri(n) for n in range(3100)]
    for number in range(0, 3100, 7):  # more contents than are kept at hand
        [receipt] = view.receipts(made.fingerprint(number))
        assert receipt.fingerprint == made.fingerprint(number)
    assert len(view._loaded) <= 64
    view.close()


def test_a_copy_is_small(tmp_path: Path) -> None:
    held(tmp_path, 0, 20_000).close()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    raw = sum(len(value) for _, _, value in made.records("p", 0, 20_000))
    assert size < raw / 4
