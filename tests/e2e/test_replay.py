"""Quarantine replay on a real broker: export, edit, publish once; again, in another file, and after kill -9."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster, delete_records, read_all
from tests.support.processes import wait_until_stopped
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
Rows = list[dict[str, str]]


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    """100 rows, of which 10 and 20 cannot be read, 30 fails a rule, 40 and 41 have the same id."""
    made = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    lines = orders(1, 100).splitlines(keepends=True)
    lines[10] = "10,c3,not-a-number,2026-01-05\n"
    lines[20] = "20,c6\n"
    lines[30] = "30,=c2,-5.00,2026-01-05\n"
    lines[40] = "41,c5,1.00,2026-01-05\n"
    made.drop(DAY, "a.csv", "".join(lines))
    answer = made.run()
    assert answer.code == 0, answer.err
    return made


def export(shop: OrdersProject) -> Rows:
    path = shop.root / "export.csv"
    answer = shop.forebay("quarantine", "export", shop.name, "--to", str(path), "--repair")
    assert answer.code == 0, answer.err
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def edited(shop: OrdersProject, rows: Rows, changes: dict[int, dict[str, str]], name: str = "fixed.csv") -> Path:
    """A file of those rows alone that are changed."""
    path = shop.root / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | changes[int(row["__row"])] for row in rows if int(row["__row"]) in changes)
    return path


def replay(shop: OrdersProject, path: Path, **environment: str) -> Any:
    return shop.forebay(
        "quarantine", "replay", shop.name, "--from", str(path), "--reason", "typing errors", "--json", **environment
    )


def published(shop: OrdersProject, kafka: Cluster) -> dict[str, Any]:
    """Value by ce_id; twice the same id is an error."""
    found: dict[str, Any] = {}
    for message in read_all(kafka.config, shop.name):
        key = dict(message.headers())["ce_id"].decode()
        assert key not in found, f"{key} is there twice"
        found[key] = json.loads(message.value())
    return found


def test_repaired_rows_are_published_once_and_can_be_traced(shop: OrdersProject, kafka: Cluster) -> None:
    rows = export(shop)
    assert [(row["__row"], row["__form"], row["amount"]) for row in rows] == [
        ("10", "file", "not-a-number"),
        ("20", "file", ""),
        ("30", "typed", "-5.00"),
        ("40", "typed", "1.00"),
        ("41", "typed", "41.50"),
    ]
    assert rows[2]["customer"] == "'=c2"
    before = {m.key(): m.partition() for m in read_all(kafka.config, shop.name)}
    amounts = {10: {"amount": "10.50"}, 20: {"amount": "still wrong"}, 30: {"amount": "5.00"}, 40: {"id": "40"}, 41: {}}
    path = edited(shop, rows, amounts)
    first = replay(shop, path)
    assert first.code == 3, first.err
    [told] = first.json["files"]
    assert (told["rows"], told["published"], told["already"], [s["row"] for s in told["still"]]) == (5, 4, 0, [20])
    assert "still wrong" in told["still"][0]["reason"]
    fp = rows[0]["__fp"][:16]
    found = published(shop, kafka)
    assert sorted(value["id"] for value in found.values()) == [n for n in range(1, 101) if n != 20]
    assert (found[f"{fp}:1+r1:10"]["amount"], found[f"{fp}:1+r1:30"]["customer"]) in {(10.5, "=c2"), ("10.50", "=c2")}
    messages = [m for m in read_all(kafka.config, shop.name) if b"+r1:" in dict(m.headers())["ce_id"]]
    assert all(before.get(m.key(), m.partition()) == m.partition() for m in messages)
    one = messages[0]
    traced = shop.forebay("trace", shop.name, str(one.partition()), str(one.offset()), "--json").json
    assert traced["uri"].endswith("/a.csv") and traced["uri"].startswith("file://")
    assert (traced["row"], traced["fingerprint"]) == (int(dict(one.headers())["ce_id"].split(b":")[2]), rows[0]["__fp"])
    assert traced["replay"]["source"] == "fixed.csv"

    again = replay(shop, path)
    [told] = again.json["files"]
    assert (told["published"], told["already"], len(told["still"])) == (0, 4, 1)
    assert published(shop, kafka) == found
    more = edited(
        shop,
        rows,
        {20: {"id": "20", "customer": "c6", "amount": "20.50", "day": DAY}, 30: {"amount": "999.00"}},
        "other.csv",
    )
    [told] = replay(shop, more).json["files"]
    assert (told["published"], told["already"]) == (1, 1)
    after = published(shop, kafka)
    assert sorted(value["id"] for value in after.values()) == list(range(1, 101))
    assert after[f"{fp}:1+r1:30"] == found[f"{fp}:1+r1:30"]
    [listed] = shop.forebay("quarantine", "list", shop.name, "--json").json["files"]
    assert (listed["quarantined"], listed["replayed"]) == (5, 5)
    assert shop.forebay("ledger", "verify", shop.name).code == 0
    assert shop.run().json["files"][0]["fate"] == "already published"


@pytest.mark.parametrize("failpoint", ["mid_produce", "after_ledger", "during_commit", "after_commit"])
def test_a_replay_that_was_killed_is_completed_and_nothing_comes_twice(
    shop: OrdersProject, kafka: Cluster, failpoint: str
) -> None:
    path = edited(shop, export(shop), {10: {"amount": "10.50"}, 30: {"amount": "5.00"}})
    assert replay(shop, path, FOREBAY_FAILPOINT=f"{failpoint}:kill9").code == -9
    again = replay(shop, path)
    assert again.code == 0, again.err
    [told] = again.json["files"]
    assert told["published"] + told["already"] == 2
    assert sorted(v["id"] for v in published(shop, kafka).values()) == sorted({*range(1, 101)} - {20, 40, 41})


def test_a_repaired_row_that_meets_a_published_one_stays(shop: OrdersProject, kafka: Cluster) -> None:
    answer = replay(shop, edited(shop, export(shop), {40: {"id": "7"}}))
    [told] = answer.json["files"]
    assert (answer.code, told["published"]) == (3, 0)
    assert "unique" in told["still"][0]["reason"]


def test_after_the_suite_has_changed_the_rows_are_shown_mended_and_judged_by_the_new_one(
    shop: OrdersProject, kafka: Cluster
) -> None:
    """A suite is edited because of such rows: they must still be had, and stand beside the rows that were published."""
    before = shop.forebay("quarantine", "show", shop.name, "--json").json["files"]
    path = shop.root / "include/expectations/orders.json"
    path.write_text(path.read_text().replace('"min_value": 0', '"min_value": -10'))
    assert shop.forebay("quarantine", "show", shop.name, "--json").json["files"] == before
    rows = export(shop)
    assert [row["__row"] for row in rows] == ["10", "20", "30", "40", "41"]
    [told] = replay(shop, edited(shop, rows, {30: {}, 40: {"id": "7"}})).json["files"]
    assert (told["published"], [still["row"] for still in told["still"]], told["note"]) == (1, [40], None)
    assert "unique" in told["still"][0]["reason"]


def test_rows_that_were_never_quarantined_are_refused(shop: OrdersProject, kafka: Cluster) -> None:
    rows = export(shop)
    rows[0]["__row"] = "11"
    answer = replay(shop, edited(shop, rows, {11: {"amount": "1.00"}, 30: {"amount": "5.00"}}))
    assert (answer.code, "row 11" in answer.err, "never quarantined" in answer.err) == (2, True, True)
    assert len(published(shop, kafka)) == 95


CONTROL = (
    "from forebay.verbs._replay.publication import Publication as P; P._still_open = lambda *_: None; "
    "from forebay.cli.main import main; main()"
)
"""The command without the question behind the barrier."""


@pytest.mark.parametrize("asked", [True, False])
def test_of_two_replays_at_once_one_publishes_a_row(shop: OrdersProject, kafka: Cluster, asked: bool) -> None:
    """The first has seen that the row is open, and is held up before it takes the lane; the second comes between, from
    another file."""
    rows = export(shop)
    slow, fast = (
        edited(shop, rows, {30: {"amount": "5.00"}}, "slow.csv"),
        edited(shop, rows, {30: {"amount": "6.00"}}, "fast.csv"),
    )
    command = [
        sys.executable,
        *(("-m", "forebay.cli") if asked else ("-c", CONTROL)),
        "quarantine",
        "replay",
        shop.name,
    ]
    environment = shop.environment(FOREBAY_FAILPOINT="before_init:stop")
    with (shop.root / "slow.log").open("w+") as log:
        held = subprocess.Popen(
            [*command, "--from", str(slow), "--reason", "slow", "--json"],
            cwd=shop.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            wait_until_stopped(held.pid)
            assert replay(shop, fast).json["files"][0]["published"] == 1
            held.send_signal(signal.SIGCONT)
            out, _ = held.communicate(timeout=180)
        finally:
            held.kill()
    ids = [
        dict(m.headers())["ce_id"] for m in read_all(kafka.config, shop.name) if b"+r1:" in dict(m.headers())["ce_id"]
    ]
    if not asked:
        assert len(ids) == 2, "the control must show the harm"
        return
    [told] = json.loads(out)["files"]
    assert (told["published"], told["already"], len(ids)) == (0, 1, 1)


def test_a_rebuilt_index_still_knows_where_a_repaired_row_comes_from(shop: OrdersProject, kafka: Cluster) -> None:
    replay(shop, edited(shop, export(shop), {30: {"amount": "5.00"}}))
    (shop.root / ".forebay/index.sqlite").unlink()
    assert shop.forebay("index", "rebuild").code == 0
    [one] = [m for m in read_all(kafka.config, shop.name) if b"+r1:" in dict(m.headers())["ce_id"]]
    traced = shop.forebay("trace", shop.name, str(one.partition()), str(one.offset()), "--json").json
    assert (traced["row"], traced["uri"].rsplit("/", 1)[-1], traced["replay"]["rows"]) == (30, "a.csv", "30")


def test_many_units_and_no_headers(
    tmp_path: Path, kafka: Cluster, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forebay.config.connections import EnvironmentConnections
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from forebay.verbs import replay as replaying
    from forebay.verbs._replay import origin, publication
    from forebay.verbs.context import Context

    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap, headers="none")
    bad = "".join(f"{n},c{n},x,2026-01-05\n" for n in range(101, 106))
    shop.drop(DAY, "a.csv", orders(1, 100) + bad)
    assert shop.run().code == 0
    path = edited(shop, export(shop), {n: {"amount": f"{n}.00"} for n in range(101, 106)})
    monkeypatch.setattr(publication, "UNIT_ROWS", 2)
    project = Project(shop.root, shop.root / ".forebay")
    ctx = Context.of(
        load_pipeline(project, shop.name), project, EnvironmentConnections({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    )
    [first] = replaying.replay(ctx, path, "ada", "typing errors")
    [again] = replaying.replay(ctx, path, "ada", "typing errors")
    assert (first.published, first.already, again.published, again.already) == (5, 0, 0, 5)
    assert sorted(json.loads(m.value())["id"] for m in read_all(kafka.config, shop.name)) == list(range(1, 106))
    with origin.open_ledger(ctx) as view:
        replays = [entry.completion.replay for entry in view.by_uri("replay+" + first.uri)]
    assert [replay and replay.rows for replay in replays] == ["101-102", "103-104", "105"]
    from forebay.verbs.quarantine import files_with, replayed
    from forebay.verbs.rebuild import rebuild

    rebuild(ctx)
    [file] = files_with(project, shop.name)
    assert (file.counts.quarantined, replayed(project, file)) == (5, 5)


# Records that are gone from the quarantine topic


def expire(shop: OrdersProject, kafka: Cluster) -> None:
    """Nothing is left of the quarantine topic, as when its retention has taken all."""
    topic = f"forebay.{shop.name}.quarantine"
    ends = {m.partition(): m.offset() + 1 for m in read_all(kafka.config, topic)}
    delete_records(kafka.config, topic, ends)
    assert not read_all(kafka.config, topic)


@pytest.mark.parametrize("work", [True, False])
def test_rows_are_repaired_when_their_records_are_gone(shop: OrdersProject, kafka: Cluster, work: bool) -> None:
    """By their list on this machine; without that by the edited file, within what the ledger counts."""
    path = edited(shop, export(shop), {10: {"amount": "10.50"}, 30: {"amount": "5.00"}})
    expire(shop, kafka)
    if not work:
        shutil.rmtree(shop.root / ".forebay/work")
    before = published(shop, kafka)
    done = replay(shop, path)
    [told] = done.json["files"]
    assert (done.code, told["published"]) == (0, 2), done.err
    assert ("their list on this machine" if work else "the edited file alone") in told["note"]
    after = published(shop, kafka)
    assert sorted(after[key]["id"] for key in after.keys() - before.keys()) == [10, 30]
    assert replay(shop, path).json["files"][0]["already"] == 2
    assert published(shop, kafka) == after
    verified = shop.forebay("ledger", "verify", shop.name)
    assert (verified.code, "5 more records have expired, not been lost" in verified.out) == (0, True), verified.out


@pytest.mark.parametrize("work", [True, False])
def test_rows_that_were_published_are_refused_when_the_records_are_gone(
    shop: OrdersProject, kafka: Cluster, work: bool
) -> None:
    rows = export(shop)
    whole: dict[int, dict[str, str]] = {int(row["__row"]): {} for row in rows}
    path = edited(shop, [*rows, rows[0] | {"__row": "50"}], whole | {50: {"amount": "1.00"}})
    expire(shop, kafka)
    if not work:
        shutil.rmtree(shop.root / ".forebay/work")
    before = published(shop, kafka)
    refused = replay(shop, path)
    assert refused.code == 2, refused
    assert ("row 50 of" if work else "it names 6 of the rows 1 to 100") in refused.err
    assert published(shop, kafka) == before


def test_the_quarantine_topic_keeps_its_rows_for_a_time_of_its_own(shop: OrdersProject, kafka: Cluster) -> None:
    """Ninety days unless the pipeline says otherwise; one that keeps them for less is told by run and doctor, until
    either gives way."""
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    topic, admin = f"forebay.{shop.name}.quarantine", kafka.admin()

    def retention() -> str:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return str(admin.describe_configs([resource])[resource].result(30)["retention.ms"].value)

    def doctor() -> list[str]:
        found = shop.forebay("doctor", "--json").json["pipelines"][0]["findings"]
        return [f["what"] for f in found if f["check"] == "quarantine topic" and "keeps rows" in f["what"]]

    day = 86_400_000
    assert retention() == str(90 * day)
    assert doctor() == []
    entry = ConfigEntry("retention.ms", str(7 * day), incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    ).values():
        future.result(30)
    assert doctor() == [f"`{topic}` keeps rows for 7 days, the pipeline says 90 days"]
    assert "keeps rows for 7 days, the pipeline says 90 days" in shop.run().err
    yaml = shop.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("manage: create", "manage: create, quarantine_retention: 7d"))
    assert doctor() == []
    assert "keeps rows" not in shop.run().err
