"""Small model values for tests that need some, whatever they are."""

from __future__ import annotations

from datetime import date
from typing import Any

from forebay.model import (
    Counts,
    Fate,
    FileRun,
    OffsetRange,
    Receipt,
    RuleResult,
    Severity,
    SourceFile,
    Status,
    Verdict,
    Window,
)

DAY = date(2013, 1, 1)
FINGERPRINT = "ab" * 32


def file_run(name: str = "EWR.csv.gz", **changes: Any) -> FileRun:
    """A file that was published: 10 rows in, 8 published, 2 quarantined."""
    made = FileRun(
        run_id="run-1",
        pipeline="flights",
        window=Window.of_day(DAY, "America/New_York"),
        file=SourceFile(f"file:///drops/{name}", 100, 1.5),
        fate=Fate.NEW,
        reason="never seen before",
        status=Status.DONE,
        fingerprint=FINGERPRINT,
        counts=Counts(10, 8, 2),
        outputs=(OffsetRange("flights", 0, 5, 9, 5), OffsetRange("flights", 1, 0, 2, 3)),
        quarantine=(OffsetRange("forebay.flights.quarantine", 0, 0, 1, 2),),
    )
    return made.but(**changes)


def receipt(**changes: Any) -> Receipt:
    """The ledger's receipt for `file_run`."""
    file = file_run()
    fields: dict[str, Any] = {
        "fingerprint": FINGERPRINT,
        "generation": 1,
        "chunk": 0,
        "of": 1,
        "first_row": 1,
        "last_row": 10,
        "rows_in": 10,
        "published": 8,
        "quarantined": 2,
        "outputs": file.outputs,
        "quarantine": file.quarantine,
        "content_hash": "c" * 64,
        "plan_hash": "p" * 64,
    }
    return Receipt(**(fields | changes))


def verdict() -> Verdict:
    """One row rule that failed on two rows, one table rule that passed."""
    between = RuleResult(
        "expect_column_values_to_be_between",
        ("distance",),
        Severity.CRITICAL,
        "row",
        False,
        2,
        10,
        None,
        '{"min_value": 1}',
        ("-5",),
    )
    count = RuleResult(
        "expect_table_row_count_to_be_between",
        (),
        Severity.WARNING,
        "table",
        True,
        None,
        None,
        "10",
        '{"min_value": 1}',
    )
    return Verdict(FINGERPRINT, "flights", "h" * 64, (between, count))
