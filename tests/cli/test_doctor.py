"""`forebay doctor` as it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kafka import Cluster
from tests.support.project import OrdersProject

pytestmark = pytest.mark.kafka


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def test_it_says_what_it_found_for_people_and_programs(shop: OrdersProject) -> None:
    answer = shop.forebay("doctor", "--json")
    assert answer.code == 0, answer.err
    [one] = answer.json["pipelines"]
    assert (answer.json["ok"], one["pipeline"]) == (True, shop.name)
    assert {"level", "check", "what", "why", "way_out", "unreachable"} == set(one["findings"][0])
    assert {"disk", "connection", "broker version", "ledger topic", "rights"} <= {
        finding["check"] for finding in one["findings"]
    }
    read = shop.forebay("doctor", shop.name)
    assert (read.code, read.err) == (0, "")
    assert read.out.startswith(f"{shop.name}\n  ok    disk: ")


def test_what_fails_decides_the_exit_code(shop: OrdersProject) -> None:
    path = shop.root / "include/pipelines/orders.yaml"
    path.write_text(path.read_text().replace("manage: create", "manage: check"))
    answer = shop.forebay("doctor")
    assert answer.code == 2
    assert "fail  ledger topic: " in answer.out and "set `topic.manage: create`" in answer.out
    away = shop.forebay("doctor", "--json", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (away.code, away.json["ok"]) == (4, False)
    assert shop.forebay("doctor", "nobody").code == 2
