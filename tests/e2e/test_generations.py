"""Published again on purpose, corrected, copied: each is told by the ledger, by the records' headers and by the index,
and all three say the same."""

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
    """Each complete content: which bytes, which generation, under which name, and what the completion says beyond the
    totals."""
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
        rows[begins, int(generation), headers["ce_source"].partition("#")[0]] += (
            1  # without the version of a local file
        )
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
    """What was published once stays one content in ledger and headers, under its first name; the index says whose copy
    the second one is."""
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


# A name that goes back to what it was, or changes in mid-publish. Consumers are the judge: what do they see last?


def seen_last(shop: OrdersProject, kafka: Cluster) -> list[tuple[str, int, int]]:
    """(fingerprint, generation, row) of every record, in the order of the topic's one partition."""
    found = []
    for message in read_all(kafka.config, shop.name):
        begins, generation, row = dict(message.headers())["ce_id"].decode().split(":")
        found.append((begins, int(generation), int(row)))
    return found


@pytest.fixture
def line(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    """A topic of one partition, so that order is seen; chunks of ten rows."""
    found = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap, chunk=10)
    yaml = found.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("partitions: 3", "partitions: 1"))
    return found


@pytest.mark.parametrize("failpoint", ["after_flush@1", "after_commit@0"])
def test_back_to_the_first_content_is_a_correction_through_a_kill(
    failpoint: str, line: OrdersProject, kafka: Cluster
) -> None:
    first, second = orders(1, 20), orders(31, 40)
    for body in (first, second):
        line.drop(DAY, "a.csv", body)
        assert line.run().code == 0
    line.drop(DAY, "a.csv", first)
    assert line.run(DAY, FOREBAY_FAILPOINT=f"{failpoint}:kill9").code == -9
    done = line.run()
    assert done.code == 0, done.err
    (file,) = done.json["files"]
    assert (file["fate"], file["generation"], file["supersedes"], file["published"]) == (
        "changed content",
        2,
        sha256(second),
        20,
    )
    a, b = sha256(first)[:16], sha256(second)[:16]
    rows = [(a, 1, n) for n in range(1, 21)] + [(b, 1, n) for n in range(1, 11)] + [(a, 2, n) for n in range(1, 21)]
    assert seen_last(line, kafka) == rows
    for _ in range(2):  # a delivery once more, a backfill of the night
        line.drop(DAY, "a.csv", first)
        again = line.run()
        assert (again.code, again.json["files"][0]["fate"]) == (0, "already published")
    assert seen_last(line, kafka) == rows
    assert [(e["generation"], e["supersedes"]) for e in in_ledger(line)] == [
        (1, None),
        (1, sha256(first)),
        (2, sha256(second)),
    ]
    assert line.forebay("ledger", "verify", line.name).code == 0


def test_a_half_published_file_that_changes_is_superseded_and_its_half_is_told(
    line: OrdersProject, kafka: Cluster
) -> None:
    before, after = orders(1, 30), orders(41, 45)
    path = line.drop(DAY, "a.csv", before)
    assert line.run(DAY, FOREBAY_FAILPOINT="after_flush@1:kill9").code == -9
    half = [(sha256(before)[:16], 1, n) for n in range(1, 11)]
    assert seen_last(line, kafka) == half
    line.drop(DAY, "a.csv", after)
    done = line.run()
    assert done.code == 0, done.err
    (file,) = done.json["files"]
    (left,) = file["left"]
    assert (file["fate"], file["supersedes"]) == ("changed content", sha256(before))
    offsets = [message.offset() for message in read_all(kafka.config, line.name)[:10]]
    assert (left["first_row"], left["last_row"], left["published"]) == (1, 10, 10)
    assert [(p["first"], p["last"]) for p in left["outputs"]] == [(offsets[0], offsets[-1])]
    assert seen_last(line, kafka) == half + [(sha256(after)[:16], 1, n) for n in range(1, 6)]
    words = "rows 1 to 10 stay visible"
    for told in (line.forebay("files", line.name), line.forebay("trace", str(path))):
        assert (told.code, words in told.out) == (0, True), told
    traced = line.forebay("trace", line.name, "0", str(offsets[4]), "--json")
    assert (traced.code, traced.json["row"], traced.json["fingerprint"]) == (0, 5, sha256(before)), traced.err
    again = line.run()
    assert (again.code, again.json["files"][0]["fate"], again.json["files"][0]["left"]) == (0, "already published", [])


@pytest.mark.parametrize("policy", ["reject", "ignore"])
def test_the_policy_holds_for_contents_that_come_back(policy: str, line: OrdersProject, kafka: Cluster) -> None:
    first, second = orders(1, 20), orders(31, 40)
    for body in (first, second):
        line.drop(DAY, "a.csv", body)
        assert line.run().code == 0
    yaml = line.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("  type: local\n", f"  type: local\n  changed_content: {policy}\n"))
    line.drop(DAY, "a.csv", first)
    for extra in ((), ("--generation", "new", "--reason", "please")):
        (file,) = line.run(DAY, *extra).json["files"]
        assert (file["fate"], file["published"]) == ("changed content", 0)
        assert "as `changed_content` says" in file["reason"] and sha256(second)[:16] in file["reason"]
    assert len(seen_last(line, kafka)) == 30


def test_a_new_generation_of_a_copy_is_published_under_its_own_name(line: OrdersProject, kafka: Cluster) -> None:
    body = orders(1, 5)
    line.drop(DAY, "a.csv", body)
    assert line.run().code == 0
    copy = f"file://{line.drop(NEXT, 'b.csv', body)}"
    assert line.run(NEXT).json["files"][0]["fate"] == "duplicate"
    asked = ("--generation", "new", "--reason", "wanted under this name too")
    assert line.run(NEXT, *asked, FOREBAY_FAILPOINT="after_flush:kill9").code == -9
    done = line.run(NEXT, *asked)
    (file,) = done.json["files"]
    assert (done.code, file["published"], file["generation"]) == (0, 5, 2), done.err
    assert "though the same bytes are published as" in file["reason"] and "wanted under this name too" in file["reason"]
    begins = sha256(body)[:16]
    assert seen_last(line, kafka) == [(begins, g, n) for g in (1, 2) for n in range(1, 6)]
    assert [e["uri"] for e in in_ledger(line)][1] == copy
    assert line.run(NEXT).json["files"][0]["fate"] == "already published"


def test_a_file_begun_under_other_settings_is_published_anew_as_the_error_says(
    line: OrdersProject, kafka: Cluster
) -> None:
    body = orders(1, 20)
    line.drop(DAY, "a.csv", body)
    assert line.run(DAY, FOREBAY_FAILPOINT="after_flush@1:kill9").code == -9
    yaml = line.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("rows: 10}", "rows: 7}"))
    refused = line.run()
    assert (refused.code, "`--generation new --reason …`" in refused.json["files"][0]["reason"]) == (1, True), refused
    done = line.run(DAY, "--generation", "new", "--reason", "other settings")
    assert done.code == 0, done.err
    begins = sha256(body)[:16]
    assert seen_last(line, kafka) == [(begins, 1, n) for n in range(1, 11)] + [(begins, 2, n) for n in range(1, 21)]
    assert line.run().json["files"][0]["fate"] == "already published"
