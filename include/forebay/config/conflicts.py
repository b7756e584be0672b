"""Conflicts between pipelines: faults that no single file has, only files together. Each names both places."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from itertools import combinations

from forebay.config import patterns
from forebay.config.home import Project
from forebay.config.load import Loaded, PipelineFile
from forebay.config.pipeline import Pipeline
from forebay.config.yaml_lines import Path
from forebay.errors import Fault

Clash = tuple[Path, Path, str]
"""The place in the first file, the place in the second, and what is wrong."""


def faults(loaded: Loaded, project: Project) -> tuple[Fault, ...]:
    """Every clash between two files, told once for each of them; and topics that a pipeline takes from itself."""
    conflicts: list[Fault] = [fault for file in loaded.files for fault in _own(file, project)]
    for a, b in combinations(loaded.files, 2):
        for here, there, words in _clashes(a, b, project):
            conflicts.append(a.fault(here, f"{words} (the other: {_place(b, there)})"))
            conflicts.append(b.fault(there, f"{words} (the other: {_place(a, here)})"))
    return tuple(dict.fromkeys(conflicts))


def _place(file: PipelineFile, path: Path) -> str:
    fault = file.fault(path, "")
    return f"{fault.path}:{fault.line}"


def _clashes(a: PipelineFile, b: PipelineFile, project: Project) -> Iterator[Clash]:
    if a.document and b.document and a.name == b.name:
        yield ("pipeline",), ("pipeline",), f"reading `pipeline`: two pipelines have the name `{a.name}`"
    if a.pipeline and b.pipeline:
        for check in _CHECKS:
            yield from check(a.pipeline, b.pipeline, project)


def _owners(a: Pipeline, b: Pipeline, project: Project) -> Iterator[Clash]:
    if a.topic.name == b.topic.name and _one_cluster(a, b) and a.owner != b.owner:
        words = f"reading `topic.name`: two owners write to the topic `{a.topic.name}`: `{a.owner}` and `{b.owner}`"
        yield ("topic", "name"), ("topic", "name"), words


def _partitions(a: Pipeline, b: Pipeline, project: Project) -> Iterator[Clash]:
    if a.topic.name == b.topic.name and _one_cluster(a, b) and a.topic.partitions != b.topic.partitions:
        counts = f"{a.topic.partitions} and {b.topic.partitions}"
        words = f"reading `topic.partitions`: the topic `{a.topic.name}` has two counts of partitions: {counts}"
        yield ("topic", "partitions"), ("topic", "partitions"), words


def _drops(a: Pipeline, b: Pipeline, project: Project) -> Iterator[Clash]:
    if _one_store(a, b) and patterns.overlap(_pattern(a, project), _pattern(b, project)):
        words = f"reading `source.path`: one file can be read twice, by `{a.source.path}` and by `{b.source.path}`"
        yield ("source", "path"), ("source", "path"), words


def _archives(a: Pipeline, b: Pipeline, project: Project) -> Iterator[Clash]:
    if _archive_meets(a, b, project):
        yield ("settle", "path"), ("source", "path"), _ARCHIVED.format(a.settle.options["path"], b.source.path)
    if _archive_meets(b, a, project):
        yield ("source", "path"), ("settle", "path"), _ARCHIVED.format(b.settle.options["path"], a.source.path)


_ARCHIVED = "reading `settle.path`: files archived in `{}` would be read again by `{}`"


def _archive_meets(archive: Pipeline, reader: Pipeline, project: Project) -> bool:
    """Whether what one pipeline archives can match what another (or the same) reads."""
    folder = archive.settle.options.get("path")
    if archive.settle.type != "archive" or not isinstance(folder, str) or not _one_store(archive, reader):
        return False
    return patterns.overlap(posixpath.join(_absolute(folder, archive, project), "*"), _pattern(reader, project))


def _one_store(a: Pipeline, b: Pipeline) -> bool:
    return (a.source.type, a.source.connection) == (b.source.type, b.source.connection)


def _pattern(p: Pipeline, project: Project) -> str:
    return _absolute(p.source.path, p, project)


def _absolute(path: str, p: Pipeline, project: Project) -> str:
    """A path made comparable: local paths start at the project, S3's without their scheme."""
    path = path.removeprefix("s3://").removeprefix("file://")
    return posixpath.join(project.root.as_posix(), path) if p.source.type == "local" else path


def _reserved(a: Pipeline, b: Pipeline, project: Project) -> Iterator[Clash]:
    if _one_cluster(a, b):
        yield from (((("topic", "name"), ("pipeline",), words)) for words in _taken(a, b))
        yield from (((("pipeline",), ("topic", "name"), words)) for words in _taken(b, a))


def _own(file: PipelineFile, project: Project) -> Iterator[Fault]:
    """What a pipeline does to itself."""
    if file.pipeline:
        if _archive_meets(file.pipeline, file.pipeline, project):
            yield file.fault(
                ("settle", "path"), _ARCHIVED.format(file.pipeline.settle.options["path"], file.pipeline.source.path)
            )
        yield from (file.fault(("topic", "name"), words) for words in _taken(file.pipeline, file.pipeline))


def _taken(writer: Pipeline, keeper: Pipeline) -> Iterator[str]:
    for kind, topic in (("ledger", keeper.ledger_topic), ("quarantine", keeper.quarantine_topic)):
        if writer.topic.name == topic:
            yield f"reading `topic.name`: `{topic}` is the {kind} topic of the pipeline `{keeper.pipeline}`"


def _one_cluster(a: Pipeline, b: Pipeline) -> bool:
    return a.publish.connection == b.publish.connection


_CHECKS: tuple[Callable[[Pipeline, Pipeline, Project], Iterator[Clash]], ...] = (
    _owners,
    _partitions,
    _drops,
    _archives,
    _reserved,
)
