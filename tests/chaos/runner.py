"""Runs campaigns of trials, and writes what they found: JSON lines, and docs/trials.md.

    python -m tests.chaos.runner --trials 5                       every fault and control five times (slow ones fewer)
    python -m tests.chaos.runner --faults 'kill-*' --minutes 60   these for an hour, in turn
    python -m tests.chaos.runner --faults '*' '!kill-*'           all but these
    python -m tests.chaos.runner --replay 'S:kill-after-flush:17' one trial again
    python -m tests.chaos.runner --report                         docs/trials.md from the campaigns that are kept

What the page is to tell of is written to tests/chaos/campaigns/, and committed with it; with `--no-report` and
`--replay`, to .cache/chaos/.

A trial's seed is `CAMPAIGN:FAULT:NUMBER`: it fixes the file's shape, the chunk and the moment as far as a moment can be
fixed. Exit code 1 when a guarantee was violated, a trial did not go as the fault matrix says, or a control was not
found out.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos import faults_cluster, faults_network, faults_run, faults_settings, faults_time, kept, report
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.lab import Lab, Unmet, laboratory
from tests.harness.checker import Anomaly

assert (
    faults_cluster and faults_network and faults_run and faults_settings and faults_time
)  # they register their faults
BATCH = 20  # trials that share topics
NOT_KEPT = Path(__file__).parents[2] / ".cache" / "chaos" / "trials.jsonl"


@dataclass
class Trial:
    """One trial and what came of it. `harm`: how often harm was done; `unmet`: what did not go as the matrix says."""

    seed: str
    fault: str
    row: str
    control: bool
    harm: int = 0
    seconds: float = 0.0
    anomalies: list[Anomaly] = field(default_factory=list)
    unmet: str = ""
    notes: list[str] = field(default_factory=list)
    began: str = ""

    @property
    def found(self) -> bool:
        """A control that was found out."""
        return bool({a.name for a in self.anomalies} & set(FAULTS[self.fault].finds.split()))

    @property
    def good(self) -> bool:
        return self.found if self.control else not (self.anomalies or self.unmet)


def run_trial(lab: Lab, fault: Fault, seed: str) -> Trial:
    """One trial on a lab, judged by the live consumer; `Lab.close` judges it again."""
    trial = Trial(seed, fault.name, fault.row, fault.control, began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    began = time.monotonic()
    lab.begin(seed)
    try:
        trial.harm = fault.run(lab, Random(seed))
    except Unmet as unmet:
        trial.unmet = str(unmet)
    except Exception:  # a defect of the trial itself is no proof of anything: it must be seen
        trial.unmet = traceback.format_exc(limit=-4)
    if trial.unmet:
        lab.unfinished()
    trial.anomalies, trial.notes = _unique(lab.end()), lab.notes
    trial.seconds = round(time.monotonic() - began, 2)
    return trial


def _line(trial: Trial) -> dict[str, Any]:
    """A trial as it is kept (kept.py)."""
    anomalies = [{"name": a.name, "invariant": a.invariant, "detail": a.detail} for a in trial.anomalies]
    return asdict(trial) | {"anomalies": anomalies, "good": trial.good}


def _unique(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    return list(dict.fromkeys(anomalies))


def chosen(patterns: Iterable[str]) -> list[Fault]:
    """The faults whose name matches one of the patterns. Raises `SystemExit` when none does."""
    wanted, but = [p for p in patterns if not p.startswith("!")], [p[1:] for p in patterns if p.startswith("!")]
    found = [f for f in FAULTS.values() if _matches(f, wanted) and not _matches(f, but)]
    if not found:
        raise SystemExit(f"no fault is called `{' '.join(patterns)}`; there are: {' '.join(FAULTS)}")
    return found


def _matches(fault: Fault, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(fault.name, p) for p in patterns)


def plan(faults: list[Fault], trials: int, campaign: str) -> Iterator[tuple[Fault, str]]:
    """The trials of one round after the other, the faults in turn; a fault that takes 8 s or more comes in every third
    round."""
    for number in range(trials):
        for fault in faults:
            if fault.seconds < 8 or number % 3 == 0:
                yield fault, f"{campaign}:{fault.name}:{number}"


def campaign(queue: list[tuple[Fault, str]], nodes: int, until: float, tell: Callable[[Trial], None]) -> list[Trial]:
    """Run the trials of the queue on one cluster, until the clock says `until`; `tell` gets each trial once all readers
    have judged it."""
    done: list[Trial] = []
    batch: list[Trial] = []
    _say(
        f"{len(queue)} trials on {nodes} broker{'s' * (nodes > 1)}, {max(0.0, until - time.monotonic()) / 60:.0f} "
        "min at most"
    )
    with laboratory(nodes) as lab:
        for fault, seed in queue:
            if time.monotonic() > until:
                break
            batch.append(run_trial(lab, fault, seed))
            _progress([*done, *batch], len(queue))
            if len(batch) == BATCH:
                done += _judged(lab, batch, tell)
                batch = []
        done += _judged(lab, batch, tell)
    return done


def _judged(lab: Lab, batch: list[Trial], tell: Callable[[Trial], None]) -> list[Trial]:
    verdicts = lab.close()
    shared = verdicts.pop("", [])
    for trial in batch:
        trial.anomalies = _unique([*trial.anomalies, *verdicts.get(trial.seed, []), *([] if trial.control else shared)])
        tell(trial)
    return batch


def _progress(done: list[Trial], of: int) -> None:
    """One line for the trial that has just ended, and how the campaign stands."""
    trial, violated = done[-1], sum(bool(t.anomalies) for t in done if not t.control)
    kind = FAULTS[trial.fault].harm
    harm = f"{trial.harm} {kind}{'s' * (trial.harm != 1)}"
    found = "found out: " * trial.found + " ".join(dict.fromkeys(a.name for a in trial.anomalies))
    words = (
        f"{len(done):4}/{of}  {'ok ' if trial.good else 'BAD'} {trial.seed:44} {trial.seconds:6.1f} s  {harm:18} "
        f"{found} {trial.unmet}"
    )
    _say(
        f"{words.rstrip()}{''.join(f'  ({n[:120]})' for n in trial.notes)}"
        + f"  ** {violated} violated **" * bool(violated)
    )


def _summary(trials: list[Trial]) -> None:
    real, controls = [t for t in trials if not t.control], [t for t in trials if t.control]
    kills = sum(t.harm for t in real if FAULTS[t.fault].harm == "kill")
    bad = [t for t in trials if not t.good]
    _say(
        f"{len(real)} trials, {sum(t.harm for t in real)} harms, {kills} of them kills: "
        f"{sum(bool(t.anomalies) for t in real)} violated a guarantee, "
        f"{sum(bool(t.unmet) for t in real)} did not go as they must; {sum(t.found for t in controls)} of "
        f"{len(controls)} controls were found out"
    )
    for trial in bad:
        _say(f"BAD {trial.seed}: {[f'{a.name} {a.detail}'[:200] for a in trial.anomalies]} {trial.unmet[-1500:]}")
    _say(
        "again: python -m tests.chaos.runner --replay " + " ".join(t.seed for t in bad) if bad else "nothing went wrong"
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _writer(path: Path) -> Callable[[Trial], None]:
    path.parent.mkdir(parents=True, exist_ok=True)

    def tell(trial: Trial) -> None:
        with path.open("a") as out:
            out.write(json.dumps(_line(trial) | report.versions()) + "\n")

    return tell


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="campaigns of faults against real brokers")
    parser.add_argument("--faults", nargs="*", default=["*"], help="names or patterns")
    parser.add_argument("--trials", type=int, default=3, help="of each fault")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after that many, for each size of cluster")
    parser.add_argument("--seed", default="", help="of the campaign; default: the time")
    parser.add_argument("--replay", nargs="*", default=[], help="seeds of trials to run again")
    parser.add_argument(
        "--lines", type=Path, nargs="+", help="files of JSON lines: the first is added to, the report reads all"
    )
    parser.add_argument("--report", action="store_true", help="only write docs/trials.md")
    parser.add_argument("--no-report", action="store_true", help="do not write docs/trials.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = _parse(argv)
    trials: list[Trial] = []
    seed = args.seed or time.strftime("%Y%m%d%H%M%S", time.gmtime())
    lines = args.lines or [NOT_KEPT if args.no_report or args.replay else kept.FOLDER / f"{seed}.jsonl"]
    if not args.report:
        queue = [(FAULTS[s.split(":")[1]], s) for s in args.replay] or list(
            plan(chosen(args.faults), args.trials, seed)
        )
        for nodes in sorted({fault.nodes for fault, _ in queue}):
            of_size = [(f, s) for f, s in queue if f.nodes == nodes]
            trials += campaign(of_size, nodes, time.monotonic() + 60 * args.minutes, _writer(lines[0]))
        _summary(trials)
    if not args.no_report and not args.replay:
        report.write(lines)
    return int(any(not t.good for t in trials))


if __name__ == "__main__":
    sys.exit(main())
