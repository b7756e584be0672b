"""What the second witness costs: the same file staged with it and without it, by turns, in each format.

`section` is part of docs/benchmarks.md. Run alone it prints that section.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_page import Clock
from bench_rows import COLUMNS, HOME, drops

ROWS, FEW = 1_000_000, 10_000
FORMATS = {"csv": "CSV", "json_lines": "JSON lines", "parquet": "Parquet"}
LOOKED_AT = {
    "csv": "each record's bytes of text, the values of one record in a thousand",
    "json_lines": "each record's number and length, the lengths of all strings, 200 lines read again",
    "parquet": "footer, page checksums, a twelfth of the columns by a second reader",
}
AIM = 0.12


def file_of(kind: str, rows: int = ROWS) -> Path:
    """The same rows in that format, made once."""
    plain = drops(rows)
    path = plain.with_suffix({"csv": ".csv", "json_lines": ".jsonl", "parquet": ".parquet"}[kind])
    if not path.exists():
        import polars as pl

        frame = pl.read_csv(plain, try_parse_dates=True, schema_overrides=dict.fromkeys(_decimals(kind), pl.String))
        draft = path.with_name(f".{path.name}")
        frame.write_ndjson(draft) if kind == "json_lines" else frame.cast(
            {n: pl.Decimal(15, 2) for n in _decimals()}
        ).write_parquet(draft)
        draft.replace(path)
    return path


def _decimals(kind: str = "parquet") -> list[str]:
    return [name for name, type_ in COLUMNS.items() if type_.startswith("decimal")] if kind == "parquet" else []


def unwatched(kind: str) -> None:
    """Take the witness of a format away, with what is staged for it alone."""
    from forebay.formats import _staging, _witness
    from forebay.formats._json import witness as json_witness
    from forebay.formats._parquet import witness as parquet_witness

    select = _staging.select

    def bare(cells: Any, source: str, besides: Any = _staging.Besides()) -> str:  # noqa: B008 a frozen value
        return select(cells, source, replace(besides, texts=(), lengths=None))

    if kind != "parquet":
        _staging.select = bare
    _witness.parted = lambda *_: None
    json_witness.difference = lambda *_: None
    parquet_witness.Witness.judge = lambda *_: None  # type: ignore[method-assign]  # that is what is measured


def stage(kind: str, watched: bool) -> dict[str, float]:
    """CPU seconds of one staging."""
    import duckdb
    import pyarrow.parquet

    assert duckdb and pyarrow.parquet  # they are imported before the clock starts
    if not watched:
        unwatched(kind)
    path, small = file_of(kind), file_of(kind, FEW)
    _staged(kind, small)  # what a process does once: imports, and what they warm
    with Clock() as clock:
        rows = _staged(kind, path)
    return clock.result(rows, size=path.stat().st_size)


def _staged(kind: str, path: Path) -> int:
    """How many rows the stage of a file has."""
    from forebay import registry
    from forebay.contracts import StageWriter
    from forebay.model import Column, Snapshot, SourceFile

    size = path.stat().st_size
    plugin = registry.find("formats", kind)
    columns = tuple(Column(name, type_) for name, type_ in COLUMNS.items())
    folder = Path(tempfile.mkdtemp(dir=HOME))
    try:
        snapshot = Snapshot(SourceFile(path.as_uri(), size, 0.0), path, "0" * 64, size)
        stage = plugin(plugin.Config()).read(snapshot, path, columns, StageWriter(folder / "stage"))
        assert not stage.rows_rejected, stage
        return int(stage.rows_in)
    finally:
        shutil.rmtree(folder)


def measure(kind: str, watched: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", kind, *(["--watched"] if watched else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind}: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def section(rounds: int) -> list[str]:
    """The Markdown lines of docs/benchmarks.md on the witness, measured now."""
    lines = [
        "### What the second witness costs",
        "",
        (
            "CPU seconds of staging the same rows with it and without it, by turns, each in a process of its own: "
            f"{rounds} rounds, medians; the share is taken round by"
        ),
        (
            f"round. The aim is at most {AIM:.0%} of the rest. Our own count of a CSV's records, "
            "without which its rows could not be numbered, is not the witness's."
        ),
        "",
        "| format | rows | MB | with it | without | the witness, of the rest | what it looks at |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, name in FORMATS.items():
        file_of(kind)
        turns = [_turn(kind, number) for number in range(rounds)]
        share = statistics.median(with_["cpu"] / without["cpu"] - 1 for with_, without in turns)
        cpu = [statistics.median(turn[n]["cpu"] for turn in turns) for n in (0, 1)]
        first = turns[0][0]
        lines.append(
            f"| {name}, {len(COLUMNS)} columns | {first['records']:,.0f} | {first['size'] / 1e6:,.0f} | {cpu[0]:.2f} "
            f"s | {cpu[1]:.2f} s | {share:.1%} | {LOOKED_AT[kind]} |"
        )
    return [*lines, ""]


def _turn(kind: str, number: int) -> tuple[dict[str, float], dict[str, float]]:
    """With it and without it; every other round begins without."""
    figures = {watched: measure(kind, watched) for watched in ((True, False) if number % 2 == 0 else (False, True))}
    return figures[True], figures[False]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=FORMATS, help=argparse.SUPPRESS)
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(stage(given.one, given.watched)))
        return
    print("\n".join(section(given.rounds)))


if __name__ == "__main__":
    main()
