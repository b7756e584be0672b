"""Pipeline files by their path."""

from __future__ import annotations

from pathlib import Path

from forebay.config.home import Project
from forebay.config.load import read_file
from forebay.config.pipeline import Pipeline
from forebay.errors import SettingsError


def load_file(path: Path, project: Project) -> Pipeline:
    """The pipeline in a file. Raises `SettingsError` with all of its faults."""
    file = read_file(path, project)
    if file.pipeline is None:
        raise SettingsError(file.faults)
    return file.pipeline
