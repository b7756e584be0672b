"""Parquet: already typed columns, taken as they are or widened without loss."""

from __future__ import annotations

from pathlib import Path

from forebay.config.types import Type, parse
from forebay.contracts import Format, Settings, StageWriter
from forebay.errors import CorruptFileError
from forebay.formats import _casts, _header, _staging
from forebay.formats._duck import connect, scratch
from forebay.formats._rules import STRICT
from forebay.formats._types import from_duckdb, to_duckdb
from forebay.model import Column, Drift, Snapshot, Stage
from forebay.support.sql import parquet, quoted


class ParquetSettings(Settings):
    """Parquet says itself how it is written."""


class Parquet(Format[ParquetSettings]):
    """Flat Parquet files. A value that the declared type cannot hold exactly sets its row aside; a column of another kind refuses the file."""

    Config = ParquetSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        import numpy as np

        uri = snapshot.file.uri
        declared = {column.name: parse(column.type) for column in columns} if columns is not None else None
        source = f"{parquet(plain)}"
        with scratch(into) as folder, connect(into, folder, uri) as connection:
            if plain.stat().st_size == 0:
                raise CorruptFileError(f"reading `{uri}`: the file is empty, it has not even a footer", uri=uri)
            found = {name: sql for name, sql, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
            types = declared if declared is not None else _own_types(found, uri)
            _staging.check_names(list(types), uri)
            missing = tuple(name for name in types if name not in found) if into.tolerance.missing else ()
            _header.positions(list(found), [column for column in columns or () if column.name not in missing], uri)
            cells = [_null(name, type_) if name in missing else _cell(name, found[name], type_, uri) for name, type_ in types.items()]
            fields = ", ".join(f"{quoted(cell.name)} := {quoted(cell.name)}" for cell in cells if cell.name not in missing)
            raw = f"CAST(to_json(struct_pack({fields})) AS VARCHAR)"
            typed = _staging.copy(connection, _staging.select(cells, source, _staging.Besides(raw=raw)), folder)
            added = tuple(_header.unknown(list(found), columns)) if columns is not None else ()
            misfits = into.tolerance.misfits
            retyped = _staging.retyped(connection, typed, cells, misfits, lambda names: [from_duckdb(found[name]) for name in names])
            drift = Drift(added, missing, retyped)
            refused = _staging.Refused(np.empty(0, np.int64))
            size = plain.stat().st_size
            return _staging.finish(connection, into.folder, snapshot, cells, typed, refused, None, size, columns is None, (), drift)


def _own_types(found: dict[str, str], uri: str) -> dict[str, Type]:
    """The file's own types in our words. Raises `CorruptFileError` for a column that has none."""
    types = {}
    for name, sql in found.items():
        type_ = from_duckdb(sql)
        if type_ is None:
            raise CorruptFileError(
                f"reading `{uri}`: column `{name}` is {sql.lower()} (declare the columns to be read, without it)", uri=uri
            )
        types[name] = type_
    return types


def _null(name: str, type_: Type) -> _staging.Cell:
    """The cell of a column that the file lacks."""
    return _staging.text_cell(name, type_, "NULL::VARCHAR")


def _cell(name: str, sql: str, type_: Type, uri: str) -> _staging.Cell:
    """The cell of a column of DuckDB type `sql`. Raises `CorruptFileError` if that is another kind of value than `type_`."""
    target, own = to_duckdb(type_), from_duckdb(sql)

    def exact(held: str) -> str:
        cast = f"try_cast({held} AS {target})"
        return f"CASE WHEN CAST({cast} AS {sql}) = {held} THEN {cast} END"

    def fault(held: str) -> str:
        return _casts.fault(f"CAST({held} AS VARCHAR)", type_, name, " without loss")

    if sql == target:
        return _staging.Cell(name, type_, quoted(name), lambda held: held, fault, whole=True)
    if own is not None and own.kind == "string":
        return _staging.text_cell(name, type_, f"CAST({quoted(name)} AS VARCHAR)", STRICT)
    if own is not None and _same_kind(own, type_):
        return _staging.Cell(name, type_, quoted(name), exact, fault)
    raise CorruptFileError(f"reading `{uri}`: column `{name}` is {own or sql.lower()}, declared is {type_} (declare it as it is)", uri=uri)


def _same_kind(own: Type, wanted: Type) -> bool:
    """Whether values can be the same in both types: numbers, but never from binary fractions to others; times of another resolution."""
    if own.is_integer or own.kind == "decimal":
        return wanted.is_integer or wanted.is_float or wanted.kind == "decimal"
    return wanted.is_float if own.is_float else own.kind == wanted.kind
