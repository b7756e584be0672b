"""Rows of the fault matrix that the chaos runner does not run: where they are tested, or why they could not be had."""

from __future__ import annotations

ELSEWHERE = [
    (
        "43",
        "every field of the pipeline model changed between a kill and the retry; ids of earlier versions",
        "`tests/guarantees/test_changed_settings.py`: "
        "`test_the_command_killed_at_one_of_three_files_and_each_setting_changed_alone`, "
        "`tests/guarantees/test_lanes_changed.py`: "
        "`test_a_zombie_of_an_earlier_version_is_fenced_whatever_its_lanes_were`",
    ),
    (
        "1–13",
        "under a real Airflow: kill -9 of the publish task, of its supervisor, of the scheduler, of all of them; "
        "a second try beside a first one that "
        "lives, stopped or unheard",
        "`tests/e2e/airflow/test_faults.py`",
    ),
    ("18", "late duplicates of EndTxn, Produce and InitProducerId, in any order", "the simulation (`make sim`)"),
    (
        "22",
        "a transaction open on a data partition: the proof waits, then says so",
        "`tests/kafka/test_reader.py`: `test_an_open_transaction_is_waited_for`",
    ),
    (
        "23",
        "disk full while a file is fetched or written",
        "`tests/sources/test_local.py`: `test_a_full_disk_is_told_and_leaves_nothing`",
    ),
    (
        "25",
        "S3: 500, SlowDown, resets, stalls, short and wrong bodies, passing and lasting; 403",
        "`tests/sources/test_s3_faults.py`: `test_a_passing_fault_never_mixes_or_shortens_a_file`, "
        "`test_a_lasting_fault_ends_after_the_last_attempt`, "
        "`test_what_no_retry_mends_is_not_retried`",
    ),
    (
        "26",
        "object overwritten between listing, getting, getting again and copying",
        "`tests/sources/test_s3_move.py`: `test_an_object_overwritten_*`",
    ),
    (
        "27",
        "local file rewritten, replaced, truncated, appended, removed while it is read; "
        "replaced with the same size and time",
        "`tests/sources/test_local.py`: `test_a_file_that_changes_while_it_is_read_is_never_mixed`, "
        "`test_a_file_replaced_by_rename_with_same_size_and_time_is_another_version`",
    ),
    (
        "28",
        "a listing that names an object twice",
        "`tests/sources/test_s3_faults.py`: `test_a_listing_that_names_an_object_twice_gives_one_file`",
    ),
    (
        "29, 30",
        "under a real Airflow: clear, mark success (running, failed), two backfills, "
        "schedule beside backfill and beside a run by hand",
        "`tests/e2e/airflow/test_faults.py`, `tests/e2e/airflow/test_nights.py`",
    ),
    (
        "31",
        "the night when clocks change",
        "`tests/dags/test_translate.py`, `tests/pages/test_freshness.py`: "
        "`test_a_night_is_due_at_the_clock_of_its_zone_when_clocks_change`",
    ),
    (
        "32, 33",
        "awkward files, each beside what must become of it; row counts against Python's csv module",
        "`tests/golden/test_formats.py`, `tests/formats/test_csv.py`",
    ),
    (
        "34",
        "bombs by size and by ratio, truncated and damaged gzip and zstd",
        "`tests/compressions/test_unpack.py`, `tests/compressions/test_gzip.py`, `tests/compressions/test_zstd.py`",
    ),
    (
        "35",
        "truncated Parquet, JSON lines that are no rows",
        "`tests/formats/test_parquet.py`, `tests/formats/test_json_lines.py`, `tests/golden/test_formats.py`",
    ),
    (
        "36",
        "no bytes, a header only, 1,000 columns; memory that five times the rows hardly raise",
        "`include/forebay/testing/formats.py`: `test_no_bytes_at_all_never_end_in_rows`; `tests/e2e/test_run.py`: "
        "`test_header_only_is_done_and_an_empty_folder_is_not_ready`; `tests/formats/test_csv.py`: "
        "`test_a_thousand_columns`; `make bench` (peak memory)",
    ),
    (
        "36",
        "10,000 columns, of CSV, JSON lines and Parquet, declared and inferred",
        "`tests/e2e/test_wide.py` (slow tier; 1,500 columns in CI)",
    ),
    (
        "37",
        "columns unknown, missing, retyped, in another order, in another case, twice",
        "`include/forebay/testing/formats.py`: `test_columns_unknown_to_the_schema_are_left_out_and_told`, "
        "`test_a_declared_column_that_is_missing_refuses_the_file`; `tests/formats/test_csv.py`: "
        "`test_files_that_are_refused_say_why`; "
        "`tests/formats/test_parquet.py`: `test_another_kind_of_column_refuses_the_file`; `tests/verbs/test_gate.py`: "
        "`test_a_drifted_schema_holds_the_file_back_or_not_as_the_pipeline_says`",
    ),
    (
        "38",
        "suite, format, key, partition count are in the plan's hash; another hash stops a begun file",
        "`tests/encoding/test_plan.py`: `test_the_hash_names_each_parameter`, "
        "`test_the_hash_names_suite_decision_and_quarantined_rows`; "
        "`tests/kafka/test_publisher.py`: `test_another_plan_stops_a_begun_file_and_leaves_it_as_it_is`",
    ),
    (
        "39",
        "ledger lost, trimmed, grown, recreated: refused, with a way out",
        "`tests/e2e/test_ledger_care.py`, `tests/kafka/test_cached_ledger.py`: `test_a_grown_ledger_is_refused`",
    ),
    (
        "41",
        "too large from one byte over, with key and headers counted; a key that is null",
        "`tests/encoding/test_set_aside.py`: `test_a_row_is_too_large_from_one_byte_over`, "
        "`test_null_key_parts_are_set_aside`",
    ),
    (
        "42",
        "lineage sink away, slow, answering 500 and 503: nothing fails, and the events come later",
        "`tests/lineage/test_openlineage.py`: `test_a_sink_that_is_down_fails_nothing_and_gets_the_events_later`",
    ),
]

NOT_HAD = [
    (
        "23",
        "a full disk under the broker's log",
        "the broker then stops itself, which row 15 has as a kill; full disks on forebay's side are "
        "`file-system-full` (a small tmpfs) and `disk-full`",
    ),
    (
        "28",
        "events of a store, twice or out of order",
        "forebay listens to no events: a run lists its window, whatever woke it, "
        "and the ledger knows what was published",
    ),
    (
        "29",
        "two schedulers of one Airflow (HA)",
        "Airflow allows them on PostgreSQL or MySQL only, and the tests' Airflow has SQLite. "
        "What they could do wrong, the same task twice at once, is "
        "`two-at-once`, `two-runs`, `two-projects` and the second tries of `tests/e2e/airflow/test_faults.py`",
    ),
    (
        "31",
        "a clock that steps under librdkafka too",
        "`clock-steps` moves the clock that forebay's own code reads. Tried for the rest: "
        "libfaketime 0.9.10 (librdkafka's timed waits never return "
        "under it, with any of its options for the monotonic clock); a time namespace (`unshare -T` has offsets for "
        "the monotonic and boot clocks only); "
        "setting the machine's clock would hit everything else on it",
    ),
    (
        "36",
        "a sparse file of 50 GB, 10⁹ short rows",
        "not tried: it takes hours, and more disk than the machine has; `make bench` holds the peak memory of "
        "5,000,000 rows against that of 1,000,000 instead",
    ),
    (
        "40",
        "expiry of a certificate in mid-transaction",
        "Kafka looks at a certificate when a connection is made only; the login that expires is `credentials-expire` "
        "(SCRAM, KIP-368), a removed "
        "right `rights-removed`, wrong credentials `wrong-password`",
    ),
]
