"""`forebay discover`: every file seen, its fate, and why, with a real ledger behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forebay.kafka.ledger import reader as ledger_reader
from forebay.model import SourceFile
from tests.support.kafka import Cluster, create_topic, fresh
from tests.verbs.published import Ledger

pytestmark = pytest.mark.kafka

YAML = """\
pipeline: {name}
owner: shop
source: {{type: local, path: "drops/{{{{ ds }}}}/*.csv"}}
format: {{type: csv}}
record: {{key: id}}
topic: {{name: {name}}}
"""


@pytest.fixture
def name(pipeline: Callable[..., Path], root: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline of its own on the session's broker, with one file of 2013-01-02."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    name = fresh("orders").lower()
    pipeline(YAML.format(name=name), name)
    drops = root / "drops" / "2013-01-02"
    drops.mkdir(parents=True)
    (drops / "[b]a.csv").write_bytes(b"id\n1\n")
    return name


def commit(config: dict[str, Any], name: str, uri: str, content: bytes) -> None:
    """A completion record in the pipeline's ledger, as a publisher leaves it: committed."""
    from confluent_kafka import Producer

    made = Ledger()
    made.publish(SourceFile(uri, len(content), 0.0), content)
    (entry,) = made.view.entries()
    producer = Producer({**config, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    key = ledger_reader.key(name, entry.fingerprint, 1, ledger_reader.FILE)
    producer.produce(f"forebay.{name}.ledger", json.dumps(entry.to_json()).encode(), key, partition=0)
    producer.commit_transaction(30)


def test_before_the_first_run_every_file_is_new(name: str, forebay: Callable[..., Any]) -> None:
    found = forebay("discover", name, "--date", "2013-01-02", "--json")
    assert found.code == 0
    assert [(file["fate"], file["reason"], file["status"]) for file in found.json["files"]] == [
        ("new", "never seen before", "discovered")
    ]


def test_the_ledger_is_asked(name: str, root: Path, kafka: Cluster, forebay: Callable[..., Any]) -> None:
    create_topic(kafka.config, f"forebay.{name}.ledger", cleanup_policy="compact")
    commit(kafka.config, name, f"file://{root}/drops/2013-01-02/%5Bb%5Da.csv", b"id\n1\n")
    found = forebay("discover", name, "--date", "2013-01-02", "--json")
    (file,) = found.json["files"]
    assert (found.code, file["fate"], file["status"]) == (0, "already published", "skipped")
    assert file["reason"] == "the same bytes were published by run `run-1` at 2013-01-03 02:00:00 UTC"


def test_a_person_reads_a_table_or_that_nothing_is_there(name: str, root: Path, forebay: Callable[..., Any]) -> None:
    found = forebay("discover", name, "--date", "2013-01-02")
    assert f"file://{root}/drops/2013-01-02/%5Bb%5Da.csv" in found.out
    assert "never seen before" in found.out
    empty = forebay("discover", name, "--date", "2013-01-03")
    assert (empty.code, empty.out.startswith("not ready: nothing matches `drops/2013-01-03/*.csv`")) == (0, True)


def test_a_date_that_is_none_is_wrong_usage(name: str, forebay: Callable[..., Any]) -> None:
    assert forebay("discover", name, "--date", "yesterday").code == 2
