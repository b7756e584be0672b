"""What the ledger says of one listed file.

A name has a history: contents that were published from it, in their order, and contents that were begun and not
finished. What lies there now is held against the latest of them. The same as the latest is published already, or is
gone on with; anything else is a correction, also a content that the name had before: consumers have seen others since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from forebay.contracts import Source
from forebay.model import Begun, Fate, SourceFile, content_name
from forebay.support.words import some

if TYPE_CHECKING:
    from forebay.kafka.ledger.entries import ChunkEntry, FileEntry
    from forebay.kafka.ledger.view import LedgerView


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A person wants files that are already published to be published once more, and says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class FateDecision:
    """A fate and what belongs to it."""

    fate: Fate
    reason: str
    fingerprint: str | None = None
    generation: int = 1
    supersedes: str | None = None
    duplicate_of: str | None = None
    left: tuple[Begun, ...] = ()
    had: str = ""
    """What the name has complete (`content_name`); empty: nothing."""


class Known:
    """The ledger, asked once for each thing; entries come with the latest last."""

    def __init__(self, ledger: LedgerView) -> None:
        self.ledger = ledger
        self._by_uri: dict[str, list[FileEntry]] = {}
        self._by_fingerprint: dict[str, list[FileEntry]] = {}
        self._begun: dict[str, list[Begun]] | None = None

    def by_uri(self, uri: str) -> list[FileEntry]:
        """Complete files published from that uri."""
        if uri not in self._by_uri:
            self._by_uri[uri] = _by_time(self.ledger.by_uri(uri))
        return self._by_uri[uri]

    def by_fingerprint(self, fingerprint: str) -> list[FileEntry]:
        """Complete generations of that content."""
        if fingerprint not in self._by_fingerprint:
            self._by_fingerprint[fingerprint] = _by_time(self.ledger.by_fingerprint(fingerprint))
        return self._by_fingerprint[fingerprint]

    def begun(self, uri: str) -> list[Begun]:
        """Contents of that uri that were begun and not finished."""
        if self._begun is None:
            self._begun = {}
            for chunks in self.ledger.unfinished():
                self._begun.setdefault(chunks[min(chunks)].file.uri, []).append(_begun(chunks))
        return sorted(self._begun.get(uri, []), key=lambda begun: begun.attempted)


def _begun(chunks: dict[int, ChunkEntry]) -> Begun:
    entries = [chunks[n] for n in sorted(chunks)]
    receipts = [entry.receipt for entry in entries]
    last = max(entries, key=lambda entry: entry.attempted)
    return Begun(
        fingerprint=receipts[0].fingerprint,
        generation=receipts[0].generation,
        run_id=last.identity.run_id,
        first_row=receipts[0].first_row,
        last_row=receipts[-1].last_row,
        published=sum(receipt.published for receipt in receipts),
        quarantined=sum(receipt.quarantined for receipt in receipts),
        outputs=tuple(place for receipt in receipts for place in receipt.outputs),
        attempted=last.attempted,
    )


def _by_time(entries: Iterable[FileEntry]) -> list[FileEntry]:
    return sorted(entries, key=lambda entry: entry.attempted)


@dataclass(frozen=True)
class _History:
    """What the ledger knows of one name, and of one content. `begun` are contents of the name, begun since its latest
    complete one."""

    uri: str
    fingerprint: str
    latest: FileEntry | None
    begun: tuple[Begun, ...]
    twins: list[FileEntry] = field(default_factory=list)
    started: tuple[int, ...] = ()

    @classmethod
    def of(cls, file: SourceFile, fingerprint: str, known: Known) -> _History:
        earlier = known.by_uri(file.uri)
        latest = earlier[-1] if earlier else None
        begun = tuple(part for part in known.begun(file.uri) if latest is None or part.attempted > latest.attempted)
        return cls(
            file.uri, fingerprint, latest, begun, known.by_fingerprint(fingerprint), known.ledger.started(fingerprint)
        )

    @property
    def open(self) -> Begun | None:
        """This content, if it was what the name had last, and is not finished: it is gone on with."""
        last = self.begun[-1] if self.begun else None
        return last if last and last.fingerprint == self.fingerprint else None

    @property
    def left(self) -> tuple[Begun, ...]:
        """What was begun of this name and will never be finished, now that this content lies there."""
        return tuple(part for part in self.begun if part != self.open)

    @property
    def supersedes(self) -> str | None:
        """The content that this one comes instead of: what consumers saw last of the name; None for the same
        content."""
        seen = [self.latest.fingerprint] if self.latest else []
        seen += [fingerprint.fingerprint for fingerprint in self.left]
        others = [fingerprint for fingerprint in seen if fingerprint != self.fingerprint]
        return others[-1] if others else None

    @property
    def had(self) -> str:
        """What the name has complete, as a text."""
        return content_name(self.latest.fingerprint, self.latest.generation) if self.latest else ""

    @property
    def next(self) -> int:
        """The generation to publish it as."""
        if self.open:
            return self.open.generation
        return max([0, *self.started, *(entry.generation for entry in self.twins)]) + 1

    @property
    def elsewhere(self) -> FileEntry | None:
        """The first publication of these bytes, if they were only ever published, and begun, under other names."""
        own = self.open or any(entry.file.uri == self.uri for entry in self.twins)
        return self.twins[0] if self.twins and not own else None


def fate_of(
    source: Source[Any],
    file: SourceFile,
    known: Known,
    *,
    hash_it: bool,
    request: GenerationRequest | None,
    run_id: str,
) -> FateDecision:
    """The fate of a complete file. Its bytes are read if the ledger knows its name or its size, or if `hash_it`; else
    it is surely new.

    Raises `FileChangedError` if it changes meanwhile, and whatever else reading raises.
    """
    earlier = known.by_uri(file.uri)
    same = next((entry for entry in reversed(earlier) if source.same_version(file, entry.file)), None)
    if same:
        return _by_bytes(_History.of(file, same.fingerprint, known), request, run_id)
    if not (earlier or hash_it or known.ledger.has_size(file.size) or known.begun(file.uri)):
        return FateDecision(Fate.NEW, "never seen before")
    return _by_bytes(_History.of(file, source.fingerprint(file), known), request, run_id)


def _by_bytes(has: _History, request: GenerationRequest | None, run_id: str) -> FateDecision:
    return replace(_judged(has, request, run_id), had=has.had)


def _judged(has: _History, request: GenerationRequest | None, run_id: str) -> FateDecision:
    first = has.elsewhere
    if first and request is None:
        reason = f"the same bytes {_when(first)}, as `{first.file.uri}`{_since(has)}"
        return FateDecision(Fate.DUPLICATE, reason, has.fingerprint, duplicate_of=first.file.uri, left=has.left)
    if has.supersedes:
        return _correction(has, request)
    if has.latest:
        return _published(has, request, run_id)
    return _new(has, request)


def _correction(has: _History, request: GenerationRequest | None) -> FateDecision:
    reasons = [_left(begun) for begun in has.left]
    if has.latest and has.latest.fingerprint != has.fingerprint:
        reasons.insert(0, f"other bytes of this name (`{has.latest.fingerprint[:16]}`) {_when(has.latest)}")
    if has.next > 1:
        reasons.append(
            f"{'going on with' if has.open else 'these bytes are in the ledger already: they become'} generation "
            f"{has.next}"
        )
    if request:
        reasons.append(request.reason)
    first = has.elsewhere
    return FateDecision(
        Fate.CHANGED,
        "; ".join(reasons),
        has.fingerprint,
        has.next,
        has.supersedes,
        first.file.uri if first else None,
        left=has.left,
    )


def _left(begun: Begun) -> str:
    places = [f"`{p.topic}` partition {p.partition} offsets {p.first} to {p.last}" for p in begun.outputs]
    return (
        f"other bytes of this name (`{begun.fingerprint[:16]}`) were begun by run `{begun.run_id}` and not finished, "
        "and their rows "
        f"{begun.first_row} to {begun.last_row} stay visible ({some(places, 3, what=' ranges')})"
    )


def _published(has: _History, request: GenerationRequest | None, run_id: str) -> FateDecision:
    """The bytes are what the ledger has last under this name: nothing to do, unless a person asked for a new generation
    or one was left unfinished."""
    last = max(has.twins, key=lambda entry: entry.generation)
    sight = FateDecision(Fate.PUBLISHED, f"the same bytes {_when(last)}", has.fingerprint, last.generation)
    open_one = max(has.started, default=0)
    if open_one > last.generation:
        reason = request.reason if request else "an earlier run left it unfinished"
        return replace(
            sight, fate=Fate.NEW, generation=open_one, reason=f"going on with generation {open_one}: {reason}"
        )
    if request is None or last.identity.run_id == run_id:
        return sight
    return _anew(replace(sight, generation=has.next), request)


def _new(has: _History, request: GenerationRequest | None) -> FateDecision:
    """Nothing is complete under this name. What is begun of these bytes, under whatever name, is gone on with, or left
    as it is for a new generation."""
    first, begun = has.elsewhere, max(has.started, default=0)
    if request and first:
        return _anew(FateDecision(Fate.NEW, "", has.fingerprint, has.next, duplicate_of=first.file.uri), request)
    if request and begun == 1:
        return _anew(FateDecision(Fate.NEW, "", has.fingerprint, 2, left=has.begun), request)
    return FateDecision(
        Fate.NEW, "an earlier run left it unfinished" if begun else "never seen before", has.fingerprint, max(begun, 1)
    )


def _anew(sight: FateDecision, request: GenerationRequest) -> FateDecision:
    left = "".join(
        f"; generation {begun.generation}, begun by run `{begun.run_id}`, stays visible in part" for begun in sight.left
    )
    copy = f", though the same bytes are published as `{sight.duplicate_of}`" if sight.duplicate_of else ""
    reason = f"published anew as generation {sight.generation}{copy}: {request.reason}{left}"
    return replace(sight, fate=Fate.NEW, reason=reason)


def _since(has: _History) -> str:
    """Of a copy: what its name had published before, which stays as it is."""
    left = "".join(f"; {_left(begun)}" for begun in has.left)
    if has.latest is None:
        return left
    stays = (
        f"; what this name had before (`{has.latest.fingerprint[:16]}`) stays published (`--generation new` publishes "
        "these bytes instead)"
    )
    return stays + left


def _when(entry: FileEntry) -> str:
    verb = "were rejected" if entry.rejected and not entry.published else "were published"
    return f"{verb} by run `{entry.identity.run_id}` at {entry.attempted.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
