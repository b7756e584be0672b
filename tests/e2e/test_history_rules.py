"""Rules that learn, on a real broker: five usual nights, then one that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.kafka import Cluster
from tests.support.project import OrdersProject, orders

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
RULES = """quality:
  history:
    nights: 5
    min_nights: 3
    rules:
      - {metric: row_count, tolerance: 20%, severity: critical}
      - {metric: null_share, column: customer}
      - {metric: drift, column: customer}
      - {metric: drift, column: id}
"""


def test_a_night_far_from_the_usual_is_held_back_by_bounds_that_stay(
    tmp_path: Path, kafka: Cluster, topic_name: str
) -> None:
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    path = shop.root / "include/pipelines/orders.yaml"
    text = path.read_text()
    path.write_text(text.replace(text[text.index("quality:") : text.index("record:")], RULES))
    for day in range(1, 4):
        shop.drop(f"2026-01-0{day}", "a.csv", orders(day * 1000, day * 1000 + 99))
    usual = shop.forebay("run", shop.name, "--from", "2026-01-01", "--to", "2026-01-03", "--json")
    assert usual.code == 0, usual.err
    shop.drop("2026-01-04", "a.csv", re.sub(r",c\d,", ",zz,", orders(9000, 9009)))
    held = shop.run("2026-01-04")
    assert (held.code, held.json["status"]) == (3, "held back")
    reason = held.json["files"][0]["reason"]
    assert "critical rule history_row_count(table) failed: observed `10`" in reason and '"min_value": 80' in reason
    again = shop.run("2026-01-04")
    assert again.json["files"][0]["reason"] == reason
    [folder] = [
        p
        for p in (shop.root / ".forebay/work").rglob("verdict.json")
        if "history_row_count" in p.read_text() and '"10"' in p.read_text()
    ]
    results = {r["rule"]: r for r in json.loads(folder.read_text())["results"]}
    assert (
        results["history_null_share"]["success"],
        json.loads(results["history_null_share"]["expected"])["nights"],
    ) == (True, 3)
    drift = {r["columns"][0]: r for r in json.loads(folder.read_text())["results"] if r["rule"] == "history_drift"}
    told = json.loads(drift["customer"]["expected"])
    assert (drift["customer"]["success"], drift["customer"]["observed"], told["nights"]) == (False, "1.0000", 3)
    assert "zz 0.0% → 100.0%" in told["moved"] and 0 < told["max_value"] < 1
    assert drift["id"]["success"]  # new numbers every night: that is usual here
    assert shop.forebay("decide", shop.name, "--publish", "--reason", "a holiday").code == 0
