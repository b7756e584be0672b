"""What the ledger says of one listed file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from forebay.contracts import Source
from forebay.model import Fate, Identity, SourceFile


class Entry(Protocol):
    """What is asked of a completion record (`kafka.ledger.FileEntry`)."""

    @property
    def file(self) -> SourceFile: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def published(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def attempted(self) -> datetime: ...


class Published(Protocol):
    """What is asked of a ledger (`LedgerView`, `SnapshotView`): its completion records by name, by content and by size."""

    def by_uri(self, uri: str) -> Sequence[Any]:
        """Complete files published from `uri`."""
        ...

    def by_fingerprint(self, fingerprint: str) -> Sequence[Any]:
        """Complete generations of a content."""
        ...

    def has_size(self, size: int) -> bool:
        """Whether a complete file has that many bytes."""
        ...

    def uris(self) -> Iterator[str]:
        """The uris of all complete files, each once or more."""
        ...

    def started(self, fingerprint: str) -> tuple[int, ...]:
        """Generations of which a chunk is committed, complete or not."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A person wants files that are already published to be published once more, and says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sight:
    """A fate and what belongs to it."""

    fate: Fate
    reason: str
    fingerprint: str | None = None
    generation: int = 1
    supersedes: str | None = None
    duplicate_of: str | None = None


class Known:
    """The ledger, asked once for each thing; entries come with the latest last."""

    def __init__(self, ledger: Published) -> None:
        self.ledger = ledger
        self._by_uri: dict[str, list[Entry]] = {}
        self._by_fingerprint: dict[str, list[Entry]] = {}

    def by_uri(self, uri: str) -> list[Entry]:
        """Complete files published from that uri."""
        if uri not in self._by_uri:
            self._by_uri[uri] = _by_time(self.ledger.by_uri(uri))
        return self._by_uri[uri]

    def by_fingerprint(self, fingerprint: str) -> list[Entry]:
        """Complete generations of that content."""
        if fingerprint not in self._by_fingerprint:
            self._by_fingerprint[fingerprint] = _by_time(self.ledger.by_fingerprint(fingerprint))
        return self._by_fingerprint[fingerprint]


def _by_time(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.attempted)


def fate_of(source: Source, file: SourceFile, known: Known, *, hash_it: bool, request: GenerationRequest | None, run_id: str) -> Sight:
    """The fate of a complete file. Its bytes are read if the ledger knows its name or its size, or if `hash_it`; else it is surely new.

    Raises `FileChangedError` if it changes meanwhile, and whatever else reading raises.
    """
    earlier = known.by_uri(file.uri)
    same = next((entry for entry in reversed(earlier) if source.same_version(file, entry.file)), None)
    if same:
        return _published(same.fingerprint, file, known, request, run_id)
    if not (earlier or hash_it or known.ledger.has_size(file.size)):
        return Sight(Fate.NEW, "never seen before")
    return _by_bytes(source.fingerprint(file), file, earlier, known, request, run_id)


def _by_bytes(
    fingerprint: str, file: SourceFile, earlier: list[Entry], known: Known, request: GenerationRequest | None, run_id: str
) -> Sight:
    twins = known.by_fingerprint(fingerprint)
    if any(entry.file.uri == file.uri for entry in twins):
        return _published(fingerprint, file, known, request, run_id)
    if twins:
        first = twins[0]
        return Sight(Fate.DUPLICATE, f"the same bytes {_when(first)}, as `{first.file.uri}`", fingerprint, duplicate_of=first.file.uri)
    if earlier:
        last = earlier[-1]
        reason = f"other bytes of this name (`{last.fingerprint[:16]}`) {_when(last)}"
        return Sight(Fate.CHANGED, reason, fingerprint, supersedes=last.fingerprint)
    return Sight(Fate.NEW, "never seen before", fingerprint)


def _published(fingerprint: str, file: SourceFile, known: Known, request: GenerationRequest | None, run_id: str) -> Sight:
    """The bytes are in the ledger under this name: nothing to do, unless a person asked for a new generation or one was left unfinished."""
    entries = known.by_fingerprint(fingerprint)
    last = max(entries, key=lambda entry: entry.generation)
    sight = Sight(Fate.PUBLISHED, f"the same bytes {_when(last)}{_since(last, file, known)}", fingerprint, last.generation)
    open_one = max(known.ledger.started(fingerprint), default=0)
    if open_one > last.generation:
        reason = request.reason if request else "an earlier run left it unfinished"
        return replace(sight, fate=Fate.NEW, generation=open_one, reason=f"going on with generation {open_one}: {reason}")
    if request is None or last.identity.run_id == run_id:
        return sight
    reason = f"published anew as generation {last.generation + 1}: {request.reason}"
    return replace(sight, fate=Fate.NEW, generation=last.generation + 1, reason=reason)


def _since(entry: Entry, file: SourceFile, known: Known) -> str:
    latest = (known.by_uri(file.uri) or [entry])[-1]
    if latest.fingerprint == entry.fingerprint:
        return ""
    return f"; since then other bytes of this name (`{latest.fingerprint[:16]}`) {_when(latest)}"


def _when(entry: Entry) -> str:
    verb = "were rejected" if entry.rejected and not entry.published else "were published"
    return f"{verb} by run `{entry.identity.run_id}` at {entry.attempted.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
