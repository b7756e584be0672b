"""The work folder of one file's content: what `inspect` leaves and `publish` goes on from, in any process and at any
attempt.

    WORK/snapshot                 the bytes as fetched (sha256 = the folder's name)
    WORK/SETTINGS/plain           unpacked, removed once staged
    WORK/SETTINGS/stage/          rows.parquet, rejects.parquet, stage.json
    WORK/SETTINGS/verdict/        failing.parquet, result.json, verdict.json
    WORK/SETTINGS/quarantine-DECISION.parquet

SETTINGS is a hash of everything that decides how the file is read and checked, the versions of the libraries included,
so an edited pipeline or suite never meets an old stage.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from forebay import __version__
from forebay.model import Decision, Json, JsonDict, Stage, Verdict
from forebay.support import files
from forebay.support.folders import private
from forebay.support.versions import RECORDS, VERDICTS, libraries

J = TypeVar("J", bound=Json)
LAYOUT = 2
"""Of the files below: a stage that another layout left is not met."""
_log = logging.getLogger("forebay")


def digest(document: JsonDict) -> str:
    """sha256 (hex) of a document's canonical JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Work:
    """Paths and stored values of one content under one set of settings."""

    folder: Path
    settings: JsonDict
    left: str = ""
    """The name of SETTINGS where it is that of earlier settings, which nobody knows any more."""

    @property
    def base(self) -> Path:
        """Under `left`, or what the settings, this version and its libraries make."""
        made_by = {"forebay": __version__, "layout": LAYOUT, "libraries": libraries(*RECORDS, *VERDICTS)}
        return self.folder / (self.left or digest({**self.settings, **made_by})[:12])

    @property
    def snapshot(self) -> Path:
        return self.folder / "snapshot"

    @property
    def stage_folder(self) -> Path:
        return self.base / "stage"

    @property
    def verdict_folder(self) -> Path:
        return self.base / "verdict"

    def quarantine(self, decision: Decision) -> Path:
        """Where the quarantined rows under that decision are listed."""
        kind = "all" if decision is Decision.PUBLISH_ALL else "checked"
        return self.base / f"quarantine-{kind}.parquet"

    def with_list(self, decision: Decision, rows: int) -> Work | None:
        """The work under these settings, or under the last ones before them, that quarantined so many rows: a suite is
        edited because of such rows, and they must still be had. None when there is none."""
        name = self.quarantine(decision).name
        lists = sorted(
            self.folder.glob(f"*/{name}"),
            key=lambda path: (path.parent == self.base, path.stat().st_mtime),
            reverse=True,
        )
        return next((replace(self, left=path.parent.name) for path in lists if _rows(path) == rows), None)

    def stage(self) -> Stage | None:
        """The finished stage, or None: it is written last, so a half-made one is never seen. Nor is one of which a disk
        lost a part: it is made again."""
        stage = _load(Stage, self.stage_folder / "stage.json")
        whole = stage and (_rows(stage.rows), _rows(stage.rejects)) == (stage.rows_read, stage.rows_rejected)
        return stage if whole else None

    def save_stage(self, stage: Stage) -> None:
        _save(stage, self.stage_folder / "stage.json")

    def verdict(self) -> Verdict | None:
        return _load(Verdict, self.verdict_folder / "verdict.json")

    def save_verdict(self, verdict: Verdict) -> None:
        _save(verdict, self.verdict_folder / "verdict.json")


def _rows(path: Path) -> int | None:
    """How many rows a Parquet file says that it has; None where there is no whole one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return None


def _load(kind: type[J], path: Path) -> J | None:
    """What was saved; None where nothing is, or where it is damaged."""
    if not path.exists():
        return None
    try:
        return _here(kind.from_json(json.loads(path.read_text("utf-8"))), path.parent)
    except (ValueError, TypeError, KeyError):
        _log.warning("reading `%s`: it is damaged, and made again", path)
        return None


def _here(value: J, folder: Path) -> J:
    """The value with the files that lie beside it: a home may have been moved since, or be mounted elsewhere on another
    worker."""
    held = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    beside = {
        name: folder / path.name
        for name, path in held.items()
        if isinstance(path, Path) and (folder / path.name).exists()
    }
    return replace(value, **beside)  # type: ignore[type-var]


def _save(value: Json, path: Path) -> None:
    private(path.parent)
    files.write(json.dumps(value.to_json(), ensure_ascii=False, indent=1, default=str), path)
