"""The home holds what is still needed, and nothing for ever: work folders go with their run, and prune may come at any
moment and die in any."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.support.folders import OTHERS
from forebay.verbs.context import Context
from forebay.verbs.prune import in_use, prune
from tests.support.kafka import Cluster, read_all
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
BAD = "id,customer,amount,day\n1,c1,1.50,2026-01-05\n2,c2,x,2026-01-05\n" + "".join(
    f"{n},c3,1.50,2026-01-05\n" for n in range(3, 30)
)


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def context(shop: OrdersProject) -> Context:
    here = Project(shop.root, shop.root / ".forebay")
    return Context.of(load_pipeline(here, shop.name), here)


def bulk(shop: OrdersProject) -> list[str]:
    """Snapshots and stages that are there."""
    work = shop.root / ".forebay/work" / shop.name
    return sorted(
        path.name
        for path in work.rglob("*")
        if path.name in {"snapshot", "rows.parquet", "stage.json", "rejects.parquet"}
    )


def age(path: Path, days: float) -> None:
    for one in (path, *path.rglob("*")):
        os.utime(one, (time.time() - days * 86_400,) * 2)


def test_a_settled_file_leaves_its_verdict_and_everything_still_answers(shop: OrdersProject, kafka: Cluster) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 500))
    assert shop.run().code == 0
    assert bulk(shop) == []
    assert list((shop.root / ".forebay/work").rglob("verdict.json"))
    message = read_all(kafka.config, shop.name)[77]
    traced = shop.forebay("trace", shop.name, str(message.partition()), str(message.offset()), "--json").json
    assert (traced["row"], traced["uri"]) == (json.loads(message.value())["id"], f"file://{path}")
    assert shop.forebay("ledger", "verify", shop.name).code == 0
    assert shop.run().json["files"][0]["fate"] == "already published"
    again = shop.run(DAY, "--generation", "new", "--reason", "wanted")
    assert (again.code, again.json["files"][0]["published"]) == (0, 500), again.err
    assert bulk(shop) == []
    folders = [one for one in (shop.root / ".forebay").rglob("*") if one.is_dir()]
    assert len(folders) > 5 and [one for one in (shop.root / ".forebay", *folders) if one.stat().st_mode & OTHERS] == []


def test_rows_set_aside_can_be_mended_for_their_days_and_no_longer(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", BAD)
    assert shop.run().code == 0
    assert bulk(shop) == ["rejects.parquet", "rows.parquet", "snapshot", "stage.json"]
    repair = shop.root / "repair.csv"
    assert shop.forebay("quarantine", "export", shop.name, "--to", str(repair), "--repair").code == 0
    repair.write_text(repair.read_text().replace(",x,", ",2.50,").replace('"x"', '"2.50"'))
    assert "2.50" in repair.read_text()
    replayed = shop.forebay("quarantine", "replay", shop.name, "--from", str(repair), "--reason", "mended")
    assert replayed.code == 0, replayed.err
    assert len(read_all(kafka.config, shop.name)) == 29
    age(shop.root / ".forebay/work", 80)
    assert shop.forebay("prune", "--json").json["freed"] == 0 and bulk(shop)
    age(shop.root / ".forebay/work", 91)
    told = shop.forebay("prune", "--dry-run", "--json").json
    assert told["freed"] > 0 and bulk(shop), "a dry run counts and removes nothing"
    assert shop.forebay("prune", "--json").json["pipelines"][0]["stages"] == 1
    assert bulk(shop) == []
    shown = shop.forebay("quarantine", "show", shop.name, "--json").json
    assert [row["row"] for row in shown["files"][0]["rows"]] == [2], "the list itself stays with the reports"
    age(shop.root / ".forebay/work", 401)
    assert shop.forebay("prune", "--json").json["pipelines"][0]["expired"] >= 1
    assert not list((shop.root / ".forebay/work").rglob("quarantine-*"))


def test_what_waits_or_failed_stays_whole_however_old(shop: OrdersProject, kafka: Cluster) -> None:
    bad = orders(1, 20).replace(".50,", ".x,")
    shop.drop(DAY, "a.csv", bad.replace(".x,", ".5x,"))
    assert shop.run().code == 3
    before = bulk(shop)
    assert "stage.json" in before
    age(shop.root / ".forebay/work", 1000)
    assert shop.forebay("prune", "--json").json["freed"] == 0
    assert bulk(shop) == before
    decided = shop.forebay("decide", shop.name, "--reject", "--reason", "no")
    assert decided.code == 0, decided.err


def test_what_a_killed_run_left_goes_after_a_day_and_its_file_is_completed(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 500))
    dead = shop.forebay("run", shop.name, "--date", DAY, FOREBAY_FAILPOINT="mid_produce:kill9")
    assert dead.code == -signal.SIGKILL
    home = shop.root / ".forebay"
    work = next(path.parent for path in home.rglob("snapshot"))
    left = [
        home / "spool" / "1-dead",
        next(work.glob("*/stage")).parent / ".stage-1-dead" / "plain",
        home / "work" / shop.name / ".replay-dead" / "x",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    assert shop.forebay("prune", "--json").json["freed"] == 0, "somebody may be at work on them"
    assert all(path.exists() for path in left) and bulk(shop)
    for path in left:
        age(path.parent if path.name != "1-dead" else path, 1.1)
    told = shop.forebay("prune", "--json").json
    assert (told["freed"], told["pipelines"][0]["leftovers"]) == (3000, 3)
    assert not any(path.exists() for path in left)
    assert "stage.json" in bulk(shop), "the file is under way"
    assert shop.run().code == 0
    assert len(read_all(kafka.config, shop.name)) == 500
    assert bulk(shop) == []


def test_nothing_goes_while_a_file_is_being_inspected(shop: OrdersProject, kafka: Cluster) -> None:
    """The moment between the bytes' arrival and the index's word is the lock's; without it the same call empties the
    folder."""
    shop.drop(DAY, "a.csv", BAD)
    assert shop.run().code == 0
    age(shop.root / ".forebay/work", 91)
    ctx = context(shop)
    with in_use(ctx.project, shop.name):
        assert (prune(ctx).freed, prune(ctx).in_use) == (0, 1)
    assert prune(ctx).stages == 1


LOOP = """
import sys
from pathlib import Path
from tests.e2e.test_prune import context
from tests.support.project import OrdersProject
from forebay.verbs import prune as verb
verb.LEFT_AFTER = float("inf")
shop = OrdersProject(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
print("begun", flush=True)
while True:
    verb.prune(context(shop), now=float(sys.argv[4]))
"""


def test_runs_beside_a_prune_that_never_rests_and_is_killed_lose_nothing(shop: OrdersProject, kafka: Cluster) -> None:
    """Prune thinks that it is years later, so that everything that may go goes at once; drafts it leaves, whose age is
    all that speaks for them."""
    command = [sys.executable, "-c", LOOP, str(shop.root), shop.name, kafka.bootstrap, str(time.time() + 1000 * 86_400)]
    for night in range(5, 8):
        for name in ("a", "b"):
            shop.drop(
                f"2026-01-0{night}",
                f"{name}.csv",
                orders(night * 1000 + (500 if name == "b" else 0), night * 1000 + (999 if name == "b" else 499)),
            )
    pruner = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        assert pruner.stdout is not None and pruner.stdout.readline() == "begun\n"
        done = shop.forebay("run", shop.name, "--from", "2026-01-05", "--to", "2026-01-07", "--json")
        assert pruner.poll() is None, "it ended by itself"
    finally:
        pruner.kill()
        pruner.wait()
    assert done.code == 0, done.err
    after = shop.forebay("run", shop.name, "--from", "2026-01-05", "--to", "2026-01-07", "--json")
    assert after.code == 0, after.err
    ids = sorted(json.loads(message.value())["id"] for message in read_all(kafka.config, shop.name))
    assert ids == [n for night in range(5, 8) for n in range(night * 1000, night * 1000 + 1000)]
    assert prune(context(shop)).in_use == 0
    assert bulk(shop) == []
