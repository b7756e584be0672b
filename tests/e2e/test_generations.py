"""Published again on purpose, corrected, copied: each is told by the ledger, by the records' headers and by the index, and all three say the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY, NEXT = "2026-01-05", "2026-01-06"


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def sha256(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def in_ledger(shop: OrdersProject) -> list[dict[str, Any]]:
    """Each complete content: which bytes, which generation, under which name, and what the completion says beyond the totals."""
    return [
        {
            "fingerprint": e["fingerprint"],
            "generation": e["generation"],
            "uri": e["file"]["uri"],
            "rows": e["published"],
            **{name: e["completion"][name] for name in ("reason", "supersedes")},
        }
        for e in shop.forebay("ledger", "show", shop.name, "--json").json["files"]
    ]


def in_headers(shop: OrdersProject, kafka: Cluster) -> Counter[tuple[str, int, str]]:
    """Rows by the beginning of the fingerprint and the generation in `ce_id`, and by the name in `ce_source`."""
    rows: Counter[tuple[str, int, str]] = Counter()
    for message in read_all(kafka.config, shop.name):
        headers = {name: value.decode() for name, value in message.headers()}
        begins, generation, _ = headers["ce_id"].split(":")
        rows[begins, int(generation), headers["ce_source"].partition("#")[0]] += 1  # without the version of a local file
    return rows


def in_index(shop: OrdersProject) -> list[dict[str, Any]]:
    """What became of each file in each run that did something with it."""
    files = shop.forebay("files", shop.name, "--json").json
    found: list[dict[str, Any]] = files["files"] if isinstance(files, dict) else files
    return found


def test_a_deliberate_generation(shop: OrdersProject, kafka: Cluster) -> None:
    body = orders(1, 20)
    uri = f"file://{shop.drop(DAY, 'a.csv', body)}"
    assert shop.run().code == 0
    again = shop.run(DAY, "--generation", "new", "--reason", "consumers lost their state")
    assert again.code == 0, again.err
    first, second = in_ledger(shop)
    same = {"fingerprint": sha256(body), "uri": uri, "rows": 20, "supersedes": None}
    assert first == {**same, "generation": 1, "reason": None}
    assert {**second, "reason": None} == {**same, "generation": 2, "reason": None}
    assert "consumers lost their state" in second["reason"]
    assert in_headers(shop, kafka) == {(sha256(body)[:16], 1, uri): 20, (sha256(body)[:16], 2, uri): 20}
    told = {(file["generation"], file["published"]): file for file in in_index(shop)}
    assert set(told) == {(1, 20), (2, 20)}
    assert "consumers lost their state" in told[2, 20]["reason"]


def test_a_correction(shop: OrdersProject, kafka: Cluster) -> None:
    wrong, right = orders(1, 20), orders(21, 50)
    uri = f"file://{shop.drop(DAY, 'a.csv', wrong)}"
    assert shop.run().code == 0
    shop.drop(DAY, "a.csv", right)
    assert shop.run().code == 0
    first, second = in_ledger(shop)
    assert (first["fingerprint"], first["supersedes"], first["generation"]) == (sha256(wrong), None, 1)
    assert (second["fingerprint"], second["supersedes"], second["generation"]) == (sha256(right), sha256(wrong), 1)
    assert in_headers(shop, kafka) == {(sha256(wrong)[:16], 1, uri): 20, (sha256(right)[:16], 1, uri): 30}
    told = {file["fingerprint"]: file for file in in_index(shop)}
    assert told[sha256(right)]["fate"] == "changed content"
    assert told[sha256(right)]["supersedes"] == sha256(wrong)
    assert sha256(wrong)[:16] in told[sha256(right)]["reason"]
    assert shop.forebay("index", "rebuild").code == 0
    told = {file["fingerprint"]: file for file in in_index(shop)}
    assert told[sha256(right)]["supersedes"] == sha256(wrong)


def test_a_copy_under_another_name(shop: OrdersProject, kafka: Cluster) -> None:
    """What was published once stays one content in ledger and headers, under its first name; the index says whose copy the second one is."""
    body = orders(1, 20)
    uri = f"file://{shop.drop(DAY, 'a.csv', body)}"
    assert shop.run().code == 0
    copy = f"file://{shop.drop(NEXT, 'renamed.csv', body)}"
    assert shop.run(NEXT).code == 0
    [entry] = in_ledger(shop)
    assert (entry["fingerprint"], entry["uri"]) == (sha256(body), uri)
    assert in_headers(shop, kafka) == {(sha256(body)[:16], 1, uri): 20}
    told = {file["file"]["uri"]: file for file in in_index(shop)}
    assert (told[copy]["fate"], told[copy]["duplicate_of"], told[copy]["published"]) == ("duplicate", uri, 0)
    assert (told[copy]["fingerprint"], told[uri]["published"]) == (sha256(body), 20)
    traced = shop.forebay("trace", copy.removeprefix("file://"), "--json")
    assert traced.code == 0, traced.err
