"""A value that may not be shown, in every place where a file can be wrong: it is in the records, and in nothing else
that forebay writes or says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster
from tests.support.project import OrdersProject

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECRET, NUMBER = "ZZ-SECRET'4929\"1337", "918273645"
SECTION = """schema: {columns: {id: int64, account: string, pin: int64, at: date}}
quality:
  suite: orders
  redact: [account, pin, at]
  history: {rules: [{metric: distinct_count, column: account}]}
"""
RULES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_match_regex", {"column": "account", "regex": "^OK"}),
    ("expect_column_values_to_be_between", {"column": "pin", "max_value": 1000}),
    ("expect_column_pair_values_to_be_equal", {"column_A": "id", "column_B": "pin"}),
    ("expect_select_column_values_to_be_unique_within_record", {"column_list": ["id", "pin"]}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["account", "pin"]}),
    ("expect_column_distinct_values_to_be_in_set", {"column": "account", "value_set": ["OK1"]}),
    ("expect_column_most_common_value_to_be_in_set", {"column": "account", "value_set": ["OK1"]}),
    ("expect_column_max_to_be_between", {"column": "pin", "max_value": 1}),
    ("expect_column_min_to_be_between", {"column": "pin", "max_value": 1}),
    ("expect_column_mean_to_be_between", {"column": "pin", "max_value": 1}),
    ("expect_column_sum_to_be_between", {"column": "pin", "max_value": 1}),
    ("expect_column_median_to_be_between", {"column": "pin", "max_value": 1}),
    (
        "expect_column_quantile_values_to_be_between",
        {"column": "pin", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
    ),
    (
        "expect_column_kl_divergence_to_be_less_than",
        {"column": "account", "threshold": 0.1, "partition_object": {"values": ["OK1"], "weights": [1]}},
    ),
    ("unexpected_rows_expectation", {"unexpected_rows_query": "select account as shown, pin + 0 as p from {batch}"}),
]
LINES = [
    "id,account,pin,at",
    "1,OK1,1,2026-01-05",
    f'2,"{SECRET.replace(chr(34), chr(34) * 2)}",{NUMBER},2026-01-05',
    f'3,"{SECRET.replace(chr(34), chr(34) * 2)}",{NUMBER},2026-01-05',
    "4,OK2,ZZ-SECRET,2026-01-05",
    "5,OK3,5,ZZ-SECRET",
    f"6,OK4,6,2026-01-05,ZZ-SECRET,{NUMBER}",
    f",ZZ-SECRET,{NUMBER},2026-01-05",
]


def leaks(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [sign for sign in ("SECRET", "4929", NUMBER) if sign.encode() in data]


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    made = OrdersProject.make(tmp_path / "project", f"orders-{topic_name[-8:]}", kafka.bootstrap)
    path = made.root / "include/pipelines/orders.yaml"
    text = path.read_text()
    path.write_text(
        text.replace(text[text.index("schema:") : text.index("record:")], SECTION).replace(
            "key: [customer]", "key: [id]"
        )
    )
    rules = [{"type": kind, "kwargs": kwargs, "severity": "critical"} for kind, kwargs in RULES]
    (made.root / "include/expectations/orders.json").write_text(json.dumps({"name": "orders", "expectations": rules}))
    made.drop("2026-01-05", "a.csv", "\n".join(LINES) + "\n")
    return made


def test_a_redacted_value_is_in_the_records_and_nowhere_else(
    shop: OrdersProject, tmp_path: Path, kafka: Cluster
) -> None:
    held = shop.run()
    assert held.code == 3, held.err
    done = shop.forebay("decide", shop.name, "--publish", "--reason", "known")
    assert done.code == 0, done.err
    said = [
        held,
        done,
        shop.forebay("quarantine", "list"),
        shop.forebay("quarantine", "show", shop.name),
        shop.forebay("quarantine", "show", shop.name, "--json"),
        shop.forebay("quarantine", "export", shop.name, "--to", str(shop.root / "export.csv")),
        shop.forebay("suite", "test", shop.name, "drops/2026-01-05/a.csv"),
        shop.forebay(
            "suite",
            "propose",
            "drops/2026-01-05/a.csv",
            "--pipeline",
            shop.name,
            "--to",
            str(shop.root / "proposed.json"),
        ),
        shop.forebay("files", "--json"),
        shop.forebay("trace", "a.csv"),
        shop.forebay("report", shop.name),
        shop.forebay("trace", f"forebay.{shop.name}.quarantine", "0", "0", "--json"),
    ]
    for answer in said:
        assert not leaks(answer.out + answer.err), answer
    assert json.loads(said[-1].out)["value"].startswith("[redacted: ")
    shown = json.loads(said[4].out)["files"][0]["rows"]
    assert {row["step"] for row in shown} == {"expectation", "schema", "parse"}
    assert any("[redacted]" in row["raw"] and '"id":2' in row["raw"] for row in shown)
    own = [shop.root / "drops", shop.root / ".forebay/work", shop.root / "include"]
    written = [
        path
        for path in shop.root.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in own)
    ]
    assert len(written) > 8
    assert {str(path): leaks(path.read_bytes()) for path in written if leaks(path.read_bytes())} == {}
    assert any(b"[redacted]" in path.read_bytes() for path in written if path.suffix == ".html")
    repair = shop.forebay("quarantine", "export", shop.name, "--to", str(tmp_path / "repair.csv"), "--repair")
    assert repair.code == 0
    assert leaks((tmp_path / "repair.csv").read_bytes())


def test_the_quarantine_topic_has_the_value_and_its_headers_have_not(shop: OrdersProject, kafka: Cluster) -> None:
    from confluent_kafka import Consumer, TopicPartition

    assert shop.run("2026-01-05", "--json").code == 3
    assert shop.forebay("decide", shop.name, "--publish", "--reason", "known").code == 0
    consumer = Consumer({**kafka.config, "group.id": shop.name, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(f"forebay.{shop.name}.quarantine", 0, 0)])
        found = consumer.consume(6, 20)
    finally:
        consumer.close()
    assert len(found) == 6
    assert any(leaks(message.value() or b"") for message in found)
    assert [header for message in found for header in message.headers() or [] if leaks(str(header[1]))] == []
