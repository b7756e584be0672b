"""Plays many histories, on several cores, and tells what was found: rate, faults by step, holes in the mix, and the
positive controls."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean

from forebay.kafka.publish.steps import Protections
from tests.simulation.fates import LOCAL, STEPS
from tests.simulation.history import Options, Result, play
from tests.simulation.mutants import MUTANTS, ORDERS
from tests.simulation.network import KINDS

SLICE = 250  # seeds that one process plays at a time
REQUESTS = [step for step in STEPS if step not in {*LOCAL, "Wait", "Close"}]  # steps that talk to a broker
FATES = [f"{kind} {moment}" for kind in ("kill", "stop", "terminate") for moment in ("before", "during", "after")]
ACTIONS = ("call again", "new producer", "ledger decides", "follow", "data", "stop")


@dataclass
class Tally:
    """What came of many histories. `violations`: (seed, words)."""

    histories: int = 0
    violations: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    longest: float = 0.0

    def take(self, result: Result) -> None:
        """Take up one history."""
        self.histories += 1
        if result.violation is not None:
            self.violations.append((result.seed, str(result.violation)))
        self.counts.update(result.counts)
        self.outcomes.update(result.outcomes)
        self.commits += len(result.held)
        self.longest = max(self.longest, result.seconds)

    def add(self, other: Tally) -> None:
        """Take up another tally."""
        self.histories += other.histories
        self.violations += other.violations
        self.counts.update(other.counts)
        self.outcomes.update(other.outcomes)
        self.commits += other.commits
        self.longest = max(self.longest, other.longest)


def tally(seeds: Iterable[int], options: Options | None = None) -> Tally:
    """Play these seeds, here."""
    found = Tally()
    for seed in seeds:
        found.take(play(seed, options))
    return found


def tallies(seeds: range, jobs: int = 1, options: Options | None = None) -> Iterator[Tally]:
    """Play these seeds on `jobs` processes; a tally for each slice of them, in order."""
    slices = [seeds[n : n + SLICE] for n in range(0, len(seeds), SLICE)]
    if jobs < 2:
        yield from (tally(part, options) for part in slices)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(tally, slices, [options] * len(slices))


def run(seeds: range, jobs: int = 1, options: Options | None = None) -> Tally:
    """Play these seeds on `jobs` processes."""
    total = Tally()
    for part in tallies(seeds, jobs, options):
        total.add(part)
    return total


# coverage


def holes(counts: Counter[tuple[str, str]]) -> list[str]:
    """Steps and faults that can meet, but did not."""
    wanted = [(step, kind) for step in REQUESTS for kind in (*KINDS, "outage")]
    wanted += [(step, fate) for step in STEPS for fate in FATES if not (step in LOCAL and fate.endswith("during"))]
    return [f"{step}: {fault}" for step, fault in wanted if not counts[step, fault]]


def coverage(counts: Counter[tuple[str, str]]) -> str:
    """How often each fault hit each step, and what the steps' failures asked for; as tables."""
    parts = [
        _table("faults on the way, by step", counts, REQUESTS, (*KINDS, "outage")),
        _table("what befell the process, by step", counts, STEPS, FATES),
        _table("what the failures of a step asked for", counts, STEPS, [f"→ {action}" for action in ACTIONS]),
        _late(counts),
    ]
    return "\n\n".join(parts)


def _table(title: str, counts: Counter[tuple[str, str]], rows: Iterable[str], columns: Iterable[str]) -> str:
    columns = list(columns)
    widths = [max(8, len(c) + 2) for c in columns]
    head = f"{title:<38}" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True))
    lines = [
        f"  {row:<36}" + "".join(f"{counts[row, c]:>{w},}" for c, w in zip(columns, widths, strict=True))
        for row in rows
    ]
    return "\n".join([head, *lines])


def _late(counts: Counter[tuple[str, str]]) -> str:
    found = sorted((step, fault, n) for (step, fault), n in counts.items() if step.startswith("late "))
    return "\n".join(
        [
            "requests that came late, and their answers",
            *(f"  {step + ' → ' + fault:<60}{n:>10,}" for step, fault, n in found),
        ]
    )


# positive controls

CONTROLS: dict[str, Options] = {
    "C1 off: one producer for many transactions": Options(Protections(new_producer_per_transaction=False)),
    "C2 wrong: barrier to the last stable offset": Options(Protections(barrier="last_stable")),
    "C2 off: no barrier": Options(Protections(barrier="none")),
    "C4 off: plan changes go unchecked": Options(Protections(check_plan=False), change_plan=0.5),
    **{name: Options(order=order) for name, order in ORDERS.items()},
    "the ledger is not asked": Options(Protections(ask_ledger=False)),
    **{f"mutant: {name}": Options(publication=mutant) for name, mutant in MUTANTS.items()},
    "ids move with a setting": Options(fixed_ids=False),
    "brokers without KIP-890 (before 3.6)": Options(verification=False),
}
HARM = {
    "C4 off: plan changes go unchecked": ("I1", "I2")
}  # the ledger's hole would be noticed first; wanted is the wrong row


def _held(result: Result) -> list[float]:
    return list(result.held)


def _fenced(result: Result) -> list[float]:
    commits = len(result.held)
    return [sum(n for (_, what), n in result.counts.items() if what == "→ follow") / commits] if commits else []


# these do harm that no invariant forbids: found out by measuring, against the same seeds with everything on
MEASURED: dict[str, tuple[Options, Callable[[Result], list[float]], str]] = {
    "C3 off: ledger record first": (
        Options(Protections(ledger_last=False)),
        _held,
        "seconds that a commit holds the ledger partition",
    ),
    "F7 off: whoever is fenced fights": (
        Options(Protections(follow_when_fenced=False)),
        _fenced,
        "fencings for each commit",
    ),
}


@dataclass(frozen=True, slots=True)
class Detection:
    """How a control was found out: after how many seeds, and by what; `seeds` None if it was not."""

    control: str
    seeds: int | None
    how: str


def detect(control: str, budget: int, start: int = 0) -> Detection:
    """Play seeds with a protection off until an invariant does not hold, `budget` at most."""
    for number, seed in enumerate(range(start, start + budget), 1):
        violation = play(seed, CONTROLS[control]).violation
        if violation is not None and violation.invariant in HARM.get(control, violation.invariant):
            return Detection(control, number, f"seed {seed}: {violation}")
    return Detection(control, None, f"not found in {budget:,} seeds")


def detect_by_measure(
    name: str, budget: int, start: int = 0, options: Options | None = None, factor: float = 2.0
) -> Detection:
    """Play seeds with everything on, and with a protection off, until the means of at least 100 histories differ by
    `factor`."""
    off, measure, unit = MEASURED[name]
    right: list[float] = []
    wrong: list[float] = []
    for number, seed in enumerate(range(start, start + budget), 1):
        right += measure(play(seed))
        wrong += measure(play(seed, options or off))
        if number >= 100 and fmean(wrong) > factor * fmean(right):
            return Detection(name, number, f"{unit}: {fmean(wrong):.2f} instead of {fmean(right):.2f} (means)")
    return Detection(name, None, f"not found in {budget:,} seeds")


def controls(budget: int, start: int = 0) -> Iterator[Detection]:
    """Every control, each until it is found out."""
    yield from (detect(control, budget, start) for control in CONTROLS)
    yield from (detect_by_measure(name, budget, start) for name in MEASURED)


def _cpu() -> float:
    """Seconds of CPU that this process and its finished children have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def report(seeds: range, jobs: int) -> tuple[Tally, str]:
    """Play seeds, and put what was found in words: rate, bound, outcomes, coverage and its holes."""
    began, cpu = time.perf_counter(), _cpu()
    total = run(seeds, jobs)
    seconds, spent = time.perf_counter() - began, _cpu() - cpu
    bound = (
        f"the rate of violations is below {3 / total.histories:.1e} with 95 % confidence, for this mix"
        if not total.violations
        else "THE PROMISE IS BROKEN"
    )
    lines = [
        f"{total.histories:,} histories in {seconds:.1f} s: {60 * total.histories / seconds:,.0f} a minute on {jobs} "
        "processes, "
        f"{60 * total.histories / spent:,.0f} a minute of CPU",
        f"{len(total.violations)} violations ({bound})",
        *(f"  seed {seed}: {words}" for seed, words in total.violations[:20]),
        f"{total.commits:,} commits; attempts: "
        + ", ".join(f"{n:,} {what}" for what, n in total.outcomes.most_common()),
        f"longest history: {total.longest:,.0f} simulated seconds",
        "",
        coverage(total.counts),
        "",
        "holes (a step and a fault that never met): " + (", ".join(holes(total.counts)) or "none"),
    ]
    return total, "\n".join(lines)
