"""Without any Kafka configured: commands that read start no broker and say how to, commands that publish start it and
say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from forebay.kafka.embedded import broker
from tests.support.kafka import kill_all, reaper
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
START = "forebay broker start"

ASKING_A_BROKER = (
    ("discover", "NAME", "--date", DAY),
    ("cluster",),
    ("consumers", "NAME"),
    ("doctor",),
    ("ledger", "show", "NAME"),
    ("ledger", "verify", "NAME"),
    ("ledger", "export", "NAME", "--to", "ledger.jsonl"),
    ("index", "rebuild"),
    ("broker", "env"),
)
ASKING_THE_INDEX = (
    (0, ("check",)),
    (0, ("runs",)),
    (0, ("files",)),
    (0, ("waiting",)),
    (0, ("report",)),
    (0, ("quarantine", "list")),
    (0, ("quarantine", "show", "NAME")),
    (0, ("broker", "status")),
    (1, ("trace", "NAME", "0", "0")),  # the index knows no such record
    (2, ("trace", "a.csv")),
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[OrdersProject]:
    """A project in which nothing was ever done; its environment names no Kafka."""
    found = OrdersProject.make(tmp_path, "orders", "")
    found.drop(DAY, "a.csv", orders(1, 10))
    home = tmp_path / ".forebay/broker"
    with reaper(home):
        yield found
        kill_all(home)


def brokers(shop: OrdersProject) -> list[int]:
    """Processes that belong to the project's broker."""
    mine = str(shop.root / ".forebay/broker/node-1/server.properties")
    return [p.pid for p in psutil.process_iter(["cmdline"]) if mine in (p.info["cmdline"] or ())]


def test_reading_starts_nothing_and_names_the_command(shop: OrdersProject) -> None:
    for words in ASKING_A_BROKER:
        answer = shop.forebay(*(shop.name if word == "NAME" else word for word in words))
        assert (answer.code, START in answer.out + answer.err) == (4, True), (words, answer)
    for code, words in ASKING_THE_INDEX:
        answer = shop.forebay(*(shop.name if word == "NAME" else word for word in words))
        assert answer.code == code, (words, answer)
    assert not brokers(shop) and not (shop.root / ".forebay/broker").exists()


def test_who_publishes_starts_the_broker_and_says_so_in_one_line(shop: OrdersProject) -> None:
    answer = shop.run()
    assert answer.code == 0, answer.err
    assert len(brokers(shop)) == 1, "the judge of the test above sees a broker where there is one"
    [told] = [line for line in answer.err.splitlines() if "started Apache Kafka" in line]
    assert "forebay broker stop" in told
    assert "started" not in shop.run().err.replace("run.started", ""), "the second run finds it"
    for words in ASKING_A_BROKER:
        assert shop.forebay(*(shop.name if word == "NAME" else word for word in words)).code == 0, words
    assert broker.stop(shop.root / ".forebay/broker")
    stopped = shop.forebay("ledger", "show", shop.name)
    assert (stopped.code, START in stopped.err, brokers(shop)) == (4, True, [])
