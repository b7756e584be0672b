"""What one measurement is, and the page that `make bench` writes: tables of medians, ratios taken round by round, and
what was aimed at."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

Result = dict[str, Any]
"""One measurement: `records`, wall `seconds` and `cpu` seconds within the clock, `rss_mb` at the peak of the
process."""

Results = dict[str, list[Result]]
"""The measurements of each way, one a round."""


@dataclass
class Clock:
    """Wall and CPU seconds of its block: this process alone, all threads."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Clock:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]

    def result(self, records: int, **more: Any) -> Result:
        return {"records": records, "seconds": self.seconds, "cpu": self.cpu, **more}


def rate(result: Result) -> float:
    return result["records"] / result["seconds"]


def judged(results: Results) -> Results:
    """The rows of a table: the faster of the two bare loops as the ceiling, and the whole job to its end as a way of
    its own."""
    loops = zip(results["ceiling"], results["sliced"], strict=True)
    rows = {"ceiling": [max(pair, key=rate) for pair in loops]} | {
        way: runs for way, runs in results.items() if way not in {"ceiling", "sliced"}
    }
    return rows | {"and proof": [r | {"seconds": r["whole"]} for r in results["whole job"]]}


def table(runs: Results) -> list[str]:
    """One table: medians, and ratios taken round by round against the ceiling of the same round."""
    rows = judged(runs)
    loops = " and ".join(f"{statistics.median(map(rate, runs[way])) / 1000:,.0f} k" for way in ("ceiling", "sliced"))
    lines = [
        f"### {runs['ceiling'][0]['records']:,} rows",
        "",
        "| way | records/s | of the ceiling | of one transaction | of the script | CPU s | peak RSS MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, samples in rows.items():
        shares = " | ".join(f"{_share(rows, way, other):.2f}" for other in ("ceiling", "one transaction", "script"))
        cpu, rss = (statistics.median(r[what] for r in samples) for what in ("cpu", "rss_mb"))
        lines.append(
            f"| {way} | {statistics.median(map(rate, samples)) / 1000:,.0f} k | {shares} | {cpu:.1f} | {rss:,.0f} |"
        )
    return [*lines, "", f"The bare loop with objects made before the clock and slice by slice within it: {loops}.", ""]


def _share(results: Results, way: str, other: str) -> float:
    return statistics.median(rate(a) / rate(b) for a, b in zip(results[way], results[other], strict=True))


def page(about: str, sizes: list[int], measured: dict[int, Results], rounds: int, headers: dict[str, Result]) -> str:
    """All of it as Markdown. `about` is the docstring of the bench: what is measured, the ways, and how."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("confluent-kafka", "duckdb", "great-expectations", "pyarrow", "polars")
    )
    what, ways, how = about.split("\n\n")[1:4]
    lines = [
        "# Benchmarks",
        "",
        (
            "Written by `make bench`; do not edit. Ratios are taken round by round in one run on one broker, "
            "which shares the machine; absolute rates are this"
        ),
        "machine's. " + what.replace("\n", " "),
        "",
        *ways.splitlines(),
        "",
        *how.strip().splitlines(),
        "",
        (
            f"Machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
            f"Python {platform.python_version()}; Apache Kafka 4.3.1, one node; {packages}."
        ),
        (
            f"{rounds} rounds, medians. Headers `none`, JSON values, 4 partitions, one chunk per 128 MiB. Whole job: "
            "imports of the libraries included."
        ),
        "CPU seconds are those of the client's process within the clock, all threads; the broker's come on top.",
        "",
    ]
    for rows in sizes:
        lines += table(measured[rows])
    return (
        "\n".join(
            [
                *lines,
                *targets(measured[sizes[0]], measured[sizes[-1]], sizes),
                *below(headers, measured[sizes[-1]], sizes[-1]),
            ]
        )
        + "\n"
    )


def targets(first: Results, last: Results, sizes: list[int]) -> list[str]:
    """What was aimed at, and what came out: nothing is rounded in our favour."""
    small, large = judged(first), judged(last)
    rss = [statistics.median(r["rss_mb"] for r in runs["whole job"]) for runs in (last, first)]
    cost = 1 - _share(large, "publish", "one transaction")
    return [
        "### Against what was aimed at",
        "",
        "| aim | at most or at least | measured |",
        "|---|---|---|",
        (
            f"| publish alone, of the ceiling | ≥ 0.8 | {_share(large, 'publish', 'ceiling'):.2f} ({sizes[0]:,} rows: "
            f"{_share(small, 'publish', 'ceiling'):.2f}) |"
        ),
        (
            f"| whole job, of the ceiling | ≥ 0.4 | {_share(large, 'whole job', 'ceiling'):.2f} ({sizes[0]:,} rows: "
            f"{_share(small, 'whole job', 'ceiling'):.2f}) |"
        ),
        f"| the protocol's cost (publish against one transaction) | ≤ 10 % | {100 * cost:.0f} % |",
        (
            f"| peak memory of the whole job, {sizes[-1]:,} against {sizes[0]:,} rows | ≤ 1.2 × | "
            f"{rss[0] / rss[1]:.2f} × |"
        ),
        "",
    ]


def below(headers: dict[str, Result], last: Results, rows: int) -> list[str]:
    """What headers cost, and where the time goes."""
    lines = ["### What headers cost (publish alone)", "", "| headers | records/s | of `none` |", "|---|---|---|"]
    lines += [
        f"| {name} | {rate(r) / 1000:,.0f} k | {rate(r) / rate(headers['none']):.2f} |" for name, r in headers.items()
    ]
    lines += ["", f"### Where the whole job's time goes ({rows:,} rows, seconds since its start)", ""]
    return lines + [f"- `{event}` {at}" for event, at in last["whole job"][-1]["steps"].items()]
