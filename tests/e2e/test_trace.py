"""`forebay trace` of records without headers: the row by the plan, and no row where nothing proves one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kafka import Cluster, delete_records, read_all
from tests.support.project import OrdersProject

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"


def test_of_records_alike_each_leads_to_its_own_row(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap, headers="none")
    yaml = shop.root / "include/pipelines/orders.yaml"
    yaml.write_text(yaml.read_text().replace("  suite: orders\n", ""))
    alike, other = "1,c1,1.50,2026-01-05\n", "2,c1,2.50,2026-01-05\n"
    shop.drop(DAY, "a.csv", "id,customer,amount,day\n" + alike + other + alike)
    assert shop.run().code == 0
    messages = read_all(kafka.config, shop.name)
    assert messages[0].value() == messages[2].value() != messages[1].value()

    def row(n: int) -> int | None:
        traced = shop.forebay("trace", shop.name, str(messages[n].partition()), str(messages[n].offset()), "--json")
        assert traced.code == 0, traced.err
        found: int | None = traced.json["row"]
        return found

    assert [row(0), row(1), row(2)] == [1, 2, 3]
    delete_records(kafka.config, shop.name, {messages[1].partition(): messages[1].offset()})
    assert [row(1), row(2)] == [2, None]  # one of three records is gone: nothing shows which of the two this was
    gone = shop.forebay("trace", shop.name, str(messages[0].partition()), str(messages[0].offset()))
    assert (gone.code, "it has expired, not been lost" in gone.err) == (1, True), gone.err
