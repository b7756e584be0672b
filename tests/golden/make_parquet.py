"""Writes the awkward Parquet files of `formats/parquet/` (they are binary; this is what is in them): `python -m
tests.golden.make_parquet`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "formats" / "parquet"


def table(**columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def files() -> dict[str, bytes]:
    """Each file's bytes by name."""
    import pyarrow as pa

    ab = {"a": pa.array([1, 2, 3], pa.int64()), "b": ["x", None, "z"]}
    return {
        "widened_integers": table(a=pa.array([1, -128, None], pa.int8()), b=["x", "y", "z"]),
        "overflow": table(a=pa.array([1, 300, -129, None, 127], pa.int64()), b=list("vwxyz")),
        "unsigned_overflow": table(a=pa.array([1, 2**63, 2**64 - 1], pa.uint64()), b=list("xyz")),
        "integers_beyond_a_double": table(a=pa.array([2**53, 2**53 + 1], pa.int64())),
        "double_to_float": table(a=pa.array([0.5, 0.1, 16777217.0])),
        "nanoseconds": table(a=pa.array([1_000, 1_001], pa.timestamp("ns"))),
        "decimals_rescaled": table(a=pa.array(["1.100", "1.105"]).cast(pa.decimal128(10, 3))),
        "text_that_is_typed": table(a=["1", "x", "007", None]),
        "dictionary_encoded": table(a=pa.array([1, 2, 3]), b=pa.array(["x", "y", "x"]).dictionary_encode()),
        "no_rows": table(a=pa.array([], pa.int64()), b=pa.array([], pa.string())),
        "another_kind": table(a=pa.array([1.5]), b=["y"]),
        "nested": table(a=[1], b=[["x"]]),
        "missing_column": table(a=[1], c=["x"]),
        "unknown_column": table(**ab, z=[[1], [2], [3]]),
        "truncated": table(**ab)[:-20],
        "no_parquet_at_all": b"a,b\n1,x\n",
        "zero_bytes": b"",
        "garbled_footer": _garbled(table(**ab)),
    }


def _garbled(data: bytes) -> bytes:
    """The first bytes of the footer turned over; its length and the magic words at both ends are right."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:start] + bytes(byte ^ 0xFF for byte in data[start : start + 24]) + data[start + 24 :]


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in files().items():
        (FOLDER / f"{name}.parquet").write_bytes(data)
