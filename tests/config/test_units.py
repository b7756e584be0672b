from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from forebay.config.units import Duration, Limit, Share, Size


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("60s", 60), ("5m", 300), ("4h", 14400), ("1.5d", 129600), (" 2 s ", 2)]
)
def test_durations(text: str, seconds: float) -> None:
    assert read(Duration, text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "count"), [("10", 10), (10, 10), ("1kB", 1000), ("128MiB", 134_217_728), ("1.5GB", 1_500_000_000)]
)
def test_sizes(text: Any, count: int) -> None:
    assert read(Size, text) == count


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), (0.5, 0.5), (0, 0.0), ("100%", 1.0)])
def test_shares(text: Any, share: float) -> None:
    assert read(Share, text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Duration, "60"),
        (Duration, "1 week"),
        (Duration, True),
        (Duration, "-1s"),
        (Size, "1MBs"),
        (Size, True),
        (Share, "x%"),
        (Share, 2),
        (Share, "1"),
        (Share, True),
    ],
)
def test_other_words_are_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind, value)


@pytest.mark.parametrize(("text", "limit"), [(100, 100), (0, 0), ("1%", 0.01), (0.5, 0.5), (1, 1), ("100%", 1.0)])
def test_a_limit_is_a_count_or_a_share(text: Any, limit: float) -> None:
    found = read(Limit, text)
    assert (found, type(found)) == (limit, type(limit))


@pytest.mark.parametrize("text", [-1, "x", 1.5, True, "100"])
def test_what_is_no_limit_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError, match="neither a share"):
        read(Limit, text)
