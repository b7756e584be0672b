"""A Kafka connection whose settings would take the promise away is refused before anything is read, by every
command."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from forebay.config import kafka_settings
from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.model import Fate, Window
from forebay.verbs.context import Context
from forebay.verbs.run import run_window
from tests.support.kafka import Cluster, fresh, read_all
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
BAD = json.dumps({"isolation.level": "read_uncommitted"})


@pytest.fixture
def half_done(kafka: Cluster, tmp_path: Path) -> OrdersProject:
    """A file whose only attempt was killed with its ledger record sent and nothing committed."""
    project = OrdersProject.make(tmp_path, fresh("conn").lower(), kafka.bootstrap)
    project.drop(DAY, "a.csv", orders(1, 1000))
    assert project.run(DAY, FOREBAY_FAILPOINT="after_ledger:kill9").code == -9
    return project


def test_a_connection_that_says_otherwise_is_refused_by_every_command(half_done: OrdersProject, kafka: Cluster) -> None:
    for words in (
        ["check"],
        ["doctor"],
        ["discover", half_done.name, "--date", DAY],
        ["run", half_done.name, "--date", DAY],
    ):
        refused = half_done.forebay(*words, KAFKA_CONFIG=BAD)
        assert refused.code == 2, (words, refused)
        assert "`KAFKA_CONFIG` sets `isolation.level`, which forebay sets itself" in " ".join(
            (refused.out + refused.err).split()
        ), words
    assert half_done.run(DAY).code == 0  # the way out: taken out of the connection
    assert sorted(json.loads(m.value())["id"] for m in read_all(kafka.config, half_done.name)) == list(range(1, 1001))


def test_control_unprotected_the_same_connection_takes_an_aborted_file_for_published(
    half_done: OrdersProject, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_settings, "problem", lambda *_: None)
    monkeypatch.setattr(kafka_settings, "is_ours", lambda _: False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("KAFKA_CONFIG", BAD)
    project = Project.find(half_done.root)
    ctx, window = Context.of(load_pipeline(project, half_done.name), project), Window.of_day(date.fromisoformat(DAY))
    assert run_window(ctx, window).files[0].fate is Fate.PUBLISHED
    assert read_all(kafka.config, half_done.name) == []
