"""How DuckDB is told to read a CSV file, what it could not read, and how a quote that is never closed costs only its own row."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from forebay.errors import CorruptFileError
from forebay.formats._lines import Lines, Multiline, Records, Unreadable, spill
from forebay.support.sql import literal, literals

if TYPE_CHECKING:
    import duckdb

_NO_NULL_WORD = "\x00\x00"  # DuckDB takes no empty list of null words
_ENDS = "chr(13) || chr(10)"
_RANK = {"INVALID ENCODING": 0, "UNQUOTED VALUE": 1, "LINE SIZE OVER MAXIMUM": 2, "TOO MANY COLUMNS": 3, "MISSING COLUMNS": 4}


@dataclass(frozen=True, slots=True)
class Scan:
    """A CSV file as DuckDB sees it: `width` columns of text, `c0` and so on."""

    path: Path
    width: int
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    header: bool = False
    skip: int = 0
    null_words: tuple[str, ...] = ("",)
    quoted_nulls: bool = False
    record_bytes: int = 2_000_000

    def source(self, turn: int) -> str:
        """The table function; what it refuses goes to the tables `refused_TURN` and `scan_TURN`."""
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(self.width))
        quote, escape = self.quote or "", (self.escape or self.quote or "") if self.quote else ""
        options = {
            "columns": "{" + columns + "}",
            "auto_detect": "false",
            "compression": "'none'",
            "header": str(self.header).lower(),
            "skip": str(self.skip),
            "delim": literal(self.delimiter),
            "quote": literal(quote),
            "escape": literal(escape),
            "nullstr": f"[{literals(self.null_words or (_NO_NULL_WORD,))}]",
            "allow_quoted_nulls": str(self.quoted_nulls).lower(),
            "max_line_size": str(self.record_bytes),
            "store_rejects": "true",
            "rejects_table": f"'refused_{turn}'",
            "rejects_scan": f"'scan_{turn}'",
            "rejects_limit": "0",
            "rejects_line_size_limit": str(self.record_bytes),
        }
        return f"read_csv({literal(self.path)}, {', '.join(f'{key} = {value}' for key, value in options.items())})"

    @property
    def columns(self) -> list[str]:
        return [f"c{i}" for i in range(self.width)]


def refused(connection: duckdb.DuckDBPyConnection, turn: int, single: bool, quote: str | None = None) -> pa.Table:
    """The unreadable records of a scan, one line each, in file order.

    Columns: `position` (byte of the first text, from 0), `span` (lines with text that it takes), `lines` (all lines that it takes), `kind`,
    `column` (0-based), `found` (columns), `torn` (among its faults is one that an unclosed quote makes), `lost` (DuckDB names the record
    before it, as it does when text follows the quote that ends the swallowing: `position` is that of the quote), `odd` (its quotes, if
    `quote` is given, do not pair).
    """
    torn = "error_type IN ('UNQUOTED VALUE', 'LINE SIZE OVER MAXIMUM')"
    fault = f"min(byte_position) FILTER ({torn})"
    lost = f"coalesce({fault} > line_byte_position + any_value(strlen(csv_line)), false)"
    start = f"line_byte_position - 1 + any_value(length(csv_line) - length(ltrim(csv_line, {_ENDS})))"
    odd = f"any_value((length(csv_line) - length(replace(csv_line, {literal(quote)}, ''))) % 2 = 1)" if quote else "false"
    rank = "CASE error_type " + " ".join(f"WHEN {literal(kind)} THEN {rank}" for kind, rank in _RANK.items()) + " ELSE 5 END"
    own = f"rtrim(ltrim(csv_line, {_ENDS}), {_ENDS})"
    lines = f"string_split(replace({own}, chr(13), ''), chr(10))"
    span = f"len({lines})" if single else f"len(list_filter({lines}, lambda line: line <> ''))"
    columns = "TRY_CAST(regexp_extract(error_message, 'Found: ([0-9]+)', 1) AS BIGINT)"  # of a short record, one fault a missing column
    query = f"""
        SELECT CAST(CASE WHEN {lost} THEN {fault} - 1 ELSE {start} END AS BIGINT) AS position,
               greatest(1, any_value({span})) AS span, any_value(len({lines})) AS lines, arg_min(error_type::VARCHAR, {rank}) AS kind,
               CAST(arg_min(column_idx, {rank}) AS BIGINT) - 1 AS "column",
               CASE WHEN bool_or(error_type = 'MISSING COLUMNS') THEN min({columns}) ELSE max({columns}) END AS found,
               bool_or({torn}) AS torn, {lost} AS lost, {odd} AS odd
        FROM refused_{turn} GROUP BY line, line_byte_position ORDER BY position"""
    return connection.sql(query).to_arrow_table()


def unclosed(table: pa.Table, lines: Lines, blotted: set[int]) -> np.ndarray:
    """Positions of records that swallowed other lines because a quote was never closed.

    A line that was blotted out is a record of its own: whatever swallowed it is such a record, too, even if it seems to end well.
    """
    position = table["position"].to_numpy()
    lost = table["lost"].to_numpy(zero_copy_only=False)
    several = table["span"].to_numpy() > 1
    if not (several | lost).any():
        return position[:0]
    torn = table["torn"].to_numpy()
    first = lines.at(position)
    last = np.minimum(first + table["span"].to_numpy(), len(lines.starts)) - 1
    blots = np.sort(np.fromiter(blotted, np.int64, len(blotted)))
    swallowed = np.searchsorted(blots, lines.starts[last], side="right") > np.searchsorted(blots, lines.starts[first], side="left")
    return position[lost | (several & (torn | swallowed))]


class Mended:
    """A copy of the text in which lines with an unclosed quote are blotted out: as long as before, and sure to be refused alone.

    So all positions stay what they are, and the lines that were swallowed are read as what they are.
    """

    def __init__(self, lines: Lines, folder: Path, most: int, uri: str) -> None:
        self.lines = lines
        self.path = folder / "mended"
        self.most = most
        self.uri = uri
        self.at: set[int] = set()
        shutil.copyfile(lines.path, self.path)

    def blot(self, positions: np.ndarray) -> None:
        """Blot the lines at these positions. Raises `CorruptFileError` when they become too many."""
        first = self.lines.at(positions)
        starts, ends = self.lines.starts[first], self.lines.ends[first]
        self.at.update(starts.tolist())
        if len(self.at) > self.most:
            raise CorruptFileError(
                f"reading `{self.uri}`: more than {self.most} quotes are opened and never closed, one of them at byte {min(self.at) + 1} "
                "(check format.quote and format.escape, or raise format.max_unclosed_quotes: each may cost another pass over the file)",
                uri=self.uri,
            )
        with self.path.open("r+b") as file:
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                file.seek(start)
                file.write(b"\xff" * (end - start))


def records(lines: Lines, table: pa.Table, multiline: Multiline, header: int) -> Records:
    """Where every record lies, from what the parser said of those it refused."""
    first = lines.at(table["position"].to_numpy())
    return Records(Unreadable(np.asarray(first, np.int64), table["span"].to_numpy().astype(np.int64)), multiline, header)


def multiline(connection: duckdb.DuckDBPyConnection, scan: Scan, folder: Path, turn: int) -> tuple[Multiline, int]:
    """Which readable records have line ends inside, by another pass over the file; and how many line ends those are."""
    import pyarrow.parquet as pq

    extra = [f"CASE WHEN contains({c}, chr(10)) THEN {_extra_lines(c, scan.width == 1)} ELSE 0 END" for c in scan.columns]
    ends = [f"length({c}) - length(replace({c}, chr(10), ''))" for c in scan.columns]
    path = folder / "extra.parquet"
    columns = f"{_sum(extra)} AS extra, {_sum(ends)} AS ends"
    connection.execute(f"COPY (SELECT {columns} FROM {scan.source(turn)}) TO {literal(path)} (FORMAT parquet)")
    places: list[np.ndarray] = []
    totals: list[np.ndarray] = []
    place = total = inside = 0
    for batch in pq.ParquetFile(path).iter_batches():
        values = batch.column(0).to_numpy(zero_copy_only=False).astype(np.int64)
        inside += int(batch.column(1).to_numpy(zero_copy_only=False).sum())
        at = np.flatnonzero(values)
        places.append(at + place)
        totals.append(np.cumsum(values[at]) + total)
        place, total = place + len(values), total + int(values.sum())
    return Multiline(spill(folder / "multi_place", places), spill(folder / "multi_total", totals)), inside


def _extra_lines(column: str, empty: bool) -> str:
    """SQL: lines with text behind the first one of a field; the last one always has some, the quote at least."""
    if empty:
        return f"len(string_split({column}, chr(10))) - 1"
    return f"len(list_filter(string_split(replace({column}, chr(13), ''), chr(10))[2:-2], lambda line: line <> '')) + 1"


def _sum(terms: Sequence[str]) -> str:
    return " + ".join(f"coalesce({term}, 0)" for term in terms)


def rejects(lines: Lines, table: pa.Table, found: Records, names: Sequence[str], mended: set[int], record_bytes: int) -> pa.Table:
    """The refused records as lines of `rejects.parquet`."""
    unreadable = found.unreadable
    raw = lines.raw(unreadable.line, unreadable.line + unreadable.span - 1)
    starts = lines.starts[unreadable.line].tolist() if len(raw) else []
    told = [
        ("parse", None, "a quote is opened and never closed") if start in mended else _told(row, names, record_bytes)
        for start, row in zip(starts, table.to_pylist(), strict=True)
    ]
    return pa.table(
        {
            "__row": pa.array(found.unreadable_rows, pa.int64()),
            "stage": pa.array([stage for stage, _, _ in told], pa.string()),
            "columns": pa.array([[] if column is None else [column] for _, column, _ in told], pa.list_(pa.string())),
            "reason": pa.array([reason for _, _, reason in told], pa.string()),
            "raw": pa.array(raw, pa.binary()),
        }
    )


def _told(row: dict[str, object], names: Sequence[str], record_bytes: int) -> tuple[str, str | None, str]:
    """Stage, column and reason of one refused record."""
    at = row["column"]
    column = names[at] if isinstance(at, int) and 0 <= at < len(names) else None
    place = f"column `{column}`: " if column is not None else ""
    lines = f" and {row['span']} lines (is a quote not closed?)" if isinstance(row["span"], int) and row["span"] > 1 else ""
    match row["kind"]:
        case "INVALID ENCODING":
            return "decode", column, f"{place}bytes are not UTF-8"
        case "UNQUOTED VALUE":
            return "parse", column, f"{place}{'a quote is opened and never closed' if row['odd'] else 'text follows a closing quote'}"
        case "LINE SIZE OVER MAXIMUM":
            return "parse", None, f"record is longer than {record_bytes} bytes (raise format.max_record_bytes)"
        case "TOO MANY COLUMNS" | "MISSING COLUMNS":
            return "parse", None, f"record has {row['found']} columns{lines}, the file has {len(names)}"
    return "parse", column, f"{place}{str(row['kind']).lower()}"
