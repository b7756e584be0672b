"""doctor on real brokers: every condition that it names is broken here once, and found."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.kafka import topics
from forebay.support.folders import OTHERS, private
from forebay.verbs import doctor as verb
from forebay.verbs.context import Context
from forebay.verbs.doctor import Finding, Level, doctor, exit_code
from tests.support.kafka import Cluster, create_topic, fresh, read_all

pytestmark = pytest.mark.kafka


class Connections(EnvironmentConnections):
    """One Kafka connection, given."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__({})
        self.config = config

    def kafka(self, name: str | None) -> dict[str, Any]:
        return dict(self.config)


def make(
    tmp_path: Path, config: dict[str, Any], manage: str = "create", record: dict[str, Any] | None = None, **publish: Any
) -> Context:
    name = fresh("doc").lower()
    pipeline = Pipeline.model_validate(
        {
            "pipeline": name,
            "owner": "tests",
            "source": {"type": "local", "path": "in/*"},
            "format": {"type": "csv"},
            "record": {"key": "k"} | (record or {}),
            "topic": {"name": f"{name}.data", "partitions": 2, "manage": manage},
            "publish": publish,
        }
    )
    return Context(pipeline, Project(tmp_path, tmp_path / ".forebay"), Connections(config))


def of(findings: tuple[Finding, ...], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def fails(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.check for finding in findings if finding.level is Level.FAIL]


def test_one_node_is_enough_to_begin_and_its_weakness_is_said(tmp_path: Path, kafka: Cluster) -> None:
    ctx = make(tmp_path, kafka.config)
    before = doctor(ctx)
    assert fails(before) == []
    assert "the first run makes it" in of(before, "data topic")[0].what
    topics.ensure(ctx.kafka, ctx.pipeline)
    findings = doctor(ctx)
    assert (fails(findings), exit_code(findings)) == ([], 0)
    assert [f.what.split(" has ")[1] for f in of(findings, "data topic")] == ["replication 1"]
    assert all(f.why and f.way_out for f in findings if f.level is Level.WARN)
    [version] = of(findings, "broker version")
    assert (version.level, version.what) == (Level.OK, "Kafka 4.1 or newer")
    assert of(findings, "late writes")[0].level is Level.OK
    assert "could write to all 3 topics" in of(findings, "rights")[0].what
    for topic in topics.wanted(ctx.pipeline):
        assert read_all(kafka.config, topic.name) == []
    assert not (tmp_path / ".forebay").exists()


def test_a_durable_cluster_has_nothing_to_warn_of(tmp_path: Path, kafka3: Cluster) -> None:
    ctx = make(tmp_path, kafka3.config)
    section = ctx.pipeline.topic.model_copy(update={"replication": 3, "config": {"min.insync.replicas": 2}})
    ctx = replace(ctx, pipeline=ctx.pipeline.model_copy(update={"topic": section}))
    topics.ensure(ctx.kafka, ctx.pipeline)
    assert [f for f in doctor(ctx) if f.level is not Level.OK] == []


def test_topics_that_are_missing_or_do_not_fit(tmp_path: Path, kafka: Cluster) -> None:
    ctx = make(tmp_path, kafka.config, manage="check")
    findings = doctor(ctx)
    assert (fails(findings), exit_code(findings)) == (["data topic", "ledger topic", "quarantine topic"], 2)
    create_topic(kafka.config, ctx.pipeline.topic.name, 5)
    create_topic(kafka.config, ctx.pipeline.ledger_topic, 1, cleanup_policy="compact,delete", retention_ms=1000)
    create_topic(kafka.config, ctx.pipeline.quarantine_topic, 1, max_message_bytes=1000)
    findings = doctor(ctx)
    assert fails(findings) == ["data topic", "ledger topic"]
    words = " ".join(f.what for f in findings)
    assert "has 5 partitions, the pipeline says 2" in words
    assert "`cleanup.policy=compact,delete`" in words
    assert "`retention.ms=1000`" in words
    assert "at most 1000 bytes" in words


def test_a_timeout_that_the_brokers_do_not_allow(tmp_path: Path, kafka: Cluster) -> None:
    findings = doctor(make(tmp_path, kafka.config, transaction_timeout="20m"))
    assert fails(findings) == ["transaction timeout"]
    assert "1200000 ms, the brokers allow 900000 ms" in of(findings, "transaction timeout")[0].what


def test_times_from_the_file_meet_the_topics_limits(tmp_path: Path, kafka: Cluster) -> None:
    ctx = make(tmp_path, kafka.config, record={"timestamp": "at"})
    topics.ensure(ctx.kafka, ctx.pipeline)
    words = [f.what for f in of(doctor(ctx), "record timestamps")]
    assert any("more than 1 h ahead" in what for what in words)
    assert any("keeps records for 7 days" in what for what in words)
    plain = make(tmp_path, kafka.config)
    topics.ensure(plain.kafka, plain.pipeline)
    assert of(doctor(plain), "record timestamps") == []


def until(condition: Callable[[], bool], otherwise: str) -> None:
    """A broker does what it has promised some moments later, and how many depends on what else the machine does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def refused(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.what for finding in of(findings, "rights") if finding.level is Level.FAIL]


def doctor_until(ctx: Context, seen: Callable[[tuple[Finding, ...]], bool]) -> tuple[Finding, ...]:
    """What doctor finds once `seen` is true of it, or after half a minute whatever it finds: a right that was granted
    is described at once and given to clients some moments later."""
    deadline = time.monotonic() + 30
    while not seen(findings := doctor(ctx)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return findings


def _like(one: Any) -> Any:
    from confluent_kafka.admin import AclBindingFilter

    fields = (
        one.restype,
        one.name,
        one.resource_pattern_type,
        one.principal,
        one.host,
        one.operation,
        one.permission_type,
    )
    return AclBindingFilter(*fields)


def grant(kafka: Cluster, names: list[tuple[str, str]], operations: tuple[str, ...]) -> None:
    """Give bob these operations on resources (type, prefix)."""
    from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

    bindings = [
        AclBinding(
            ResourceType[kind],
            name,
            ResourcePatternType.PREFIXED,
            "User:bob",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for kind, name in names
        for operation in operations
    ]
    admin = kafka.admin()
    for future in admin.create_acls(bindings).values():
        future.result(30)
    until(lambda: all(admin.describe_acls(_like(one)).result(30) for one in bindings), "the rights never came")


@contextlib.contextmanager
def group_granted(kafka: Cluster) -> Iterator[None]:
    """Bob may read as any consumer group; the session's broker forgets it afterwards."""
    from confluent_kafka.admin import (
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    grant(kafka, [("GROUP", "forebay")], ("READ",))
    try:
        yield
    finally:
        pattern = (
            ResourceType.GROUP,
            "forebay",
            ResourcePatternType.PREFIXED,
            "User:bob",
            "*",
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin = kafka.admin()
        for future in admin.delete_acls([AclBindingFilter(*pattern)]).values():
            future.result(30)
        until(lambda: not admin.describe_acls(AclBindingFilter(*pattern)).result(30), "the rights never went")


def test_rights_are_tried_by_an_aborted_transaction(tmp_path: Path, kafka: Cluster) -> None:
    admin = make(tmp_path, kafka.config)
    topics.ensure(admin.kafka, admin.pipeline)
    bob = replace(admin, connections=Connections(kafka.sasl("bob")))
    name = admin.pipeline.pipeline
    grant(kafka, [("TOPIC", name), ("TOPIC", f"forebay.{name}.")], ("DESCRIBE", "READ"))
    grant(kafka, [("TOPIC", name)], ("WRITE",))
    no_id = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
    findings = doctor_until(bob, lambda found: no_id in " ".join(refused(found)))
    assert exit_code(findings) == 2
    assert no_id in " ".join(refused(findings))
    grant(kafka, [("TRANSACTIONAL_ID", f"forebay.{name}.")], ("DESCRIBE", "WRITE"))
    findings = doctor_until(bob, lambda found: f"forebay.{name}.ledger" in " ".join(refused(found)))
    assert any(f"forebay.{name}.ledger" in what for what in refused(findings)), refused(findings)
    assert no_id not in " ".join(refused(findings))
    grant(kafka, [("TOPIC", f"forebay.{name}.")], ("WRITE",))
    no_group = ["reading as consumer group `forebay` was refused"]
    assert refused(doctor_until(bob, lambda found: refused(found) == no_group)) == no_group
    with group_granted(kafka):
        findings = doctor_until(bob, lambda found: fails(found) == [])
    assert fails(findings) == []
    assert "could write" in of(findings, "rights")[0].what
    assert of(findings, "broker settings")[0].level is Level.WARN
    assert read_all(kafka.config, admin.pipeline.topic.name) == []


def test_reading_that_is_refused_is_said_with_its_topic(tmp_path: Path, kafka: Cluster) -> None:
    admin = make(tmp_path, kafka.config)
    topics.ensure(admin.kafka, admin.pipeline)
    bob = replace(admin, connections=Connections(kafka.sasl("bob")))
    name = admin.pipeline.pipeline
    grant(kafka, [("TOPIC", name), ("TOPIC", f"forebay.{name}.")], ("DESCRIBE", "WRITE"))
    grant(kafka, [("TRANSACTIONAL_ID", f"forebay.{name}.")], ("DESCRIBE", "WRITE"))
    unread = [f"reading `{topic.name}` was refused" for topic in topics.wanted(admin.pipeline)]
    with group_granted(kafka):
        assert refused(doctor_until(bob, lambda found: refused(found) == unread)) == unread


def test_topics_that_may_lose_what_was_committed(tmp_path: Path, kafka: Cluster) -> None:
    ctx = make(tmp_path, kafka.config, manage="check", ledger_partitions=2)
    create_topic(kafka.config, ctx.pipeline.topic.name, 2, unclean_leader_election_enable="true")
    create_topic(kafka.config, ctx.pipeline.ledger_topic, 3, cleanup_policy="compact", retention_bytes=1_000_000)
    create_topic(kafka.config, ctx.pipeline.quarantine_topic, 1)
    findings = doctor(ctx)
    words = " ".join(f.what for f in findings if f.level is not Level.OK)
    assert fails(findings) == ["ledger topic"]
    assert f"`{ctx.pipeline.ledger_topic}` has 3 partitions, the pipeline says 2" in words
    assert f"`{ctx.pipeline.topic.name}` has `unclean.leader.election.enable=true`" in words
    assert f"`{ctx.pipeline.ledger_topic}` has `retention.bytes=1000000`" in words
    assert "`__transaction_state` has replication 1, min ISR 1" in words


def test_wrong_passwords_and_brokers_that_are_away(tmp_path: Path, kafka: Cluster) -> None:
    wrong = doctor(make(tmp_path, kafka.sasl("bob", "wrong")))
    assert (fails(wrong), exit_code(wrong)) == (["connection"], 2)
    away = doctor(make(tmp_path, {"bootstrap.servers": "127.0.0.1:1"}))
    assert (fails(away), exit_code(away)) == (["connection"], 4)


def test_an_open_transaction_on_the_ledger_is_said(tmp_path: Path, kafka: Cluster) -> None:
    from confluent_kafka import Producer

    ctx = make(tmp_path, kafka.config)
    topics.ensure(ctx.kafka, ctx.pipeline)
    producer = Producer({**kafka.config, "transactional.id": fresh("open")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(ctx.pipeline.ledger_topic, b"{}", b"{}", partition=0)
    assert producer.flush(30) == 0
    [found] = of(doctor(ctx), "open transactions")
    assert (found.level, "offsets are held back" in found.what) == (Level.WARN, True)
    producer.abort_transaction(30)
    until(
        lambda: [found.level for found in of(doctor(ctx), "open transactions")] == [Level.OK],
        "the abort was never seen",
    )


def test_a_ledger_that_is_not_the_known_one_fails(tmp_path: Path, kafka: Cluster) -> None:
    from forebay.kafka.ledger.guard import Guard

    ctx = make(tmp_path, kafka.config)
    topics.ensure(ctx.kafka, ctx.pipeline)
    Guard(ctx.keep, ctx.pipeline.pipeline).check("another-topic-id", 1, lambda: "cluster")
    [found] = of(doctor(ctx), "ledger")
    assert (found.level, "was recreated" in found.what) == (Level.FAIL, True)
    assert exit_code(doctor(ctx)) == 2


def test_little_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verb._room(tmp_path / "not" / "there").level in set(Level)
    monkeypatch.setattr(verb, "LITTLE", 1 << 80)
    assert verb._room(tmp_path).level is Level.WARN
    monkeypatch.setattr(verb, "NOTHING", 1 << 80)
    assert verb._room(tmp_path).level is Level.FAIL


def test_a_home_that_others_may_read_is_said_with_the_command_that_closes_it(tmp_path: Path) -> None:
    home = tmp_path / "ann's home; $HOME"
    assert verb._owner(home) == ()
    private(home / "work")
    assert [finding.level for finding in verb._owner(home)] == [Level.OK]
    home.chmod(0o755)
    [finding] = verb._owner(home)
    assert finding.level is Level.WARN and "0755" in finding.what
    subprocess.run(str(finding.way_out), shell=True, check=True)
    assert [finding.level for finding in verb._owner(home)] == [Level.OK]


def test_what_the_home_holds_is_said_folder_by_folder_the_largest_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert verb._use(home) == ()
    private(home / "empty")
    assert verb._use(home)[0].what == f"0.0 MiB in `{home}`: nothing yet"
    for name, size in (("spool", 1 << 20), ("work/a", 3 << 20), ("work/b", 2 << 20)):
        private(home / name)
        (home / name / "x").write_bytes(bytes(size))
    (home / "work" / "link").symlink_to(home / "spool" / "x")
    [finding] = verb._use(home)
    assert (finding.level, finding.check) == (Level.OK, "disk use")
    assert finding.what == f"6.0 MiB in `{home}`: work 5.0 MiB, spool 1.0 MiB"


def test_every_folder_of_a_home_is_its_owners_alone_after_a_file_was_inspected(tmp_path: Path) -> None:
    """Files in it keep the umask: nobody else gets to them, and their owner may hand one on."""
    from tests.keys.trial import ROWS, SUITE, Trial

    trial = Trial(tmp_path, {"quality.suite": "s"}, {"a.csv": ROWS}, SUITE)
    assert trial.inspected().counts.rows_in == 3
    home = trial.project.home
    inside = [folder for folder in (home, *home.iterdir()) if folder.is_dir()]
    assert len(inside) > 3
    assert [folder for folder in inside if folder.stat().st_mode & OTHERS] == []
    assert [finding.level for finding in verb._owner(home)] == [Level.OK]
