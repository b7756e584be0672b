"""The table and the rules that Great Expectations' engines are compared by."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.quality.made import rule

ROWS = 1500
TEXTS = [
    "AA1",
    "aa1",
    "AA12\n",
    "ÄÖ9",
    "١٢",
    "x\u00a0y",
    "",
    " ",
    "foo.bar@example.com",
    "12",
    "0",
    "a\\b",
    "it's",
    "100%",
    "tab\there",
    "two\nlines",
    "ends\n\n",
    "straße",
    "STRASSE",
    "\u017fpam",
    "\u212a9",
    "e\u0301",
    "\U0001f600",
    "\x1c",
    "x\x85y",
    "null",
    None,
]
TIMES = [
    "2024-02-29",
    "2023-02-29",
    "2024-2-9",
    " 2024-02-09",
    "2024-02-09 ",
    "0000-01-01",
    "2024-13-01",
    "nonsense",
    "2024-06-15",
    "9999-12-31",
    "240209",
    "20240209",
    "09/02/2024 23:59",
    "31/02/2024 23:59",
    "9/2/2024 3:5",
    "Feb 09 2024",
    "feb 9 2024",
    "2024-02-09T10:11:12+0200",
    "2024-02-09T10:11:12Z",
    "2024-02-09T10:11:60",
    "2024-02-09T10:11:12.5",
    "2024-02-09\n",
    "٢٠٢٤-02-09",
    "11:30 PM",
    "11:30 pm",
    "13:30 PM",
    "2024 366",
    None,
]
JSONS = ['{"a": 1}', '{"a": "x"}', "[1, 2]", "{", "NaN", "1", '"s"', "", None]


def table() -> pa.Table:
    chance = random.Random(7)

    def some(values: list[Any]) -> list[Any]:
        return [chance.choice(values) for _ in range(ROWS)]

    start = datetime(2024, 1, 1)
    return pa.table(
        {
            "id": pa.array([i if i % 100 else i // 2 for i in range(ROWS)], pa.int64()),
            "n": pa.array([None if i % 13 == 0 else chance.randint(-5, 15) for i in range(ROWS)], pa.int64()),
            "m": pa.array([None if i % 17 == 0 else chance.randint(-5, 15) for i in range(ROWS)], pa.int64()),
            "f": pa.array(
                [chance.choice([None, float("nan"), 0.0, -0.0, 1.5, 10.0, -3.25, float("inf")]) for _ in range(ROWS)],
                pa.float64(),
            ),
            "g": pa.array([chance.gauss(0, 1) for _ in range(ROWS)], pa.float64()),
            "text": pa.array(some(TEXTS), pa.string()),
            "time": pa.array(some(TIMES), pa.string()),
            "json": pa.array(some(JSONS), pa.string()),
            "kind": pa.array(some(["A", "B", "C", None]), pa.string()),
            "kind2": pa.array(some(["A", "B", None]), pa.string()),
            "flag": pa.array(some([True, False]), pa.bool_()),
            "at": pa.array([start + timedelta(hours=chance.randint(0, 5000)) for _ in range(ROWS)], pa.timestamp("us")),
            "small": pa.array(some([0, 1, 200, 255]), pa.uint8()),
            "single": pa.array(some([1.1, 2.5, None, float("nan")]), pa.float32()),
            "price": pa.array(some([Decimal("1.10"), Decimal("2.00"), Decimal("-0.01"), None]), pa.decimal128(10, 2)),
            "day": pa.array(some([date(2024, 1, 1), date(2024, 2, 29), None]), pa.date32()),
            "day2": pa.array(some([date(2024, 1, 1), date(2025, 1, 1), None]), pa.date32()),
            "zoned": pa.array(some([datetime(2024, 1, 1), datetime(2024, 6, 1, 12), None]), pa.timestamp("us", "UTC")),
            "grows": pa.array([i if i % 50 else i - chance.choice([0, 1, 2, 60]) for i in range(ROWS)], pa.int64()),
        }
    )


def compared(name: str, operator: str, parameter: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": name}, "operator": operator, "parameter": parameter}


def null(name: str, is_null: bool) -> dict[str, Any]:
    return {"type": "nullity", "column": {"name": name}, "is_null": is_null}


BOTH = {"type": "and", "conditions": [compared("n", ">", 3), compared("kind", "==", "A")]}
NESTED = {
    "type": "or",
    "conditions": [BOTH, {"type": "and", "conditions": [null("m", is_null=False), compared("kind", "IN", ["B", "C"])]}],
}
EITHER = {"type": "or", "conditions": [compared("n", "<=", 0), null("kind", is_null=True)]}
IN = compared("kind", "IN", ["A", "C"])

COLUMN_RULES = [
    rule("expect_column_values_to_not_be_null", column="n"),
    rule("expect_column_values_to_not_be_null", column="f", mostly=0.5),
    rule("expect_column_values_to_be_null", column="kind"),
    rule("expect_column_values_to_be_unique", column="id"),
    rule("expect_column_values_to_be_unique", column="n"),
    rule("expect_column_values_to_be_between", column="n", min_value=0, max_value=10),
    rule("expect_column_values_to_be_between", column="n", min_value=0, max_value=10, strict_min=True, strict_max=True),
    rule("expect_column_values_to_be_between", column="f", min_value=0, max_value=10, strict_max=True, mostly=0.9),
    rule("expect_column_values_to_be_between", column="f", max_value=1.5),
    rule(
        "expect_column_values_to_be_between",
        column="at",
        min_value="2024-02-01T00:00:00",
        max_value="2024-06-01T12:00:00",
    ),
    rule("expect_column_values_to_be_in_set", column="kind", value_set=["A", "B"]),
    rule("expect_column_values_to_be_in_set", column="n", value_set=[1, 2, 3, "4"]),
    rule("expect_column_values_to_be_in_set", column="f", value_set=[0, 1.5]),
    rule("expect_column_values_to_be_in_set", column="flag", value_set=[True]),
    rule("expect_column_values_to_not_be_in_set", column="kind", value_set=["C"]),
    rule("expect_column_values_to_not_be_in_set", column="n", value_set=[0, None]),
    rule("expect_column_value_lengths_to_be_between", column="text", min_value=2, max_value=4),
    rule("expect_column_value_lengths_to_equal", column="text", value=3),
    rule("expect_column_values_to_match_regex", column="text", regex=r"^[A-Z]+\d+$"),
    rule("expect_column_values_to_match_regex", column="text", regex=r"\d"),
    rule("expect_column_values_to_match_regex", column="text", regex=r"^\s*$"),
    rule("expect_column_values_to_match_regex", column="text", regex=r"(?i)^aa"),
    rule("expect_column_values_to_match_regex", column="text", regex=r"^(?!foo)"),
    rule("expect_column_values_to_match_regex", column="text", regex=r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"),
    rule("expect_column_values_to_match_regex", column="text", regex="it's|100%"),
    rule("expect_column_values_to_match_regex", column="n", regex="^1"),
    rule("expect_column_values_to_not_match_regex", column="text", regex=r"\w$"),
    rule("expect_column_values_to_match_regex_list", column="text", regex_list=["^a", r"\d$"], match_on="all"),
    rule("expect_column_values_to_match_regex_list", column="text", regex_list=["^a", r"\d$"]),
    rule("expect_column_values_to_not_match_regex_list", column="text", regex_list=["^a", r"\d$"]),
    rule("expect_column_values_to_match_strftime_format", column="time", strftime_format="%Y-%m-%d"),
    rule("expect_column_values_to_match_strftime_format", column="time", strftime_format="%Y-%d-%m"),
    *(
        rule("expect_column_values_to_match_strftime_format", column="time", strftime_format=time_format)
        for time_format in (
            "%y%m%d",
            "%Y%m%d",
            "%d/%m/%Y %H:%M",
            "%b %d %Y",
            "%Y-%m-%dT%H:%M:%S%z",
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%dT%H:%M:%S.%f",
            "%I:%M %p",
            "%Y %j",
            "%Y-%m-%d\n",
        )
    ),
    *(
        rule("expect_column_values_to_match_regex", column="text", regex=regex)
        for regex in (
            "(?m)^lines$",
            "(?s)two.lines",
            "two.lines",
            r"\n$",
            r"ends$",
            r"ends\n\Z",
            "(?i)strasse",
            "(?i)STRAßE",
            "(?i)spam",
            "(?i)k9",
            "^ä",
            "(?i)^ä",
            r"(?a)^\w+$",
            r"(?a)\d",
            r"^\S+$",
            r"\bfoo\b",
            r"^.$",
            r"^.{1,2}$",
            r"^\s$",
            "[^a-z]",
            "(?i)[^a-z]",
            r"^$",
            r"(?x) ^ a a 1 $",
            "(?-i:a)A",
            r"^(a|A)+\d",
            "é",
            "x\\Wy",
        )
    ),
    rule("expect_column_values_to_be_between", column="f", min_value=0, strict_min=True),
    rule("expect_column_values_to_be_between", column="at", min_value="2024-01-01T00:00:00", strict_min=True),
    rule("expect_column_values_to_be_between", column="n", min_value=0.5, max_value=9.5),
    rule(
        "expect_column_value_lengths_to_be_between",
        column="text",
        min_value=1,
        max_value=5,
        strict_min=True,
        strict_max=True,
    ),
    rule("expect_column_values_to_be_in_set", column="kind", value_set=["A", "B"], mostly=0.6),
    rule("expect_column_values_to_be_in_set", column="kind", value_set=["A", "B", "C"], mostly=1.0),
    rule("expect_column_values_to_be_unique", column="f"),
    rule("expect_column_values_to_be_unique", column="text", mostly=0.01),
    rule("expect_column_values_to_be_json_parseable", column="json"),
    rule("expect_column_values_to_be_dateutil_parseable", column="time"),
    rule("expect_column_value_z_scores_to_be_less_than", column="g", threshold=1.5, double_sided=True),
    rule("expect_column_values_to_be_increasing", column="grows"),
    rule("expect_column_values_to_be_increasing", column="grows", strictly=True),
    rule("expect_column_values_to_be_decreasing", column="n"),
    rule("expect_column_values_to_be_in_set", column="price", value_set=[2]),
    rule("expect_column_values_to_be_between", column="price", min_value=0, max_value=1.1),
    rule("expect_column_values_to_be_between", column="single", min_value=1.1, max_value=2),
    rule("expect_column_values_to_be_in_set", column="single", value_set=[1.1]),
    rule("expect_column_values_to_be_in_set", column="small", value_set=[0, 300, -1]),
    rule("expect_column_values_to_be_in_set", column="flag", value_set=[1]),
    rule("expect_column_values_to_be_in_set", column="kind", value_set=[]),
    rule("expect_column_values_to_be_unique", column="day"),
    rule("expect_column_values_to_be_increasing", column="day"),
    rule("expect_column_values_to_be_between", column="day", min_value="2024-01-15"),
    rule("expect_column_values_to_be_between", column="zoned", min_value="2024-02-01T00:00:00+00:00"),
    rule("expect_column_values_to_not_be_outliers", column="small"),
    rule("expect_column_values_to_not_be_outliers", column="g"),
    rule("expect_column_values_to_not_be_outliers", column="n", method="std", multiplier=1.0),
]
SEVERAL_COLUMNS_RULES = [
    *(
        rule(
            "expect_column_pair_values_a_to_be_greater_than_b",
            column_A="n",
            column_B="m",
            or_equal=or_equal,
            ignore_row_if=ignored,
        )
        for or_equal in (True, False)
        for ignored in ("both_values_are_missing", "either_value_is_missing", "neither")
    ),
    rule("expect_column_pair_values_to_be_equal", column_A="kind", column_B="kind2"),
    rule("expect_column_pair_values_a_to_be_greater_than_b", column_A="day", column_B="day2"),
    rule("expect_column_pair_values_to_be_equal", column_A="price", column_B="n"),
    rule("expect_compound_columns_to_be_unique", column_list=["day", "price"]),
    rule("expect_multicolumn_sum_to_equal", column_list=["small", "n"], sum_total=10),
    rule("expect_column_pair_values_to_be_equal", column_A="n", column_B="m", ignore_row_if="either_value_is_missing"),
    rule(
        "expect_column_pair_values_to_be_in_set",
        column_A="kind",
        column_B="kind2",
        value_pairs_set=[["A", "A"], ["B", None]],
    ),
    *(
        rule("expect_compound_columns_to_be_unique", column_list=["id", "kind"], ignore_row_if=ignored)
        for ignored in ("all_values_are_missing", "any_value_is_missing", "never")
    ),
    rule("expect_compound_columns_to_be_unique", column_list=["kind", "n", "m"]),
    rule("expect_select_column_values_to_be_unique_within_record", column_list=["n", "m", "id"]),
    rule(
        "expect_select_column_values_to_be_unique_within_record",
        column_list=["n", "m"],
        ignore_row_if="any_value_is_missing",
    ),
    rule("expect_multicolumn_sum_to_equal", column_list=["n", "m"], sum_total=10),
    rule("expect_multicolumn_sum_to_equal", column_list=["n", "m"], sum_total=10, ignore_row_if="any_value_is_missing"),
    rule("expect_multicolumn_values_to_be_equal", column_list=["kind", "kind2"]),
]
CONDITIONED = [
    (rule("expect_column_values_to_be_between", column="m", min_value=0), BOTH),
    (rule("expect_column_values_to_be_between", column="m", min_value=0), EITHER),
    (rule("expect_column_values_to_be_between", column="m", min_value=0, mostly=0.7), NESTED),
    (rule("expect_column_values_to_not_be_null", column="m"), compared("f", ">", 1)),
    (rule("expect_column_values_to_not_be_null", column="m"), compared("f", "!=", 1.5)),
    (rule("expect_column_values_to_not_be_null", column="m"), null("f", is_null=True)),
    (rule("expect_column_values_to_be_unique", column="m"), NESTED),
    (rule("expect_compound_columns_to_be_unique", column_list=["kind", "kind2"]), EITHER),
    (rule("expect_column_values_to_not_be_null", column="m"), IN),
    (rule("expect_column_values_to_be_unique", column="id"), compared("id", "<", 700)),
    (rule("expect_column_values_to_be_unique", column="n"), compared("kind", "!=", "B")),
    (rule("expect_column_values_to_match_regex", column="text", regex=r"^\w+$"), BOTH),
    (
        rule("expect_column_values_to_match_strftime_format", column="time", strftime_format="%Y-%m-%d"),
        null("n", is_null=False),
    ),
    (rule("expect_compound_columns_to_be_unique", column_list=["kind", "m"]), compared("id", ">=", 1200)),
    (rule("expect_column_values_to_not_be_null", column="n"), compared("kind", "NOT_IN", ["A"])),
    (rule("expect_column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="m"), IN),
    (rule("expect_multicolumn_sum_to_equal", column_list=["n", "m"], sum_total=3), EITHER),
    (rule("expect_column_values_to_be_increasing", column="grows"), compared("kind", "==", "A")),
    (rule("expect_select_column_values_to_be_unique_within_record", column_list=["n", "m"]), BOTH),
]
RULES = [
    *COLUMN_RULES,
    *SEVERAL_COLUMNS_RULES,
    *({**r, "kwargs": {**r["kwargs"], "row_condition": c}} for r, c in CONDITIONED),
]
WHOLE_RULES = [
    rule("expect_column_mean_to_be_between", column="n", min_value=4, max_value=6),
    rule("expect_column_mean_to_be_between", column="n", min_value=4, max_value=6, row_condition=BOTH),
    rule("expect_column_median_to_be_between", column="g", min_value=-0.1, max_value=0.1, strict_min=True),
    rule("expect_column_stdev_to_be_between", column="g", max_value=0.5),
    rule("expect_column_sum_to_be_between", column="n", min_value=1, max_value=2),
    rule("expect_column_min_to_be_between", column="n", min_value=-5, max_value=-5),
    rule("expect_column_min_to_be_between", column="n", min_value=-5, strict_min=True),
    rule("expect_column_max_to_be_between", column="single", max_value=2),
    rule("expect_column_distinct_values_to_be_in_set", column="kind", value_set=["A", "B"]),
    rule("expect_column_distinct_values_to_equal_set", column="kind", value_set=["A", "B", "C"]),
    rule("expect_column_distinct_values_to_contain_set", column="kind", value_set=["A", "Z"]),
    rule("expect_column_most_common_value_to_be_in_set", column="flag", value_set=[True]),
    rule("expect_column_unique_value_count_to_be_between", column="text", min_value=20, max_value=30),
    rule("expect_column_unique_value_count_to_be_between", column="f", max_value=3),
    rule("expect_column_proportion_of_unique_values_to_be_between", column="id", min_value=0.99),
    rule("expect_column_proportion_of_non_null_values_to_be_between", column="single", min_value=0.4, max_value=0.6),
    rule(
        "expect_column_quantile_values_to_be_between",
        column="n",
        quantile_ranges={"quantiles": [0.1, 0.9], "value_ranges": [[-5, 0], [0, 12]]},
    ),
    rule(
        "expect_column_kl_divergence_to_be_less_than",
        column="kind",
        threshold=0.001,
        partition_object={"values": ["A", "B", "C"], "weights": [0.2, 0.3, 0.5]},
    ),
    rule("expect_column_to_exist", column="n", column_index=2),
    rule("expect_table_column_count_to_be_between", min_value=1, max_value=3),
    rule("expect_table_columns_to_match_set", column_set=["id", "n"], exact_match=False),
    rule("expect_table_row_count_to_be_between", min_value=ROWS, max_value=ROWS),
    rule("expect_table_row_count_to_equal", value=ROWS, row_condition=IN),
]
ALL = [*RULES, *WHOLE_RULES]
