"""Pipeline files, loaded: every fault of a file together, with its line and what was probably meant; no file hides
another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from forebay.config import checks, hints, shape, yaml_lines
from forebay.config.hints import Found
from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.config.yaml_lines import Document
from forebay.errors import ConfigError, Fault, SettingsError
from forebay.support.words import way_out


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """One file of include/pipelines as far as it could be read: a `pipeline`, or `faults`, never both."""

    path: Path
    label: str
    """The path as it is named to people: relative to the project."""
    document: Document | None = None
    pipeline: Pipeline | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def name(self) -> str:
        """The pipeline's name; the file's stem where that cannot be read."""
        given = self.document.at("pipeline") if self.document else None
        return given if isinstance(given, str) else self.path.stem

    def fault(self, path: yaml_lines.Path, message: str) -> Fault:
        """A fault at a place of this file."""
        return Fault(self.label, self.document.line(path) if self.document else None, message)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All pipeline files of a project, sorted by path."""

    files: tuple[PipelineFile, ...]

    @property
    def pipelines(self) -> dict[str, Pipeline]:
        """The pipelines without faults, by name. A name that two files have is nobody's."""
        twice = {file.name for file in _namesakes(self.files)}
        return {file.name: file.pipeline for file in self.files if file.pipeline and file.name not in twice}

    @property
    def faults(self) -> dict[Path, tuple[Fault, ...]]:
        """The faults of each file that has any, alone or by having another's name."""
        twice = {fault.path: fault for fault in _name_faults(_namesakes(self.files))}
        faults_of = {file.path: (*file.faults, *filter(None, [twice.get(file.label)])) for file in self.files}
        return {path: faults for path, faults in faults_of.items() if faults}


def load_pipeline(project: Project, name: str) -> Pipeline:
    """The pipeline of that name, however broken other files are.

    Raises `SettingsError` with all faults of its file, or when two files use the name; `ConfigError` when there is no
    such pipeline.
    """
    files = [_parse(path, project) for path in paths(project)]
    matching = [file for file in files if file.name == name]
    if not matching:
        known = [file.name for file in files]
        raise ConfigError(f"looking for the pipeline `{name}`: there is none ({way_out(name, known)})", pipeline=name)
    if len(matching) > 1:
        raise SettingsError(_name_faults(matching))
    return _required(_build(matching[0], project))


def load_all(project: Project) -> Loaded:
    """Every pipeline file of the project; faults are kept, not raised."""
    return Loaded(tuple(read_file(path, project) for path in paths(project)))


def read_file(path: Path, project: Project) -> PipelineFile:
    """A pipeline file with its faults; raises nothing for what a person can write."""
    return _build(_parse(path, project), project)


def paths(project: Project) -> list[Path]:
    """The pipeline files of a project: `*.yaml` and `*.yml`, sorted."""
    return sorted(
        p
        for p in project.pipelines.iterdir()
        if p.suffix in {".yaml", ".yml"} and not p.name.startswith(".") and p.is_file()
    )


def _namesakes(files: Sequence[PipelineFile]) -> list[PipelineFile]:
    """The files whose pipeline's name another file has too."""
    count = Counter(file.name for file in files if file.document)
    return [file for file in files if count[file.name] > 1 and file.document]


def _name_faults(files: Sequence[PipelineFile]) -> tuple[Fault, ...]:
    places = {
        name: ", ".join(file.label for file in files if file.name == name) for name in {file.name for file in files}
    }
    return tuple(
        file.fault(("pipeline",), f"reading `pipeline`: `{file.name}` is the name of {places[file.name]}")
        for file in files
    )


def _required(file: PipelineFile) -> Pipeline:
    if file.pipeline is None:
        raise SettingsError(file.faults)
    return file.pipeline


def _parse(path: Path, project: Project) -> PipelineFile:
    label = str(path.relative_to(project.root)) if path.is_relative_to(project.root) else str(path)
    try:
        document = yaml_lines.read(path)
    except yaml_lines.YamlFault as fault:
        return PipelineFile(path, label, faults=(Fault(label, fault.line, fault.message),))
    except OSError as error:
        return PipelineFile(path, label, faults=(Fault(label, None, f"reading the file: {error.strerror}"),))
    return PipelineFile(
        path, label, document, faults=tuple(Fault(label, line, message) for line, message in document.faults)
    )


def _build(file: PipelineFile, project: Project) -> PipelineFile:
    if file.document is None:
        return file
    later, hidden = checks.not_built_yet(file.document)
    pipeline, faults = _validated(file.document)
    faults += shape.plugin_faults(file.document) + checks.all_faults(file.document, project)
    ours = later + [(path, message) for path, message in faults if not _under(path, hidden)]
    everything = (*file.faults, *(file.fault(path, message) for path, message in ours))
    if everything:
        return PipelineFile(
            file.path,
            file.label,
            file.document,
            None,
            tuple(sorted(dict.fromkeys(everything), key=lambda f: f.line or 0)),
        )
    return PipelineFile(file.path, file.label, file.document, pipeline)


def _validated(document: Document) -> tuple[Pipeline | None, list[Found]]:
    try:
        return shape.validate(Pipeline, shape.fold(document)), []
    except ValidationError as error:
        return None, hints.explain(error, Pipeline, document)


def _under(path: yaml_lines.Path, places: Iterable[yaml_lines.Path]) -> bool:
    """Whether `path` is at, or below, one of `places`."""
    return any(path[: len(place)] == place for place in places)
