"""The invariants I1–I10 (docs/simulation.md), checked against the logs and against what the files hold: never against
what the protocol believes.

I2, I3, I5 and I10 are checked whenever a row becomes visible to a read_committed reader; the others when the history is
over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulation.content import FILE, Entry, File, Row, Transaction
from tests.simulation.names import Names
from tests.simulation.world import ABORTED, ONGOING, PREPARE_ABORT, PREPARE_COMMIT, STATES, Coordinator, Partition

MEANING = {
    "I1": "no loss: every accepted row of a complete file is read",
    "I2": "no duplicate: each row is read once",
    "I3": "no aborted read: no row is visible whose transaction has no ledger record",
    "I4": "not torn: all rows of a chunk are visible with its ledger record, or none",
    "I5": "order: within a file and a partition, row numbers rise",
    "I6": "accounting: rows in = published + quarantined + rejected",
    "I7": "ledger = log: the stated ranges hold exactly the stated rows",
    "I8": "no partial file as complete, no hole in the ledger",
    "I9": "liveness: when nothing fails any more, every file is completed and no transaction stays open",
    "I10": "order of contents: rows of what a name had before never come behind rows of what it has now",
}


class Violated(Exception):
    """An invariant does not hold. `words` say what was found."""

    def __init__(self, invariant: str, words: str) -> None:
        super().__init__(f"{invariant} violated ({MEANING[invariant]}): {words}")
        self.invariant = invariant
        self.words = words


class Checker:
    """Watches the partitions of one history."""

    __slots__ = ("files", "last", "ledger", "names", "newest", "proofs", "seen", "topics", "written")

    def __init__(
        self, files: Sequence[File], topics: Sequence[Partition], ledger: Partition, names: Names | None = None
    ) -> None:
        self.files = files
        self.names = names
        self.newest: dict[str, int] = {}  # partition → place of the newest content of the name that was read
        self.topics = topics  # the data partitions, and the quarantine's as the last
        self.ledger = ledger
        self.seen: dict[tuple[int, int], tuple[str, int]] = {}  # row id → where it was read
        self.last: dict[tuple[int, str], int] = {}  # (file, partition) → last row number read
        self.proofs: dict[Transaction, int] = {}  # transaction → offset of its ledger record
        self.written: dict[Transaction, list[Row]] = {}  # transaction → its visible rows
        for partition in topics:
            partition.watch = self._watcher(partition)
        ledger.appended = self._ledger_appended

    def _ledger_appended(self, offset: int, entry: Entry) -> None:
        if entry.chunk != FILE:
            self.proofs[entry.transaction] = offset

    def _watcher(self, partition: Partition) -> Any:
        name = partition.name

        def visible(offset: int, row: Row) -> None:
            if row.file >= 0:
                self._visible(name, offset, row)

        return visible

    def _visible(self, name: str, offset: int, row: Row) -> None:
        """I2, I3, I5: a read_committed reader has just read this row."""
        key = row.file, row.row
        before = self.seen.get(key)
        if before is not None:
            raise Violated(
                "I2",
                f"row {row.row} of file {row.file} is read at {before[0]}@{before[1]} and again at {name}@{offset}",
            )
        self.seen[key] = name, offset
        proof = self.proofs.get(row.transaction)
        if proof is None or self.ledger.states[proof] == ABORTED:
            what = "has no ledger record" if proof is None else "has an aborted ledger record"
            raise Violated(
                "I3",
                f"row {row.row} of file {row.file} is read at {name}@{offset}, "
                f"but its transaction {row.transaction} {what}",
            )
        place = row.file, name
        if self.last.get(place, 0) >= row.row:
            raise Violated(
                "I5", f"row {row.row} of file {row.file} is read at {name}@{offset} after row {self.last[place]}"
            )
        self.last[place] = row.row
        self._in_order_of_contents(name, offset, row)
        self.written.setdefault(row.transaction, []).append(row)

    def _in_order_of_contents(self, name: str, offset: int, row: Row) -> None:
        """I10, but for two publishers that could not know of each other."""
        names = self.names
        place = next((n for n, file in enumerate(names.files) if file.number == row.file), None) if names else None
        if names is None or place is None:
            return
        newest = self.newest.get(name, 0)
        self.newest[name] = max(newest, place)
        newer = names.files[newest]
        if place < newest and not names.unknowing(row, newer):
            raise Violated(
                "I10", f"row {row.row} of file {row.file} is read at {name}@{offset} behind rows of file {newer.number}"
            )

    def at_the_end(self, coordinator: Coordinator) -> None:
        """I1, I4, I6, I7, I8, and that no transaction is left open (I9)."""
        self._closed(coordinator)
        entries = [entry for _, entry in self.ledger.committed() if entry.file >= 0]
        self._untorn({e.transaction for e in entries})
        for entry in entries:
            if entry.chunk != FILE:
                self._accounted(entry)
                self._in_log(entry)
        for file in self.files:
            self._complete(file, [e for e in entries if e.file == file.number])

    def _closed(self, coordinator: Coordinator) -> None:
        for partition in (*self.topics, self.ledger):
            if partition.stable != partition.high:
                raise Violated(
                    "I9", f"{partition.name} has a hanging transaction: LSO {partition.stable}, HW {partition.high}"
                )
        for txn in coordinator.transactions.values():
            if txn.state in {ONGOING, PREPARE_COMMIT, PREPARE_ABORT}:
                raise Violated("I9", f"{txn} is still {STATES[txn.state]}")

    def _untorn(self, recorded: set[Transaction]) -> None:
        for transaction, rows in self.written.items():
            if transaction not in recorded:
                raise Violated("I4", f"{len(rows)} rows of {transaction} are visible, its ledger record is not")

    def _accounted(self, entry: Entry) -> None:
        """I4 and I6, by counting what can be read."""
        rows = self.written.get(entry.transaction, [])
        found = sorted(row.row for row in rows)
        if found != list(entry.rows):
            raise Violated(
                "I4",
                f"chunk {entry.chunk} of file {entry.file} is recorded with rows {list(entry.rows)}, "
                f"visible are {found}",
            )
        quarantined = sum(self.seen[row.file, row.row][0] == self.topics[-1].name for row in rows)
        if (entry.published, entry.quarantined) != (len(rows) - quarantined, quarantined):
            words = (
                f"{entry.published} published and {entry.quarantined} quarantined, "
                f"read were {len(rows) - quarantined} and {quarantined}"
            )
            raise Violated("I6", f"chunk {entry.chunk} of file {entry.file} is recorded with {words}")

    def _in_log(self, entry: Entry) -> None:
        """I7: between first and last offset lie exactly `count` rows of this chunk; ranges that are not known are left
        to read-back."""
        for partition, first, last, count in entry.ranges:
            if first < 0:
                continue
            rows = [row.row for _, row in partition.committed(first, last + 1) if row.transaction == entry.transaction]
            if len(rows) != count or rows != sorted(set(entry.rows).intersection(rows)):
                words = f"{partition.name} {first}–{last} to hold {count} rows, it holds {rows}"
                raise Violated("I7", f"the record of chunk {entry.chunk} of file {entry.file} says {words}")

    def _complete(self, file: File, entries: Sequence[Entry]) -> None:
        """I8 and I1 for a file that has a completion record, I8 for one that has not."""
        chunks = [e.chunk for e in entries if e.chunk != FILE]
        ends = [e for e in entries if e.chunk == FILE]
        if chunks != list(range(len(chunks))):
            raise Violated("I8", f"the ledger has chunks {chunks} of file {file.number}")
        if not ends:
            return
        if len(ends) > 1 or len(chunks) != ends[0].of:
            raise Violated(
                "I8", f"file {file.number} has {len(ends)} completion records and {len(chunks)} of {ends[0].of} chunks"
            )
        missing = [row for row in range(1, file.rows + 1) if (file.number, row) not in self.seen]
        if missing:
            raise Violated("I1", f"file {file.number} is complete, but rows {missing} cannot be read")
        if ends[0].published + ends[0].quarantined != file.rows:
            raise Violated("I6", f"file {file.number} has {file.rows} rows, its completion record adds up to others")
