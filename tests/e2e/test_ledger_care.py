"""What happens when the ledger is lost: a refusal with ways out, and the way back. The topics lose their ledger for
real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.kafka import Cluster, create_topic, read_all
from tests.support.ledger_topics import lose
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    found = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    found.drop(DAY, "a.csv", orders(1, 50))
    found.drop(DAY, "b.csv", orders(51, 90))
    assert found.run().code == 0
    return found


def times(shop: OrdersProject, kafka: Cluster) -> dict[int, int]:
    """How many rows are in the topic once, twice …"""
    rows = Counter(json.loads(message.value())["id"] for message in read_all(kafka.config, shop.name))
    return dict(Counter(rows.values()))


def lose_the_ledger(shop: OrdersProject, kafka: Cluster) -> None:
    lose(f"forebay.{shop.name}.ledger", kafka)


def test_a_lost_ledger_is_refused_restored_and_nothing_comes_twice(
    shop: OrdersProject, kafka: Cluster, tmp_path: Path
) -> None:
    backup = tmp_path / "ledger.jsonl"
    exported = shop.forebay("ledger", "export", shop.name, "--to", str(backup), "--json")
    assert (exported.code, exported.json["records"]) == (0, 4), exported.err
    before = shop.forebay("ledger", "show", shop.name, "--json").json
    lose_the_ledger(shop, kafka)
    refused = shop.run()
    assert refused.code == 1
    assert (
        "was recreated" in refused.err
        and "forebay ledger restore" in refused.err
        and "forebay ledger accept" in refused.err
    )
    assert times(shop, kafka) == {1: 90}
    restored = shop.forebay("ledger", "restore", shop.name, "--from", str(backup), "--json")
    assert restored.code == 0, restored.err
    assert (restored.json["written"], restored.json["present"]) == (4, 0)
    assert shop.forebay("ledger", "show", shop.name, "--json").json["files"] == before["files"]
    again = shop.run()
    assert again.code == 0, again.err
    assert [file["fate"] for file in again.json["files"]] == ["already published"] * 2
    assert times(shop, kafka) == {1: 90}
    shop.drop(DAY, "c.csv", orders(91, 100))
    assert shop.run().code == 0
    assert times(shop, kafka) == {1: 100}
    twice = shop.forebay("ledger", "restore", shop.name, "--from", str(backup), "--json").json
    assert (twice["written"], twice["present"], twice["kept"]) == (0, 4, 2)
    assert shop.forebay("ledger", "verify", shop.name).code == 0


def test_without_the_memory_of_the_topic_a_recreated_ledger_publishes_twice(
    shop: OrdersProject, kafka: Cluster
) -> None:
    """The positive control: the same loss, and the check switched off by taking its memory away."""
    lose_the_ledger(shop, kafka)
    (shop.root / f".forebay/ledger/{shop.name}.json").unlink()
    assert shop.run().code == 0
    assert times(shop, kafka) == {2: 90}


def test_a_person_may_go_on_without_the_old_ledger(shop: OrdersProject, kafka: Cluster) -> None:
    lose_the_ledger(shop, kafka)
    assert shop.run().code == 1
    assert shop.forebay("ledger", "accept", shop.name).code == 2
    accepted = shop.forebay("ledger", "accept", shop.name, "--reason", "consumers were reset", "--json")
    assert accepted.code == 0, accepted.err
    assert shop.run().code == 0
    assert times(shop, kafka) == {2: 90}
    kept = json.loads((shop.root / f".forebay/ledger/{shop.name}.json").read_text())
    assert [note["reason"] for note in kept["accepted"]] == ["consumers were reset"]


def test_a_backup_is_refused_where_it_does_not_belong(shop: OrdersProject, kafka: Cluster, tmp_path: Path) -> None:
    backup = tmp_path / "ledger.jsonl"
    assert shop.forebay("ledger", "export", shop.name, "--to", str(backup)).code == 0
    lines = backup.read_text().splitlines(keepends=True)
    broken = tmp_path / "broken.jsonl"
    for harmed in (lines[:-1], lines[:2] + lines[3:], [*lines[:2], lines[2].replace("50", "51"), *lines[3:]], []):
        broken.write_text("".join(harmed))
        answer = shop.forebay("ledger", "restore", shop.name, "--from", str(broken))
        assert (answer.code, "take another copy" in answer.err) == (1, True), answer.err
    lose_the_ledger(shop, kafka)
    create_topic(kafka.config, f"forebay.{shop.name}.ledger", 3, cleanup_policy="compact")
    answer = shop.forebay("ledger", "restore", shop.name, "--from", str(backup))
    assert (answer.code, "the topic has 3 partitions, it must have 1" in answer.err) == (1, True), answer.err
    lose_the_ledger(shop, kafka)
    (shop.root / f".forebay/ledger/{shop.name}.json").unlink()
    assert shop.run().code == 0  # everything twice: this ledger has other records of the same keys
    answer = shop.forebay("ledger", "restore", shop.name, "--from", str(backup))
    assert (answer.code, "the topic has another record of" in answer.err) == (1, True), answer.err


def test_a_topic_that_was_made_anew_is_no_published_one_and_the_way_out_works(
    shop: OrdersProject, kafka: Cluster
) -> None:
    lose(shop.name, kafka)
    shop.drop(DAY, "copy.csv", orders(1, 50))
    shop.drop(DAY, "new.csv", orders(91, 99))
    refused = shop.run()  # it makes the topic, which `topic.manage: create` allows
    assert refused.code == 1
    reasons = {Path(file["uri"]).name: file["reason"] for file in refused.json["files"]}
    lost = ("a.csv", "b.csv", "copy.csv")
    assert all("it was made anew" in reasons[name] and "--generation new" in reasons[name] for name in lost), reasons
    assert times(shop, kafka) == {1: 9}
    anew = shop.run(DAY, "--generation", "new", "--reason", "the topic was lost")
    assert anew.code == 0, anew.err
    again = shop.run()
    assert again.code == 0, again.err
    assert sum(times(shop, kafka).values()) == 99


def test_a_topic_that_was_made_anew_and_has_outgrown_the_old_one_is_told_by_its_id(
    shop: OrdersProject, kafka: Cluster
) -> None:
    lose(shop.name, kafka)
    shop.drop("2026-01-09", "large.csv", orders(1_000, 2_000))
    assert shop.run("2026-01-09").code == 0
    without = "from forebay.kafka import ends; ends._id = lambda _: ''; from forebay.cli.main import main; main()"
    command = [sys.executable, "-c", without, "run", shop.name, "--date", DAY, "--json"]
    control = subprocess.run(
        command, cwd=shop.root, env=shop.environment(), capture_output=True, text=True, check=True, timeout=120
    )
    assert {file["fate"] for file in json.loads(control.stdout)["files"]} == {"already published"}
    refused = shop.run()
    assert refused.code == 1
    assert all("has another id" in file["reason"] for file in refused.json["files"]), refused.out
    assert shop.run(DAY, "--generation", "new", "--reason", "the topic was lost").code == 0
    assert sum(times(shop, kafka).values()) == 1_001 + 90
    assert shop.run().code == 0
