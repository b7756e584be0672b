"""`forebay waiting` and `forebay decide` on a real broker: a person's answer, and when it is refused."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.index import answers, queries
from forebay.model import Answer, Decision
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
    assert (indexed["follows"], indexed["decision_reason"], indexed["decided_at"] is not None) == (
        seen["run_id"],
        "known refunds",
        True,
    )
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
def test_a_decision_that_was_killed_is_completed_by_the_same_decision(
    shop: OrdersProject, kafka: Cluster, failpoint: str
) -> None:
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
    assert "the first answer stands" in decide(shop, "--reject").out
    assert shop.run().code == 3, "asked anew"
    refused = decide(shop, "--reject")
    assert refused.code != 0
    assert "a part of it is published already" in refused.out
    assert decide(shop, "--publish").code == 0
    assert ids(shop, kafka) == list(range(31, 101))


def test_the_command_that_is_named_decides_that_file_and_no_other(shop: OrdersProject, kafka: Cluster) -> None:
    """The end of the one's uri is the end of the other's."""
    shop.drop(DAY, "aa.csv", orders(201, 210) + BAD)
    assert shop.run().code == 3
    named = {file["uri"].rpartition("/")[2]: file["answer_at"] for file in waiting(shop)}
    assert set(named) == {"a.csv", "aa.csv"}
    words = shlex.split(named["a.csv"].split(";")[0].replace("--publish", "--reject"))[1:]
    assert shop.forebay(*words).code == 0
    assert [file["uri"].rpartition("/")[2] for file in waiting(shop)] == ["aa.csv"]
    assert ids(shop, kafka) == []


# ---- the first answer stands

AT = datetime(2026, 1, 6, 7, 8, 9, tzinfo=UTC)


def answered_in_airflow(shop: OrdersProject, decision: Decision) -> None:
    """As the steward's task has it done, on a machine with the same index."""
    url = f"sqlite:///{shop.root / '.forebay/index.sqlite'}"
    [file] = queries.waiting(url, shop.name)
    answers.first(url, file, Answer(decision, "ann", "seen", AT, "Airflow"))


def test_an_answer_in_airflow_came_first(shop: OrdersProject, kafka: Cluster) -> None:
    """It is not carried out yet: the other one is refused all the same, and the same one brings it to its end under the
    name of who was first."""
    answered_in_airflow(shop, Decision.REJECT)
    [seen] = waiting(shop)
    assert (seen["given"]["by"], seen["given"]["decision"]) == ("ann", "reject")
    refused = decide(shop, "--publish")
    assert refused.code == 1
    assert (
        "ann has answered it in Airflow (2026-01-06 07:08:09 UTC): reject, seen; the first answer stands" in refused.out
    )
    assert ids(shop, kafka) == []
    assert decide(shop, "--reject").code == 0
    assert (ids(shop, kafka), waiting(shop)) == ([], [])
    last = shop.forebay("files", shop.name, "--json").json["files"][0]
    assert (last["status"], last["decided_by"], last["decision_reason"]) == ("rejected", "ann", "seen")


def test_who_comes_when_nothing_waits_any_more_hears_whose_answer_it_was(shop: OrdersProject, kafka: Cluster) -> None:
    assert decide(shop, "--reject").code == 0
    late = decide(shop, "--publish")
    assert late.code == 1
    assert "has answered it in the command line" in late.err + late.out
    assert "reject, known refunds" in late.err + late.out
    assert ids(shop, kafka) == []


def test_running_the_day_again_asks_anew_and_tells_the_answer_before(shop: OrdersProject, kafka: Cluster) -> None:
    """The way out that the refusal names."""
    assert decide(shop, "--reject").code == 0
    assert shop.run().code == 3
    [seen] = waiting(shop)
    assert (seen["given"], seen["before"]["decision"]) == (None, "reject")
    assert decide(shop, "--publish").code == 0
    assert ids(shop, kafka) == list(range(31, 101))


DIES = """
import os, signal, sys
import forebay.verbs.decide as deciding
deciding.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from forebay.cli.main import main
main()
"""


def test_killed_between_answer_and_publish(shop: OrdersProject, kafka: Cluster) -> None:
    """Nothing went out, and the answer stands: it is told, the other is refused, the same completes it."""
    words = [sys.executable, "-c", DIES, "decide", shop.name, "--publish", "--reason", "known refunds"]
    done = subprocess.run(
        words, cwd=shop.root, env=shop.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -9, done.stderr
    assert ids(shop, kafka) == []
    assert "not carried out yet" in shop.forebay("waiting", shop.name).out
    assert decide(shop, "--reject").code == 1
    assert decide(shop, "--publish").code == 0
    assert ids(shop, kafka) == list(range(31, 101))


def test_two_answers_at_once(shop: OrdersProject, kafka: Cluster) -> None:
    """Two processes: one of them is refused, and the topic holds what the other one said."""
    command = [sys.executable, "-m", "forebay.cli", "decide", shop.name, "--json", "--reason", "why"]
    both = {
        said: subprocess.Popen(
            [*command, said],
            cwd=shop.root,
            env=shop.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for said in ("--publish", "--reject")
    }
    told = {said: process.communicate(timeout=120) for said, process in both.items()}
    codes = {said: process.returncode for said, process in both.items()}
    assert sorted(codes.values()) == [0, 1], told
    assert ids(shop, kafka) == (list(range(31, 101)) if codes["--publish"] == 0 else [])
    assert any(
        "has answered it in the command line" in text
        for text in told["--publish" if codes["--publish"] else "--reject"]
    )


@pytest.fixture
def ctx(shop: OrdersProject, kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project as a task of Airflow has it."""
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from forebay.verbs.context import Context

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    where = Project.find(shop.root)
    return Context.of(load_pipeline(where, shop.name), where)


def test_the_same_answer_elsewhere_finds_it_done_though_source_and_stage_are_gone(
    shop: OrdersProject, ctx: Any, kafka: Cluster
) -> None:
    """Airflow's run asks on while the command answers, publishes and settles; then somebody gives the same answer
    there, or the time is up."""
    from forebay.verbs.decide import carried_out, take

    [file] = queries.waiting(ctx.project.index, shop.name)
    assert carried_out(ctx, take(ctx, file, Answer(Decision.PUBLISH, "bob", "known refunds", AT))) is None
    assert decide(shop, "--publish").code == 0
    shutil.rmtree(shop.root / ".forebay/work")
    (shop.root / "drops" / DAY / "a.csv").unlink()
    for late in (
        Answer(Decision.PUBLISH, "ann", "seen", AT, "Airflow"),
        Answer(Decision.REJECT, "nobody in time", "", AT, "Airflow", person=False),
    ):
        done = carried_out(ctx, take(ctx, file, late))
        assert done is not None and done.answer is not None
        assert (done.counts.published, done.counts.quarantined, done.answer.by, done.answer.reason) == (
            70,
            30,
            "bob",
            "known refunds",
        )
    assert ids(shop, kafka) == list(range(31, 101))


def test_control_without_the_first_answer_a_rejected_file_goes_out(
    shop: OrdersProject, ctx: Any, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protection switched off: the answer is not kept, and what bob rejected is published by ann's answer in the
    other run that asked."""
    from forebay.errors import FatalError
    from forebay.model import Identity, Status
    from forebay.verbs.decide import take
    from forebay.verbs.publish import publish

    [file] = queries.waiting(ctx.project.index, shop.name)
    assert decide(shop, "--reject").code == 0
    ann = Answer(Decision.PUBLISH, "ann", "seen", AT, "Airflow")
    with pytest.raises(FatalError, match="the first answer stands"):
        take(ctx, file, ann)
    assert ids(shop, kafka) == []
    monkeypatch.setattr(answers, "given", lambda *_: None)
    monkeypatch.setattr(answers, "first", lambda url, file, answer: answer)
    assert (
        publish(ctx, take(ctx, file, ann), Identity("r", "0" * 8 + "-0000-4000-8000-" + "0" * 12)).status
        is Status.PUBLISHED
    )
    assert ids(shop, kafka) == list(range(31, 101))
