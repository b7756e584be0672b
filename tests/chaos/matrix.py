"""The fault matrix: each row's fault in a few words. Where a row is tried is known by the faults themselves and by
elsewhere.py."""

from __future__ import annotations

import re

MATRIX = {
    1: "kill -9 at discover",
    2: "kill -9 at download",
    3: "kill -9 at hash",
    4: "kill -9 at validate",
    5: "kill -9 before init",
    6: "kill -9 after init",
    7: "kill -9 after the barrier",
    8: "kill -9 in mid-produce",
    9: "kill -9 after flush",
    10: "kill -9 after the ledger record was produced",
    11: "kill -9 during commit",
    12: "kill -9 after commit",
    13: "zombie: SIGSTOP at each of 6 to 11, a successor runs to the end, SIGCONT",
    14: "SIGTERM",
    15: "broker killed, restarted, restarted one after the other",
    16: "leaders move without a restart, in a loop",
    17: (
        "network cut to one broker, the coordinator, all; one way only; for 30 s and for longer than the "
        "transaction timeout"
    ),
    18: "an EndTxn delivered again after the next transaction began",
    19: "slow broker: latency, bandwidth",
    20: "transaction timeout between flush and commit",
    21: "another producer's open transaction on the ledger partition",
    22: "hanging transaction on ledger or data",
    23: "disk full: spool, index, the broker's log",
    24: "out of memory",
    25: "S3: 500, 503, 403, reset, stall, short body, wrong bytes",
    26: "object overwritten between listing and getting, and while it is read",
    27: "local file still written, replaced, truncated, appended",
    28: "listing inconsistent; events twice or out of order",
    29: "two runs of one window at once; two schedulers",
    30: "backfill beside schedule; two pipelines' runs on one folder; clear and mark success",
    31: "clocks: skew, steps, daylight saving",
    32: "encodings: wrong ones, byte order marks, NUL, mixed line ends",
    33: "line ends in quotes, fields of 1 MB, a quote never closed",
    34: "bombs, truncated and damaged archives",
    35: "corrupt or crafted Parquet, Avro, JSON",
    36: "huge, wide, empty files; a header only",
    37: "schema drift: columns added, dropped, reordered, retyped; header case; a header twice",
    38: "suite, library or partition count changed between attempts at one file",
    39: "ledger deleted, recreated, expiring, repartitioned",
    40: "rights removed, credentials expired in mid-run",
    41: "row too large, key null or huge, too many headers",
    42: "lineage sink down, slow, answering 500",
    43: "settings changed in mid-file: beside a zombie, and between kills",
}


def rows(text: str) -> list[int]:
    """The rows that `5–12, 18` names."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:–(\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return found
