"""Rules that learn: one number of a file, or a column's distribution, and the bounds that earlier nights set for it.
Pure, but for reading the stage."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from forebay.model import RuleResult, Severity, Stage
from forebay.quality import drift
from forebay.quality.drift import Sketch
from forebay.support.sql import OFFLINE, parquet
from forebay.support.words import counted

PREFIX = "history_"
"""What the names of these rules begin with."""
LEAST_SIGMA = 0.01
"""A history that hardly varied still leaves this share of its mean as one standard deviation."""


def measure(stage: Stage, metric: str, column: str | None) -> float | None:
    """The number of a stage: `row_count` (all rows of the file), else of the readable rows' column: `null_share` (0 to
    1), `distinct_count` (nulls do not count), `mean` (nulls and NaN left out). None where there is nothing to measure,
    or the file has no such column of a fitting type."""
    import duckdb

    if metric == "row_count":
        return stage.rows_in
    kind = next((c.type for c in stage.columns if c.name == column), None)
    if (
        kind is None
        or not stage.rows_read
        or (metric == "mean" and not kind.startswith(("int", "uint", "float", "decimal")))
    ):
        return None
    name = '"' + str(column).replace('"', '""') + '"'
    finite = f"filter (where isfinite({name}::double))"
    asked = {
        "null_share": f"1 - count({name}) / count(*)",
        "distinct_count": f"count(distinct {name})",
        "mean": f"avg({name}::double) {finite}",
    }
    source = parquet(stage.rows)
    with duckdb.connect(config=OFFLINE | {"memory_limit": "512MiB", "threads": 2}) as con:
        value = con.execute(f"select ({asked[metric]})::double from {source}").fetchall()[0][0]
    return None if value is None else float(value)


def same_name(name: str) -> str:
    """What the names of one file have in common over the nights: digits are those of days and counters."""
    return re.sub(r"[0-9]+", "#", name)


def samples(
    rows: Iterable[dict[str, Any]], name: str, nights: int, read: Callable[[Any], Any] = float
) -> dict[str, list[Any]]:
    """The values of the last nights by day, of files named like `name`. `found` (ds, name, observed) has the latest
    day, and of one file the last word, first."""
    days: dict[str, list[Any]] = {}
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if same_name(row["name"]) != same_name(name) or (row["ds"], row["name"]) in seen:
            continue
        if row["ds"] not in days and len(days) == nights:
            break
        seen.add((row["ds"], row["name"]))
        days.setdefault(row["ds"], []).append(read(row["observed"]))
    return days


def bounds(values: Sequence[float], tolerance: str) -> tuple[float, float]:
    """Least and largest value that is still usual, both inclusive. `values` are two or more."""
    number, unit = re.fullmatch(r"\s*([0-9.]+)\s*(sigma|%)\s*", tolerance).groups()  # type: ignore[union-attr]
    if unit == "%":
        middle = statistics.median(values)
        width = abs(middle) * float(number) / 100
    else:
        middle = statistics.fmean(values)
        width = float(number) * max(statistics.stdev(values), LEAST_SIGMA * abs(middle))
    return middle - width, middle + width


def judge(
    metric: str,
    column: str | None,
    tolerance: str,
    severity: Severity,
    observed: float | None,
    days: dict[str, list[float]],
    min_nights: int,
) -> RuleResult:
    """The verdict on `observed`. With fewer nights than `min_nights`, or nothing observed, there is none: the rule
    passes and says so."""
    expectation: dict[str, Any] = {"tolerance": tolerance, "nights": len(days)}
    success = True
    if observed is None:
        expectation["verdict"] = "none: there is nothing to measure"
    elif len(days) < min_nights:
        expectation["verdict"] = f"none: {len(days)} of {counted(min_nights, 'night')} are known"
    else:
        least, most = bounds([value for values in days.values() for value in values], tolerance)
        expectation |= {"min_value": least, "max_value": most, "from": min(days), "to": max(days)}
        success = least <= observed <= most
    return RuleResult(
        rule=PREFIX + metric,
        columns=(column,) if column else (),
        severity=severity,
        kind="table",
        success=success,
        observed=None if observed is None else f"{observed:.12g}",
        expected=json.dumps(expectation, sort_keys=True),
    )


def judge_drift(
    column: str, tolerance: str, severity: Severity, seen: Sketch | None, days: dict[str, list[Sketch]], min_nights: int
) -> RuleResult:
    """The verdict on a column's distribution, and its sketch for later nights.

    Observed is the distance from all earlier nights together. It fails above the most that these nights' own distances
    from one another allow, if that is more than chance (`drift.noise`) and `drift.LEAST`. With fewer nights than
    `min_nights`, or no rows, there is no verdict: the rule passes and says so.
    """
    expectation: dict[str, Any] = {"tolerance": tolerance, "nights": len(days)}
    observed, success = None, True
    past = [sketch for sketches in days.values() for sketch in sketches if seen and sketch.numeric == seen.numeric]
    if seen is None:
        expectation["verdict"] = "none: there is nothing to measure"
    elif len(days) < min_nights or len(past) < 2:
        expectation["verdict"] = f"none: {len(days)} of {counted(min_nights, 'night')} are known"
    else:
        observed = drift.distance(seen, past)
        _, historical = bounds(drift.usual(past), tolerance)
        most = max(historical, drift.noise(seen, past), drift.LEAST)
        expectation |= {
            "max_value": round(most, 4),
            "from": min(days),
            "to": max(days),
            "moved": drift.moved(seen, past),
        }
        success = observed <= most
    return RuleResult(
        rule=PREFIX + "drift",
        columns=(column,),
        severity=severity,
        kind="table",
        success=success,
        observed=None if observed is None else f"{observed:.4f}",
        expected=json.dumps(expectation, sort_keys=True, ensure_ascii=False),
        sketch=seen.text() if seen else "",
    )
