"""Whether the promise can hold on this cluster, for this pipeline: every condition of docs/guarantees, looked at, with the way out where one is not met.

Nothing is created and nothing becomes visible: the rights are tried in a transaction that is aborted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from forebay.errors import ForebayError, LedgerError, NotAuthorizedError, RetryableError, TopicMissingError
from forebay.kafka import _versions, client, topics
from forebay.kafka.guard import Guard, Keep
from forebay.kafka.ledger import LedgerReader
from forebay.model import Json

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

CALL = 10.0  # seconds
LAG = 2.0  # seconds that a commit's markers may take
DAY = 86_400_000  # milliseconds


class Level(StrEnum):
    """How bad a finding is. `WARN`: the promise is weaker than it could be. `FAIL`: publishing is impossible or unsafe."""

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
class _Seen:
    """What is asked of the cluster once, and what every check needs."""

    config: client.Config
    pipeline: Pipeline
    keep: Keep
    errors: client.ClientErrors = field(default_factory=client.ClientErrors)

    def __post_init__(self) -> None:
        self.admin = client.admin(self.config, self.errors)
        self.found: dict[str, Any] = {}  # topic to its description
        self.settings: dict[str, dict[str, str]] = {}
        self.broker: dict[str, str] = {}


def check(config: client.Config, pipeline: Pipeline, keep: Keep) -> tuple[Finding, ...]:
    """All findings for one pipeline, in the order of a publication. Raises nothing that the cluster says: that is a finding too."""
    seen = _Seen(config, pipeline, keep)
    reached = list(_guarded("connection", lambda: _connection(seen)))
    if any(finding.level is Level.FAIL for finding in reached):
        return tuple(reached)
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("brokers", lambda: _brokers(seen)),
        ("topics", lambda: _topics(seen)),
        ("ledger", lambda: _ledger(seen)),
        ("rights", lambda: _rights(seen)),
        ("open transactions", lambda: _open_transactions(seen)),
    )
    return (*reached, *(finding for name, run in checks for finding in _guarded(name, run)))


def _guarded(name: str, run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; an error that ends it is its last finding."""
    try:
        yield from run()
    except ForebayError as error:
        yield Finding(Level.FAIL, name, error.message, unreachable=isinstance(error, RetryableError))


def _connection(seen: _Seen) -> Iterator[Finding]:
    cluster = client.connect_check(seen.config)
    yield Finding(Level.OK, "connection", f"cluster `{cluster}` at `{seen.config.get('bootstrap.servers')}` lets us in")


# brokers


def _brokers(seen: _Seen) -> Iterator[Finding]:
    yield from _rules_of_broker(seen)
    plain = str(seen.config.get("security.protocol", "plaintext")).lower() == "plaintext"
    level = _versions.metadata_level(str(seen.config.get("bootstrap.servers", ""))) if plain else None
    if level is not None:
        yield _age(level)
    elif not seen.broker:
        yield Finding(
            Level.WARN, "broker version", "unknown: behind TLS or SASL it shows only in broker settings, which this principal may not see",
            "brokers before 3.6.1 do not verify late writes of a fenced publisher", "ask who runs the cluster; or grant DescribeConfigs on it",
        )  # fmt: skip


def _age(level: int) -> Finding:
    name = f"Kafka {_versions.release(level)}"
    why = "brokers before 3.6 do not verify late writes of a fenced publisher, and 3.6.0 corrupts them when compressed"
    if level >= _versions.AT_LEAST_3_7:
        return Finding(Level.OK, "broker version", f"{name} or newer")
    if level >= _versions.AT_LEAST_3_6:
        return Finding(Level.WARN, "broker version", f"{name}, which may be 3.6.0", why, "make sure that it is 3.6.1 or newer")
    return Finding(Level.FAIL, "broker version", f"older than 3.6: {name}", why, "upgrade the brokers to 3.9 or newer")


def _rules_of_broker(seen: _Seen) -> Iterator[Finding]:
    """Settings that only brokers have."""
    try:
        seen.broker = _broker_settings(seen)
    except NotAuthorizedError:
        yield Finding(
            Level.WARN, "broker settings", "this principal may not see them", "the limits below stay unknown", "grant DescribeConfigs"
        )
        return
    verified = seen.broker.get("transaction.partition.verification.enable")
    if verified is None:
        yield Finding(
            Level.FAIL, "late writes", "the brokers do not know `transaction.partition.verification.enable`",
            "they are older than 3.6: a late write of a fenced publisher can hang the ledger", "upgrade the brokers to 3.6.1 or newer",
        )  # fmt: skip
    elif verified == "false":
        yield Finding(
            Level.FAIL, "late writes", "`transaction.partition.verification.enable=false`",
            "a late write of a fenced publisher can hang the ledger", "set it to true on every broker",
        )  # fmt: skip
    else:
        yield Finding(Level.OK, "late writes", "verified by the brokers")
    yield _timeout(seen)
    yield from _state_log(seen.broker)


def _broker_settings(seen: _Seen) -> dict[str, str]:
    from confluent_kafka.admin import ConfigResource, ResourceType

    with client.translate("reading broker settings", seen.errors):
        nodes = client.answer(seen.admin, seen.admin.describe_cluster(request_timeout=CALL)).nodes
        resource = ConfigResource(ResourceType.BROKER, str(nodes[0].id))
        entries = client.answer(seen.admin, seen.admin.describe_configs([resource], request_timeout=CALL)[resource])
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def _timeout(seen: _Seen) -> Finding:
    wanted = int(seen.pipeline.publish.transaction_timeout.total_seconds() * 1000)
    most = int(seen.broker.get("transaction.max.timeout.ms") or 900_000)
    if wanted > most:
        return Finding(
            Level.FAIL, "transaction timeout", f"`publish.transaction_timeout` is {wanted} ms, the brokers allow {most} ms",
            "no transaction can begin", "shorten it, or raise `transaction.max.timeout.ms`",
        )  # fmt: skip
    return Finding(Level.OK, "transaction timeout", f"{wanted} ms of at most {most} ms")


def _state_log(broker: dict[str, str]) -> Iterator[Finding]:
    """Where Kafka keeps the outcome of transactions."""
    copies = int(broker.get("transaction.state.log.replication.factor") or 3)
    in_sync = int(broker.get("transaction.state.log.min.isr") or 2)
    if copies < 3 or in_sync < 2:
        yield Finding(
            Level.WARN, "transaction log", f"`__transaction_state` has replication {copies}, min ISR {in_sync}",
            "a lost disk may lose the outcome of transactions", "use 3 and 2 (set on the brokers before the first transaction)",
        )  # fmt: skip


# topics


def _topics(seen: _Seen) -> Iterator[Finding]:
    for topic in topics.wanted(seen.pipeline):
        described = _described(seen, topic.name)
        if described is None:
            yield _absent(seen.pipeline, topic)
            continue
        seen.found[topic.name] = described
        try:
            with client.translate(f"reading the settings of topic `{topic.name}`", seen.errors):
                seen.settings[topic.name] = topics.settings(seen.admin, topic.name)
        except NotAuthorizedError:
            yield Finding(
                Level.WARN, f"{topic.purpose} topic", f"the settings of `{topic.name}` may not be seen by this principal",
                "whether it can lose records stays unknown", "grant DescribeConfigs on it",
            )  # fmt: skip
        problems = list(_fit(seen, topic, described, seen.settings.get(topic.name)))
        count = f"{len(described.partitions)} partitions"
        yield from problems or [Finding(Level.OK, f"{topic.purpose} topic", f"`{topic.name}` fits: {count}")]


def _described(seen: _Seen, name: str) -> Any:
    from confluent_kafka import TopicCollection

    try:
        with client.translate(f"describing topic `{name}`", seen.errors):
            return client.answer(seen.admin, seen.admin.describe_topics(TopicCollection([name]), request_timeout=CALL)[name])
    except TopicMissingError:
        return None


def _absent(pipeline: Pipeline, topic: topics.Topic) -> Finding:
    check, what = f"{topic.purpose} topic", f"`{topic.name}` does not exist"
    if pipeline.topic.manage == "create":
        return Finding(Level.OK, check, f"{what} yet: the first run makes it")
    make = f"create it with {topic.partitions or 1} partitions, or set `topic.manage: create`"
    return Finding(Level.FAIL, check, what, "nothing can be published", make)


def _fit(seen: _Seen, topic: topics.Topic, described: Any, settings: dict[str, str] | None) -> Iterator[Finding]:
    check, count = f"{topic.purpose} topic", len(described.partitions)
    if topic.partitions is not None and count != topic.partitions:
        yield Finding(
            Level.FAIL, check, f"`{topic.name}` has {count} partitions, the pipeline says {topic.partitions}",
            "keys (or, in a ledger, files) would be looked for in other partitions", "set the pipeline to what the topic has",
        )  # fmt: skip
    copies = min(len(p.replicas) for p in described.partitions)
    if copies < 3:
        yield Finding(Level.WARN, check, f"`{topic.name}` has replication {copies}", "a lost disk may lose committed records", "use 3")
    for part in described.partitions:
        if len(part.isr) < len(part.replicas):
            yield Finding(Level.WARN, check, f"`{topic.name}` partition {part.id}: {len(part.isr)} of {len(part.replicas)} replicas in sync",
                          "the next lost broker may stop publishing", "see `forebay cluster`")  # fmt: skip
    if settings is not None:
        yield from _settings(seen, topic, settings, copies)


def _settings(seen: _Seen, topic: topics.Topic, found: dict[str, str], copies: int) -> Iterator[Finding]:
    check, name = f"{topic.purpose} topic", topic.name
    if copies > 1 and int(found.get("min.insync.replicas") or 1) < 2:
        yield Finding(
            Level.WARN, check, f"`{name}` has `min.insync.replicas=1`", "a record may be acknowledged by one broker only", "set it to 2"
        )
    if found.get("unclean.leader.election.enable") == "true":
        yield Finding(
            Level.WARN, check, f"`{name}` has `unclean.leader.election.enable=true`", "committed records may be lost", "set it to false"
        )
    if topic.purpose == "ledger":
        yield from _forgets(name, found)
    if topic.purpose == "data":
        yield from _times(seen.pipeline, name, found)
    if int(found.get("max.message.bytes") or topics.DEFAULT_MAX_MESSAGE_BYTES) < 65_536:
        yield Finding(Level.WARN, check, f"`{name}` takes records of at most {found['max.message.bytes']} bytes",
                      "larger rows are quarantined", "raise `max.message.bytes`")  # fmt: skip


def _forgets(name: str, found: dict[str, str]) -> Iterator[Finding]:
    if found.get("cleanup.policy") != "compact":
        yield Finding(
            Level.FAIL, "ledger topic", f"`{name}` has `cleanup.policy={found.get('cleanup.policy')}`",
            "a ledger that forgets publishes everything again", "set it to `compact`, exactly",
        )  # fmt: skip
    for setting in ("retention.ms", "retention.bytes"):
        if found.get(setting, "-1") != "-1":
            yield Finding(
                Level.WARN, "ledger topic", f"`{name}` has `{setting}={found[setting]}`",
                "harmless while it is only compacted; the day somebody adds `delete`, it forgets", f"set `{setting}=-1`",
            )  # fmt: skip


def _times(pipeline: Pipeline, name: str, found: dict[str, str]) -> Iterator[Finding]:
    """What Kafka does with records whose time is a column of the file."""
    column = pipeline.record.timestamp
    if column is None:
        return
    check = "record timestamps"
    if found.get("message.timestamp.type") == "LogAppendTime":
        yield Finding(Level.WARN, check, f"`{name}` has `message.timestamp.type=LogAppendTime`", f"`{column}` is overwritten by the broker's clock",
                      "set it to CreateTime, or leave `record.timestamp` out")  # fmt: skip
        return
    after = int(found.get("message.timestamp.after.max.ms") or 1 << 62)
    if after < 365 * DAY:
        yield Finding(Level.WARN, check, f"`{name}` refuses records more than {after / 3_600_000:g} h ahead of its clock",
                      f"one row with such a `{column}` fails its whole chunk", "raise `message.timestamp.after.max.ms`")  # fmt: skip
    before = int(found.get("message.timestamp.before.max.ms") or 1 << 62)
    if before < 36_500 * DAY:
        yield Finding(Level.WARN, check, f"`{name}` refuses records more than {before / DAY:g} days old",
                      f"one row with such a `{column}` fails its whole chunk", "raise `message.timestamp.before.max.ms`")  # fmt: skip
    kept = int(found.get("retention.ms") or -1)
    if kept >= 0 and "delete" in found.get("cleanup.policy", "delete"):
        yield Finding(Level.WARN, check, f"`{name}` keeps records for {kept / DAY:g} days, counted from `{column}`",
                      "rows of an older time are deleted soon after they are published", "set `retention.ms=-1`, or leave `record.timestamp` out")  # fmt: skip


# ledger, rights, transactions


def _ledger(seen: _Seen) -> Iterator[Finding]:
    """Whether it is the ledger that was used before; nothing is remembered by looking."""
    name, described = seen.pipeline.ledger_topic, seen.found.get(seen.pipeline.ledger_topic)
    guard = Guard(seen.keep, seen.pipeline.pipeline)
    try:
        if described is None:
            guard.missing(lambda: client.connect_check(seen.config))
            return
        reader = LedgerReader(seen.config, seen.pipeline)
        ends = reader.watermarks()
        reader.close()
        topic_id = str(described.topic_id)
        if guard.known(topic_id):
            guard.check(topic_id, len(described.partitions), lambda: client.connect_check(seen.config))
            guard.check_ends(topic_id, ends)
            yield Finding(Level.OK, "ledger", f"`{name}` is the one that was used before")
        else:
            guard.refuse_other(topic_id, lambda: client.connect_check(seen.config))
            yield Finding(Level.OK, "ledger", f"`{name}` was not used from here yet")
    except LedgerError as error:
        yield Finding(Level.FAIL, "ledger", error.message)


def _rights(seen: _Seen) -> Iterator[Finding]:
    """A transaction that writes one record to each topic and is aborted: it asks for every right that publishing needs (F23).

    Its transactional.id is a lane's neighbour: a lane's own would fence a publisher at work.
    """
    wanted = topics.wanted(seen.pipeline)
    if any(topic.name not in seen.found for topic in wanted):
        yield Finding(Level.OK, "rights", "not tried: the topics are not there yet")
        return
    lane = f"forebay.{seen.pipeline.pipeline}.doctor"
    with client.translate(f"trying a transaction as `{lane}`", seen.errors):
        refused = _try(seen, lane, wanted)
    for name, error in refused.items():
        yield Finding(
            Level.FAIL, "rights", f"writing to `{name}` was refused: {error.str()}",
            "every transaction would fail", f"grant Write and Describe on `{name}`",
        )  # fmt: skip
    yield from _may_read(seen)
    if not refused:
        yield Finding(Level.OK, "rights", f"a transaction as `{lane}` could write to all {len(wanted)} topics; it was aborted")


def _try(seen: _Seen, lane: str, wanted: tuple[topics.Topic, ...]) -> dict[str, Any]:
    """The error of each topic that refused a record, each tried in a transaction of its own, which is aborted.

    One transaction for all would not do: the coordinator refuses a request that names several topics as a whole, its transaction never begins,
    and the abort fails with `INVALID_TXN_STATE` before any delivery report has told which topic it was.
    """
    refused: dict[str, Any] = {}
    for topic in wanted:
        producer = client.producer(seen.config, seen.errors, **{"transactional.id": lane, "transaction.timeout.ms": 10_000})
        try:
            producer.init_transactions(CALL)
            _write_and_abort(producer, refused, topic.name)
        finally:
            told = dict(refused)
            with contextlib.suppress(Exception):  # of an instance with a fatal error, any call may raise that error again
                producer.purge()
                producer.close()
            refused = told
    return refused


def _write_and_abort(producer: Any, refused: dict[str, Any], name: str) -> None:
    from confluent_kafka import KafkaException

    try:
        producer.begin_transaction()
        producer.produce(name, b"doctor", b"doctor", partition=0, on_delivery=_note(refused, name))
        producer.flush(CALL)
        producer.abort_transaction(CALL)
    except KafkaException as error:
        refused.setdefault(name, error.args[0])


def _note(refused: dict[str, Any], name: str) -> Callable[[Any, Any], None]:
    def delivered(error: Any, _: Any) -> None:
        if error:
            refused[name] = error

    return delivered


def _may_read(seen: _Seen) -> Iterator[Finding]:
    """`reconcile` reads what was published; the ledger is read by everything."""
    from confluent_kafka import TopicPartition

    for topic in topics.wanted(seen.pipeline):
        consumer = client.consumer(seen.config, seen.errors, **{"auto.offset.reset": "latest"})
        try:
            consumer.assign([TopicPartition(topic.name, 0, 0)])
            message = consumer.poll(3.0)
            error = message.error() if message else None
            if error and error.name() == "TOPIC_AUTHORIZATION_FAILED":
                yield Finding(Level.FAIL, "rights", f"reading `{topic.name}` was refused", "what was published cannot be proved",
                              f"grant Read and Describe on `{topic.name}`")  # fmt: skip
        finally:
            consumer.close()


def _open_transactions(seen: _Seen) -> Iterator[Finding]:
    if seen.pipeline.ledger_topic not in seen.found:
        return
    reader = LedgerReader(seen.config, seen.pipeline)
    try:
        deadline = time.monotonic() + LAG
        while lag := _lag(reader):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
    finally:
        reader.close()
    for partition, records in lag.items():
        yield Finding(
            Level.WARN, "open transactions", f"`{reader.topic}` partition {partition}: a transaction is open, {records} offsets are held back",
            "publishing waits for it; it may be a publisher at work", "look again in a minute; if it stays: `kafka-transactions.sh find-hanging`",
        )  # fmt: skip
    if not lag:
        yield Finding(Level.OK, "open transactions", "none on the ledger")


def _lag(reader: LedgerReader) -> dict[int, int]:
    """How many offsets of each partition lie behind an open transaction."""
    stable, end = reader.watermarks(uncommitted=False), reader.watermarks()
    return {p: end[p] - stable[p] for p in end if end[p] > stable[p]}
