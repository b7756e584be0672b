"""A path means nothing but a place: a project and a home under folders that look like partitions of a table."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import OrdersProject

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
ROWS = [{"id": n, "env": f"e{n}"} for n in (1, 2, 3)]
TEXTS = {
    "csv": "id,env\n" + "".join(f"{row['id']},{row['env']}\n" for row in ROWS),
    "json_lines": "".join(json.dumps(row) + "\n" for row in ROWS),
}


@pytest.mark.parametrize("format_", ["csv", "json_lines", "parquet"])
def test_a_project_below_id_and_env_publishes_what_its_files_hold(
    tmp_path: Path, kafka: Cluster, topic_name: str, format_: str
) -> None:
    folder = tmp_path / "id=7" / "env=prod"
    folder.mkdir(parents=True)
    shop = OrdersProject.make(folder, f"places-{topic_name[-8:]}", kafka.bootstrap)
    settings = {
        "pipeline": shop.name,
        "owner": "o",
        "source": {"type": "local", "path": "places/{{ ds }}/*"},
        "format": {"type": format_},
        "record": {"key": ["id", "env"]},
        "topic": {"name": shop.name, "manage": "create"},
    }
    (shop.root / "include/pipelines/orders.yaml").write_text(json.dumps(settings))  # JSON is YAML
    drop = shop.root / "places" / DAY / "a"
    drop.parent.mkdir(parents=True)
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), drop)
    else:
        drop.write_text(TEXTS[format_])
    result = shop.started("run", shop.name, "--date", DAY, "--json", FOREBAY_HOME=str(folder / "id=9" / "home"))
    assert result.code == 0, result.err
    found = read_all(kafka.config, shop.name)
    assert sorted((json.loads(m.value()) for m in found), key=lambda row: row["id"]) == ROWS
    assert sorted((json.loads(m.key()) for m in found), key=lambda row: row["id"]) == ROWS
