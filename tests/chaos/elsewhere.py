"""Rows of the fault matrix that the chaos runner does not run: where they are tested, or why they could not be had."""

from __future__ import annotations

ELSEWHERE = [
    ("18", "late duplicates of EndTxn, Produce and InitProducerId, in any order", "the simulation (`make sim`)"),
    ("23", "disk full while a file is fetched or written", "`tests/sources/test_local.py`: `test_a_full_disk_is_told_and_leaves_nothing`"),
    (
        "25",
        "S3: 500, SlowDown, resets, stalls, short and wrong bodies",
        "`tests/sources/test_s3.py`: `test_a_passing_fault_never_mixes_or_shortens_a_file`",
    ),
    ("26", "object overwritten between listing, getting and copying", "`tests/sources/test_s3.py`: `test_an_object_overwritten_*`"),
    (
        "27",
        "local file replaced, truncated, appended while it is read",
        "`tests/sources/test_local.py`: `test_a_file_that_changes_while_it_is_read_is_never_mixed`",
    ),
    (
        "28",
        "a listing that names an object twice",
        "`tests/sources/test_s3.py`: `test_a_listing_that_names_an_object_twice_gives_one_file`",
    ),
    (
        "1–12, 13",
        "under a real Airflow: kill -9 of the publish task, of its supervisor, of the scheduler, of all of them; a second try beside a first one that "
        "lives, stopped or unheard",
        "`tests/e2e/airflow/test_faults.py`",
    ),
    (
        "29, 30",
        "under a real Airflow: clear, mark success (running, failed), two backfills, schedule beside backfill and beside a run by hand",
        "`tests/e2e/airflow/test_faults.py`, `tests/e2e/airflow/test_nights.py`",
    ),
    ("42", "lineage sink slow, away, answering 500", "`tests/lineage/test_openlineage.py`"),
]

NOT_HAD = [
    (
        "23",
        "a full disk under the broker's log",
        "the broker then stops itself, which row 15 has as a kill; full disks on forebay's side are `file-system-full` (a small tmpfs) and `disk-full`",
    ),
    (
        "31",
        "a clock that steps under librdkafka too",
        "`clock-steps` moves the clock that forebay's own code reads. Tried for the rest: libfaketime 0.9.10 (librdkafka's timed waits never return "
        "under it, with any of its options for the monotonic clock); a time namespace (`unshare -T` has offsets for the monotonic and boot clocks only); "
        "setting the machine's clock would hit everything else on it",
    ),
    (
        "40",
        "expiry of a certificate in mid-transaction",
        "Kafka looks at a certificate when a connection is made only; the login that expires is `credentials-expire` (SCRAM, KIP-368), a removed "
        "right `rights-removed`, wrong credentials `wrong-password`",
    ),
]
