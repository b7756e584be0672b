"""Data Docs: Great Expectations' page of one run, readable without a network.

Great Expectations renders the sections; its own page frame is left away, because it loads a dozen style sheets and
scripts from five content networks. The frame here has one small style sheet in it, no script, and a content security
policy that forbids scripts, the network and any other style, so that no value of a file can do more than be read. What
the sections bring of links that lead nowhere and of styles is taken out.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from forebay.model import JsonDict, RuleResult, Stage, Verdict
from forebay.quality._docs_index import build_index, index_of
from forebay.quality._docs_page import frame, loader, readable
from forebay.support.files import swap
from forebay.support.folders import private
from forebay.support.sql import OFFLINE, parquet
from forebay.support.words import printable

__all__ = ["build_index", "index_of", "write_page"]

FIRST_ROWS = 10


def write_page(result: Any, verdict: Verdict, stage: Stage, docs: Path, run_name: str) -> Path:
    """Write the page of one run below `docs`, and beside it the facts that `build_index` lists; the same run overwrites
    its page."""
    place = docs / _folder(run_name) / f"{verdict.suite_hash[:8]}-{stage.fingerprint[:16]}.html"
    private(place.parent)
    facts = _facts(verdict, stage, run_name, place.relative_to(docs).as_posix())
    depth = len(place.relative_to(docs).parts) - 1
    rows = _first_rows(verdict.failing) if verdict.failing else {}
    own = verdict.results[: len(result.results)]  # those behind are not Great Expectations'
    pairs = enumerate(zip(own, result.results, strict=True))
    failed = [
        _failure(rule, answer.expectation_config.meta, rows.get(at, []))
        for at, (rule, answer) in pairs
        if not rule.success
    ]
    swap(_render(result, run_name, facts, failed, depth, verdict.results[len(own) :]), place)
    swap(json.dumps(facts, ensure_ascii=False), place.with_suffix(".json"))
    return place


def _facts(verdict: Verdict, stage: Stage, run_name: str, page: str) -> JsonDict:
    failed = sum(not result.success for result in verdict.results)
    return {
        "page": page,
        "run": run_name,
        "suite": verdict.suite,
        "success": verdict.success,
        "rules": len(verdict.results),
        "failed": failed,
        "rows": stage.rows_in,
        "rejected": stage.rows_rejected,
        "fingerprint": stage.fingerprint[:16],
        "checked": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _failure(rule: RuleResult, meta: dict[str, Any] | None, rows: list[int]) -> dict[str, str]:
    counts = (
        f"{rule.unexpected:,} of {rule.checked:,} rows" if rule.unexpected is not None else f"observed {rule.observed}"
    )
    why = str((meta or {}).get("notes", ""))
    return {
        "severity": rule.severity.value,
        "title": rule.title,
        "found": counts,
        "rows": ", ".join(map(str, rows)),
        "why": why,
    }


def _first_rows(failing: Path) -> dict[int, list[int]]:
    """The first failing rows of each rule, by its position."""
    import duckdb

    each = f"select __row, unnest(rules) as rule from {parquet(failing)}"
    with duckdb.connect(config=OFFLINE) as con:
        return dict(con.execute(f"select rule, min(__row, {FIRST_ROWS}) from ({each}) group by rule").fetchall())


def _folder(run_name: str) -> Path:
    """A folder for a run: its name where that is a harmless path, cut and made unique where it is not."""
    parts = [re.sub(r"[^\w.=-]", "_", part)[:80].lstrip(".") or "_" for part in run_name.split("/") if part]
    harmless = "/".join(parts) == run_name
    return (
        Path(*parts)
        if harmless
        else Path(*parts[:-1], f"{parts[-1] if parts else '_'}-{hashlib.sha256(run_name.encode()).hexdigest()[:8]}")
    )


def _render(
    result: Any,
    run_name: str,
    facts: JsonDict,
    failed: list[dict[str, str]],
    depth: int,
    historical: tuple[RuleResult, ...],
) -> str:
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import BaseLoader, ChoiceLoader

    title = readable(run_name)
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(_veiled(result, title))
    view = DefaultJinjaPageView()
    view.env.loader = ChoiceLoader([loader(), cast(BaseLoader, view.env.loader)])
    given = frame() | {
        "facts": facts,
        "failed": [{name: printable(text) for name, text in rule.items()} for rule in failed],
        "root": "../" * depth,
        "own": "../" * (depth - 1) + "index.html",
        "group": readable(facts["page"].partition("/")[0]),
        "historical": [rule.to_json() | {"title": printable(rule.title)} for rule in historical],
    }
    page = view.render(document, "check.html", title=title, **given)  # type: ignore[no-untyped-call]
    return _tidied(str(page)).translate(_UNVEIL)


def _tidied(page: str) -> str:
    """A page of veiled texts without the sections' own styles (the policy would refuse them), their links to pages that
    are not written, and small headings."""
    page = re.sub(r' style="[^"]*"', "", page)
    page = re.sub(r'<a href="[^"]*/expectations/[^"]*"[^>]*>(.*?)</a>', r"\1", page, flags=re.DOTALL)
    return re.sub(r"(</?h)([56])\b", lambda match: match[1] + {"5": "2", "6": "3"}[match[2]], page)


# Great Expectations writes values into its pages without escaping them, and takes `$` for its own templates. So every
# character that means something to HTML or to it is veiled, in all that comes from a file or a suite, by a hieroglyph
# (printable, so that `repr` keeps it), and unveiled as an entity in the finished page.
_VEILED = "<>&\"'$`{}"
_FIRST = 0x13000
_VEIL = {ord(character): chr(_FIRST + place) for place, character in enumerate(_VEILED)}
_UNVEIL = {_FIRST + place: f"&#{ord(character)};" for place, character in enumerate(_VEILED)}


def _veiled(result: Any, title: str) -> Any:
    """A copy of a suite's result with its texts veiled."""
    from copy import deepcopy

    veiled = deepcopy(result)
    veiled.suite_name = _veil(veiled.suite_name)
    veiled.meta = {
        "great_expectations_version": veiled.meta.get("great_expectations_version", ""),
        "run_id": {"run_name": _veil(title), "run_time": str(result.meta["run_id"].run_time)},
        "batch_spec": {"data_asset_name": _veil(title)},
    }
    for answer in veiled.results:
        config = answer.expectation_config
        config.kwargs = {
            key: _condition(value) if key == "row_condition" else _veil(value) for key, value in config.kwargs.items()
        }
        config.meta, config.notes = _veil(config.meta), _veil(config.notes)
        answer.result = _veil(answer.result)
    return veiled


def _veil(value: Any) -> Any:
    if isinstance(value, str):
        return "\n".join(map(printable, value.translate(_VEIL).split("\n")))
    if isinstance(value, dict):
        return {_veil(key): _veil(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(map(_veil, value))
    return value


def _condition(condition: Any) -> Any:
    """A row condition with its names and values veiled, and its operators not."""
    from great_expectations.expectations.row_conditions import deserialize_row_condition

    return deserialize_row_condition(_condition_parts(condition.dict() if hasattr(condition, "dict") else condition))


def _condition_parts(parts: Any) -> Any:
    if not isinstance(parts, dict):
        return parts
    whole = {"conditions": [_condition_parts(part) for part in parts["conditions"]]} if "conditions" in parts else {}
    return {**parts, **whole, **{key: _veil(parts[key]) for key in ("column", "parameter") if key in parts}}
