"""The way between clients and brokers, and everything that can go wrong on it: a seeded choice of faults, each counted
by the step it hit.

Every history draws its own mix (some calm, some rough, some with one kind of fault only), so that rare combinations get
their turn. After `quiet` nothing goes wrong any more, though requests that are late may still arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from tests.simulation.world import Answer, Clock

KINDS = ("request lost", "response lost", "late", "duplicate", "slow", "refused", "unknown answer")
COORDINATOR = frozenset({"InitProducerId", "AddPartitions", "EndTxn"})
TIMED_OUT: Answer = ("_TIMED_OUT", None)

_MOVING = ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "_TRANSPORT")
_LEADERLESS = ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "_TRANSPORT", "REQUEST_TIMED_OUT")
# what a broker may refuse a request with, by API: passing troubles, and (last) one that only a person can mend
REFUSALS: dict[str, tuple[str, ...]] = {
    "InitProducerId": (*_MOVING, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    "AddPartitions": (*_MOVING, "TOPIC_AUTHORIZATION_FAILED"),
    "EndTxn": (*_MOVING, "INVALID_PRODUCER_ID_MAPPING", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    "Produce": (
        *_LEADERLESS,
        "KAFKA_STORAGE_ERROR",
        "NOT_ENOUGH_REPLICAS",
        "INVALID_RECORD",
        "TOPIC_AUTHORIZATION_FAILED",
    ),
    "ListOffsets": (*_LEADERLESS, "TOPIC_AUTHORIZATION_FAILED"),
    "Fetch": (*_LEADERLESS, "UNKNOWN_TOPIC_ID", "TOPIC_AUTHORIZATION_FAILED"),
}
# errors that a broker may answer with though the request took effect
UNKNOWN: dict[str, tuple[str, ...]] = {
    "InitProducerId": ("COORDINATOR_NOT_AVAILABLE", "UNKNOWN"),
    "AddPartitions": ("COORDINATOR_NOT_AVAILABLE", "UNKNOWN"),
    "EndTxn": ("NOT_COORDINATOR", "UNKNOWN", "_MSG_TIMED_OUT"),
    "Produce": ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", "REQUEST_TIMED_OUT", "DUPLICATE_SEQUENCE_NUMBER"),
    "ListOffsets": ("_TIMED_OUT",),
    "Fetch": ("_TIMED_OUT",),
}


class Process(Protocol):
    """Whoever sends requests: `resume(token, answer)` is called back unless the token has passed."""

    name: str
    step: str
    token: int

    def resume(self, token: int, answer: Any) -> None: ...


class Network:
    """Carries requests to the model and answers back; `rate` of them meet a fault of one of `kinds` until `quiet`."""

    __slots__ = ("_outages", "clock", "counts", "kinds", "note", "patience", "quiet", "random", "rate", "slow_markers")

    def __init__(self, clock: Clock, rng: Random, quiet: float) -> None:
        self.clock = clock
        self.random = rng.random
        self.quiet = quiet
        self.counts: dict[tuple[str, str], int] = {}
        self.note: Callable[[str, str], None] | None = None
        self.rate = (0.0, 0.05, 0.15, 0.3)[self._below(4)]
        self.kinds = [kind for kind in KINDS if self.random() < 0.6] or ["late"]
        self.patience = (0.3, 1.0, 3.0)[self._below(3)]  # seconds until a client gives a request up
        self.slow_markers = self.random() < 0.4
        self._outages = [self._outage() for _ in range(self._below(3))]

    def _below(self, end: int) -> int:
        return int(self.random() * end)

    def _pick(self, names: tuple[str, ...] | list[str]) -> str:
        return names[int(self.random() * len(names))]

    def _outage(self) -> tuple[float, float, bool]:
        start = self.random() * self.quiet
        return start, min(self.quiet, start + 0.2 * 300.0 ** self.random()), self.random() < 0.5

    def count(self, step: str, fault: str) -> None:
        """One more fault of that kind at that step."""
        key = (step, fault)
        self.counts[key] = self.counts.get(key, 0) + 1

    def delay(self, what: str) -> float:
        """For the coordinator: how long a marker takes, and how long it is still away."""
        if what == "outage":
            return max(
                (end - self.clock.now for start, end, _ in self._outages if start <= self.clock.now < end), default=0.0
            )
        if self.slow_markers and self.clock.now < self.quiet and self.random() < 0.3:
            return 0.01 * 1000.0 ** self.random()
        return 0.002 + 0.02 * self.random()

    def lateness(self) -> float:
        """Seconds by which a request that was given up may still arrive: mostly soon, sometimes much later."""
        return 0.05 * 800.0 ** self.random()

    def send(self, process: Process, api: str, apply: Callable[..., Answer], *args: Any) -> None:
        """Send one request; its answer, or that it timed out, comes back through `process.resume`."""
        random, now = self.random, self.clock.now
        if now < self.quiet:
            for start, end, coordinator in self._outages:
                if start <= now < end and coordinator == (api in COORDINATOR):
                    self._refuse(process, api, "outage", _MOVING if coordinator else _LEADERLESS)
                    return
            if random() < (2 * self.rate if api == "EndTxn" else self.rate):
                self._fault(self._pick(self.kinds), process, api, apply, args)
                return
        if random() < 0.3:  # else it arrives at once, which is quicker to simulate
            self.clock.after(0.01 * random(), self._arrive, process, process.token, api, apply, args, 0.01 * random())
        else:
            self._arrive(process, process.token, api, apply, args, 0.001 + 0.01 * random())

    def _apply(
        self, process: Process, api: str, apply: Callable[..., Answer], args: tuple[Any, ...], how: str = ""
    ) -> Answer:
        answer = apply(*args)
        if self.note is not None:
            came = f"{answer[0] or 'ok'}{'' if answer[1] is None else f' {answer[1]}'}"
            self.note(process.name, f"{how or f'{process.step}: '}{_words(api, args)} → {came}")
        return answer

    def _arrive(
        self, process: Process, token: int, api: str, apply: Callable[..., Answer], args: tuple[Any, ...], back: float
    ) -> None:
        answer = self._apply(process, api, apply, args)
        self.clock.after(back, process.resume, token, answer)

    def _late(self, process: Process, api: str, apply: Callable[..., Answer], args: tuple[Any, ...]) -> None:
        answer = self._apply(process, api, apply, args, "late ")
        self.count(f"late {api}", answer[0] or "took effect")

    def _refuse(self, process: Process, api: str, fault: str, codes: tuple[str, ...]) -> None:
        code = self._pick(codes)
        if code == codes[-1] and fault == "refused":
            code = self._pick(codes)  # what only a person can mend is rarer
        self._say(process, fault, f"{api} → {code}")
        self.clock.after(0.001 + 0.01 * self.random(), process.resume, process.token, (code, None))

    def _say(self, process: Process, fault: str, what: str) -> None:
        self.count(process.step, fault)
        if self.note is not None:
            self.note(process.name, f"fault, {fault}: {what}")

    def _fault(
        self, kind: str, process: Process, api: str, apply: Callable[..., Answer], args: tuple[Any, ...]
    ) -> None:
        clock, token = self.clock, process.token
        if kind == "refused":
            self._refuse(process, api, kind, REFUSALS[api])
            return
        self._say(process, kind, f"{_words(api, args)}")
        if kind == "slow":
            clock.after(
                self.patience * self.random(),
                self._arrive,
                process,
                token,
                api,
                apply,
                args,
                self.patience * self.random(),
            )
            return
        if kind == "duplicate":
            clock.after(self.lateness(), self._late, process, api, apply, args)
            self._arrive(process, token, api, apply, args, 0.001 + 0.01 * self.random())
            return
        if kind == "unknown answer":
            self._apply(process, api, apply, args)
            clock.after(0.01 * self.random(), process.resume, token, (self._pick(UNKNOWN[api]), None))
            return
        if kind == "late":
            clock.after(self.patience + self.lateness(), self._late, process, api, apply, args)
        elif kind == "response lost":
            self._apply(process, api, apply, args)
        clock.after(self.patience, process.resume, token, TIMED_OUT)


def _words(api: str, args: tuple[Any, ...]) -> str:
    """A request, for the timeline."""
    return f"{api}({', '.join(_FLAGS[api, arg] if type(arg) is bool else _word(arg) for arg in args)})"


_FLAGS = {
    ("EndTxn", True): "commit",
    ("EndTxn", False): "abort",
    ("ListOffsets", True): "HW",
    ("ListOffsets", False): "LSO",
    ("Fetch", False): "to LSO",
}


def _word(arg: Any) -> str:
    told = getattr(arg, "label", getattr(arg, "name", None))
    if told is None and isinstance(arg, list | tuple):
        return " + ".join(_word(a) for a in arg)
    return str(arg if told is None else told)
