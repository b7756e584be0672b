"""Small charts as numbers for SVG: paths and bars in a box whose units are pixels, x by night."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Bar(NamedTuple):
    """A rectangle of a bar chart."""

    x: float
    y: float
    width: float
    height: float


def line(values: Sequence[float | None], width: float, height: float) -> str:
    """A path over the values, zero at the bottom and the largest at the top; a None breaks it, a lone value is a short
    dash."""
    top = max((v for v in values if v is not None), default=0.0) or 1.0
    return _path([None if v is None else v / top for v in values], width, height)


def trend(values: Sequence[float | None], width: float, height: float) -> str:
    """As `line`, but from the least at the bottom to the largest at the top; values that are all the same lie in the
    middle."""
    known = [v for v in values if v is not None]
    least, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    return _path([None if v is None else (v - least) / span if span else 0.5 for v in values], width, height)


def _path(shares: Sequence[float | None], width: float, height: float) -> str:
    """A path over shares of the height."""
    step = width / max(1, len(shares) - 1)
    parts, drawing = [], False
    for n, value in enumerate(shares):
        if value is not None:
            x, y = n * step, height - value * height
            parts.append(f"L{x:.1f} {y:.1f}" if drawing else f"M{x:.1f} {y:.1f}h.01")
        drawing = value is not None
    return "".join(parts)


def ticks(marks: Sequence[bool], width: float, height: float) -> str:
    """A path of vertical strokes, one for each mark that is set."""
    step = width / max(1, len(marks) - 1)
    return "".join(f"M{n * step:.1f} 0v{height:g}" for n, mark in enumerate(marks) if mark)


def bars(
    values: Sequence[float], width: float, height: float, top: float, base: Sequence[float] | None = None
) -> list[Bar | None]:
    """One bar a value, standing on `base` (default: the ground); None where there is nothing. What is there is at least
    a pixel high."""
    step = width / max(1, len(values))
    below = base or [0.0] * len(values)
    return [
        _bar(n, value, low, step, height, top or 1.0) for n, (value, low) in enumerate(zip(values, below, strict=True))
    ]


def _bar(n: int, value: float, low: float, step: float, height: float, top: float) -> Bar | None:
    if not value:
        return None
    tall = max(1.0, value / top * height)
    return Bar(round(n * step, 2), round(height - low / top * height - tall, 2), round(step * 0.8, 2), round(tall, 2))
