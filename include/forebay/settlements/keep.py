"""Leave the file where it is."""

from __future__ import annotations

from typing import Any

from forebay.contracts import Settings, Settlement, Source
from forebay.model import SourceFile


class KeepConfig(Settings):
    """Keeping needs no settings."""


class Keep(Settlement[KeepConfig]):
    """The default: the source stays as it was, and the ledger remembers what was published."""

    Config = KeepConfig

    def settle(self, source: Source[Any], file: SourceFile, ds: str) -> str:
        return "kept in place"
