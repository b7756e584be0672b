"""Judges what consumers saw of a trial's file against what must be there. Shares no code with forebay, neither its
parsers nor its Kafka code.

What must be there follows from row numbers alone (`Expectation`); what is there comes from three readings, all
read_committed: a plain confluent_kafka consumer that reads along while the harm is done, another one at the end, and
Kafka's own Java console consumer at the end. Anomalies have Jepsen's names where Jepsen has one (jepsen
`tests/kafka.clj`), and the invariant (docs/simulation.md) that they break.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SAMPLE = 5


class Record(NamedTuple):
    """A record as some consumer saw it. `topic` is `data`, `quarantine` or `ledger`; `ce_id` is "" for the ledger."""

    topic: str
    partition: int
    offset: int
    ce_id: str
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Anomaly:
    """`invariant` is I1 to I9; `detail` names rows, chunks or places (a few of them).

    `topic` is where it was seen, as in `Record`; `rows` are the rows that it is about, if it is about rows.
    """

    name: str
    invariant: str
    detail: str
    topic: str = ""
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Expectation:
    """What a file of generated rows must become.

    `aside`: the rows that must be quarantined. `key`, `partition` and `value_ok` say what the record of a row must look
    like.
    """

    fingerprint: str
    rows: int
    aside: frozenset[int]
    key: Callable[[int], bytes]
    partition: Callable[[int], int] | None  # None: any, but one for each key
    value_ok: Callable[[int, bytes], bool]
    generation: int = 1

    @property
    def prefix(self) -> str:
        return f"{self.fingerprint[:16]}:{self.generation}:"


@dataclass
class Ledger:
    """The ledger's records of one file, as JSON; `repeated`: keys that came more than once."""

    chunks: dict[int, dict[str, Any]] = field(default_factory=dict)
    file: dict[str, Any] | None = None
    repeated: list[str] = field(default_factory=list)


def check(want: Expectation, records: Iterable[Record], complete: bool = True) -> list[Anomaly]:
    """Every anomaly of one file in one reading. `complete`: the file must be there as a whole, else whole chunks of it
    may be."""
    own = [r for r in records if r.ce_id.startswith(want.prefix)]
    data = [r for r in own if r.topic == "data"]
    aside = [r for r in own if r.topic == "quarantine"]
    ledger = _ledger(want, records)
    due = set(range(1, want.rows + 1)) if complete else _committed_rows(ledger)
    return [
        *_sets("data", data, due - want.aside),
        *_sets("quarantine", aside, due & want.aside),
        *_order(data),
        *_content(want, data),
        *_chunks(want, ledger, data, aside),
        *_completion(want, ledger, complete),
    ]


def row_of(record: Record) -> int:
    return int(record.ce_id.rsplit(":", 1)[1])


def _ledger(want: Expectation, records: Iterable[Record]) -> Ledger:
    found = Ledger()
    for record in records:
        if record.topic != "ledger":
            continue
        key = json.loads(record.key)
        if key["fp"] != want.fingerprint or key["generation"] != want.generation:
            continue
        value = json.loads(record.value)
        if key["chunk"] == "FILE":
            found.repeated += ["FILE"] if found.file else []
            found.file = value
        else:
            found.repeated += [str(key["chunk"])] if key["chunk"] in found.chunks else []
            found.chunks[key["chunk"]] = value
    return found


def _committed_rows(ledger: Ledger) -> set[int]:
    return {n for value in ledger.chunks.values() for n in range(value["rows"]["first"], value["rows"]["last"] + 1)}


def _sets(topic: str, records: list[Record], due: set[int]) -> list[Anomaly]:
    """I1 and I2, and I3: each row that is due once; no row of a chunk that was not committed."""
    counts = Counter(row_of(r) for r in records)
    lost, alien = sorted(due - counts.keys()), sorted(counts.keys() - due)
    twice = sorted(n for n, times in counts.items() if times > 1)
    kinds = (
        ("lost-write", "I1", "rows, such as", lost),
        ("duplicate", "I2", "rows, such as", twice),
        ("aborted-read", "I3", "rows without a committed chunk or in the wrong topic:", alien),
    )
    what = "" if topic == "data" else "quarantined "
    return [
        Anomaly(name, invariant, f"{what}{len(rows)} {words} {rows[:SAMPLE]}", topic, tuple(rows))
        for name, invariant, words, rows in kinds
        if rows
    ]


def _order(data: list[Record]) -> list[Anomaly]:
    """I5: within a partition row numbers strictly increase."""
    last: dict[int, int] = {}
    back = []
    for record in sorted(data, key=lambda r: (r.partition, r.offset)):
        row = row_of(record)
        if row <= last.get(record.partition, 0):
            back.append(row)
        last[record.partition] = row
    text = f"{len(back)} rows, such as {back[:SAMPLE]}"
    return [Anomaly("nonmonotonic", "I5", text, "data", tuple(back))] if back else []


def _content(want: Expectation, data: list[Record]) -> list[Anomaly]:
    """A row's record has its key, its value and its partition."""
    place: dict[bytes, int] = {}
    wrong = []
    for record in data:
        row = row_of(record)
        right = want.partition(row) if want.partition else place.setdefault(record.key, record.partition)
        if record.key != want.key(row) or record.partition != right or not want.value_ok(row, record.value):
            wrong.append(row)
    text = f"{len(wrong)} rows, such as {wrong[:SAMPLE]}"
    return [Anomaly("wrong-content", "I1", text, "data", tuple(wrong))] if wrong else []


def _chunks(want: Expectation, ledger: Ledger, data: list[Record], aside: list[Record]) -> list[Anomaly]:
    """I4, I6 and I7 for each chunk of the ledger, and chunks that overlap or were written twice."""
    found = (
        [Anomaly("duplicate", "I2", f"ledger records written twice: {ledger.repeated[:SAMPLE]}", "ledger")]
        if ledger.repeated
        else []
    )
    at = 1
    for number, value in sorted(ledger.chunks.items()):
        rows = value["rows"]
        inside = set(range(rows["first"], rows["last"] + 1))
        if rows["first"] != at:
            found.append(
                Anomaly("torn", "I4", f"chunk {number} begins at row {rows['first']}, the one before ended at {at - 1}")
            )
        at = rows["last"] + 1
        counts = (len(inside), len(inside - want.aside), len(inside & want.aside))
        if (rows["in"], rows["published"], rows["quarantined"]) != counts:
            found.append(Anomaly("unaccounted", "I6", f"chunk {number}: the ledger says {rows}, it has {counts}"))
        found += _ranges(number, inside, value["outputs"], data)
        found += _ranges(number, inside, value["quarantine"], aside)
    return found


def _ranges(number: int, inside: set[int], stated: list[dict[str, Any]], records: list[Record]) -> list[Anomaly]:
    """The stated ranges hold exactly the chunk's rows: as many as stated, and none of them lies elsewhere."""
    of_chunk = [r for r in records if row_of(r) in inside]
    counts: dict[int, int] = defaultdict(int)
    bounds = {place["partition"]: place for place in stated}
    for record in of_chunk:
        place = bounds.get(record.partition)
        if place is None or not place["first"] <= record.offset <= place["last"]:
            text = f"chunk {number}: row {row_of(record)} at {record.partition}:{record.offset}, outside of {place}"
            return [Anomaly("inconsistent-offsets", "I7", text)]
        counts[record.partition] += 1
    wrong = {p: (place["count"], counts[p]) for p, place in bounds.items() if place["count"] != counts[p]}
    return [Anomaly("torn", "I4", f"chunk {number}: (stated, found) per partition {wrong}")] if wrong else []


def _completion(want: Expectation, ledger: Ledger, complete: bool) -> list[Anomaly]:
    """I6 and I8: a completion record only when all is there, with the right sums."""
    if ledger.file is None:
        return (
            [Anomaly("incomplete", "I1", f"no completion record; chunks {sorted(ledger.chunks)}")] if complete else []
        )
    if _committed_rows(ledger) != set(range(1, want.rows + 1)):
        return [Anomaly("premature-completion", "I8", f"completion record with chunks {sorted(ledger.chunks)}")]
    stated = tuple(ledger.file[name] for name in ("rows_in", "published", "quarantined", "rejected"))
    counts = (want.rows, want.rows - len(want.aside), len(want.aside), 0)
    return [Anomaly("unaccounted", "I6", f"completion says {stated}, it is {counts}")] if stated != counts else []


def compare(live: list[Record], final: list[Record]) -> list[Anomaly]:
    """What was seen along the way and what is there at the end are the same: else a record was withdrawn, or skipped
    while it was read."""
    then, now = set(live), set(final)
    found = []
    if gone := [r for r in live if r not in now]:
        found.append(
            Anomaly("aborted-read", "I3", f"{len(gone)} records seen live are not there at the end, such as {gone[0]}")
        )
    if skipped := [r for r in final if r not in then]:
        found.append(Anomaly("poll-skip", "I1", f"{len(skipped)} records were never seen live, such as {skipped[0]}"))
    if len(then) != len(live) or not _increasing(live):
        found.append(
            Anomaly("nonmonotonic-poll", "I5", "the live consumer saw offsets of a partition twice or out of order")
        )
    return found


def _increasing(records: list[Record]) -> bool:
    last: dict[tuple[str, int], int] = {}
    for record in records:
        where = record.topic, record.partition
        if record.offset <= last.get(where, -1):
            return False
        last[where] = record.offset
    return True
