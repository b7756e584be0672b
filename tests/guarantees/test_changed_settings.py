"""Every setting of a pipeline, changed between a kill and the retry, when a part of a file is published: each row once
in one topic, or refused with a way out that works.

The judge is a plain consumer of every topic. Quick: chunks are committed and cut short in this process; the slow tier
kills -9 the command itself, at one of three files.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from forebay.config.changes import EFFECTS, Effect, fields
from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.encoding import encode
from forebay.errors import ForebayError
from forebay.kafka.ledger import owner
from forebay.kafka.publish import failpoints
from forebay.kafka.publish.account import Account
from forebay.model import RunReport, Status, Window
from forebay.support import versions
from forebay.verbs.context import Context
from forebay.verbs.discover import GenerationRequest
from forebay.verbs.run import run_window
from tests.guarantees.changed import CHANGES, NOT_TRIED, base, changed
from tests.harness.spawner import spawner
from tests.support.kafka import CACHE, Cluster, describe, fresh, read_all

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
DAY = "2026-01-05"
ROWS = 120
SUITE = {
    "name": "rows",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "name"}, "severity": "critical"}
    ],
}
HARMLESS = [path for path in CHANGES if EFFECTS[path][0] is Effect.NONE]
NAMED = {
    "format.options": "`format`",
    "schema.columns": "the columns (`schema`)",
    "quality.suite": "the suite (`quality.suite`)",
    "record.value.options": "`record.value`",
    "publish.chunk.rows": "the rows of a chunk (`publish.chunk`)",
    "publish.chunk.bytes": "the rows of a chunk (`publish.chunk`)",
}
"""How the refusal names what was changed; all others by their own name."""
HARMFUL = [path for path in CHANGES if EFFECTS[path][0] is not Effect.NONE]


@dataclass
class Night:
    """A project whose one pipeline is written anew before each run."""

    root: Path
    name: str
    cluster: Cluster

    def write(self, document: dict[str, Any]) -> str:
        """Write the pipeline; returns its name."""
        folder = self.root / "include" / "pipelines"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "p.yaml").write_text(yaml.safe_dump(document))
        return str(document["pipeline"])

    def run(self, document: dict[str, Any], **more: Any) -> RunReport | ForebayError:
        """One run in this process."""
        name = self.write(document)
        project = Project.find(self.root)
        pipeline = load_pipeline(project, name)
        try:
            return run_window(Context.of(pipeline, project), Window.of_day(date.fromisoformat(DAY)), **more)
        except ForebayError as error:
            return error

    def ids(self, *topics: str) -> Counter[tuple[str, int]]:
        """Each row's records, by topic and id (`big_integers: string` makes it a text), of those topics that exist."""
        there = [topic for topic in set(topics) if describe(self.cluster.config, topic) is not None]
        return Counter(
            (topic, int(json.loads(m.value())["id"])) for topic in there for m in read_all(self.cluster.config, topic)
        )


def once(topic: str, rows: int = ROWS) -> Counter[tuple[str, int]]:
    return Counter((topic, n) for n in range(1, rows + 1))


def body(first: int = 1, last: int = ROWS) -> str:
    return "id,name,day\n" + "".join(f"{n},n{n},2026-01-05\n" for n in range(first, last + 1))


@pytest.fixture
def night(kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """A file of 120 rows of which the first 100 are published, and the marker that no contract asks for yet."""
    for name in [name for name in os.environ if name.startswith(("FOREBAY_", "KAFKA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("FOREBAY_CONN_SISTER", json.dumps({"bootstrap.servers": kafka.bootstrap, "client.id": "sister"}))
    for suite in ("rows", "other"):
        place = tmp_path / "include" / "expectations" / f"{suite}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(SUITE | {"name": suite}))
    drops = tmp_path / "drops" / DAY
    drops.mkdir(parents=True)
    (drops / "a.csv").write_text(body())
    os.utime(drops / "a.csv", (1_700_000_000, 1_700_000_000))
    (drops / "_SUCCESS").touch()
    return Night(tmp_path, fresh("chg").lower(), kafka)


def begun(night: Night, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pipeline under which the first chunk of the file was committed, and then the attempt ended."""
    document = base(night.name)
    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "_armed", failpoints._parse("after_commit@0:raise"))
        night.run(document)
    assert night.ids(night.name) == once(night.name, 100)
    return document


def done(report: RunReport | ForebayError) -> bool:
    return isinstance(report, RunReport) and [file.status for file in report.files if file.file.name == "a.csv"] in (
        [Status.DONE],
        [Status.RECONCILED],
    )


def words(report: RunReport | ForebayError) -> str:
    return report.message if isinstance(report, ForebayError) else " ".join(str(file.error) for file in report.files)


def test_every_field_has_its_effect_and_is_changed_here() -> None:
    """A new field fails this test until it has a line in config/changes.py and a change in
    tests/guarantees/changed.py."""
    known = set(fields())
    assert known == set(EFFECTS)
    assert known == set(CHANGES) | set(NOT_TRIED)
    assert not set(CHANGES) & set(NOT_TRIED)


def test_harmless_changes_all_at_once_complete_the_file(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    document = begun(night, monkeypatch)
    for path in HARMLESS:
        document = changed(document, path)
    report = night.run(document)
    assert done(report), words(report)
    assert night.ids(night.name) == once(night.name)


def test_changes_that_decide_records_are_refused_and_the_way_back_works(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other on the same half published file (each alone: the slow tier); not one adds a record, and put
    back it is completed."""
    document = begun(night, monkeypatch)
    for path in HARMFUL:
        effect, new = EFFECTS[path][0], changed(document, path)
        if effect is Effect.ANOTHER:
            continue
        report = night.run(new)
        assert not done(report), path
        assert ("under another plan" in words(report)) == (effect is Effect.PLAN and path != "format.type"), (
            path,
            words(report),
        )
        if "under another plan" in words(report):
            assert f"since it was begun, {NAMED.get(path, f'`{path}`')}" in words(report), (path, words(report))
        assert night.ids(night.name, new["topic"]["name"]) == once(night.name, 100), path
    assert done(night.run(document))
    assert night.ids(night.name) == once(night.name)


def test_a_renamed_pipeline_is_another_pipeline(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/guarantees.md says: nothing is known of what the old name published."""
    document = begun(night, monkeypatch)
    report = night.run(changed(document, "pipeline"))
    assert done(report), words(report)
    assert night.ids(night.name) == once(night.name) + once(night.name, 100)


def test_a_ledger_that_is_taken_over_for_another_topic_still_refuses_the_half_published_file(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = begun(night, monkeypatch)
    new = changed(document, "topic.name")
    assert "ledger take" in words(night.run(new))
    take(night, new)
    assert "--generation new" in words(night.run(new))
    take(night, document)
    assert done(night.run(document))
    assert night.ids(night.name, new["topic"]["name"]) == once(night.name)


def test_a_half_published_file_is_published_anew_in_the_other_topic_as_the_error_says(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = changed(begun(night, monkeypatch), "topic.name")
    night.run(new)
    take(night, new)
    assert "(publish it anew with `--generation new --reason …`)" in words(night.run(new))
    report = night.run(new, generation=GenerationRequest(reason="another topic"))
    assert done(report), words(report)
    assert night.ids(new["topic"]["name"]) == once(new["topic"]["name"])


def take(night: Night, document: dict[str, Any]) -> None:
    """A person's decision that the ledger is this pipeline's."""
    name = night.write(document)
    project = Project.find(night.root)
    ctx = Context.of(load_pipeline(project, name), project)
    assert owner.take(ctx.kafka, ctx.pipeline, ctx.keep, "ann", "another topic") is not None


def test_the_other_way_out_a_new_generation_publishes_each_row_once_under_the_new_plan(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = begun(night, monkeypatch)
    new = changed(document, "record.key")
    assert "--generation new" in words(night.run(new))
    report = night.run(new, generation=GenerationRequest(reason="the key was wrong"))
    assert done(report), words(report)
    ids = Counter(
        bytes(dict(m.headers())["ce_id"]).split(b":", 1)[1].decode() for m in read_all(night.cluster.config, night.name)
    )
    assert ids == Counter([f"1:{n}" for n in range(1, 101)] + [f"2:{n}" for n in range(1, ROWS + 1)])


def test_a_source_that_is_edited_and_edited_back_is_the_same_project(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = begun(night, monkeypatch)
    assert done(night.run(changed(document, "source.path")))
    report = night.run(document)
    assert isinstance(report, RunReport), words(report)
    assert report.status == "done"
    assert night.ids(night.name) == once(night.name)


@pytest.mark.parametrize("library", ["duckdb", "pyarrow"])
def test_another_version_of_a_library_is_refused_in_mid_file(
    night: Night, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = begun(night, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(encode, "libraries", lambda *names: versions.libraries(*names) | {library: "99.0"})
        told = words(night.run(document))
        assert (
            "under another plan" in told
            and "since it was begun, the versions of DuckDB, pyarrow, numpy or Python changed (put back" in told
        )
    assert done(night.run(document))
    assert night.ids(night.name) == once(night.name)


def test_a_topic_that_takes_smaller_records_is_refused_where_it_sets_other_rows_aside(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of quarantined rows is not that of the topic as it was: with it, the second chunk would fail for
    ever."""
    (night.root / "drops" / DAY / "a.csv").write_text(body(1, ROWS - 1) + f"{ROWS},{'x' * 5000},2026-01-05\n")
    document = begun(night, monkeypatch)
    alter(night, "4000")
    assert "under another plan" in words(night.run(document))
    alter(night, "1048588")
    assert done(night.run(document))
    assert night.ids(night.name) == once(night.name)


def alter(night: Night, most: str) -> None:
    """Set the topic's `max.message.bytes`, as an administrator does."""
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry("max.message.bytes", most, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, night.name, incremental_configs=[entry])
    admin = AdminClient(night.cluster.config)
    admin.incremental_alter_configs([resource])[resource].result(30)


def test_headers_changed_when_the_file_is_whole_do_not_make_its_proof_fail(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt ended between the last commit and the proof: what the records carry is in the ledger."""
    document = base(night.name) | {
        "record": {"key": ["id"], "headers": "none"},
        "settle": {"type": "archive", "path": "done/{{ ds }}"},
    }
    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "_armed", failpoints._parse("after_commit@1:raise"))
        night.run(document)
    for _ in range(2):
        report = night.run(document | {"record": {"key": ["id"], "headers": "standard"}})
        assert isinstance(report, RunReport), report
        assert [file.error for file in report.files] == [None] * len(report.files)
    assert night.ids(night.name) == once(night.name)


def test_control_without_the_plan_a_change_of_topic_tears_the_file(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found: the first rows in one topic, the others in another, and all of it green."""
    real = encode._parameters

    def blind(*given: Any) -> dict[str, Any]:
        return {name: value for name, value in real(*given).items() if name != "topic"}

    monkeypatch.setattr(encode, "_parameters", blind)
    monkeypatch.setattr(owner, "check", lambda *_, **__: None)
    monkeypatch.setattr(Account, "_refuse_other_topic", lambda *_: None)
    monkeypatch.setattr(Account, "_refuse_topic_made_anew", lambda *_: None)
    document = begun(night, monkeypatch)
    new = changed(document, "topic.name")
    report = night.run(new)
    assert done(report), words(report)
    both = night.ids(night.name, new["topic"]["name"])
    assert Counter(topic for topic, _ in both) == {night.name: 100, new["topic"]["name"]: 20}


@pytest.mark.long
@pytest.mark.parametrize("path", CHANGES)
def test_the_command_killed_at_one_of_three_files_and_each_setting_changed_alone(
    night: Night, path: str, kafka: Cluster
) -> None:
    """Three files of 120 rows; the first is cut short by kill -9 after its first commit."""
    drops, before = night.root / "drops" / DAY, base(night.name)
    for n, name in enumerate(("b.csv", "c.csv"), 1):
        (drops / name).write_text(body(1 + ROWS * n, ROWS * (n + 1)))
        os.utime(drops / name, (1_700_000_000, 1_700_000_000))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_FAIL")} | {
        "FOREBAY_CACHE": str(CACHE)
    }

    def command(document: dict[str, Any], failpoint: str = "") -> int:
        words = ["run", night.write(document), "--date", DAY]
        more = {"FOREBAY_FAILPOINT": failpoint} if failpoint else {}
        return spawner.run("forebay.cli", words, night.root, environment | more, timeout=180).code

    assert command(before, "after_commit@0:kill9") == -9
    after = changed(before, path)
    topics = {night.name, after["topic"]["name"]}
    if path == "source.ready_when.expect.files":
        after["source"]["ready_when"]["expect"]["files"] = 3
    code, effect = command(after), EFFECTS[path][0]
    assert (code == 0) == (effect in {Effect.NONE, Effect.ANOTHER})
    if effect is Effect.ANOTHER:
        assert night.ids(*topics) == once(night.name, 3 * ROWS) + once(night.name, 100)
        return
    assert command(before) == 0
    found = night.ids(*topics)
    assert Counter(n for _, n in found.elements()) == Counter(range(1, 3 * ROWS + 1))
    assert len({topic for topic, n in found if n <= ROWS}) == 1
