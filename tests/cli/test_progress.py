from __future__ import annotations

import io

from rich.console import Console

from forebay import events
from forebay.cli.progress import follow, line


def test_a_line_names_the_event_the_file_and_the_numbers() -> None:
    fields = {"uri": "file:///drops/EWR.csv.gz", "rows": 12345, "rejected": 0, "notes": ["a", "b"], "none": None}
    assert line(events.FILE_STAGED, fields) == "file.staged      EWR.csv.gz: rows 12,345, rejected 0, notes a; b"


def test_of_ten_thousand_columns_a_line_names_twenty() -> None:
    told = line("file.staged", {"uri": "file:///a.csv", "inferred": [f"c{n} int64" for n in range(10_000)]})
    assert told.endswith("; c19 int64 and 9980 more") and "c20 int64" not in told


def test_an_event_with_a_message_is_its_message() -> None:
    assert line(events.BROKER_STARTED, {"message": "started", "bootstrap": "x:1"}) == "broker.started   started"


def test_a_run_is_named_by_pipeline_and_day() -> None:
    fields = {"run_id": "manual", "pipeline": "flights", "day": "2013-01-01", "files": 3}
    assert line(events.RUN_STARTED, fields) == "run.started      flights 2013-01-01: files 3"


def followed(*, terminal: bool) -> str:
    text = io.StringIO()
    with follow(Console(file=text, force_terminal=terminal, width=100, highlight=False, soft_wrap=True)):
        for chunk in range(2):
            events.emit(events.CHUNK_COMMITTED, uri="s3://in/[a].csv", chunk=chunk, of=2)
        events.emit(events.FILE_PUBLISHED, uri="s3://in/[a].csv", published=7)
    events.emit(events.FILE_SETTLED, uri="too late")
    return text.getvalue()


def test_without_a_terminal_every_event_is_a_line_and_nothing_moves() -> None:
    assert followed(terminal=False).splitlines() == [
        "chunk.committed  [a].csv: chunk 0, of 2",
        "chunk.committed  [a].csv: chunk 1, of 2",
        "file.published   [a].csv: published 7",
    ]


def test_on_a_terminal_chunks_move_a_bar() -> None:
    seen = followed(terminal=True)
    assert "publishing [a].csv" in seen
    assert "file.published   [a].csv: published 7" in seen
    assert "chunk.committed" not in seen
