"""What the check costs: 16 rules of Great Expectations over 12 columns, with the failing rows of every row rule, from
the stage.

Three ways of the same rules, each in a process of its own, imports before the clock:

    floor    plain DuckDB SQL written by hand for these rules: one scan for what a row can say of itself, two joins for uniqueness
    check    forebay's `check`: Great Expectations on DuckDB, failing rows of each rule written, result as JSON
    pandas   Great Expectations on its pandas engine, the result format that names the failing rows; on fewer rows

`section` is part of docs/benchmarks.md. Run alone it prints that section; `--rows 50000000` measures other sizes.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forebay.support.sql import parquet

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".forebay" / "bench" / "quality"
SIZES = (1_000_000, 5_000_000)
PANDAS_ROWS = 200_000
MEMORY_LIMIT = 448 << 20  # as `check` has it by default
COLUMNS = {
    "id": "int64",
    "account": "string",
    "amount": "float64",
    "fee": "float64",
    "currency": "string",
    "status": "string",
    "qty": "int64",
    "event_ts": "timestamp",
    "ts_str": "string",
    "email": "string",
    "order_no": "int64",
    "line_no": "int32",
}
_CHANCE = "(hash(i, {salt}) % 1000000 / 1e6)"
_ROWS = f"""select
    case when i % 500000 = 10 then i - 5 else i end as id,
    case when {_CHANCE.format(salt=1)} < 0.001 then 'bad account' else 'ACC' || lpad((i % 99999999)::varchar, 8, '0') end as account,
    case when {_CHANCE.format(salt=2)} < 0.01 then null when {_CHANCE.format(salt=3)} < 0.002 then -5.0
        else round(-500 * ln(1 - {_CHANCE.format(salt=4)}) + 500, 2) end::double as amount,
    round({_CHANCE.format(salt=5)} * 5, 2)::double as fee,
    case when {_CHANCE.format(salt=6)} < 0.001 then 'XXX' else ['USD', 'EUR', 'GBP', 'JPY', 'CHF'][(1 + hash(i, 7) % 5)::integer] end as currency,
    case when {_CHANCE.format(salt=8)} < 0.003 then null else ['NEW', 'PAID', 'SHIPPED', 'RETURNED'][(1 + hash(i, 9) % 4)::integer] end as status,
    (1 + hash(i, 10) % 99)::bigint as qty,
    epoch_ms((1700000000 + (hash(i, 11) % 30000000)::bigint) * 1000)::timestamp as event_ts,
    case when {_CHANCE.format(salt=12)} < 0.001 then '2024-13-45 99:99:99'
        else strftime(epoch_ms((1700000000 + (hash(i, 11) % 30000000)::bigint) * 1000), '%Y-%m-%d %H:%M:%S') end as ts_str,
    case when {_CHANCE.format(salt=13)} < 0.002 then 'not-an-email' else 'user' || (i % 500000) || '@example.com' end as email,
    i // 4 as order_no, (i % 4)::integer as line_no, i + 1 as __row
    from range({{rows}}) t(i)"""  # noqa: E501
RULES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_not_be_null", {"column": "id"}),
    ("expect_column_values_to_be_unique", {"column": "id"}),
    ("expect_column_values_to_match_regex", {"column": "account", "regex": r"^ACC\d{8}$"}),
    (
        "expect_column_values_to_match_regex",
        {"column": "email", "regex": r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", "mostly": 0.99},
    ),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 1_000_000}),
    ("expect_column_values_to_be_in_set", {"column": "currency", "value_set": ["USD", "EUR", "GBP", "JPY", "CHF"]}),
    ("expect_column_values_to_not_be_null", {"column": "status", "mostly": 0.95}),
    ("expect_column_values_to_be_of_type", {"column": "qty", "type_": "BIGINT"}),
    (
        "expect_column_values_to_be_between",
        {"column": "event_ts", "min_value": "2023-01-01T00:00:00", "max_value": "2026-01-01T00:00:00"},
    ),
    ("expect_column_value_lengths_to_be_between", {"column": "account", "min_value": 11, "max_value": 11}),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "amount", "column_B": "fee", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
    ),
    ("expect_compound_columns_to_be_unique", {"column_list": ["order_no", "line_no"]}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 1_000_000_000}),
    ("expect_table_columns_to_match_set", {"column_set": list(COLUMNS), "exact_match": False}),
    ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 500, "max_value": 1500}),
    ("expect_column_values_to_match_strftime_format", {"column": "ts_str", "strftime_format": "%Y-%m-%d %H:%M:%S"}),
]
_FLOOR = {  # position of a rule → its failing rows, in DuckDB's own words
    0: "id is null",
    2: r"not regexp_full_match(account, 'ACC\d{8}')",
    3: r"not regexp_full_match(email, '[^@\s]+@[^@\s]+\.[a-z]{2,}')",
    4: "amount < 0 or amount > 1000000",
    5: "currency not in ('USD', 'EUR', 'GBP', 'JPY', 'CHF')",
    6: "status is null",
    8: "event_ts < timestamp '2023-01-01' or event_ts > timestamp '2026-01-01'",
    9: "length(account) <> 11",
    10: "amount < fee",
    15: "ts_str is not null and try_strptime(ts_str, '%Y-%m-%d %H:%M:%S') is null",
}
_KEYS = {1: "id", 11: "order_no, line_no"}

Result = dict[str, Any]


def stage(rows: int) -> Path:
    """The rows as a stage has them, made once by DuckDB."""
    from forebay.formats._staging import PARQUET

    path = HOME / f"{rows}.parquet"
    if not path.exists():
        import duckdb

        HOME.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with duckdb.connect(config={"memory_limit": "2GiB", "temp_directory": str(HOME / "spill")}) as con:
            con.execute(f"copy ({_ROWS.format(rows=rows)}) to '{draft}' ({PARQUET})")
        draft.replace(path)
    return path


def floor(path: Path, rows: int, into: Path) -> Callable[[], list[int]]:
    """The same answers by hand; returns what is timed."""
    import duckdb

    con = duckdb.connect(
        config={"memory_limit": f"{MEMORY_LIMIT >> 20}MiB", "threads": 2, "temp_directory": str(into / "spill")}
    )
    con.execute(f"create view rows as select * from {parquet(path)}")

    def run() -> list[int]:
        bits = " + ".join(
            f"case when coalesce({fails}, false) then {1 << at}::bigint else 0 end" for at, fails in _FLOOR.items()
        )
        con.execute(
            f"create temp table failing as select * from (select __row, {bits} as mask from rows) where mask <> 0"
        )
        for at, key in _KEYS.items():
            twice = f"select {key} from rows group by {key} having count(*) > 1"
            con.execute(f"insert into failing select __row, {1 << at} from rows semi join ({twice}) using ({key})")
        con.execute("select count(*), avg(amount) from rows").fetchall()
        masks = "select __row, bit_or(mask) as mask from failing group by __row order by __row"
        con.execute(f"copy ({masks}) to '{into / 'failing.parquet'}' (format parquet)")
        row_rules = sorted({*_FLOOR, *_KEYS})
        sums = ", ".join(f"coalesce(sum((mask & {1 << at}) >> {at}), 0)::bigint" for at in row_rules)
        return list(con.execute(f"select {sums} from failing").fetchone() or ())

    return run


def check(path: Path, rows: int, into: Path) -> Callable[[], list[int]]:
    """forebay's check; returns what is timed."""
    from forebay.model import Column, Stage
    from forebay.quality import suite as suites
    from forebay.quality.check import check as judge
    from forebay.quality.imports import great_expectations

    great_expectations()
    written = into / "suite.json"
    written.write_text(
        json.dumps({"name": "bench", "expectations": [{"type": kind, "kwargs": kwargs} for kind, kwargs in RULES]})
    )
    suite = suites.load(written)
    made = Stage("ab" * 32, path, path, tuple(Column(name, kind) for name, kind in COLUMNS.items()), rows, 0, 0)

    def run() -> list[int]:
        verdict = judge(made, suite, into / "verdict", run_name="bench")
        return [result.unexpected or 0 for result in verdict.results if result.kind == "row"]

    return run


def pandas(path: Path, rows: int, into: Path) -> Callable[[], list[int]]:
    """Great Expectations on pandas, the frame loaded before; returns what is timed."""
    import pyarrow.parquet as pq

    from forebay.quality.imports import great_expectations, quietly

    gx = great_expectations()
    frame = pq.read_table(path).to_pandas().astype({"event_ts": "datetime64[ns]"})
    types = {"BIGINT": "int64"}
    rules = [
        {"type": kind, "kwargs": kwargs | ({"type_": types[kwargs["type_"]]} if "type_" in kwargs else {})}
        for kind, kwargs in RULES
    ]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("frame")
    whole = asset.add_batch_definition_whole_dataframe("whole")

    def run() -> list[int]:
        with quietly():
            suite = context.suites.add(gx.ExpectationSuite(name="bench", expectations=rules))
            batch = whole.get_batch({"dataframe": frame})
            wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": ["__row"]}
            answers = {r.expectation_config.id: r.result for r in batch.validate(suite, result_format=wanted).results}
        return [answers[e.id]["unexpected_count"] for e in suite.expectations if "unexpected_count" in answers[e.id]]

    return run


WAYS: dict[str, Callable[[Path, int, Path], Callable[[], list[int]]]] = {
    "floor": floor,
    "check": check,
    "pandas": pandas,
}


def child(way: str, rows: int) -> Result:
    """One measurement of this process: wall and CPU seconds, and MB of memory at the peak above what the imports
    hold."""
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        before = time.process_time()
        timed = WAYS[way](stage(rows), rows, Path(folder))
        imports = time.process_time() - before
        base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        wall, cpu = time.perf_counter(), time.process_time()
        counts = timed()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rows": rows, "wall": wall, "cpu": cpu, "base_mb": base / 1e6, "above_mb": max(0, peak - base) / 1e6} | {
        "counts": counts,
        "imports": imports,
    }


def measure(way: str, rows: int) -> Result:
    stage(rows)
    command = [sys.executable, __file__, "--one", way, "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    line = (
        f"  {way:7s} {rows:>11,} rows {result['wall']:7.2f} s {result['cpu']:7.2f} CPU s {result['above_mb']:6,.0f} MB "
        "above imports"
    )
    print(line, file=sys.stderr)
    return result


def section(rounds: int, sizes: tuple[int, ...] = SIZES) -> list[str]:
    """The Markdown lines of docs/benchmarks.md on the check, measured now."""
    lines = [
        "## The check",
        "",
        (
            "12 columns, 16 rules (12 of them row rules, two of uniqueness), 0.1–1 % failing rows per rule, "
            "from the stage's Parquet file to verdict, result and"
        ),
        (
            f"failing rows on disk; DuckDB has {MEMORY_LIMIT >> 20} MiB and 2 threads; "
            f"imports are before the clock and not in the memory. {rounds} rounds, medians."
        ),
        (
            "The floor is the same rules as plain DuckDB SQL written by hand. All ways find the same number of failing "
            "rows for each rule, or this page is not written."
        ),
        "",
        "| way | rows | rows/s | CPU µs per row | of the floor's CPU | peak MB above imports |",
        "|---|---|---|---|---|---|",
    ]
    imports = []
    for rows in sizes:
        measured = {way: [measure(way, rows) for _ in range(rounds)] for way in ("floor", "check")}
        _agree(rows, [*measured["floor"], *measured["check"]])
        lines += [_line(way, results, measured["floor"]) for way, results in measured.items()]
        imports += [result["imports"] for result in measured["check"]]
    floors, few = ([measure(way, PANDAS_ROWS)] for way in ("floor", "pandas"))
    _agree(PANDAS_ROWS, [*floors, *few])
    lines.append(_line("Great Expectations on pandas", few, floors))
    return [
        *lines,
        "",
        (
            f"Importing Great Expectations takes {statistics.median(imports):.1f} CPU s, once a process, "
            "and beside the staging."
        ),
        "",
    ]


def _agree(rows: int, results: list[Result]) -> None:
    if len({tuple(result["counts"]) for result in results}) != 1:
        sys.exit(f"{rows} rows: the ways count otherwise: {[result['counts'] for result in results]}")


def _line(way: str, results: list[Result], floors: list[Result]) -> str:
    def middle(key: str, of: list[Result] = results) -> float:
        return statistics.median(result[key] for result in of)

    rows = results[0]["rows"]
    cpu = middle("cpu")
    return (
        f"| {way} | {rows:,} | {rows / middle('wall') / 1e6:.2f} M | {cpu / rows * 1e6:.2f} | "
        f"{cpu / middle('cpu', floors):.1f} |"
        f" {middle('above_mb'):,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the generated rows")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(child(given.one, given.rows[0])))
        return
    try:
        print("\n".join(section(given.rounds, tuple(given.rows))))
    finally:
        if not given.keep:
            shutil.rmtree(HOME, ignore_errors=True)


if __name__ == "__main__":
    main()
