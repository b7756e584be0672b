"""Ten million rows that cannot be read or typed, in bounded memory: from the file to the list of quarantined rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_READ = """
import resource, sys
from pathlib import Path
from forebay.contracts import StageWriter
from forebay.formats.csv import Csv
from forebay.model import Column, Decision, Snapshot, SourceFile
from forebay.encoding.quarantine_rows import compose_quarantine
from forebay.config.pipeline import Pipeline

path = Path(sys.argv[1])
size = path.stat().st_size
snapshot = Snapshot(SourceFile(path.as_uri(), size, 0.0), path, "0" * 64, size)
columns = (Column("id", "int64"), Column("name", "string"), Column("qty", "int64"))
stage = Csv(Csv.Config()).read(snapshot, path, columns, StageWriter(path.parent / "stage"))
topic, source = {"name": "a"}, {"type": "local", "path": "x"}
pipeline = Pipeline.model_validate(
    {"pipeline": "a", "owner": "b", "source": source, "format": {"type": "csv"}, "record": {"key": ["id"]}, "topic": topic}
)
count = compose_quarantine(stage, None, pipeline, Decision.PUBLISH, path.parent / "aside.parquet")
print(stage.rows_in, stage.rows_rejected, count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""  # noqa: E501
KINDS = {
    "ragged": b"%d,name %d,5,6\n",
    "text behind a quote": b'%d,"name"%d,5\n',
    "quotes never closed": b'%d,"name %d,5\n',
    "of another type": b"%d,name %d,x\n",
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_ten_million_bad_rows_take_less_than_600_mb(kind: str, tmp_path: Path) -> None:
    count, step, path = 10_000_000, 100_000, tmp_path / "bad.csv"
    with path.open("wb") as file:
        file.write(b"id,name,qty\n")
        for first in range(0, count, step):
            file.write(b"".join(KINDS[kind] % (n, n) for n in range(first, first + step)))
    done = subprocess.run([sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True)
    rows, rejected, aside, peak = map(int, done.stdout.split())
    assert rows == rejected == aside == count
    assert peak < 600, f"{peak} MiB"
