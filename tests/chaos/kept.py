"""The trials that docs/trials.md is made of: `campaigns/*.jsonl` line by line, and the sums of campaigns whose lines
were not kept (`campaigns/sums.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]
FOLDER = Path(__file__).parent / "campaigns"


def lines(more: list[Path]) -> list[Line]:
    """Every trial that is known: of the sums, of the folder's files, and of `more` files of JSON lines that exist."""
    found = [*_summed(_sums())]
    for path in dict.fromkeys([*sorted(FOLDER.glob("*.jsonl")), *more]):
        found += [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return found


def earlier_campaigns() -> list[tuple[str, ...]]:
    """Of each campaign that is kept as a sum: its seed, when it began, how many trials, how long it took."""
    return [tuple(campaign) for campaign in _sums()["campaigns"]]


def _sums() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "sums.json").read_text())
    return found


def _summed(sums: dict[str, Any]) -> Iterator[Line]:
    """A line for each trial. Of a fault's harms every trial has its share, and what went wrong is with one of them."""
    common = {"summed": True, "versions": sums["versions"], "seconds": 0.0, "unmet": "", "anomalies": []}
    for fault, of in sums["faults"].items():
        unmet = [bad for bad in sums["bad"] if bad["fault"] == fault]
        for n in range(of["trials"]):
            harm = of["harms"] // of["trials"] + (n < of["harms"] % of["trials"])
            line = common | {"fault": fault, "control": False, "harm": harm, "seed": "", "good": n >= len(unmet)}
            yield line | (unmet[n] if n < len(unmet) else {})
    for fault, of in sums["controls"].items():
        for n in range(of["trials"]):
            seen = [{"name": name} for name, times in of["anomalies"].items() if n < times]
            yield common | {"fault": fault, "control": True, "harm": 1, "seed": "", "good": True, "anomalies": seen}
