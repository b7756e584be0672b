"""Lineage events follow OpenLineage's names, tell offsets and assertions, hold no secret, and never fail a run."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forebay.lineage import emit, openlineage
from forebay.lineage.facts import FileFacts, RunFacts
from forebay.model import Column, Identity, Status
from tests.support.nouns import file_run, verdict

RUN = openlineage.lineage_run("flights", "run-1")


def facts(**changes: Any) -> RunFacts:
    file = FileFacts(file_run(), (Column("carrier", "string"),), verdict())
    made = RunFacts(
        "flights",
        "network-ops",
        file.file.window,
        Identity("run-1", RUN),
        datetime(2013, 1, 2, tzinfo=UTC),
        "broker:9092",
        "flights",
        "forebay.flights.quarantine",
        (file,),
    )
    return dataclasses.replace(made, **changes)


def written(event: Any) -> dict[str, Any]:
    return json.loads(emit._line(event))


def test_a_run_id_is_a_uuid_and_stable() -> None:
    assert (
        str(uuid.UUID(RUN))
        == RUN
        == openlineage.lineage_run("flights", "run-1")
        != openlineage.lineage_run("flights", "run-2")
    )


def test_complete_names_input_and_output_as_the_spec_does() -> None:
    event = written(openlineage.end(facts()))
    assert (event["eventType"], event["run"]["runId"], event["job"]["name"]) == ("COMPLETE", RUN, "flights")
    [source] = event["inputs"]
    assert (source["namespace"], source["name"]) == ("file", "/drops/EWR.csv.gz")
    assert [(o["namespace"], o["name"]) for o in event["outputs"]] == [
        ("kafka://broker:9092", "flights"),
        ("kafka://broker:9092", "forebay.flights.quarantine"),
    ]


def test_an_s3_object_is_named_by_bucket_and_key() -> None:
    assert openlineage.dataset_name("s3://landing/in/a b.csv") == ("s3://landing", "in/a b.csv")


def test_outputs_carry_the_offset_ranges() -> None:
    topic = written(openlineage.end(facts()))["outputs"][0]
    condition = topic["outputFacets"]["subset"]["outputCondition"]
    assert condition["type"] == "partition"
    assert condition["partitions"][0]["dimensions"] == {"partition": 0, "offset_first": 5, "offset_last": 9, "rows": 5}
    assert topic["outputFacets"]["outputStatistics"]["rowCount"] == 8


def test_inputs_carry_version_schema_and_assertions() -> None:
    [source] = written(openlineage.end(facts()))["inputs"]
    assert source["facets"]["version"]["datasetVersion"].startswith("sha256:abab")
    assert source["facets"]["schema"]["fields"][0]["name"] == "carrier"
    failed, passed = source["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (failed["success"], failed["column"], failed["severity"], failed["actual"]) == (
        False,
        "distance",
        "error",
        "2 unexpected of 10",
    )
    assert passed["success"] is True


def test_a_failed_run_says_why() -> None:
    event = written(openlineage.end(facts(error="reading `file:///x`: truncated")))
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == "reading `file:///x`: truncated"


def test_skipped_files_are_no_input() -> None:
    skipped = FileFacts(file_run(status=Status.SKIPPED, published=0, outputs=(), quarantine=(), quarantined=0))
    event = written(openlineage.end(facts(files=(skipped,))))
    assert (event.get("inputs"), event.get("outputs")) == ([], [])


def test_events_go_to_the_file_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    assert emit.send([openlineage.start(facts()), openlineage.end(facts())], tmp_path / "events.jsonl")
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "COMPLETE"]


class Sink(BaseHTTPRequestHandler):
    """An OpenLineage endpoint that can be told to fail: to answer with a status, or (0) not in time."""

    fails: int | None = None
    seen: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Sink.fails == 0:
            time.sleep(2)
            return
        if Sink.fails is None:
            Sink.seen.append(json.loads(body))
        self.send_response(Sink.fails or 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("fails", [500, 503, 0], ids=["500", "503", "slow"])
def test_a_sink_that_is_down_fails_nothing_and_gets_the_events_later(tmp_path: Path, fails: int) -> None:
    Sink.fails, Sink.seen = fails, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    transport = {"type": "http", "url": f"http://127.0.0.1:{server.server_port}", "timeout": 0.5, "retry": {"total": 0}}
    file = tmp_path / "events.jsonl"
    try:
        assert emit.send([openlineage.start(facts())], file, transport) is False
        assert (tmp_path / "unsent.jsonl").exists()
        Sink.fails = None
        assert emit.send([openlineage.end(facts())], file, transport) is True
    finally:
        server.shutdown()
        server.server_close()
    assert [event["eventType"] for event in Sink.seen] == ["START", "COMPLETE"]
    assert not (tmp_path / "unsent.jsonl").exists()


def test_the_file_of_events_turns_its_page_and_what_waits_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file and its one page before, each is at most one write longer than its bound; the youngest events
    stay."""
    monkeypatch.setattr(emit, "MOST", 2_000)
    lines = [f'{{"n": {n}, "x": "{"y" * 80}"}}' for n in range(100)]
    for line in lines:
        emit._append(tmp_path / "events.jsonl", [line])
    pages = [tmp_path / "events.1.jsonl", tmp_path / "events.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "events.1.jsonl", "events.jsonl"]
    assert all(path.stat().st_size <= 2_000 + len(lines[0]) + 2 for path in pages)
    kept = "".join(path.read_text() for path in pages).splitlines()
    assert len(kept) > 20 and kept == lines[-len(kept) :]
    waiting = emit._youngest(lines)
    assert waiting == lines[-len(waiting) :] and sum(len(line) + 1 for line in waiting) <= 2_000
