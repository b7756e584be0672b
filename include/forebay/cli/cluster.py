"""`forebay cluster` and `forebay consumers`: brokers, leaders and replicas; which group has consumed which run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.cli.progress import follow
from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.model import OffsetRange
from forebay.support.words import printable

if TYPE_CHECKING:
    from forebay.kafka.cluster import ClusterView, GroupView, TopicView

app = typer.Typer()

RUNS = 5
_UNBOUNDED = 400
Run = tuple[str, str, tuple[OffsetRange, ...]]
"""Run id, its day, and the ranges that it published."""


@app.command("cluster")
def cluster(
    root: ProjectOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Kafka's own topics too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Brokers, the active controller, and each topic's leaders, replicas and replicas in sync."""
    from forebay.kafka import cluster as seen

    with exit_codes(as_json):
        with follow():
            view = seen.describe(_default_kafka(project(root)))
        topics = [topic for topic in view.topics if everything or not topic.internal]
        document = {**view.to_json(), "controller": view.controller, "topics": [_topic_json(topic) for topic in topics]}
        show(document, as_json, lambda console: _render_cluster(console, view, topics))


@app.command("consumers")
def consumers(pipeline: str, root: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Which consumer group has read how much of the pipeline's topic, and of each of its last runs."""
    from forebay.config.load import load_pipeline
    from forebay.index.queries import last_ranges
    from forebay.kafka import cluster as seen
    from forebay.verbs.context import Context

    with exit_codes(as_json):
        where = project(root)
        context = Context.of(load_pipeline(where, pipeline), where)
        with follow():
            groups = seen.groups(context.kafka, [context.pipeline.topic.name])
        runs: list[Run] = list(last_ranges(where.index, pipeline, runs=RUNS))
        document = {
            "pipeline": pipeline,
            "topic": context.pipeline.topic.name,
            "groups": [_group_json(group, runs) for group in groups],
        }
        show(document, as_json, lambda console: _render_groups(console, context.pipeline.topic.name, groups, runs))


def _default_kafka(where: Project) -> dict[str, Any]:
    """The cluster of the environment, else the embedded broker, if it runs."""
    given = EnvironmentConnections().kafka(None)
    if given is not None:
        return given
    from forebay.kafka.embedded import broker

    return {"bootstrap.servers": broker.running_at(where.broker)}


def _topic_json(topic: TopicView) -> dict[str, Any]:
    return {**topic.to_json(), "under_replicated": topic.under_replicated, "offline": topic.offline}


def _group_json(group: GroupView, runs: Sequence[Run]) -> dict[str, Any]:
    return {**group.to_json(), "lag": group.lag, "runs": [_run_json(group, run) for run in runs]}


def _run_json(group: GroupView, run: Run) -> dict[str, Any]:
    from forebay.kafka.cluster import consumed

    run_id, ds, ranges = run
    read = consumed(ranges, group.committed)
    return {"run_id": run_id, "ds": ds, **read.to_json(), "share": round(read.share, 6)}


def _safe(text: str) -> str:
    """Names that clients chose themselves: neither markup nor escape sequences."""
    return escape(printable(text))


def _print(console: Console, table: Table) -> None:
    """A table at the terminal's width; nothing is cut off where there is no terminal."""
    if not console.is_terminal:
        console.width = _UNBOUNDED
    console.print(table)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title.lstrip(">"), justify="right" if title.startswith(">") else "left")
    return table


def _render_cluster(console: Console, view: ClusterView, topics: Sequence[TopicView]) -> None:
    controller = (
        f"controller {view.controller}"
        if view.quorum
        else "controller unknown (this client can ask for it without TLS and SASL only)"
    )
    console.print(f"cluster {view.cluster_id}: {_many(len(view.brokers), 'broker')}, {controller}")
    brokers = _table(">broker", "address", "role", ">metadata lag")
    for broker in view.brokers:
        brokers.add_row(str(broker.id), f"{broker.host}:{broker.port}", *_role(view, broker.id))
    _print(console, brokers)
    console.print()
    table = _table("topic", ">partition", ">leader", "replicas", "in sync", "")
    for topic in topics:
        for partition in topic.partitions:
            leader = "[red]none[/]" if partition.leader is None else str(partition.leader)
            flag = "[yellow]under-replicated[/]" if partition.under_replicated else ""
            table.add_row(
                topic.name, str(partition.id), leader, _ids(partition.replicas), _ids(partition.in_sync), flag
            )
    if topics:
        _print(console, table)
    else:
        console.print("no topics")


def _role(view: ClusterView, broker: int) -> tuple[str, str]:
    """A broker's part in the quorum, and how many records of metadata it lacks."""
    if not view.quorum:
        return "", ""
    own = next((replica for replica in (*view.quorum.voters, *view.quorum.observers) if replica.id == broker), None)
    if own is None:
        return "observer", ""
    voter = any(replica.id == broker for replica in view.quorum.voters)
    return "leader" if broker == view.quorum.leader else "voter" if voter else "observer", str(own.lag)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def _render_groups(console: Console, topic: str, groups: Sequence[GroupView], runs: Sequence[Run]) -> None:
    if not groups:
        console.print(f"no consumer group has read {topic} yet")
        return
    for group in groups:
        console.print(
            f"[bold]{_safe(group.id)}[/]: {group.state}, {group.type}, {_many(len(group.members), 'member')}, "
            f"lag {group.lag:,}"
        )
        _print(console, _partitions(group))
        if runs:
            _print(console, _runs(group, runs))
        console.print()


def _partitions(group: GroupView) -> Table:
    owners = {name: _safe(f"{member.client} {member.host}") for member in group.members for name in member.partitions}
    table = _table("  topic", ">partition", ">committed", ">end", ">lag", "read by")
    for at in group.partitions:
        position, lag = (
            ("never", "") if at.committed is None or at.lag is None else (f"{at.committed:,}", f"{at.lag:,}")
        )
        table.add_row(
            f"  {at.topic}",
            str(at.partition),
            position,
            f"{at.end:,}",
            lag,
            owners.get(f"{at.topic}:{at.partition}", ""),
        )
    return table


def _runs(group: GroupView, runs: Sequence[Run]) -> Table:
    from forebay.kafka.cluster import consumed

    table = _table("  run", "day", ">published", ">consumed", ">share")
    for run_id, ds, ranges in runs:
        read = consumed(ranges, group.committed)
        least = "" if read.exact else "at least "
        table.add_row(
            f"  {_safe(run_id)}", ds, f"{read.records:,}", f"{least}{read.consumed:,}", f"{least}{read.share:.0%}"
        )
    return table
