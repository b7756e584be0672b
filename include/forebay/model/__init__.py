"""The nouns of forebay: frozen values that every layer shares (standard library only).

A *row* comes from a file and has a 1-based number: the physical record of the file. A *record* goes to Kafka and has a
partition and an offset. Rows themselves never appear here: they travel as Arrow tables and Parquet files, and these
values only say where they lie and what became of them.

Every noun that crosses a process (Airflow's XCom, the index, `--json`) has `to_json` and `from_json`: plain dicts of a
few hundred bytes.
"""

from __future__ import annotations

from forebay.model.files import Replay, Snapshot, SourceFile, Window, content_name, replay_uri, replayed_uri
from forebay.model.json import Json, JsonDict
from forebay.model.publishing import ChunkPlan, Identity, OffsetRange, Receipt
from forebay.model.quality import Decision, RuleResult, Severity, Verdict
from forebay.model.runs import (
    COMMAND_LINE,
    GATE,
    WAITING_WORDS,
    Answer,
    Begun,
    Counts,
    Earlier,
    Fate,
    FileRun,
    Plan,
    Question,
    RunReport,
    Status,
    WaitsFor,
)
from forebay.model.stages import OPEN, Cause, Column, Drift, Retyped, Stage

__all__ = [
    "COMMAND_LINE",
    "GATE",
    "OPEN",
    "WAITING_WORDS",
    "Answer",
    "Begun",
    "Cause",
    "ChunkPlan",
    "Column",
    "Counts",
    "Decision",
    "Drift",
    "Earlier",
    "Fate",
    "FileRun",
    "Identity",
    "Json",
    "JsonDict",
    "OffsetRange",
    "Plan",
    "Question",
    "Receipt",
    "Replay",
    "Retyped",
    "RuleResult",
    "RunReport",
    "Severity",
    "Snapshot",
    "SourceFile",
    "Stage",
    "Status",
    "Verdict",
    "WaitsFor",
    "Window",
    "content_name",
    "replay_uri",
    "replayed_uri",
]
