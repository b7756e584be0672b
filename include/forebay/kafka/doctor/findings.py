"""What doctor says of one condition, and what all its checks need to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from forebay.kafka import client, topics
from forebay.kafka.ledger.guard import LedgerHome
from forebay.model import Json

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

CALL = 10.0  # seconds


class Level(StrEnum):
    """How bad a finding is. `WARN`: the promise is weaker than it could be. `FAIL`: publishing is impossible or
    unsafe."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding(Json):
    """One condition: what was found, why it matters, and the way out. `unreachable`: trying again may help."""

    level: Level
    check: str
    what: str
    why: str = ""
    way_out: str = ""
    unreachable: bool = False


@dataclass
class ClusterFacts:
    """What is asked of the cluster once, and what every check needs."""

    config: client.Config
    pipeline: Pipeline
    keep: LedgerHome
    errors: client.ClientErrors = field(default_factory=client.ClientErrors)

    def __post_init__(self) -> None:
        self.asker = topics.asking(self.config, self.errors)
        self.described: dict[str, Any] = {}  # topic to its description
        self.settings: dict[str, dict[str, str]] = {}
        self.broker: dict[str, str] = {}
