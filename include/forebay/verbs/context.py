"""What every verb needs: the pipeline, the project, and the way to the vendors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forebay import registry
from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.contracts import Connections, Source

if TYPE_CHECKING:
    from forebay.encoding.rows import Limits
    from forebay.kafka.ledger.guard import LedgerHome


@dataclass(frozen=True)
class Pages:
    """Airflow's pages of one run: the run itself, and where a question about its files is answered."""

    run: str | None = None
    question: str | None = None


@dataclass(frozen=True)
class Context:
    """One pipeline in one project. Cheap to build; nothing is contacted until a verb asks.

    `starts`: whether the embedded broker may be started, which is for those who publish; who only reads starts nothing.
    `pages`: where the run is seen in Airflow, if it runs there.
    """

    pipeline: Pipeline
    project: Project
    connections: Connections
    starts: bool = False
    pages: Pages = Pages()

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        project: Project,
        connections: Connections | None = None,
        *,
        starts: bool = False,
        pages: Pages = Pages(),
    ) -> Context:
        return cls(pipeline, project, connections or EnvironmentConnections(), starts, pages)

    @cached_property
    def kafka(self) -> dict[str, Any]:
        """librdkafka settings of the pipeline's cluster; when nothing is configured, of the embedded broker, which is
        started where that is allowed.

        Raises `BrokerUnavailableError` where it does not run and may not be started.
        """
        given = self.connections.kafka(self.pipeline.publish.connection)
        if given is not None:
            return given
        from forebay.kafka.embedded import broker

        home = self.project.broker
        return {
            "bootstrap.servers": broker.ensure(home, self.project.cache) if self.starts else broker.running_at(home)
        }

    @cached_property
    def keep(self) -> LedgerHome:
        """Where the ledger's local copy and memory lie."""
        from forebay.kafka.ledger.guard import LedgerHome

        given = self.connections.kafka(self.pipeline.publish.connection)
        return LedgerHome.of(
            self.project.home,
            str(given.get("bootstrap.servers") or "") if given is not None else None,
            self.project.root,
        )

    @cached_property
    def cluster_id(self) -> str:
        """The cluster's id. Raises `BrokerUnavailableError` or `NotAuthorizedError`, with the true cause, within
        seconds."""
        from forebay.kafka import client

        return client.connect_check(self.kafka)

    @cached_property
    def topic_id(self) -> str:
        """The id of the topic of the accepted rows, once it is there. Raises as `topics.settings_of`."""
        from forebay.kafka import ends

        return ends.id_of(self.kafka, self.pipeline.topic.name)

    @cached_property
    def topic_settings(self) -> dict[str, str]:
        """What the topic of the accepted rows is set to. Raises as `topics.settings_of`."""
        from forebay.kafka import topics

        return topics.settings_of(self.kafka, self.pipeline.topic.name)

    @cached_property
    def record_limit(self) -> int:
        """The largest record batch that the topic of the accepted rows takes, in bytes. Raises as
        `topics.settings_of`."""
        from forebay.kafka import topics

        return topics.max_message_bytes(self.topic_settings)

    @cached_property
    def pins(self) -> dict[str, Any]:
        """What `_pins` knows of the ledger once columns are pinned: `columns`, and `begun`, the schema of each file
        that is half published."""
        return {}

    @property
    def limits(self) -> Limits:
        """What encoding a file's rows may use."""
        from forebay.encoding.rows import Limits

        return Limits(self.project.memory)

    @cached_property
    def source(self) -> Source[Any]:
        section = self.pipeline.source
        plugin = registry.find("sources", section.type)
        return plugin(
            plugin.Config(connection=section.connection, **section.options), self.connections, self.project.root
        )
