"""The words of the publish protocol (protocol.py): a task, the effects the protocol asks for, the events that answer
them.

All are frozen values of the standard library. An effect is carried out by the driver; its docstring names the event of
success after the arrow. Any effect may be answered by `Failed` instead. Times are seconds of one monotonic clock, the
driver's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from forebay.kafka.failures import Failure

# seconds: how often a broker looks for transactions that have timed out
# (transaction.abort.timed.out.transaction.cleanup.interval.ms)
SWEEP = 10.0
MARGIN = 15.0  # seconds on top of timeout and sweep before a barrier that is not reached counts as blocked


@dataclass(frozen=True, slots=True)
class Protections:
    """What keeps the promise. Tests switch one off to see that their checker finds the harm; nothing else may."""

    new_producer_per_transaction: bool = True  # C1
    barrier: str = "high_watermark"  # C2; "last_stable" and "none" are the wrong ones
    ledger_last: bool = True  # C3
    check_plan: bool = True  # C4
    ask_ledger: bool = True  # the ledger decides what is still to do
    follow_when_fenced: bool = True  # F7


@dataclass(frozen=True, slots=True)
class Task:
    """One file to publish: `chunks` transactions under `plan_hash`. Times in seconds; `jitter` in [0, 1) is this
    attempt's own."""

    chunks: int
    plan_hash: str
    transaction_timeout: float = 60.0
    jitter: float = 0.5
    attempts: int = 8  # at one chunk, before giving up
    follow_for: float = 900.0  # how long a fenced attempt follows others in all

    @property
    def silence(self) -> float:
        """How long a lane must have been quiet before a fenced attempt takes it back."""
        return self.transaction_timeout + SWEEP + 10.0 * self.jitter

    @property
    def barrier_timeout(self) -> float:
        """Any honest transaction on the ledger partition has ended by then."""
        return self.transaction_timeout + SWEEP + MARGIN


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to be done by the driver."""


@dataclass(frozen=True, slots=True)
class Look(Effect):
    """Read what is committed in the ledger partition by now, without waiting for anybody → `Ledger`."""


@dataclass(frozen=True, slots=True)
class NewProducer(Effect):
    """Build a producer with the lane's transactional.id → `Done`."""


@dataclass(frozen=True, slots=True)
class Init(Effect):
    """`init_transactions`: fence older owners, wait for their outcome → `Done`."""


@dataclass(frozen=True, slots=True)
class AskWatermark(Effect):
    """The ledger partition's end offset → `Watermark`. `uncommitted`: the high watermark; else the last stable
    offset."""

    uncommitted: bool = True


@dataclass(frozen=True, slots=True)
class ReadTo(Effect):
    """Read the ledger partition, committed records only, up to `offset`, until `deadline` at most → `Ledger`."""

    offset: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Begin(Effect):
    """`begin_transaction` → `Done`."""


@dataclass(frozen=True, slots=True)
class ProduceRows(Effect):
    """Produce the chunk's records and its quarantined rows → `Done`."""

    chunk: int


@dataclass(frozen=True, slots=True)
class ProduceLedger(Effect):
    """Produce the chunk's ledger record, and with `last` the file's completion record → `Done`."""

    chunk: int
    last: bool


@dataclass(frozen=True, slots=True)
class Flush(Effect):
    """Wait until all that was produced is acknowledged → `Flushed`."""


@dataclass(frozen=True, slots=True)
class Commit(Effect):
    """`commit_transaction` → `Done`, which is certain; any failure leaves it to the ledger."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Abort(Effect):
    """`abort_transaction`, as far as it goes → `Done` even when it fails."""


@dataclass(frozen=True, slots=True)
class Close(Effect):
    """Destroy the producer instance → `Done`."""


@dataclass(frozen=True, slots=True)
class Wait(Effect):
    """Do nothing for a while → `Done`."""

    seconds: float


class Outcome(StrEnum):
    """How the publication of a file ended."""

    DONE = "done"
    PLAN_CHANGED = "plan changed"
    LEDGER_HOLE = "ledger hole"  # a later chunk is committed and an earlier one is not: never written by this protocol
    BARRIER_BLOCKED = "barrier blocked"  # an open transaction on the ledger partition outlived every honest timeout
    FENCED = "fenced"
    GAVE_UP = "gave up"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finish(Effect):
    """The end; no event is expected. `failure` says why, where a Kafka error did."""

    outcome: Outcome
    chunk: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What came of the last effect."""

    now: float


@dataclass(frozen=True, slots=True)
class Done(Event):
    """It was done."""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """It failed; `failure.action` says what that asks for."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Flushed(Event):
    """`unacknowledged` records are still without a good delivery report."""

    unacknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Watermark(Event):
    """An end offset of the ledger partition."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Ledger(Event):
    """What the ledger partition holds, as far as it was read.

    `chunks`: committed chunks of this (fingerprint, generation) with the plan hash of each; `complete`: its completion
    record is there. `lane`: how many records of files of the same lane this attempt has seen come; `lane_free`: the
    newest of those completes a file. `reached` is False when a `ReadTo` ended at its deadline.
    """

    chunks: Mapping[int, str] = field(default_factory=dict)
    complete: bool = False
    lane: int = 0
    lane_free: bool = False
    reached: bool = True
