"""What befalls an attempt, and at which of the protocol's steps."""

from __future__ import annotations

from typing import NamedTuple

from forebay.kafka.publish import steps

EFFECTS = (
    steps.Look,
    steps.NewProducer,
    steps.Init,
    steps.AskWatermark,
    steps.ReadTo,
    steps.Begin,
    steps.ProduceRows,
    steps.ProduceLedger,
    steps.Flush,
    steps.Commit,
    steps.Abort,
    steps.Close,
    steps.Wait,
)
LOCAL = ("NewProducer", "Begin", "ProduceLedger")  # these take no time
SILENT = frozenset({*LOCAL, "Wait", "Close"})  # no request shows them in the timeline
STEPS = [e.__name__ for e in EFFECTS if e is not steps.Flush] + ["Flush rows", "Flush ledger"]


class Fate(NamedTuple):
    """What befalls an attempt: `kind` at the `nth` time it comes to `step`."""

    kind: str  # kill, terminate, stop
    step: str
    nth: int
    moment: str  # before, during, after
    seconds: float
