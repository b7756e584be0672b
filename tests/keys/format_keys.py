"""Keys of formats and serializers: some values of each, and what is seen under each."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from typing import Any

from tests.keys import looks
from tests.keys.kinds import Elsewhere, Shown, csv, lines
from tests.keys.looks import published, rows, status
from tests.keys.trial import ROWS


def column_rules(format_: str) -> dict[str, Shown]:
    """The rules of single columns, which CSV and JSON lines share."""

    def of(type_: str, *texts: str) -> dict[str, Any]:
        if format_ == "csv":
            return csv(type_, "".join(f'{n},"{text}"\n' for n, text in enumerate(texts, 1)).encode())
        return lines(type_, *(f'"{text}"' for text in texts), **{"format.loose_scalars": True})

    days = [date(2026, 12, 31), date(2026, 3, 2)]
    found = {
        "format": Shown(
            rows("x"), [("%d/%m/%Y", days), ("%m/%d/%Y", [date(2026, 2, 3)])], **of("date", "31/12/2026", "02/03/2026")
        ),
        "trim": Shown(rows("x"), [(True, ["a", "b"]), (False, [" a", "b "])], **of("string", " a", "b ")),
        "null_values": Shown(rows("x"), [(["-"], [None, 5]), (["n/a"], [5])], **of("int64", "-", "5")),
        "true_values": Shown(
            rows("x"), [(["yes"], [True, False]), (["y"], [True, True, False])], **of("bool", "yes", "y", "y", "false")
        ),
        "false_values": Shown(
            rows("x"), [(["no"], [True, False]), (["n"], [True, False, False])], **of("bool", "true", "no", "n", "n")
        ),
        "loose_numbers": Shown(rows("x"), [(True, [7, 8, 9]), (False, [9])], **of("int64", "007", "+8", "9")),
        "decimal_point": Shown(
            rows("x"), [(",", [D("1.50")]), (".", [D("2.50")])], **of("decimal(9,2)", "1,50", "2.50")
        ),
        "thousands": Shown(rows("x"), [("'", [1000, 7]), (" ", [2000, 7])], **of("int64", "1'000", "2 000", "7")),
        "allow_nan": Shown(
            looks.as_text("x"), [(True, ["nan", "1.5"]), (False, ["1.5"])], **of("float64", "NaN", "1.5")
        ),
    }
    return {f"format[{format_}].columns.NAME.{name}": shown for name, shown in found.items()}


def value(type_: str, *texts: bytes, **more: Any) -> dict[str, Any]:
    """A file of such values of `x`, as they are written in it."""
    return csv(type_, b"".join(b"%d,%b\n" % (n, text) for n, text in enumerate(texts, 1)), **more)


HEADLESS: dict[str, Any] = {"schema.columns": {"x": "string"}, "record.key": "x"}
"""One column of text."""
LONG = b"y" * 2000
NOT_A_NUMBER: dict[str, Any] = value("float64", b"NaN", b"1.5", **{"format.columns": {"x": {"allow_nan": True}}})
SHOWN: dict[str, Shown | Elsewhere] = {
    **column_rules("csv"),
    **column_rules("json_lines"),
    "format.type": Shown(status, [("csv", "inspected publish"), ("json_lines", "waiting ask"), ("parquet", "failed")]),
    "format[csv].delimiter": Shown(
        rows("x"),
        [(",", ["a;b\tc\x01d"]), (";", ["b\tc\x01d"]), (r"\t", ["c\x01d"]), (r"\x01", ["d"])],
        b"1,a;b\tc\x01d\n",
        {"format.header": False},
        put=lambda sign: {"format.delimiter": sign, "schema.columns": {"id": "string", "x": "string"}},
    ),
    "format[csv].quote": Shown(
        rows("x"),
        [("'", ["a,b", "e"]), ('"', ["c,d", "e"]), (None, ["e"])],
        **value("string", b"'a,b'", b'"c,d"', b"e"),
    ),
    "format[csv].escape": Shown(rows("x"), [("\\", ['a"b', "c"]), ('"', ["c"])], **value("string", rb'"a\"b"', b"c")),
    "format[csv].header": Shown(rows("x"), [(True, ["b"]), (False, ["x", "b"])], b"x\nb\n", HEADLESS),
    "format[csv].encoding": Shown(rows("x"), [("utf-8", ["ü"]), ("latin-1", ["Ã¼"])], **value("string", "ü".encode())),
    "format[csv].null_values": Shown(
        rows("x"), [(["NA"], [None, "-"]), (["-"], ["NA", None])], **value("string", b"NA", b"-")
    ),
    "format[csv].quoted_nulls": Shown(rows("x"), [(True, [None]), (False, [""])], **value("string", b'""')),
    "format[csv].multiline": Shown(
        looks.aside, [(True, []), (False, [2, 3])], **value("string", b"a", b'"b\nc"', b"d")
    ),
    "format[csv].trim": Shown(rows("x"), [(True, ["a"]), (False, [" a"])], **value("string", b" a")),
    "format[csv].preamble_lines": Shown(status, [(1, "inspected publish"), (0, "failed")], b"Report\n" + ROWS),
    "format[csv].extra_header_lines": Shown(looks.count, [(0, 3), (1, 2)]),
    "format[csv].footer_lines": Shown(looks.count, [(0, 3), (2, 1)]),
    "format[csv].max_unclosed_quotes": Shown(
        status, [(0, "failed"), (1, "inspected publish")], **value("string", b'"x', b"b", b"c", b"d")
    ),
    "format[csv].max_record_bytes": Shown(
        looks.aside, [("1KiB", [2]), ("4KiB", [])], **value("string", b"a", LONG, b"c")
    ),
    "format[json_lines].encoding": Shown(rows("x"), [("utf-8", ["ü"]), ("latin-1", ["Ã¼"])], **lines("string", '"ü"')),
    "format[json_lines].loose_scalars": Shown(rows("x"), [(True, [5, 6]), (False, [6])], **lines("int64", '"5"', "6")),
    "format[json_lines].optional": Shown(
        status,
        [(["y"], "inspected publish"), ([], "failed")],
        **lines("int64", "1", **{"schema.columns": {"id": "int64", "x": "int64", "y": "int64"}}),
    ),
    "format[json_lines].max_record_bytes": Shown(
        looks.aside, [("1KiB", [2]), ("4KiB", [])], **lines("string", '"a"', f'"{LONG.decode()}"', '"c"')
    ),
    "record.value[json].nan": Shown(
        published("x"), [("quarantine", ["1.5"]), ("null", [None, "1.5"]), ("string", ["NaN", "1.5"])], **NOT_A_NUMBER
    ),
    "record.value[json].decimals": Shown(
        looks.raw,
        [("number", ['{"id":1,"x":1.10}']), ("string", ['{"id":1,"x":"1.10"}'])],
        **value("decimal(9,2)", b"1.10"),
    ),
    "record.value[json].big_integers": Shown(
        looks.raw, [("number", ['{"id":1,"x":7}']), ("string", ['{"id":"1","x":"7"}'])], **value("int64", b"7")
    ),
}
