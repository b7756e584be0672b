"""Lanes: files of different lanes are published beside one another, each in a transaction of its own; the ledger
partition of one file is enough for it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forebay import events
from forebay.config.pipeline import Pipeline
from forebay.kafka import topics
from forebay.kafka.ledger.reader import lane_of, partition_of
from forebay.kafka.publish import failpoints
from forebay.kafka.publish.publisher import publish_file
from tests.chaos.proxy import Proxy
from tests.harness.generated import make_job, make_pipeline
from tests.harness.judge import look
from tests.support.kafka import Cluster, fresh, running

pytestmark = pytest.mark.kafka
LANES = 4
ROWS = 200


def names_by(place: Any, count: int) -> list[str]:
    """The name of one generated file for each number below `count` that `place(fingerprint, count)` can give."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        name = f"f{number}"
        found.setdefault(place(hashlib.sha256(name.encode()).hexdigest(), count), name)
        number += 1
    return [found[n] for n in range(count)]


def in_lanes(count: int) -> list[str]:
    """Names of generated files of as many lanes."""
    return names_by(lambda fingerprint, _: lane_of(fingerprint), 64)[:count]


def ready(config: dict[str, Any], **more: int) -> Pipeline:
    pipeline = make_pipeline(fresh("lane").lower(), 4, "60s", **more)
    topics.ensure(config, pipeline)
    return pipeline


@contextlib.contextmanager
def told(name: str) -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    stop = events.listen(lambda event, fields: heard.append(fields) if event == name else None)
    try:
        yield heard
    finally:
        stop()


def test_as_many_transactions_as_lanes_are_open_at_once(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file waits, its rows sent and its transaction open, until all others are as far: one after the other they
    would never be."""
    pipeline = ready(kafka.config, lanes=LANES)
    names = in_lanes(LANES)
    together = threading.Barrier(LANES, timeout=100)

    def hit(place: str, _chunk: int | None = None) -> None:
        if place == "after_flush":
            together.wait()

    monkeypatch.setattr(failpoints, "hit", hit)
    with told(events.PRODUCER_FENCED) as fenced, ThreadPoolExecutor(LANES) as pool:
        receipts = list(
            pool.map(lambda name: publish_file(make_job(kafka.config, pipeline, ROWS, ROWS // 2, name)), names)
        )
    assert [len(found) for found in receipts] == [2] * LANES
    assert fenced == []
    for name in names:
        assert look(kafka.config, pipeline.pipeline, ROWS, name=name) == []


@pytest.mark.long
def test_lanes_scale_where_the_broker_is_far_away(tmp_path: Path) -> None:
    """50 ms each way: the round trips of a transaction are what a file waits for, and lanes wait side by side."""
    with Proxy() as proxy, running(tmp_path / "broker", 1, advertised=(proxy.port,)) as broker:
        [proxy.target] = broker.proxied
        config = {"bootstrap.servers": f"127.0.0.1:{proxy.port}"}
        pipeline = ready(config, lanes=LANES)
        names = in_lanes(LANES)
        jobs = [make_job(config, pipeline, ROWS, ROWS // 2, name) for name in names]
        again = [make_job(config, pipeline, ROWS, ROWS // 2, name, generation=2) for name in names]
        proxy.slow(0.05)
        began = time.monotonic()
        for job in jobs:
            publish_file(job)
        one_after_another = time.monotonic() - began
        began = time.monotonic()
        with ThreadPoolExecutor(LANES) as pool:
            list(pool.map(publish_file, again))
        beside = time.monotonic() - began
    print(
        f"\n{LANES} files of 2 transactions, 100 ms a round trip: {one_after_another:.2f} s one after another, "
        f"{beside:.2f} s on {LANES} lanes"
    )
    assert beside < one_after_another / 2


def test_an_open_transaction_on_another_ledger_partition_is_not_waited_for(kafka: Cluster) -> None:
    """Only the file's own ledger partition is read: a stranger's transaction on the other one is nobody's business
    here."""
    from confluent_kafka import Producer

    pipeline = ready(kafka.config, lanes=2, ledger_partitions=2)
    here, elsewhere = names_by(partition_of, 2)
    stranger = Producer({**kafka.config, "transactional.id": fresh("stranger")})
    stranger.init_transactions(30)
    stranger.begin_transaction()
    stranger.produce(pipeline.ledger_topic, b"{}", b"{}", partition=1)
    assert stranger.flush(30) == 0
    began = time.monotonic()
    [receipt] = publish_file(make_job(kafka.config, pipeline, ROWS, ROWS, here))
    assert (receipt.published, time.monotonic() - began < 45) == (ROWS, True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(publish_file, make_job(kafka.config, pipeline, ROWS, ROWS, elsewhere))
        time.sleep(2)
        assert not waiting.done()  # the control: its own partition is held up
        stranger.abort_transaction(30)
        assert waiting.result(60)[0].published == ROWS
