"""A window of files in a folder, and what discover makes of it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

from forebay.model import Fate, Plan, SourceFile, Window
from forebay.verbs.discover import GenerationRequest, discover
from tests.verbs.published import Ledger, context

WINDOW = Window.of_day(date(2013, 1, 2))
NOON = 1_357_128_000.0  # 2013-01-02 12:00 UTC


def put(folder: Path, name: str, content: bytes, age: float = 3600) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    os.utime(folder / name, (NOON - age, NOON - age))
    return folder / name


def look(
    root: Path, ledger: Ledger, generation: GenerationRequest | None = None, run_id: str = "run-2", **source: Any
) -> Plan:
    return discover(
        context(root, **source), WINDOW, run_id, generation=generation, published=ledger.view, now=lambda: NOON
    )


def fates(plan: Plan) -> list[tuple[str, Fate, str]]:
    return [(file.file.name, file.fate, file.reason) for file in plan.files]


def listed(root: Path) -> list[SourceFile]:
    return list(context(root).source.list("drops/2013-01-02/*.csv"))
