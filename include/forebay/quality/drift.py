"""Distribution drift: how far a column's values of one night lie from those of earlier nights, and how far is still
usual.

A night leaves a *sketch* of a column: of text and bool the counts of its most frequent values, of numbers 101
quantiles. Two distributions are compared over the same bins (the categories most frequent in both together; twentieths
of the earlier nights' numbers; null, NaN and infinity are a bin of their own) by the Jensen-Shannon distance to base 2
(Lin, *Divergence measures based on the Shannon entropy*, IEEE Trans. Inf. Theory 37, 1991; Endres and Schindelin 2003
for its root being a metric):

    D(P, Q) = sqrt(H((P + Q) / 2) - (H(P) + H(Q)) / 2),    0: the same, 1: nothing in common; also where a bin is empty

Pure, but for `sketch`, which reads the stage by DuckDB. Standard library only: no rows pass through here.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forebay.model import Stage
from forebay.support.sql import OFFLINE, parquet, quoted

NUMBERS = ("int", "uint", "float", "decimal")
CATEGORIES = ("string", "bool")
KEPT = 200
"""Categories of a sketch …"""
COMPARED = 50
"""… and of a comparison: a category among these is surely among those."""
TEXT = 80
QUANTILES = 100
BINS = 20
LEAST = 0.05
"""Distances up to this are no drift, whatever earlier nights were like (a population stability index of some 0.014)."""
_SURELY = 3.0902  # standard deviations: 99.9 %, one-sided


@dataclass(frozen=True, slots=True)
class Sketch:
    """One night's values of a column: `rows` in all, `empty` of them null, NaN or infinite; `top` the counts of
    categories, or `quantiles` of numbers."""

    rows: int
    empty: int
    top: dict[str, int]
    quantiles: tuple[float, ...] = ()

    @property
    def numeric(self) -> bool:
        return bool(self.quantiles)

    def text(self) -> str:
        """JSON, as the index keeps it."""
        return json.dumps([self.rows, self.empty, self.top, self.quantiles], ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Sketch:
        """What `text` wrote."""
        rows, empty, top, quantiles = json.loads(text)
        return cls(rows, empty, top, tuple(quantiles))


def sketch(stage: Stage, column: str) -> Sketch | None:
    """The sketch of a stage's column; None where it has no rows, or no such column of a fitting type."""
    import duckdb

    kind = next((c.type for c in stage.columns if c.name == column), "")
    if not stage.rows_read or not kind.startswith((*NUMBERS, *CATEGORIES)):
        return None
    name, source = quoted(column), parquet(stage.rows)
    with duckdb.connect(config=OFFLINE | {"memory_limit": "448MiB", "threads": 2}) as con:
        return _numbers(con, name, source) if kind.startswith(NUMBERS) else _categories(con, name, source)


def _numbers(con: Any, name: str, source: str) -> Sketch:
    shares = [place / QUANTILES for place in range(QUANTILES + 1)]
    value = f"{name}::double"
    rows, filled, quantiles = con.execute(
        f"select count(*), count(*) filter (isfinite({value})), quantile_disc({value}, "
        f"{shares}) filter (isfinite({value})) from {source}"
    ).fetchone()
    return Sketch(rows, rows - filled, {}, tuple(quantiles or ()))


def _categories(con: Any, name: str, source: str) -> Sketch:
    rows, filled = con.execute(f"select count(*), count({name}) from {source}").fetchone()
    top = con.execute(
        f"select left({name}::varchar, {TEXT}) as v, count(*) as n from {source} where {name} is not null group by v "
        f"order by n desc, v limit {KEPT}"
    ).fetchall()
    return Sketch(rows, rows - filled, dict(top))


# ---------------------------------------------------------------- distance


def distance(mine: Sketch, others: Sequence[Sketch]) -> float:
    """The Jensen-Shannon distance (0 to 1) of one night from some others taken together."""
    p, q, _ = shares(mine, others)
    return jensen_shannon(p, q)


def jensen_shannon(p: Sequence[float], q: Sequence[float]) -> float:
    """The distance of two distributions over the same bins, to base 2."""
    terms = (_part(a, (a + b) / 2) + _part(b, (a + b) / 2) for a, b in zip(p, q, strict=True))
    return math.sqrt(max(0.0, math.fsum(terms) / 2))


def _part(share: float, middle: float) -> float:
    return share * math.log2(share / middle) if share > 0 else 0.0


def shares(mine: Sketch, others: Sequence[Sketch]) -> tuple[list[float], list[float], list[str]]:
    """The bins' shares in one night and in the others together, and the bins' names."""
    if mine.numeric or any(other.numeric for other in others):
        inner = edges(others)
        names = [f"up to {most:.6g}" for most in inner] + [f"above {inner[-1]:.6g}" if inner else "any number", "none"]
        return _over_edges([mine], inner), _over_edges(others, inner), names
    kept = [name for name, _ in _ranked([mine], others)[:COMPARED]]
    return _over_names([mine], kept), _over_names(others, kept), [*kept, "other", "none"]


def edges(others: Sequence[Sketch]) -> list[float]:
    """Upper edges of all bins but the last: the twentieths of the nights' numbers taken together, each once."""
    weighted = sorted((value, s.rows - s.empty) for s in others for value in s.quantiles)
    total, so_far = sum(weight for _, weight in weighted), 0
    values: list[float] = []
    for value, weight in weighted:
        so_far += weight
        if so_far * BINS >= (len(values) + 1) * total and len(values) < BINS - 1:
            values += [value] * (min(BINS - 1, so_far * BINS // total) - len(values))
    return sorted(set(values))


def _over_edges(nights: Sequence[Sketch], inner: list[float]) -> list[float]:
    total = sum(s.rows for s in nights)
    upto = [math.fsum(below(s, edge) * (s.rows - s.empty) for s in nights) / total for edge in inner]
    filled = math.fsum(s.rows - s.empty for s in nights) / total
    return [*(b - a for a, b in zip([0.0, *upto], [*upto, filled], strict=True)), 1 - filled]


def below(sketch: Sketch, value: float) -> float:
    """The share of a night's numbers that are not above a value, between two quantiles by a straight line."""
    q, at = sketch.quantiles, bisect_right(sketch.quantiles, value)
    if at in {0, len(q)}:
        return 1.0 if at and q else 0.0
    return (at - 1 + (value - q[at - 1]) / (q[at] - q[at - 1])) / QUANTILES


def _ranked(mine: Sequence[Sketch], others: Sequence[Sketch]) -> list[tuple[str, float]]:
    weights: Counter[str] = Counter()
    for nights in (mine, others):
        total = sum(s.rows for s in nights)
        for s in nights:
            for name, count in s.top.items():
                weights[name] += count / total  # type: ignore[assignment]
    return sorted(weights.items(), key=lambda item: (-item[1], item[0]))


def _over_names(nights: Sequence[Sketch], kept: list[str]) -> list[float]:
    total = sum(s.rows for s in nights)
    counts = [sum(s.top.get(name, 0) for s in nights) for name in kept]
    empty = sum(s.empty for s in nights)
    return [*(count / total for count in counts), (total - empty - sum(counts)) / total, empty / total]


# ---------------------------------------------------------------- what is still usual


def usual(nights: Sequence[Sketch]) -> list[float]:
    """Each earlier night's distance from all the others: what drift this pipeline has anyway. `nights` are two or
    more."""
    return [distance(night, [*nights[:at], *nights[at + 1 :]]) for at, night in enumerate(nights)]


def noise(mine: Sketch, others: Sequence[Sketch]) -> float:
    """The distance that two samples of this size from one and the same distribution stay below 999 times in 1,000.

    8 ln 2 · D² / (1/n + 1/m) has a chi-squared distribution with bins - 1 degrees of freedom (the divergence's
    second-order expansion, Menéndez et al. 1997); its quantile is Wilson and Hilferty's.
    """
    p, q, _ = shares(mine, others)
    freedom = max(1, sum(1 for a, b in zip(p, q, strict=True) if a + b) - 1)
    part = 2 / (9 * freedom)
    quantile = freedom * (1 - part + _SURELY * math.sqrt(part)) ** 3
    return math.sqrt(quantile * (1 / mine.rows + 1 / sum(s.rows for s in others)) / (8 * math.log(2)))


def moved(mine: Sketch, others: Sequence[Sketch], most: int = 3) -> str:
    """The bins whose share changed most: `B 10.0 % → 45.2 %`."""
    p, q, names = shares(mine, others)
    ranked = sorted(zip(p, q, names, strict=True), key=lambda bin_: -abs(bin_[0] - bin_[1]))
    return ", ".join(
        f"{name} {before:.1%} → {now:.1%}" for now, before, name in ranked[:most] if abs(now - before) >= 0.0005
    )
