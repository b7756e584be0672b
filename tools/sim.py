"""The deterministic simulation of the publish protocol, on the command line: `make sim`, or one seed as a timeline
(docs/simulation.md)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.simulation import run
from tests.simulation.history import Options, play


def _seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=int, help="play one history and print its timeline")
    what.add_argument(
        "--seeds", type=_seeds, default=range(20_000), metavar="FROM:TO", help="play many (default 0:20000)"
    )
    what.add_argument(
        "--controls",
        type=int,
        metavar="BUDGET",
        help="switch each protection off, and count the seeds until it is found out",
    )
    parser.add_argument(
        "--control",
        choices=[*run.CONTROLS],
        metavar="NAME",
        help=f"with --seed: play it with {', '.join(run.CONTROLS)}",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    return parser.parse_args()


def _one(seed: int, options: Options) -> int:
    result = play(seed, options, traced=True)
    print("\n".join(result.timeline))
    print(f"\nseed {seed}: {result.violation or 'no violation'}")
    return 1 if result.violation else 0


def _controls(budget: int) -> int:
    missed = 0
    for result in run.controls(budget):
        missed += result.seeds is None
        print(f"{result.control:<48}{result.seeds or '-':>8}  {result.how}", flush=True)
    return 1 if missed else 0


def main() -> int:
    arguments = _arguments()
    if arguments.seed is not None:
        return _one(arguments.seed, run.CONTROLS[arguments.control] if arguments.control else Options())
    if arguments.controls:
        return _controls(arguments.controls)
    total, words = run.report(arguments.seeds, arguments.jobs)
    print(words)
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
