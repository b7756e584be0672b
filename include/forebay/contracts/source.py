"""Where files lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from forebay.contracts.connections import Connections
from forebay.contracts.settings import Settings
from forebay.model import Snapshot, SourceFile

S = TypeVar("S", bound=Settings)


class Source(ABC, Generic[S]):
    """Lists, fetches and settles files of one store. Instances are cheap to build and hold no connection until used."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S, connections: Connections, project: Path) -> None:
        """`project` is the folder that relative local paths start at."""
        self.config = config
        self.connections = connections
        self.project = project

    @abstractmethod
    def list(self, pattern: str) -> Iterator[SourceFile]:
        """Every file whose path matches `pattern` (the configured path with its `{{ ds }}` filled in; `*`, `?`, `[…]`,
        `**`), sorted by uri.

        Markers and manifests beside the pattern are found by calling `list` with their own pattern.
        Raises `SourceUnavailableError`, `NotAuthorizedError`. A folder that is not there lists nothing.
        """

    def passed_over(self, pattern: str) -> Iterator[tuple[str, str]]:
        """What matches `pattern` and is no file to be read, by uri, with what it is (`a pipe`); sorted. It is never
        opened."""
        return iter(())

    @abstractmethod
    def matches(self, uri: str, pattern: str) -> bool:
        """Whether `list(pattern)` would name a file of that uri, if one lay there. Asks nobody."""

    @abstractmethod
    def fetch(self, file: SourceFile, into: Path) -> Snapshot:
        """Copy exactly this version's bytes into `into` (a file path), computing sha256 while streaming.

        Raises `FileChangedError` when what lies there is not, or is no longer, the version that was listed (before,
        while or after copying); `SourceUnavailableError`; `CorruptFileError` for a short body.
        """

    @abstractmethod
    def fingerprint(self, file: SourceFile) -> str:
        """sha256 of this version's bytes, in hex, without keeping a copy. Raises as `fetch`."""

    @abstractmethod
    def same_version(self, a: SourceFile, b: SourceFile) -> bool:
        """Whether two listings are surely the same bytes (S3: same uri and etag or version id). Local files: always
        False; the bytes decide."""

    @abstractmethod
    def move(self, file: SourceFile, to: str) -> str:
        """Move this version to the path `to` (a folder in the store's own terms, ends with `/`), and return the new
        uri. Idempotent: done before is done.

        Never overwrites other bytes: a file of that name with other content makes a numbered name. Raises
        `FileChangedError` if the file at `uri` is another version by now (then nothing is moved).
        """

    @abstractmethod
    def delete(self, file: SourceFile) -> None:
        """Delete this version. Idempotent. Raises `FileChangedError` if the file at `uri` is another version by now."""
