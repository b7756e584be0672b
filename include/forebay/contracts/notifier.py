"""Who is told that a file needs a look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.model import Json

S = TypeVar("S", bound=Settings)

_HAPPENED = {
    "waiting": "waits for a decision",
    "rejected": "was rejected",
    "over_budget": "is published, over its budget",
    "failed": "failed",
    "run_failed": "the run failed",
}


@dataclass(frozen=True, slots=True)
class Notice(Json):
    """What is told: `event` is one of `waiting`, `rejected`, `over_budget`, `failed` (of a file) and `run_failed`;
    `way_out` the command that answers or shows more, `link` Airflow's page that does.

    `reason` has no value of a redacted column. `fingerprint` is None of a file that could not be read; a run has no
    `uri` either, and the counts of all its files.
    """

    event: str
    pipeline: str
    owner: str
    day: str
    run_id: str
    uri: str | None
    fingerprint: str | None
    reason: str
    rows_in: int
    quarantined: int
    rejected: int
    way_out: str
    link: str | None = None

    @property
    def text(self) -> str:
        """The notice in one line for people."""
        about = f"{self.uri.rsplit('/', 1)[-1]} " if self.uri else ""
        happened = _HAPPENED.get(self.event, self.event)
        return f"{self.pipeline} {self.day}: {about}{happened}: {self.reason} ({self.way_out})"


class Notifier(ABC, Generic[S]):
    """Tells one notice to somebody, within seconds."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def tell(self, notice: Notice) -> None:
        """Hand the notice over. Raises `RetryableError`, whose words hold no secret, when nobody took it; the run goes
        on whatever is raised."""
