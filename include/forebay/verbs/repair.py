"""Quarantined rows as a table that people edit, and the edited table read back.

One line a row: the pipeline's columns as text, and five columns of ours. `__fp`, `__generation` and `__row` say which
row of which content it is; `__reason` why it was quarantined; `__form` how its cells are written: `file`, as the file
wrote them (read by the format's own rules for columns), or `typed`, as forebay writes values (ISO dates, a decimal
point); `__raw` is the text that the row came from. A cell that is empty is null, `""` an empty text. A quote stands
before cells that a spreadsheet would take for a formula; reading back takes it away again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from forebay import registry
from forebay.compressions import unpack
from forebay.contracts import StageWriter
from forebay.encoding.quarantine_rows import stored
from forebay.encoding.rows import StagedRows
from forebay.encoding.work import Work
from forebay.errors import ConfigError
from forebay.model import Column, FileRun, Snapshot, SourceFile, Stage
from forebay.serializers import text
from forebay.support.sql import OFFLINE
from forebay.verbs.context import Context

if TYPE_CHECKING:
    import pyarrow as pa

IDS = ("__fp", "__generation", "__row")
OWN = (*IDS, "__reason", "__form", "__raw")
FILE, TYPED = "file", "typed"
POSITION = "forebay_position"
_FORMULA, _QUOTED = r"^('*[=+\-@\t\r])", r"^'('*[=+\-@\t\r])"


def exported(ctx: Context, file: FileRun, work: Work, listed: Path) -> pa.Table:
    """The quarantined rows of one file, all columns text; `listed` is its quarantine.parquet."""
    import duckdb
    import pyarrow as pa

    stage = work.stage()
    if stage is None:
        raise ConfigError(
            f"exporting rows of `{file.file.uri}`: its stage is not on this machine (export them without --repair)"
        )
    names = [column.name for column in stage.columns]
    staged = StagedRows(stage, ctx.pipeline.record)
    forms = (
        f"case when q.step in ('decode', 'parse', 'schema') and {ctx.pipeline.format.type == 'csv'} then '{FILE}' "
        f"else '{TYPED}' end"
    )
    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        con.register("cells", _file_cells(ctx, file, work, listed, names))
        cells = ", ".join(
            f"coalesce(c.c{n}, {text(f't.{staged.identifier(name)}', staged.type(name))})"
            for n, name in enumerate(names)
        )
        table: pa.Table = con.sql(
            f"""select {cells}, $fp, $generation, q.__row::varchar, q.reason, {forms}, coalesce(try(decode(raw)), raw::varchar)
            from {stored(listed)} q left join cells c using (__row) left join {staged.source} on t.{staged.row} = q.__row order by q.__row""",  # noqa: E501
            params={"fp": file.fingerprint, "generation": str(file.generation)},
        ).to_arrow_table()
    columns = [table.column(n).cast(pa.string()) for n in range(table.num_columns)]
    return _harmless(pa.table(columns, names=[*names, *OWN]), [*names, "__raw"])


def _harmless(table: pa.Table, names: list[str]) -> pa.Table:
    """A quote before what a spreadsheet would run (OWASP: CSV injection); plain numbers stay as they are."""
    import pyarrow.compute as pc

    for name in names:
        column = table[name]
        quoted = pc.replace_substring_regex(column, _FORMULA, r"'\1")
        number = pc.match_substring_regex(column, r"^-?[0-9]+(\.[0-9]+)?$")
        table = table.set_column(
            table.schema.get_field_index(name), name, pc.if_else(pc.fill_null(number, True), column, quoted)
        )
    return table


def _file_cells(ctx: Context, file: FileRun, work: Work, listed: Path, names: list[str]) -> pa.Table:
    """`__row` and the cells (`c0`, `c1` …) of rows that could not be read, split by the format's own rules; rows that
    cannot even be split are not in it."""
    import pyarrow as pa

    kind = ctx.pipeline.format.type
    empty = pa.table(
        {"__row": pa.array([], pa.int64()), **{f"c{n}": pa.array([], pa.string()) for n in range(len(names))}}
    )
    if kind.startswith("json"):
        return _json_cells(listed, names) or empty
    if kind != "csv" or not work.snapshot.exists():
        return empty
    config = registry.find("formats", "csv").Config(**ctx.pipeline.format.options)
    with TemporaryDirectory(dir=work.folder, prefix=".repair-") as scratch:
        header = _header(ctx, file, work, config, names, Path(scratch))
        draft = Path(scratch) / "rows.csv"
        if not header or not _write_raw(listed, draft, header, config):
            return empty
        stage = _split(config, draft, names)
        return _cells(stage, names) if stage else empty


def _unread(listed: Path) -> list[tuple[int, str]]:
    """Number and text of the rows that could not be read; there are few, or the file as a whole would have been held
    back."""
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        return con.execute(
            f"""select __row, rtrim(decode(raw), chr(10) || chr(13)) as raw from {stored(listed)}
            where step in ('decode', 'parse', 'schema') and try(decode(raw)) is not null order by __row"""
        ).fetchall()


def _json_cells(listed: Path, names: list[str]) -> pa.Table | None:
    """The members of objects, numbers with every digit they were written with."""
    import pyarrow as pa

    lines = []
    for row, raw in _unread(listed):
        try:
            members = json.loads(raw, parse_float=str, parse_int=str)
        except ValueError:
            continue
        if isinstance(members, dict):
            lines.append((row, [_json_text(members.get(name)) for name in names]))
    if not lines:
        return None
    cells = {f"c{n}": pa.array([texts[n] for _, texts in lines], pa.string()) for n in range(len(names))}
    return pa.table({"__row": pa.array([row for row, _ in lines], pa.int64()), **cells})


def _json_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)


def _header(ctx: Context, file: FileRun, work: Work, config: Any, names: list[str], scratch: Path) -> list[str]:
    """The file's own columns, in its own order."""
    from forebay.formats.csv import column_names

    if not config.header:
        return names
    plain = unpack(work.snapshot, file.file.name, ctx.pipeline.source.compression, scratch / "plain")
    return list(column_names(plain, config, scratch, file.file.uri))


def _write_raw(listed: Path, draft: Path, header: list[str], config: Any) -> bool:
    """The raw texts as a file of their own, each with its row number before it; those with an open quote would swallow
    others and are left out."""
    quote = config.quote or ""
    with draft.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=config.delimiter, quotechar=config.quote or '"', lineterminator="\n")
        writer.writerow([POSITION, *header])
        kept = [(row, raw) for row, raw in _unread(listed) if not quote or raw.count(quote) % 2 == 0]
        out.writelines(f"{row}{config.delimiter}{raw}\n" for row, raw in kept)
    return bool(kept)


def _split(config: Any, draft: Path, names: list[str]) -> Stage | None:
    whole = {"preamble_lines": 0, "extra_header_lines": 0, "footer_lines": 0}
    plain = config.model_copy(update={"columns": {}, "encoding": "utf-8", "header": True, **whole})
    columns = (Column(POSITION, "int64"), *(Column(name, "string") for name in names))
    return read_csv(plain, draft, columns, draft.parent / "split")


def _cells(stage: Stage, names: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    table = pq.read_table(stage.rows, columns=[POSITION, *names])
    return table.rename_columns(["__row", *(f"c{n}" for n in range(len(names)))])


def read_csv(config: Any, path: Path, columns: tuple[Column, ...], folder: Path) -> Stage:
    """A CSV file of our own making as a stage in `folder`."""
    folder.mkdir()
    snapshot = Snapshot(SourceFile(path.as_uri(), path.stat().st_size, 0.0), path, "0" * 64, path.stat().st_size)
    stage: Stage = registry.find("formats", "csv")(config).read(snapshot, path, columns, StageWriter(folder))
    return stage


# ---------------------------------------------------------------- and back


@dataclass(frozen=True, slots=True)
class Origin:
    """Which content a row comes from."""

    fingerprint: str
    generation: int


def edited(path: Path) -> dict[Origin, pa.Table]:
    """The rows of an edited file by their origin, each table (all text) sorted by `__row`, which is an int64.

    Raises `ConfigError` naming the file and what is wrong: not a repair file, a row number that is none, the same row
    twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _read(path)
    for name in ("__generation", "__row"):
        wrong = table.filter(pc.invert(pc.fill_null(pc.match_substring_regex(table[name], "^[0-9]{1,15}$"), False)))
        if len(wrong):
            raise ConfigError(
                f"reading `{path}`: `{wrong[name][0].as_py()}` in `{name}` is no number (the columns that begin with "
                "`__` stay)"
            )
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.int64()))
    pairs = table.group_by(["__fp", "__generation"]).aggregate([]).to_pylist()
    keys = {Origin(str(pair["__fp"]), pair["__generation"]) for pair in pairs}
    ordered = sorted(keys, key=lambda origin: (origin.fingerprint, origin.generation))
    return {origin: _of(table, origin, path) for origin in ordered}


def _of(table: pa.Table, origin: Origin, path: Path) -> pa.Table:
    import pyarrow.compute as pc

    here = pc.and_(pc.equal(table["__fp"], origin.fingerprint), pc.equal(table["__generation"], origin.generation))
    rows = table.filter(pc.fill_null(here, False)).sort_by("__row")
    counts = rows.group_by("__row").aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if len(twice):
        raise ConfigError(
            f"reading `{path}`: row {twice['__row'][0].as_py()} of `{origin.fingerprint[:16]}` is there twice "
            "(leave one)"
        )
    return rows


def _read(path: Path) -> pa.Table:
    """The file as text, whatever a spreadsheet has made of its delimiter."""
    import pyarrow as pa
    import pyarrow.csv as pc

    if not path.is_file():
        raise ConfigError(f"reading `{path}`: there is no such file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        delimiter = next((sign for sign in ",;\t" if "__fp" in next(csv.reader([head], delimiter=sign), [])), None)
        if delimiter is None:
            raise ConfigError(
                f"reading `{path}`: it has no column `__fp` (write it with: forebay quarantine export PIPELINE --to "
                "FILE --repair)"
            )
        names = next(csv.reader([head], delimiter=delimiter))
    missing = [name for name in (*IDS, "__form") if name not in names]
    if missing or len(set(names)) < len(names):
        what = f"column `{missing[0]}` is missing" if missing else "a column is there twice"
        raise ConfigError(
            f"reading `{path}`: {what} (write it with: forebay quarantine export PIPELINE --to FILE --repair)"
        )
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    try:
        table = pc.read_csv(
            path, parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True), convert_options=convert
        )
    except pa.ArrowInvalid as error:
        raise ConfigError(f"reading `{path}`: {error} (every line needs as many cells as the first)") from error
    return table


def typed(
    ctx: Context, rows: pa.Table, columns: tuple[Column, ...], path: Path, folder: Path
) -> tuple[pa.Table, pa.Table]:
    """Edited rows of one origin by the pipeline's own rules: the typed rows (`columns` and `__row`), and those that
    cannot be read (as in a stage's rejects)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = [column.name for column in columns if column.name not in rows.column_names]
    if missing:
        raise ConfigError(
            f"reading `{path}`: column `{missing[0]}` is missing (every column of the pipeline stays, "
            "empty cells are null)"
        )
    unknown = rows.filter(pc.invert(pc.fill_null(pc.is_in(rows["__form"], pa.array([FILE, TYPED])), False)))
    if len(unknown):
        raise ConfigError(
            f"reading `{path}`: `__form` of row {unknown['__row'][0].as_py()} is neither `{FILE}` nor `{TYPED}` "
            "(the columns that begin with `__` stay)"
        )
    good, bad = [], []
    for form in (FILE, TYPED):
        part = rows.filter(pc.equal(rows["__form"], form))
        if len(part):
            stage = read_csv(
                _settings(ctx, form, columns), _canonical(part, columns, folder / f"{form}.csv"), columns, folder / form
            )
            good.append(_numbered(stage.rows, part, stage.rows_in))
            bad.append(_numbered(stage.rejects, part, stage.rows_in))
    return pa.concat_tables(good).sort_by("__row"), pa.concat_tables(bad).sort_by("__row")


def _settings(ctx: Context, form: str, columns: tuple[Column, ...]) -> Any:
    """Of the file that `_canonical` writes; what the pipeline says of values holds for cells that are written as in its
    files."""
    config = registry.find("formats", "csv").Config
    section = ctx.pipeline.format
    if form == FILE and section.type == "csv":
        kept = {
            name: section.options[name]
            for name in ("null_values", "quoted_nulls", "trim", "columns")
            if name in section.options
        }
        return config(**kept)
    floats = {column.name: {"allow_nan": True} for column in columns if column.type.startswith("float")}
    return config(columns=floats)


def _canonical(rows: pa.Table, columns: tuple[Column, ...], path: Path) -> Path:
    """Plain CSV of the columns alone, one record a row: a number stands first, so that no line is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as writing

    cells = [pc.replace_substring_regex(rows[column.name], _QUOTED, r"\1") for column in columns]
    table = pa.table(
        [pa.array(range(len(rows)), pa.int64()), *cells], names=[POSITION, *(column.name for column in columns)]
    )
    writing.write_csv(table, path)
    return path


def _numbered(parquet: Path, rows: pa.Table, rows_in: int) -> pa.Table:
    """Rows of a stage under the numbers that they have in their origin."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    assert rows_in == len(rows), "a record of the canonical file is one row"
    table = pq.read_table(parquet)
    numbers = pc.take(rows["__row"].combine_chunks(), pc.subtract(table["__row"], 1))
    table = table.set_column(table.schema.get_field_index("__row"), "__row", numbers)
    return table.cast(
        pa.schema([field.with_nullable(True) for field in table.schema])
    )  # forms differ in what they say of nulls


# ---------------------------------------------------------------- row numbers as the ledger has them


def text_of(rows: Iterable[int]) -> str:
    """Row numbers, ascending, as text: `3,7-9`."""
    spans: list[list[int]] = []
    for row in rows:
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def numbers_of(text: str) -> Iterator[int]:
    """The row numbers of `text_of`."""
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)
