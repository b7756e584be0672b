"""Delete the file at its source."""

from __future__ import annotations

from typing import Any

from forebay.contracts import Settings, Settlement, Source
from forebay.model import SourceFile


class DeleteConfig(Settings):
    """Deleting needs no settings."""


class Delete(Settlement[DeleteConfig]):
    """Deletes exactly the version that was published. Only the run that proved the records does so."""

    Config = DeleteConfig
    reversible = False

    def settle(self, source: Source[Any], file: SourceFile, ds: str) -> str:
        source.delete(file)
        return "deleted"
