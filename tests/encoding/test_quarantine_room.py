"""The list of quarantined rows is made in bounded memory, however many rows fail."""

from __future__ import annotations

from pathlib import Path

from forebay.encoding.rows import Limits
from forebay.model import Severity
from tests.encoding.made import Made, make_verdict, numbered, pipeline

MEMORY = 128 << 20


def test_a_file_of_which_every_row_fails_two_rules_needs_no_more_memory(tmp_path: Path) -> None:
    """Held all at once, the causes of so many rows take more than that."""
    rows = 150_000
    failing = {n: [0, 1] for n in range(1, rows + 1)}
    verdict = make_verdict(tmp_path, failing, ("id", Severity.CRITICAL), ("name", Severity.CRITICAL))
    made = Made(tmp_path, numbered(rows), pipeline(), verdict=verdict, limits=Limits(memory=MEMORY))
    assert made.count == rows
    assert [len(line["causes"]) for line in (made.lines[0], made.lines[-1])] == [2, 2]
