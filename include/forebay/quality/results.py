"""What Great Expectations answered, as the verdict, the report and the page keep it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from forebay.model import RuleResult
from forebay.quality.rules import Rule
from forebay.quality.suite import Suite
from forebay.support import files

SHOWN = 5
TEXT = 200


def results(suite: Suite, result: Any) -> tuple[RuleResult, ...]:
    """One result for each rule, in the suite's order."""
    return tuple(_rule_result(rule, answer) for rule, answer in zip(suite.expectations, result.results, strict=True))


def _rule_result(rule: Rule, answer: Any) -> RuleResult:
    plain = answer.to_json_dict()["result"]
    judges = rule.entry.judges_rows
    checked = plain.get("element_count")
    return RuleResult(
        rule=rule.type,
        columns=rule.columns,
        severity=rule.severity,
        kind="row" if judges else "table",
        success=bool(answer.success),
        unexpected=int(plain.get("unexpected_count") or 0) if judges else None,
        checked=None if checked is None else int(checked) - int(plain.get("missing_count") or 0),
        observed=None if judges else _observed(plain),
        expected=json.dumps(rule.kwargs, ensure_ascii=False, sort_keys=True),
        sample=tuple(_text(value) for value in plain.get("partial_unexpected_list", [])[:SHOWN]),
    )


def _observed(plain: dict[str, Any]) -> str | None:
    if plain.get("observed_value") is not None:
        return _text(plain["observed_value"])
    unexpected = plain.get("partial_unexpected_list")
    return f"unexpected {_text(unexpected)}" if unexpected else None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(finite(value), ensure_ascii=False, default=str)
    return str(shortened(text))


def shortened(value: Any) -> Any:
    """The value with long texts in it cut: a report stays small whatever a file holds."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else value[: TEXT - 1] + "…"
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    return type(value)(map(shortened, value)) if isinstance(value, list | tuple) else value


def write_json(data: Any, path: Path) -> Path:
    """Write it as JSON, whole or not at all; returns where."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.write_text(json.dumps(finite(data), ensure_ascii=False, allow_nan=False, default=str), encoding="utf-8")
    return files.put(draft, path)


def finite(value: Any) -> Any:
    """The value with NaN and infinities as text: JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return finite(value.item()) if hasattr(value, "item") else value  # numpy's scalars
