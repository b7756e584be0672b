"""discover: which files there are, and what is to be done with each, and why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forebay import events
from forebay.config import paths
from forebay.config.pipeline import ReadyWhen
from forebay.contracts import Source
from forebay.errors import FileChangedError, ReconcileError, RetryableError, TopicMissingError
from forebay.index import projection
from forebay.model import Earlier, Fate, FileRun, OffsetRange, Plan, SourceFile, Status, WaitsFor, Window
from forebay.support.words import some
from forebay.verbs.context import Context
from forebay.verbs.file_fate import FateDecision, GenerationRequest, Known, fate_of
from forebay.verbs.isolation import failed

if TYPE_CHECKING:
    from forebay.kafka.ends import TopicNow
    from forebay.kafka.ledger.view import LedgerView

__all__ = ["GenerationRequest", "discover", "group", "note_of", "to_do"]

Clock = Callable[[], float]

_NAMED = 10  # names in a note
OPEN_TRANSACTION = 5.0
"""Seconds to wait for transactions that are open on the ledger."""


def discover(
    ctx: Context,
    window: Window,
    run_id: str,
    *,
    generation: GenerationRequest | None = None,
    published: LedgerView | None = None,
    now: Clock = time.time,
    keep_going: bool = False,
) -> Plan:
    """List the source, hold it against the completeness contract and the ledger, and give every file seen a fate with
    its reason.

    Files come sorted by uri. Those to be published have status `DISCOVERED` (fate `NEW` or `CHANGED`); all others are
    `SKIPPED` or `REJECTED` already. Bytes are read only where the ledger, or another file of the window, leaves a
    doubt: same name or same size. `published` is what the ledger holds (default: it is asked), `now` the clock for
    `quiet_for`, in seconds since the epoch. A file that the source does not give out is FAILED, and all others get
    their fates. Raises what the source and the ledger raise of the whole, and, without `keep_going`, what may succeed
    later for a single file.
    """
    look = _look(ctx, window)
    seen: list[FileRun] = [
        _run(ctx, window, run_id, file, FateDecision(Fate.IGNORED, "the marker")) for file in look.markers
    ]
    with open_ledger(ctx) if published is None else nullcontext(published) as entries:
        known = Known(entries)
        contract = Contract.of(ctx, look, known, now())
        sizes = Counter(file.size for file in look.files)
        first: dict[str, str] = {}
        for file in look.files:
            try:
                sight = _sight(
                    ctx,
                    file,
                    contract,
                    known,
                    twins=sizes[file.size] > 1,
                    first=first,
                    request=generation,
                    run_id=run_id,
                )
                seen.append(_run(ctx, window, run_id, file, sight))
            except Exception as error:
                if isinstance(error, RetryableError) and not keep_going:
                    raise
                unknown = _run(
                    ctx, window, run_id, file, FateDecision(Fate.INCOMPLETE, "its bytes could not be looked at")
                )
                seen.append(failed(unknown, error))
        if published is None and generation is None:
            seen = _still_there(ctx, entries, seen)
        _index_left(ctx, entries, seen)
    files = tuple(sorted(seen, key=lambda run: run.file.uri))
    for run in files:
        events.emit(events.FILE_SEEN, uri=run.file.uri, fate=run.fate.value, reason=run.reason)
    late = tuple(run.file.uri for run in files if run.fate is Fate.INCOMPLETE and run.status is not Status.FAILED)
    waits_for = contract.waits_for or (WaitsFor(files=late) if late else None)
    note = "; ".join(filter(None, [_note(look, contract, window), _passed_over(ctx, look)]))
    return Plan(run_id, ctx.pipeline.pipeline, window, files, note or None, waits_for)


def note_of(plan: Plan) -> str | None:
    """What there is to say of the window as a whole, for people: that it is not ready, or empty, and what was passed
    over."""
    waits = plan.waits_for
    lacks = f"not ready: {lacking(waits)}" if waits and waits.whole_window else None
    return "; ".join(filter(None, [lacks, plan.note])) or None


def lacking(waits: WaitsFor) -> str:
    """What a window as a whole waits for, in words."""
    if waits.marker:
        return f"the marker `{waits.marker}` is not there yet"
    if waits.pattern:
        return f"nothing matches `{waits.pattern}`"
    return f"{waits.there} of {waits.expected} expected files are there"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where records lie, and the id that their topic had; empty: it was not written down."""

    at: OffsetRange
    topic_id: str

    def gone(self, now: TopicNow) -> bool:
        return self.at.last >= now.ends[self.at.partition] or bool(self.topic_id and now.id and now.id != self.topic_id)


def _still_there(ctx: Context, ledger: LedgerView, seen: list[FileRun]) -> list[FileRun]:
    """The files; FAILED is each of which the ledger says that it is published, in a topic that was made anew since.

    To call it published would leave its rows out in silence, and to go on with one that is begun would publish the rest
    alone.
    """
    from forebay.kafka import ends

    topic = ctx.pipeline.topic.name
    places = [_places(ledger, run, topic) for run in seen]
    now = ends.now(ctx.kafka, topic, [place.at for ranges in places for place in ranges])
    return [_gone(run, now, ranges) for run, ranges in zip(seen, places, strict=True)] if now else seen


def _places(ledger: LedgerView, run: FileRun, topic: str) -> list[_Place]:
    """Where in the topic the ledger says that this content's records lie. What is known of names alone is not asked."""
    if run.fingerprint is None or run.status is Status.FAILED:
        return []
    latest = max(ledger.started(run.fingerprint), default=0) if run.fate is Fate.DUPLICATE else run.generation
    return [
        _Place(place, entry.origin.topic_id)
        for entry in ledger.of_file(run.fingerprint, latest).values()
        for place in entry.receipt.outputs
        if place.topic == topic and place.complete
    ]


def _gone(run: FileRun, now: TopicNow, places: list[_Place]) -> FileRun:
    lost = [place.at for place in places if place.gone(now)]
    if not lost:
        return run
    last = max(lost, key=lambda range_: range_.last)
    end = now.ends[last.partition]
    what = (
        f"ends at {end}: it was made anew, or cut by an unclean election"
        if last.last >= end
        else f"has another id (`{now.id}`): it was made anew"
    )
    error = ReconcileError(
        f"discovering `{run.file.uri}`: the ledger has records of it at `{last.topic}` partition {last.partition} up "
        f"to offset {last.last}, and the topic {what} (publish it again: `--generation new --reason …`; `forebay "
        f"ledger verify {run.pipeline}` names all such files)",
        uri=run.file.uri,
    )
    return failed(run, error)


def _index_left(ctx: Context, known: LedgerView, seen: list[FileRun]) -> None:
    """What stays half published is visible: its records can be traced."""
    for run in seen:
        for begun in run.earlier.left:
            receipts = known.receipts(begun.fingerprint, begun.generation)
            projection.project_receipts(ctx.project.index, run.pipeline, run.file.uri, begun.run_id, receipts)


@contextmanager
def open_ledger(ctx: Context) -> Iterator[LedgerView]:
    """What is committed by now, waiting a moment for a commit whose markers are still being written.

    A transaction that a killed process left open is not waited for: what it hides is at worst looked at again, and
    publishing asks the ledger itself, behind its barrier. Raises what reading it raises, and `PreflightError` when it
    is another project's.
    """
    from forebay.kafka.ledger import owner
    from forebay.kafka.ledger import reader as ledger_reader
    from forebay.kafka.ledger.memory import MemoryView

    try:
        reader = ledger_reader.LedgerReader(ctx.kafka, ctx.pipeline, keep=ctx.keep)
    except TopicMissingError:
        yield MemoryView(ctx.pipeline.pipeline, ctx.pipeline.publish.ledger_partitions)
        return
    try:
        reader.read_to(reader.watermarks(), OPEN_TRANSACTION)
        view = reader.look()
        owner.check(view, ctx.pipeline, ctx.keep)
        yield view
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class _Look:
    """What a listing found: the files of the pattern, and the markers beside them."""

    pattern: str
    files: tuple[SourceFile, ...]
    marker: str | None
    markers: tuple[SourceFile, ...]


def _look(ctx: Context, window: Window) -> _Look:
    section = ctx.pipeline.source
    pattern = paths.render(section.path, window)
    name = section.ready_when.marker
    if name is None:
        return _Look(pattern, tuple(ctx.source.list(pattern)), None, ())
    folder, slash, _ = pattern.rpartition("/")
    marker = f"{folder}{slash}{paths.render(name, window)}"
    markers = tuple(ctx.source.list(marker))  # before the files: what the marker speaks for is listed after it
    uris = {file.uri for file in markers}
    return _Look(pattern, tuple(file for file in ctx.source.list(pattern) if file.uri not in uris), marker, markers)


@dataclass(frozen=True, slots=True)
class Contract:
    """The completeness contract, held against one look. `waits_for` says what the window as a whole lacks."""

    ready_when: ReadyWhen
    folders: frozenset[str]
    now: float
    waits_for: WaitsFor | None

    @classmethod
    def of(cls, ctx: Context, look: _Look, known: Known, now: float) -> Contract:
        ready_when = ctx.pipeline.source.ready_when
        return cls(ready_when, frozenset(map(_folder, look.markers)), now, _lacks(ctx.source, ready_when, look, known))

    def incomplete(self, file: SourceFile) -> str | None:
        """Why this file is not to be read yet, or None."""
        if self.waits_for:
            return lacking(self.waits_for)
        if self.ready_when.marker and _folder(file) not in self.folders:
            return f"its folder has no marker `{self.ready_when.marker}` yet"
        return self._loud(file)

    def _loud(self, file: SourceFile) -> str | None:
        if self.ready_when.quiet_for is None:
            return None
        wanted, quiet = self.ready_when.quiet_for.total_seconds(), self.now - file.mtime
        if quiet < 0:
            return f"its time of change is {-quiet:.0f} s ahead of this machine's clock"
        return f"it changed {quiet:.0f} s ago and must be quiet for {wanted:g} s" if quiet < wanted else None


def _lacks(source: Source[Any], ready_when: ReadyWhen, look: _Look, known: Known) -> WaitsFor | None:
    if ready_when.marker and not look.markers:
        return WaitsFor(marker=look.marker)
    if ready_when.expect is None and look.files:
        return None
    gone = {
        uri for uri in known.ledger.uris() if source.matches(uri, look.pattern)
    }  # published, and archived or deleted since
    count = len(gone | {file.uri for file in look.files})
    if ready_when.expect is None:
        return None if count else WaitsFor(pattern=look.pattern)
    wanted = ready_when.expect.files
    return WaitsFor(there=count, expected=wanted) if count < wanted else None


def _folder(file: SourceFile) -> str:
    return file.uri.rpartition("/")[0]


def _sight(
    ctx: Context,
    file: SourceFile,
    contract: Contract,
    known: Known,
    *,
    twins: bool,
    first: dict[str, str],
    request: GenerationRequest | None,
    run_id: str,
) -> FateDecision:
    """One file's fate. `first` collects the contents that this plan publishes, with the uri that came first."""
    reason = contract.incomplete(file)
    if reason:
        return FateDecision(Fate.INCOMPLETE, reason)
    try:
        sight = fate_of(ctx.source, file, known, hash_it=twins, request=request, run_id=run_id)
    except FileChangedError:
        return FateDecision(Fate.INCOMPLETE, "it changed or vanished while it was looked at")
    if sight.fingerprint is None or _status(sight, ctx.pipeline.source.changed_content)[0] is not Status.DISCOVERED:
        return sight
    earlier = first.setdefault(sight.fingerprint, file.uri)
    if earlier != file.uri:
        return FateDecision(
            Fate.DUPLICATE, f"the same bytes as `{earlier}` of this window", sight.fingerprint, duplicate_of=earlier
        )
    return sight


def _run(ctx: Context, window: Window, run_id: str, file: SourceFile, sight: FateDecision) -> FileRun:
    status, reason = _status(sight, ctx.pipeline.source.changed_content)
    return FileRun(
        run_id=run_id,
        pipeline=ctx.pipeline.pipeline,
        window=window,
        file=file,
        fate=sight.fate,
        reason=reason,
        status=status,
        fingerprint=sight.fingerprint,
        generation=sight.generation,
        earlier=Earlier(sight.supersedes, sight.duplicate_of, sight.had, sight.left),
    )


def _status(sight: FateDecision, changed_content: str) -> tuple[Status, str]:
    if sight.fate is Fate.NEW:
        return Status.DISCOVERED, sight.reason
    if sight.fate is not Fate.CHANGED:
        return Status.SKIPPED, sight.reason
    match changed_content:
        case "reject":
            return Status.REJECTED, f"{sight.reason}; rejected, as `changed_content` says"
        case "ignore":
            return Status.SKIPPED, f"{sight.reason}; ignored, as `changed_content` says"
    return Status.DISCOVERED, f"{sight.reason}; published as a correction"


def _note(look: _Look, contract: Contract, window: Window) -> str | None:
    if contract.waits_for:
        return None
    if not look.files:
        return f"nothing new matches `{look.pattern}` (window {window.start.isoformat()} to {window.end.isoformat()})"
    wanted = contract.ready_when.expect
    if wanted and len(look.files) > wanted.files:
        return f"{len(look.files)} files are there, {wanted.files} were expected"
    return None


def _passed_over(ctx: Context, look: _Look) -> str | None:
    """What matches the pattern and is no file: somebody may have meant it to be read."""
    names = [f"`{SourceFile(uri, 0, 0).name}` is {what}" for uri, what in ctx.source.passed_over(look.pattern)]
    return f"passed over, as only regular files are read: {some(names, _NAMED)}" if names else None


def to_do(file: FileRun) -> bool:
    """Whether a discovered file goes on to `inspect`."""
    return file.status is Status.DISCOVERED and file.fate in {Fate.NEW, Fate.CHANGED}


def group(plan: Plan, max_bytes: int, max_files: int = 500) -> list[tuple[FileRun, ...]]:
    """The files to do, in order, cut into work units of at most `max_bytes` (compressed, as listed) and `max_files`.

    A file that is larger by itself is a unit of its own; many small ones share one, so that no Airflow task is spent on
    a tiny file.
    """
    return [tuple(unit) for unit in _units(filter(to_do, plan.files), max_bytes, max_files)]


def _units(files: Iterable[FileRun], max_bytes: int, max_files: int) -> Iterable[list[FileRun]]:
    unit: list[FileRun] = []
    size = 0
    for file in files:
        if unit and (size + file.file.size > max_bytes or len(unit) >= max_files):
            yield unit
            unit, size = [], 0
        unit.append(file)
        size += file.file.size
    if unit:
        yield unit
