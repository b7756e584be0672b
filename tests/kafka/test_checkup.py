"""doctor's judgement of what brokers may say and the tests' brokers never do: told here by hand. What they can be made
to do is in tests/verbs/test_doctor.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.errors import NotAuthorizedError
from forebay.kafka import topics
from forebay.kafka.doctor import checks, topic_checks, versions
from forebay.kafka.doctor.findings import ClusterFacts, Finding, Level
from forebay.kafka.ledger.guard import LedgerHome
from tests.harness.generated import make_pipeline

SOUND = {
    "transaction.partition.verification.enable": "true",
    "transaction.max.timeout.ms": "900000",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


@pytest.fixture
def seen(tmp_path: Path) -> ClusterFacts:
    return ClusterFacts({"bootstrap.servers": "127.0.0.1:1"}, make_pipeline("checked"), LedgerHome(tmp_path, "b:1"))


def words(findings: list[Finding], level: Level) -> str:
    return "; ".join(f"{f.check}: {f.what}" for f in findings if f.level is level)


@pytest.mark.parametrize(
    ("level", "expected"),
    [(versions.AT_LEAST_3_7, Level.OK), (versions.AT_LEAST_3_6, Level.WARN), (versions.AT_LEAST_3_6 - 1, Level.FAIL)],
)
def test_old_brokers_are_found(level: int, expected: Level) -> None:
    found = checks._age(level)
    assert found.level is expected
    assert expected is Level.OK or (found.why and found.way_out)


@pytest.mark.parametrize(
    ("harm", "level", "expected"),
    [
        ({}, Level.OK, "late writes: verified by the brokers"),
        (
            {"transaction.partition.verification.enable": "false"},
            Level.FAIL,
            "late writes: `transaction.partition.verification.enable=false`",
        ),
        ({"transaction.partition.verification.enable": None}, Level.FAIL, "late writes: the brokers do not know"),
        ({"transaction.max.timeout.ms": "1000"}, Level.FAIL, "the brokers allow 1000 ms"),
        (
            {"transaction.state.log.replication.factor": "1"},
            Level.WARN,
            "`__transaction_state` has replication 1, min ISR 2",
        ),
        ({"transaction.state.log.min.isr": "1"}, Level.WARN, "`__transaction_state` has replication 3, min ISR 1"),
    ],
)
def test_settings_of_brokers(
    seen: ClusterFacts, monkeypatch: pytest.MonkeyPatch, harm: dict[str, Any], level: Level, expected: str
) -> None:
    told = {name: value for name, value in (SOUND | harm).items() if value is not None}
    monkeypatch.setattr(checks, "_broker_settings", lambda _: told)
    found = list(checks._rules_of_broker(seen))
    assert expected in words(found, level)
    assert harm or [f for f in found if f.level is not Level.OK] == []


def test_settings_that_may_not_be_seen_are_said(seen: ClusterFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: ClusterFacts) -> dict[str, str]:
        raise NotAuthorizedError("reading broker settings: refused")

    monkeypatch.setattr(checks, "_broker_settings", refused)
    assert "broker settings: this principal may not see them" in words(list(checks._rules_of_broker(seen)), Level.WARN)
    found = list(checks._brokers(seen))
    assert "broker version: unknown" in words(found, Level.WARN)


def described(partitions: int = 1, replicas: int = 3, in_sync: int = 3) -> Any:
    part = SimpleNamespace(id=0, replicas=range(replicas), isr=range(in_sync))
    return SimpleNamespace(partitions=[part] * partitions)


LEDGER = topics.LEDGER_CONFIG | {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


@pytest.mark.parametrize(
    ("topic", "config", "level", "expected"),
    [
        ({}, {}, Level.OK, ""),
        ({"partitions": 2}, {}, Level.FAIL, "has 2 partitions, the pipeline says 1"),
        ({"replicas": 2, "in_sync": 2}, {}, Level.WARN, "has replication 2"),
        ({"in_sync": 1}, {}, Level.WARN, "partition 0: 1 of 3 replicas in sync"),
        ({}, {"min.insync.replicas": "1"}, Level.WARN, "`min.insync.replicas=1`"),
        ({}, {"unclean.leader.election.enable": "true"}, Level.WARN, "`unclean.leader.election.enable=true`"),
        ({}, {"cleanup.policy": "delete"}, Level.FAIL, "`cleanup.policy=delete`"),
        ({}, {"cleanup.policy": "compact,delete"}, Level.FAIL, "`cleanup.policy=compact,delete`"),
        ({}, {"retention.ms": "1000"}, Level.WARN, "`retention.ms=1000`"),
        ({}, {"retention.bytes": "1000"}, Level.WARN, "`retention.bytes=1000`"),
        ({}, {"max.message.bytes": "2000"}, Level.WARN, "at most 2000 bytes"),
    ],
)
def test_a_ledger_topic_that_is_weak(
    seen: ClusterFacts, topic: dict[str, int], config: dict[str, str], level: Level, expected: str
) -> None:
    ledger = next(t for t in topics.wanted(seen.pipeline) if t.purpose == "ledger")
    found = list(topic_checks._fit(seen, ledger, described(**topic), LEDGER | config))
    assert expected in words(found, level)
    assert len(found) == (0 if level is Level.OK else 1)


def test_a_topic_whose_records_one_broker_acknowledges_is_sound_when_it_is_set_as_told(seen: ClusterFacts) -> None:
    ledger = next(t for t in topics.wanted(seen.pipeline) if t.purpose == "ledger")
    weak = LEDGER | {"min.insync.replicas": "1"}
    (found,) = topic_checks._fit(seen, ledger, described(), weak)
    assert found.way_out.startswith("set it to ")
    assert list(topic_checks._fit(seen, ledger, described(), weak | {"min.insync.replicas": found.way_out[-1]})) == []
