"""Each invariant, broken on purpose: a checker that has never failed proves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.content import FILE, Entry, File, Range, Row
from tests.simulation.invariants import MEANING, Checker, Violated
from tests.simulation.names import Names
from tests.simulation.world import Clock, Coordinator, Partition


class Logs:
    """One file of four rows, whose second row is quarantined; two data partitions, the quarantine and the ledger; each
    write a transaction."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.coordinator = Coordinator(self.clock)
        self.data = [Partition("data-0", self.clock), Partition("data-1", self.clock)]
        self.quarantine, self.ledger = Partition("quarantine", self.clock), Partition("ledger", self.clock)
        self.checker = Checker([File(0, 0, 4)], [*self.data, self.quarantine], self.ledger)
        self.epoch = 0

    def chunk(
        self,
        chunk: int,
        *rows: tuple[Partition, int],
        record: Entry | None = None,
        last: bool = False,
        end: bool = True,
    ) -> Entry:
        """Write a chunk as it should be, ledger record first seen, markers to the data before those to the ledger."""
        self.epoch += 1
        transaction = ("A1", self.epoch)
        entry = record or self.entry(chunk, [r for _, r in rows], sum(p is self.quarantine for p, _ in rows))
        entry = entry._replace(transaction=transaction)
        records = (
            (entry, entry._replace(chunk=FILE, rows=(1, 2, 3, 4), published=3, quarantined=1)) if last else (entry,)
        )
        for partition, row in rows:
            self._append(partition, (Row(0, row, chunk, transaction),))
        self._append(self.ledger, records)
        for partition in dict.fromkeys([*(p for p, _ in rows), self.ledger] if end else []):
            partition.mark(1, self.epoch, commit=True)
        return entry

    def _append(self, partition: Partition, values: tuple[Row | Entry, ...]) -> None:
        known = partition.producers.get(1)
        partition.append(1, self.epoch, known.next if known and known.epoch == self.epoch else 0, values)

    def entry(
        self, chunk: int, rows: list[int], quarantined: int, ranges: tuple[Range, ...] = (), of: int = 2
    ) -> Entry:
        return Entry(0, chunk, 0, "P", of, ("", 0), tuple(sorted(rows)), len(rows) - quarantined, quarantined, ranges)

    def judge(self) -> None:
        self.checker.at_the_end(self.coordinator)


def rightly(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), (logs.quarantine, 2))
    logs.chunk(1, (logs.data[1], 3), (logs.data[0], 4), last=True)


def lost(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), (logs.quarantine, 2))
    logs.chunk(1, (logs.data[1], 3), last=True)


def twice(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), (logs.quarantine, 2))
    logs.chunk(1, (logs.data[1], 3), (logs.quarantine, 1))


def without_a_record(logs: Logs) -> None:
    logs.data[0].append(1, 0, 0, (Row(0, 1, 0, ("A1", 1)),))
    logs.data[0].mark(1, 0, commit=True)


def with_an_aborted_record(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), end=False)
    logs.ledger.mark(1, logs.epoch, commit=False)
    logs.data[0].mark(1, logs.epoch, commit=True)


def record_aborted_afterwards(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), end=False)
    logs.data[0].mark(1, logs.epoch, commit=True)
    logs.ledger.mark(1, logs.epoch, commit=False)


def torn(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), record=logs.entry(0, [1, 2], 1))


def out_of_order(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 2), (logs.data[0], 1))


def miscounted(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), (logs.data[0], 2), record=logs.entry(0, [1, 2], 1))


def in_the_wrong_range(logs: Logs) -> None:
    entry = logs.entry(0, [1, 3], 0, (Range(logs.data[0], 0, 0, 2),))
    logs.chunk(0, (logs.data[0], 1), (logs.data[0], 3), record=entry)


def complete_too_early(logs: Logs) -> None:
    logs.chunk(0, (logs.data[0], 1), (logs.quarantine, 2), last=True)


def with_a_hole(logs: Logs) -> None:
    logs.chunk(1, (logs.data[0], 1), (logs.quarantine, 2))


def hanging(logs: Logs) -> None:
    rightly(logs)
    logs.data[0].append(7, 0, 0, (Row(-1, 1, 0, ("stranger", 1)),))


def left_open(logs: Logs) -> None:
    rightly(logs)
    _, owner = logs.coordinator.init("lane0", 60.0)
    logs.coordinator.add("lane0", owner[0], owner[1], [logs.data[0]])


def behind_newer_bytes(logs: Logs, *, knowing: bool = True) -> None:
    """A row of what the name had before, decided on when rows of what it has now were committed (or were not)."""
    older, newer = File(0, 0, 4), File(2, 1, 4, corrects=0)
    names = logs.checker.names = Names([older, newer])
    names.list(newer, logs.ledger)
    if not knowing:
        names.decide(older, ("A1", 2), 0.0, logs.ledger)
    names.decide(newer, ("A1", 1), 0.0, logs.ledger)
    logs.epoch = transaction = 1
    logs._append(logs.data[0], (Row(2, 1, 0, ("A1", transaction)),))
    logs._append(logs.ledger, (logs.entry(0, [1], 0)._replace(file=2, transaction=("A1", transaction)),))
    for partition in (logs.data[0], logs.ledger):
        partition.mark(1, transaction, commit=True)
    if knowing:
        names.decide(older, ("A1", 2), 0.0, logs.ledger)
    logs.chunk(0, (logs.data[0], 1), (logs.quarantine, 2))


def test_who_could_not_know_of_newer_bytes_is_let_pass() -> None:
    behind_newer_bytes(Logs(), knowing=False)


def test_a_right_history_passes() -> None:
    logs = Logs()
    rightly(logs)
    logs.judge()


@pytest.mark.parametrize(
    ("invariant", "how"),
    [
        ("I1", lost),
        ("I2", twice),
        ("I3", without_a_record),
        ("I3", with_an_aborted_record),
        ("I4", record_aborted_afterwards),
        ("I4", torn),
        ("I5", out_of_order),
        ("I6", miscounted),
        ("I7", in_the_wrong_range),
        ("I8", complete_too_early),
        ("I8", with_a_hole),
        ("I9", hanging),
        ("I9", left_open),
        ("I10", behind_newer_bytes),
    ],
)
def test_what_is_broken_is_found(invariant: str, how: Callable[[Logs], None]) -> None:
    logs = Logs()
    with pytest.raises(Violated) as found:
        how(logs)
        logs.judge()
    assert found.value.invariant == invariant
    assert MEANING[invariant] in str(found.value)
