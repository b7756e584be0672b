"""Move the file to another folder of its store."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from forebay.config import paths
from forebay.contracts import Settings, Settlement, Source
from forebay.errors import ConfigError
from forebay.model import SourceFile


class ArchiveConfig(Settings):
    """Where published files go."""

    path: str
    """A folder, with `{{ ds }}` and friends of the day. Local: relative to the project. S3: `bucket/folder/`."""

    @field_validator("path")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        try:
            paths.check(value, paths.DAY_NAMES)
        except ConfigError as error:
            raise ValueError(error.message) from error
        if not value.strip("/ ") or any(sign in value for sign in "*?["):
            raise ValueError(f"`{value}` is no folder (write `done/{{{{ ds }}}}/`)")
        return value.rstrip("/") + "/"


class Archive(Settlement[ArchiveConfig]):
    """Moves the version that was published; other bytes of the same name are never overwritten."""

    Config = ArchiveConfig

    def settle(self, source: Source[Any], file: SourceFile, ds: str) -> str:
        return f"archived to {source.move(file, paths.render_day(self.config.path, ds))}"
