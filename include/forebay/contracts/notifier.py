"""Who is told that a file needs a look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.model import Json

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Notice(Json):
    """What is told: `event` is one of `waiting`, `rejected`, `over_budget`, `failed`; `way_out` the command that
    answers or shows more.

    `reason` has no value of a redacted column. `fingerprint` is None of a file that could not be read.
    """

    event: str
    pipeline: str
    owner: str
    day: str
    run_id: str
    uri: str
    fingerprint: str | None
    reason: str
    rows_in: int
    quarantined: int
    rejected: int
    way_out: str


class Notifier(ABC, Generic[S]):
    """Tells one notice to somebody, within seconds."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def tell(self, notice: Notice) -> None:
        """Hand the notice over. Raises `RetryableError`, whose words hold no secret, when nobody took it; the run goes
        on whatever is raised."""
