"""Contents of one name (rule C6): what a listing tells a worker, and the product's own `Order` over the model's
ledger."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from forebay.kafka.failures import Action, Failure
from forebay.model import content_name
from tests.simulation.client import Client
from tests.simulation.content import FILE, Entry, File, Row, Transaction
from tests.simulation.world import Partition

if TYPE_CHECKING:
    from forebay.kafka.publish.job import PublishJob
    from tests.simulation.workers import Worker

PATIENCE = 30.0  # seconds that one lane is tried to be taken


def fingerprint(file: File) -> str:
    """A content's fingerprint: its lane, by the product's own rule, is the file's."""
    return f"{file.lane:08x}{file.number:056x}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What was known of the name when a worker's run listed it."""

    had: str
    left: tuple[str, ...]


class Ledger:
    """Committed records, as `Order` asks for them."""

    def __init__(self, files: Iterable[File]) -> None:
        self._files = {file.number: file for file in files}
        self._entries: dict[int, dict[int, Any]] = {}

    def add(self, entry: Entry) -> None:
        """Take up one committed record."""
        if file := self._files.get(entry.file):
            known = SimpleNamespace(
                file=SimpleNamespace(uri=str(file.name)),
                fingerprint=fingerprint(file),
                generation=1,
                receipt=SimpleNamespace(fingerprint=fingerprint(file)),
                attempted=entry.attempted,
                identity=SimpleNamespace(run_id=entry.transaction[0]),
            )
            self._entries.setdefault(entry.file, {})[entry.chunk] = known

    def by_uri(self, uri: str) -> list[Any]:
        """The completion records of that name."""
        return [chunks[FILE] for chunks in self._entries.values() if FILE in chunks and chunks[FILE].file.uri == uri]

    def of_file(self, wanted: str, generation: int) -> dict[int, Any]:
        """The chunks of that content."""
        return next((c for c in map(_chunks, self._entries.values()) if c and c[min(c)].fingerprint == wanted), {})

    def unfinished(self) -> Iterator[dict[int, Any]]:
        """The chunks of each content that has no completion record."""
        return (chunks for chunks in self._entries.values() if FILE not in chunks)


def _chunks(entries: dict[int, Any]) -> dict[int, Any]:
    return {number: entry for number, entry in entries.items() if number != FILE}


class Names:
    """The contents of one name, the later ones behind the earlier."""

    def __init__(self, files: Iterable[File]) -> None:
        self.files = tuple(files)
        self.now: File = self.files[0]
        """The content that the name has at its source."""
        self._unknown: frozenset[int] = frozenset()
        """Contents of which nothing was committed when the newer one was listed last."""
        self._missed: frozenset[int] = frozenset()
        """Those that were unknown to the run that decided on the newer one's first chunk."""
        self._taken: dict[int, float] = {}  # by lane: when the correction took it
        self._decided: dict[Transaction, tuple[float, frozenset[int]]] = {}

    def decide(self, file: File, transaction: Transaction, now: float, ledger: Partition) -> None:
        """An attempt at a content is behind its barrier, and about to begin that transaction."""
        committed = frozenset(entry.file for _, entry in ledger.committed())
        self._decided[transaction] = now, committed
        if file == self.files[-1] and file.number not in committed:
            self._missed = self._unknown

    def took(self, lane: int, now: float) -> None:
        """An attempt has taken the lane of what its listing says is unfinished."""
        self._taken[lane] = now

    def unknowing(self, row: Row, newer: File) -> bool:
        """Whether that row's publisher decided to publish it when nothing of the newer content was committed yet, and
        the newer one's could not stop it: it had committed nothing when the newer was listed, or began again after its
        lane was taken (docs/operations.md, limits)."""
        if row.transaction not in self._decided:
            return True  # it had no barrier: a control of another rule
        at, committed = self._decided[row.transaction]
        older = next(file for file in self.files if file.number == row.file)
        taken = self._taken.get(older.lane)
        return newer.number not in committed and (row.file in self._missed or (taken is not None and at > taken))

    def list(self, file: File, ledger: Partition) -> Listing:
        """What a run that lists the name now is told of it."""
        seen = Ledger(self.files)
        for _, entry in ledger.committed():
            seen.add(entry)
        complete = max(seen.by_uri(str(file.name)), key=lambda entry: entry.attempted, default=None)
        begun = [chunks[min(chunks)].fingerprint for chunks in seen.unfinished()]
        if file == self.files[-1]:
            self._unknown = frozenset(f.number for f in self.files if not seen.of_file(fingerprint(f), 1))
        return Listing(
            content_name(complete.fingerprint, 1) if complete else "",
            tuple(name for name in begun if name != fingerprint(file)),
        )


def job_of(file: File, listing: Listing) -> PublishJob:
    """What `Order` asks of a job."""
    job = SimpleNamespace(
        fingerprint=fingerprint(file),
        generation=1,
        had=listing.had,
        left=listing.left,
        lane=file.lane,
        file=SimpleNamespace(uri=str(file.name)),
        doing=f"publishing content {file.number}",
    )
    return cast("PublishJob", job)


def fence(worker: Worker, lane: int) -> Generator[None, Any, Failure | None]:
    """As `lanes.fence`: again while the failure is retriable, for half a minute."""
    clock, client = worker.clock, Client(worker, f"lane{lane}", worker.history.timeout)
    deadline = clock.now + PATIENCE
    while True:
        failure = yield from client.init()
        if failure is None or failure.action != Action.RETRY or clock.now > deadline:
            worker.network.count("names", "took the lane of what was left")
            return failure
