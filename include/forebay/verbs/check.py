"""Are the pipeline files, their suites, and what they are together right? No cluster and no store is asked.

The command line prints what is found here, and Airflow shows it as an import error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.config import conflicts, load, types
from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.load import Loaded, PipelineFile
from forebay.config.pipeline import COMPACTED
from forebay.errors import ConfigError, Fault, SettingsError
from forebay.model import Column
from forebay.support.folders import private
from forebay.support.words import way_out

if TYPE_CHECKING:
    from forebay.quality.suite import Suite


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, and all that is wrong with it: alone, with its suite, and beside the others."""

    file: PipelineFile
    faults: tuple[Fault, ...]

    def to_json(self) -> dict[str, Any]:
        faults = [{"path": f.path, "line": f.line, "message": f.message} for f in self.faults]
        return {
            "path": self.file.label,
            "pipeline": self.file.name,
            "ok": not self.faults,
            "faults": faults,
            "notes": self.notes,
        }

    @property
    def notes(self) -> list[str]:
        """What is right, and should be known."""
        compacted = self.file.pipeline is not None and self.file.pipeline.topic.compacted
        return [f"topic.config: `cleanup.policy` has `compact`: {COMPACTED}"] if compacted else []


def checked(where: Project, names: list[str]) -> list[Checked]:
    """The files of the named pipelines (all, if none is named), each with its faults: its own, its suite's as Great
    Expectations takes it, those of its connection where the environment defines it, and those beside the other files.

    Raises `ConfigError` for a name that no file has.
    """
    loaded = load.load_all(where)
    together = conflicts.faults(loaded, where)
    return [
        Checked(file, _sorted(file, [*_read(file, together, where), *_gx(file, where), *_connection_faults(file)]))
        for file in _chosen(loaded, names)
    ]


def readable(where: Project) -> list[Checked]:
    """All files, each with those faults that reading alone finds: what `checked` asks Great Expectations takes seconds
    to import, and connections may be defined where they are used only."""
    loaded = load.load_all(where)
    together = conflicts.faults(loaded, where)
    return [Checked(file, _sorted(file, _read(file, together, where))) for file in loaded.files]


def _chosen(loaded: Loaded, names: list[str]) -> list[PipelineFile]:
    known = [file.name for file in loaded.files]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"looking for the pipeline `{name}`: there is none ({way_out(name, known)})", pipeline=name
            )
    return [file for file in loaded.files if not names or file.name in names]


def _read(file: PipelineFile, together: tuple[Fault, ...], where: Project) -> list[Fault]:
    return [*file.faults, *_suite_faults(file, where), *(fault for fault in together if fault.path == file.label)]


def _sorted(file: PipelineFile, faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.path != file.label, fault.line or 0)))


def _connection_faults(file: PipelineFile) -> list[Fault]:
    """What is wrong with the pipeline's Kafka connection, where the environment defines it: above all settings that the
    promise depends on."""
    wrong = EnvironmentConnections().faulty_kafka(file.pipeline.publish.connection) if file.pipeline else None
    return [file.fault(("publish", "connection"), wrong)] if wrong else []


def _suite_faults(file: PipelineFile, where: Project) -> list[Fault]:
    """What is wrong with the pipeline's suite as it is written, and with the suite for the pipeline's columns."""
    from forebay.quality import suite as suites

    if (path := _suite_path(file, where)) is None:
        return []
    try:
        suite = suites.load(path)
    except SettingsError as error:
        return _of(path, error.faults, where)
    columns = _columns(file)
    return [*_limit_faults(file, suite), *_of(path, suites.check(suite, columns) if columns else (), where)]


def _gx(file: PipelineFile, where: Project) -> list[Fault]:
    """What Great Expectations says of a suite that is written as it should be."""
    from forebay.quality import suite as suites

    path = _suite_path(file, where)
    if path is None or _suite_faults(file, where):
        return []
    try:
        return _of(path, _gx_faults(suites.load(path), _columns(file), where), where)
    except SettingsError as error:
        return _of(path, error.faults, where)


def _suite_path(file: PipelineFile, where: Project) -> Path | None:
    """The suite's file; None if the pipeline has none, or names one that is not there (its own faults say so)."""
    name = file.document.at("quality", "suite") if file.document else None
    path = where.expectations / f"{name}.json"
    return path if isinstance(name, str) and "/" not in name and path.is_file() else None


def _of(path: Path, faults: Iterable[Fault], where: Project) -> list[Fault]:
    return [dataclasses.replace(fault, path=str(path.relative_to(where.root))) for fault in faults]


def _limit_faults(file: PipelineFile, suite: Suite) -> Iterator[Fault]:
    """Limits for rules about the whole file, which no row fails: they would never be reached. (That the suite has such
    a rule at all, the file's own faults say.)"""
    for section in ("block_when", "warn_when"):
        limits = file.document.at("quality", section, "rules") if file.document else None
        for name in limits if isinstance(limits, dict) else ():
            rules = [rule for rule in suite.expectations if name in (rule.type, *rule.columns)]
            if rules and not any(rule.entry.judges_rows for rule in rules):
                where = ("quality", section, "rules")
                way_out = "hold the file back by `block_when.any_table_rule`, or take the limit out"
                yield file.fault(
                    (*where, name),
                    f"reading `{'.'.join(where)}`: `{name}` is judged on the whole file, no row fails it ({way_out})",
                )


def _gx_faults(suite: Suite, columns: tuple[Column, ...], where: Project) -> tuple[Fault, ...]:
    """What Great Expectations itself refuses, or cannot answer for columns of these types. Importing it takes seconds,
    so a suite that it took once is not asked about again until it or the columns change."""
    version = importlib.metadata.version("great_expectations")
    asked = hashlib.sha256(repr((suite.hash, columns)).encode()).hexdigest()
    taken = where.home / "suites" / f"{asked[:32]}-{version}"
    if taken.exists():
        return ()
    from forebay.quality import trial
    from forebay.quality.check import faults_of

    faults = faults_of(suite) or (trial.faults(suite, columns) if columns else ())
    if not faults:
        with contextlib.suppress(OSError):  # a home that cannot be written to costs time, nothing else
            private(taken.parent)
            taken.touch()
    return faults


def _columns(file: PipelineFile) -> tuple[Column, ...]:
    """The declared columns, even of a file with faults."""
    declared = file.document.at("schema", "columns") if file.document else None
    pairs = declared.items() if isinstance(declared, dict) else ()
    return tuple(Column(name, type_) for name, type_ in pairs if isinstance(type_, str) and not types.problem(type_))
