"""A suite proposed from a sample: what held in every row of it, as rules for a person to review. Nothing in it is more
than an observation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forebay.model import Column, JsonDict, Severity, Stage
from forebay.support.sql import OFFLINE, parquet

if TYPE_CHECKING:
    import duckdb

FEW_VALUES = 20
"""So many different texts at most are taken for a set …"""
PER_VALUE = 10
"""… if each stands in so many rows on average."""
ENOUGH_ROWS = 20
"""Fewer rows say nothing of uniqueness, lengths, sets and the size of files."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a sample shows of one column. `least` and `most` are numbers (of texts: their lengths), None for other
    types; `values` a small set of texts."""

    column: Column
    rows: int
    nulls: int
    distinct: int
    least: float | None
    most: float | None
    values: tuple[str, ...] = ()

    @property
    def filled(self) -> int:
        return self.rows - self.nulls


def profiles(stage: Stage) -> list[Profile]:
    """A profile of every column of a stage."""
    import duckdb

    with duckdb.connect(config=OFFLINE | {"memory_limit": "512MiB", "threads": 2}) as con:
        con.execute(f"create view rows as select * from {parquet(stage.rows)}")
        return [_profile(con, column) for column in stage.columns]


def _profile(con: duckdb.DuckDBPyConnection, column: Column) -> Profile:
    name = '"' + column.name.replace('"', '""') + '"'
    number = _is_number(column)
    measure = f"{name}::double" if number else f"length({name})::double" if column.type == "string" else "null::double"
    finite = f"filter (where isfinite({measure}))" if number else ""
    rows, filled, distinct, least, most = con.execute(
        f"select count(*), count({name}), count(distinct {name}), min({measure}) {finite}, "
        f"max({measure}) {finite} from rows"
    ).fetchall()[0]
    few = (
        column.type == "string"
        and 0 < distinct <= FEW_VALUES
        and filled >= distinct * PER_VALUE
        and filled >= ENOUGH_ROWS
    )
    values = (
        con.execute(f"select distinct {name} from rows where {name} is not null order by 1").fetchall() if few else []
    )
    return Profile(column, rows, rows - filled, distinct, least, most, tuple(value for (value,) in values))


def _without_values(profile: Profile) -> Profile:
    return replace(profile, least=None, most=None, values=())


def _is_number(column: Column) -> bool:
    return column.type.startswith(("int", "uint", "float", "decimal"))


def suite(
    name: str, stage: Stage, key: Sequence[str], source: str, redact: Sequence[str] = (), *, whole: bool = True
) -> JsonDict:
    """Great Expectations' suite JSON for a stage. `key` are the record's key columns; `source` names the sample in
    `meta`; of the columns `redact` no rule shows what values they have. Of a sample that is not the `whole` file
    nothing is said of how many rows a file has.

    Severities: critical (failing rows are quarantined) only for what the record needs, its key; all else warns until a
    person has reviewed it.
    """
    seen = [_without_values(profile) if profile.column.name in redact else profile for profile in profiles(stage)]
    rules = [
        *(_table(stage) if whole else ()),
        *(rule for profile in seen for rule in _column(profile, profile.column.name in key)),
    ]
    part = "the whole file" if whole else "its beginning"
    meta = {
        "proposed_from": source,
        "sample": part,
        "rows": stage.rows_read,
        "unreadable": stage.rows_rejected,
        "reviewed": False,
    }
    return {"name": name, "expectations": rules, "meta": meta}


def _rule(kind: str, severity: Severity, why: str, **kwargs: Any) -> JsonDict:
    return {"type": kind, "kwargs": kwargs, "severity": severity.value, "notes": why}


def _table(stage: Stage) -> Iterator[JsonDict]:
    if stage.rows_read >= ENOUGH_ROWS:
        least, most = stage.rows_read // 2, stage.rows_read * 2
        why = f"the sample has {stage.rows_read:,} rows: half and double of it"
        yield _rule("expect_table_row_count_to_be_between", Severity.WARNING, why, min_value=least, max_value=most)


def _column(profile: Profile, is_key: bool) -> Iterator[JsonDict]:
    yield from _nulls(profile, is_key)
    if profile.filled < ENOUGH_ROWS:
        return
    name, warn = profile.column.name, Severity.WARNING
    if profile.distinct == profile.filled and (
        profile.column.type == "string" or profile.column.type.startswith(("int", "uint"))
    ):
        yield _rule(
            "expect_column_values_to_be_unique",
            warn,
            f"all {profile.filled:,} values of the sample differ",
            column=name,
        )
    if profile.values:
        few = f"these {len(profile.values)} values" if len(profile.values) > 1 else "this one value"
        why = f"the sample has only {few}"
        yield _rule("expect_column_values_to_be_in_set", warn, why, column=name, value_set=list(profile.values))
    elif profile.column.type == "string" and profile.least == profile.most and profile.most:
        why = f"every text of the sample has {profile.most:g} characters"
        yield _rule("expect_column_value_lengths_to_equal", warn, why, column=name, value=int(profile.most))
    if _is_number(profile.column) and profile.least is not None and profile.least >= 0:
        why = f"no value of the sample is negative (they reach from {profile.least:g} to {profile.most:g})"
        yield _rule("expect_column_values_to_be_between", warn, why, column=name, min_value=0)


def _nulls(profile: Profile, is_key: bool) -> Iterator[JsonDict]:
    name, kind = profile.column.name, "expect_column_values_to_not_be_null"
    if is_key:
        yield _rule(
            kind, Severity.CRITICAL, "it is part of the record's key: without it a row cannot be published", column=name
        )
    elif profile.rows and not profile.nulls:
        yield _rule(kind, Severity.WARNING, f"none of the {profile.rows:,} rows of the sample lacks it", column=name)
    elif profile.filled * 10 >= profile.rows * 9 and profile.rows:
        mostly = int(profile.filled / profile.rows * 100) / 100
        why = f"{profile.nulls:,} of {profile.rows:,} rows of the sample lack it"
        yield _rule(kind, Severity.INFO, why, column=name, mostly=mostly)
