"""`forebay waiting` and `forebay decide` on a real broker: a person's answer, and when it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
BAD = "".join(f"{n},c1,-1.00,2026-01-05\n" for n in range(1, 31))


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    """A project with one file that waits: 70 good rows, 30 bad ones."""
    made = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    made.drop(DAY, "a.csv", orders(31, 100) + BAD)
    assert made.run().code == 3
    return made


def ids(shop: OrdersProject, kafka: Cluster) -> list[int]:
    return sorted(json.loads(m.value())["id"] for m in read_all(kafka.config, shop.name))


def waiting(shop: OrdersProject) -> list[Any]:
    return shop.forebay("waiting", shop.name, "--json").json["files"]


def decide(shop: OrdersProject, *words: str, **environment: str) -> Any:
    return shop.forebay("decide", shop.name, "--reason", "known refunds", "--json", *words, **environment)


def test_publish_goes_the_rest_of_the_way_and_is_recorded_everywhere(shop: OrdersProject, kafka: Cluster) -> None:
    [seen] = waiting(shop)
    assert (seen["rows_in"], seen["quarantined"]) == (100, 30)
    answer = decide(shop, "--publish")
    assert answer.code == 0, answer.err
    [run] = answer.json["runs"]
    assert (run["status"], run["files"][0]["published"], run["files"][0]["quarantined"]) == ("done", 70, 30)
    assert ids(shop, kafka) == list(range(31, 101))
    assert waiting(shop) == []
    [entry] = shop.forebay("ledger", "show", shop.name, "--json").json["files"]
    assert (entry["completion"]["decision"], entry["completion"]["decision_reason"]) == ("publish", "known refunds")
    indexed = next(f for f in shop.forebay("files", shop.name, "--json").json["files"] if f["run_id"] == run["run_id"])
    assert (indexed["follows"], indexed["decision_reason"], indexed["decided_at"] is not None) == (seen["run_id"], "known refunds", True)
    assert indexed["decided_by"] == entry["completion"]["decided_by"] != "gate"
    told = [json.loads(line) for line in (shop.root / ".forebay/lineage/events.jsonl").read_text().splitlines()][-1]
    tags = {tag["key"]: tag["value"] for tag in told["inputs"][0]["facets"]["tags"]["tags"]}
    assert (tags["forebay.decision"], tags["forebay.decision_reason"]) == ("publish", "known refunds")
    assert tags["forebay.follows"] == seen["run_id"]


def test_publish_all_publishes_the_failing_rows_too(shop: OrdersProject, kafka: Cluster) -> None:
    assert decide(shop, "--publish-all").json["runs"][0]["files"][0]["published"] == 100
    assert ids(shop, kafka) == list(range(1, 101))


def test_reject_publishes_nothing_and_ends_the_waiting(shop: OrdersProject, kafka: Cluster) -> None:
    answer = decide(shop, "--reject")
    assert answer.code == 0, answer.err
    file = answer.json["runs"][0]["files"][0]
    assert (file["rejected"], file["published"], file["quarantined"]) == (100, 0, 0)
    assert (ids(shop, kafka), waiting(shop)) == ([], [])


def test_a_file_that_changed_meanwhile_is_refused_and_nothing_is_published(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 100))
    answer = decide(shop, "--publish")
    assert answer.code == 1
    assert "no longer the file that was inspected" in answer.json["runs"][0]["files"][0]["reason"]
    assert ids(shop, kafka) == []


def test_a_changed_suite_is_refused_until_the_file_was_inspected_again(shop: OrdersProject, kafka: Cluster) -> None:
    path = shop.root / "include/expectations/orders.json"
    path.write_text(path.read_text().replace('"min_value": 0', '"min_value": 5'))
    refused = decide(shop, "--publish")
    assert (refused.code, ids(shop, kafka)) == (1, [])
    assert "has changed since" in refused.json["runs"][0]["files"][0]["reason"]
    assert len(waiting(shop)) == 1


def test_what_another_run_has_published_is_not_decided_again(shop: OrdersProject, kafka: Cluster) -> None:
    index = shop.root / ".forebay/index.sqlite"
    kept = {path: path.read_bytes() for path in index.parent.glob("index.sqlite*")}
    shop.run(DAY, "--steward", "publish", "--reason", "by the other way")
    for path in index.parent.glob("index.sqlite*"):
        path.unlink()
    for path, data in kept.items():  # an index that does not know of it yet
        path.write_bytes(data)
    refused = decide(shop, "--publish-all")
    assert refused.code == 1
    assert "published it meanwhile" in refused.json["runs"][0]["files"][0]["reason"]
    assert ids(shop, kafka) == list(range(31, 101))


@pytest.mark.parametrize("failpoint", ["mid_produce", "after_ledger", "after_commit"])
def test_a_decision_that_was_killed_is_completed_by_the_same_decision(shop: OrdersProject, kafka: Cluster, failpoint: str) -> None:
    assert decide(shop, "--publish", FOREBAY_FAILPOINT=f"{failpoint}:kill9").code == -9
    again = decide(shop, "--publish")
    assert again.code == 0, again.err
    assert ids(shop, kafka) == list(range(31, 101))


def test_a_decision_needs_a_reason_one_answer_and_a_file_that_waits(shop: OrdersProject) -> None:
    assert shop.forebay("decide", shop.name, "--publish").code == 2
    assert decide(shop, "--publish", "--reject").code == 2
    assert decide(shop).code == 2
    nobody = decide(shop, "--publish", "--file", "other.csv")
    assert (nobody.code, "no file waits" in nobody.err) == (2, True)


def test_what_is_published_in_part_cannot_be_rejected(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    """Consumers have seen a chunk of it: the way out is to publish the rest."""
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap, chunk=25)
    shop.drop(DAY, "a.csv", orders(31, 100) + BAD)
    assert shop.run().code == 3
    assert decide(shop, "--publish", FOREBAY_FAILPOINT="after_flush@1:kill9").code == -9
    refused = decide(shop, "--reject")
    assert refused.code != 0
    assert "a part of it is published already" in refused.out
    assert decide(shop, "--publish").code == 0
    assert ids(shop, kafka) == list(range(31, 101))
