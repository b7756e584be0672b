"""A suite: Great Expectations' own suite JSON, read and judged without importing Great Expectations."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forebay.errors import ConfigError, Fault, SettingsError
from forebay.model import Column, Severity
from forebay.quality import rules
from forebay.quality.catalogue import entries
from forebay.quality.positions import lines_of
from forebay.quality.rules import Rule

_SUITE_KEYS = frozenset({"name", "expectations", "meta", "notes", "id", "suite_parameters"})
_RULE_KEYS = frozenset({"type", "kwargs", "severity", "meta", "id", "notes", "description", "rendered_content"})


@dataclass(frozen=True, slots=True)
class Suite:
    """All expectations of one file; `hash` is the sha256 of the file's meaning: key order and blanks do not change
    it."""

    name: str
    path: Path
    hash: str
    expectations: tuple[Rule, ...]


def load(path: Path) -> Suite:
    """The suite of a file.

    Raises `SettingsError` with every fault that can be seen without the columns: no JSON, unknown keys, types,
    severities or arguments, missing arguments, patterns that are none, expectations that this engine cannot answer.
    `ConfigError` when the file is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(
            f"reading suite `{path}`: there is no such file (write it, or name another in `quality.suite`)"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise SettingsError(
            (Fault(str(path), getattr(error, "lineno", None), f"reading the suite: it is not JSON: {error}"),)
        ) from error
    faults = tuple(_shape_faults(path, data))
    if faults:
        raise SettingsError(faults)
    lines = lines_of(text, "expectations")
    parsed = [_rule(path, item, line) for item, line in zip(data["expectations"], lines, strict=True)]
    faults = tuple(fault for _, rules in parsed for fault in rules)
    if faults:
        raise SettingsError(faults)
    rules = tuple(rule for rule, _ in parsed if rule is not None)
    return Suite(str(data.get("name") or path.stem), path, _hash(data), rules)


def check(suite: Suite, columns: tuple[Column, ...]) -> tuple[Fault, ...]:
    """What does not fit between a suite and the columns of its pipeline: unknown columns, and arguments that cannot
    judge their type."""
    known = {column.name: column.type for column in columns}
    return tuple(
        Fault(str(suite.path), rule.line, text)
        for rule in suite.expectations
        for text in rules.column_faults(rule, known)
    )


def _hash(data: dict[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _shape_faults(path: Path, data: Any) -> list[Fault]:
    if not isinstance(data, dict) or not isinstance(data.get("expectations"), list):
        words = (
            "reading the suite: it is no JSON object with a list `expectations` "
            '(write `{"name": "…", "expectations": [{"type": "…", "kwargs": {…}}]}`)'
        )
        return [Fault(str(path), 1, words)]
    unknown = [key for key in data if key not in _SUITE_KEYS]
    faults = [
        Fault(str(path), 1, f"reading the suite: unknown key `{key}` ({rules.meant(key, _SUITE_KEYS)})")
        for key in unknown
    ]
    if data.get("suite_parameters"):
        faults.append(
            Fault(
                str(path),
                1,
                "reading the suite: `suite_parameters` need values at run time "
                "(write the values into the rules, and take `suite_parameters` out)",
            )
        )
    return faults


def _rule(path: Path, item: Any, line: int) -> tuple[Rule | None, list[Fault]]:
    if not isinstance(item, dict) or not isinstance(item.get("kwargs", {}), dict):
        words = 'reading a rule: it is no JSON object with `type` and `kwargs` (write `{"type": "…", "kwargs": {…}}`)'
        return None, [Fault(str(path), line, words)]
    texts = [
        f"reading a rule: unknown key `{key}` ({rules.meant(key, _RULE_KEYS)})" for key in item if key not in _RULE_KEYS
    ]
    kind, severity = item.get("type"), item.get("severity", Severity.CRITICAL.value)
    if kind not in entries():
        texts.append(f"reading a rule: there is no expectation `{kind}` ({rules.meant(str(kind), entries())})")
    if severity not in set(Severity):
        texts.append(
            f"reading `{kind}`: there is no severity `{severity}` ({rules.meant(str(severity), list(Severity))})"
        )
    if texts:
        return None, [Fault(str(path), line, text) for text in texts]
    rule = Rule(str(kind), item.get("kwargs", {}), Severity(severity), _notes(item), dict(item.get("meta") or {}), line)
    return rule, [Fault(str(path), line, text) for text in rules.argument_faults(rule)]


def _notes(item: dict[str, Any]) -> str:
    notes = item.get("notes") or (item.get("meta") or {}).get("notes") or item.get("description") or ""
    if isinstance(notes, dict):
        notes = notes.get("content", "")
    return " ".join(notes) if isinstance(notes, list) else str(notes)
