"""What an attempt has read of the model's ledger."""

from __future__ import annotations

from tests.simulation.content import FILE, Entry, File
from tests.simulation.names import Ledger


class View:
    """What an attempt has read of the ledger, as `LedgerView` keeps it."""

    __slots__ = ("chunks", "complete", "entries", "file", "lane", "lane_free", "ledger")

    def __init__(self, file: File, ledger: Ledger | None = None) -> None:
        self.file = file
        self.ledger = ledger  # of all files, where names are corrected
        self.chunks: dict[int, str] = {}
        self.entries: dict[int, Entry] = {}
        self.complete: Entry | None = None
        self.lane = 0
        self.lane_free = False

    def add(self, entry: Entry) -> None:
        """Take up one committed record."""
        if self.ledger is not None:
            self.ledger.add(entry)
        if entry.lane == self.file.lane:
            self.lane += 1
            self.lane_free = entry.chunk == FILE
        if entry.file != self.file.number:
            return
        if entry.chunk == FILE:
            self.complete = entry
        else:
            self.chunks[entry.chunk] = entry.plan
            self.entries[entry.chunk] = entry
