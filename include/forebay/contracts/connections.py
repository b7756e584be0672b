"""Where secrets come from: a connection has a name in YAML and its settings elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Connections(ABC):
    """Looks connections up by name. The engine reads the environment; the Airflow adapter asks Airflow."""

    @abstractmethod
    def kafka(self, name: str | None) -> dict[str, Any] | None:
        """librdkafka settings (`bootstrap.servers`, `security.protocol` …), or None: then the embedded broker serves.

        Raises `ConfigError` when the name is given but unknown or unreadable.
        """

    @abstractmethod
    def s3(self, name: str | None) -> dict[str, Any]:
        """Keyword arguments of `boto3.client("s3", …)`; empty means boto3's own chain of credentials."""
