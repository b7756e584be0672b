"""A data topic that is compacted, and has been: verify, reconcile, trace and doctor know what that means, and cry no
wolf. A raw consumer is the judge."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.kafka.embedded.running import Broker
from tests.e2e.test_take_up import cut_short, settled_by
from tests.support.kafka import create_topic, delete_records, read_all, running
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY, NEXT = "2026-01-05", "2026-01-06"


@pytest.fixture(scope="module")
def cleaning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker whose cleaner looks ten times a second; by default every 15 s."""
    with running(tmp_path_factory.mktemp("cleaning") / "broker", extra={"log.cleaner.backoff.ms": "100"}) as started:
        yield started


@pytest.fixture
def shop(tmp_path: Path, cleaning: Broker, topic_name: str) -> OrdersProject:
    """Its topic exists already, of one partition, with segments that end at once."""
    name = f"orders-{topic_name[-8:]}"
    found = OrdersProject.make(tmp_path, name, cleaning.bootstrap)
    yaml = found.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("partitions: 3", "partitions: 1"))
    config = {"bootstrap.servers": cleaning.bootstrap}
    create_topic(
        config, name, cleanup_policy="compact", segment_ms=1, min_cleanable_dirty_ratio=0.001, max_compaction_lag_ms=1
    )
    return found


def left(shop: OrdersProject) -> list[int]:
    """The rows that a consumer sees now."""
    return [
        json.loads(m.value())["id"] for m in read_all({"bootstrap.servers": shop.bootstrap}, shop.name) if m.headers()
    ]


def compact(shop: OrdersProject, rows: int) -> None:
    """Wait until the cleaner has left no more than these rows of ours. It never cleans the last segment: a stranger's
    record makes a new one."""
    from confluent_kafka import Producer

    deadline = time.monotonic() + 60
    while len(left(shop)) > rows:
        assert time.monotonic() < deadline, "the cleaner never ran"
        time.sleep(0.2)
        stranger = Producer({"bootstrap.servers": shop.bootstrap})
        stranger.produce(shop.name, b"{}", b"stranger")
        assert stranger.flush(30) == 0


def verified(shop: OrdersProject) -> tuple[int, list[tuple[int, int, str | None]]]:
    answer = shop.forebay("ledger", "verify", shop.name, "--json")
    return answer.code, [(file["found"], file["compacted"], file["problem"]) for file in answer.json["files"]]


def policy(shop: OrdersProject, value: str) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    admin = AdminClient({"bootstrap.servers": shop.bootstrap})
    entry = ConfigEntry("cleanup.policy", value, incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, shop.name, incremental_configs=[entry])]
    ).values():
        future.result(30)


def test_verify_knows_that_older_keys_are_gone(shop: OrdersProject) -> None:
    shop.drop(DAY, "a.csv", orders(1, 100))
    run = shop.run()
    assert run.code == 0, run.err  # the cleaner may have been faster than its proof
    [output] = run.json["files"][0]["outputs"]
    offset = output["first"]
    compact(shop, 7)
    assert left(shop) == list(range(94, 101)), "of seven customers the last row of each"
    assert verified(shop) == (0, [(7, 93, None)])
    told = shop.forebay("ledger", "verify", shop.name).out
    assert "0 differ from the ledger" in told and "93 more records are gone from a compacted topic" in told
    traced = shop.forebay("trace", shop.name, "0", str(offset))
    assert (traced.code, "compacted away" in traced.err) == (1, True), traced.err
    policy(shop, "delete")  # the control: where nothing forgets, the same gap is a difference
    code, [(found, compacted, problem)] = verified(shop)
    assert (code, found, compacted) == (1, 7, 0) and "7 records of it, the ledger says 100" in str(problem)
    policy(shop, "compact,delete")
    assert verified(shop)[0] == 0
    delete_records({"bootstrap.servers": shop.bootstrap}, shop.name, {0: offset + 100})
    answer = shop.forebay("ledger", "verify", shop.name)
    assert (answer.code, "100 more records have expired, not been lost" in answer.out) == (0, True), answer.out


def test_what_was_compacted_before_it_was_proved_is_reconciled_as_far_as_it_goes(shop: OrdersProject) -> None:
    settled_by(shop, {"type": "keep"})
    shop.drop(DAY, "a.csv", orders(1, 100))
    cut_short(shop, "reconcile")
    compact(shop, 7)
    again = shop.run()
    assert again.code == 0, again.out
    assert again.json["files"][0]["fate"] == "already published"
    notes = [note for file in shop.forebay("files", shop.name, "--json").json["files"] for note in file["notes"]]
    assert any("93 of its records are gone already: the topic is compacted" in note for note in notes), notes
    shop.drop(NEXT, "b.csv", orders(101, 110))
    assert shop.run(NEXT).code == 0


def test_check_and_doctor_say_what_compaction_means(shop: OrdersProject) -> None:
    def doctor() -> list[tuple[str, str]]:
        found = shop.forebay("doctor", "--json").json["pipelines"][0]["findings"]
        return [(f["level"], f["what"]) for f in found if "cleanup.policy=compact" in f["what"]]

    words = "of each key only the last record stays"
    [(level, what)] = doctor()
    assert level == "warn" and words in what
    checked = shop.forebay("check")
    assert (checked.code, words in checked.out) == (0, False)
    yaml = shop.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("manage: create", "manage: create, config: {cleanup.policy: compact}"))
    checked, document = shop.forebay("check"), shop.forebay("check", "--json").json
    assert (checked.code, words in checked.out, document["ok"], len(document["files"][0]["notes"])) == (
        0,
        True,
        True,
        1,
    )
    [(level, what)] = doctor()
    assert level == "ok" and words in what
