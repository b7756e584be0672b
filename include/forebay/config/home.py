"""Where forebay keeps its own things, and where the project lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from forebay.config.units import size
from forebay.errors import ConfigError

LEAST_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with `include/pipelines`, and forebay's home (`FOREBAY_HOME`, default `DIR/.forebay`)."""

    root: Path
    home: Path

    @classmethod
    def find(cls, root: Path | None = None, environ: dict[str, str] | None = None) -> Project:
        """The project at `root`, or the nearest one upwards of the working folder. Raises `ConfigError` if there is
        none."""
        env = os.environ if environ is None else environ
        given = root or (Path(env["FOREBAY_PROJECT"]) if env.get("FOREBAY_PROJECT") else None)
        start = (given or Path.cwd()).resolve()
        candidates = [start] if given else [start, *start.parents]
        for folder in candidates:
            if (folder / "include" / "pipelines").is_dir():
                return cls(folder, Path(env.get("FOREBAY_HOME") or folder / ".forebay").resolve())
        raise ConfigError(
            f"looking for a project: `{start}` has no include/pipelines (name the folder with --project DIR)"
        )

    @property
    def pipelines(self) -> Path:
        return self.root / "include" / "pipelines"

    @property
    def expectations(self) -> Path:
        return self.root / "include" / "expectations"

    @property
    def index(self) -> str:
        """SQLAlchemy URL of the index: `FOREBAY_INDEX`, else SQLite in the home."""
        return os.environ.get("FOREBAY_INDEX") or f"sqlite:///{self.home / 'index.sqlite'}"

    def work(self, pipeline: str, fingerprint: str) -> Path:
        """Folder of one file's content: `snapshot`, `plain`, `stage/`, `verdict/`; content-addressed, so any attempt
        can go on."""
        return self.home / "work" / pipeline / fingerprint[:2] / fingerprint

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def report_days(self) -> int:
        """For how many days reports keep values of rows (`FOREBAY_REPORT_DAYS`, default 400). Raises `ConfigError` if
        it is no such number."""
        return _days("FOREBAY_REPORT_DAYS", "400")

    @property
    def repair_days(self) -> int:
        """For how many days work folders keep what mends quarantined rows (`FOREBAY_REPAIR_DAYS`, default 90). Raises
        `ConfigError` if it is no such number."""
        return _days("FOREBAY_REPAIR_DAYS", "90")

    @property
    def memory(self) -> int:
        """Bytes that reading, checking and encoding a file may hold (`FOREBAY_MEMORY`, default 512MiB). Raises
        `ConfigError` if it is no such size."""
        text = os.environ.get("FOREBAY_MEMORY") or "512MiB"
        try:
            memory = size(text)
        except ValueError as error:
            raise ConfigError(f"reading FOREBAY_MEMORY: {error}") from None
        if memory < LEAST_MEMORY:
            raise ConfigError(f"reading FOREBAY_MEMORY: `{text}` is less than 64MiB (write it like 2GiB)")
        return memory

    @property
    def check_memory(self) -> int:
        """Of `memory`, what DuckDB may hold in a check: Great Expectations' own objects need the rest."""
        return self.memory // 8 * 7

    @property
    def lineage(self) -> Path:
        return self.home / "lineage" / "events.jsonl"

    @property
    def broker(self) -> Path:
        return self.home / "broker"

    @property
    def cache(self) -> Path:
        """Downloads that any home may share (Kafka's jars): `FOREBAY_CACHE`, default `ROOT/.cache/forebay`."""
        return Path(os.environ.get("FOREBAY_CACHE") or self.root / ".cache" / "forebay")


def _days(name: str, default: str) -> int:
    text = os.environ.get(name) or default
    if not text.isdigit() or int(text) == 0:
        raise ConfigError(f"reading {name}: `{text}` is not a number of days (write it like 90)")
    return int(text)
