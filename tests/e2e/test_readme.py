"""README's "Your own files", followed to the letter: its YAML, its commands, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.kafka import Cluster, fresh
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def section() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    return re.search(r"^## Your own files\n(.+?)^## ", text, re.M | re.S)[1]  # type: ignore[index]


def test_your_own_files_as_readme_says(tmp_path: Path, kafka: Cluster) -> None:
    """Under a topic's name of its own, as the broker is shared."""
    name = fresh("orders").lower()
    shop = OrdersProject.make(tmp_path, name, kafka.bootstrap)
    block = re.search(r"```yaml\n(.+?)```", section(), re.S)[1]  # type: ignore[index]
    assert len(block.splitlines()) == 6, "six lines are a pipeline"
    (shop.root / "include/pipelines/orders.yaml").write_text(re.sub(r"(pipeline|name): orders", rf"\1: {name}", block), "utf-8")
    path = shop.root / "drops/orders/2026-01-05/a.csv"
    path.parent.mkdir(parents=True)
    path.write_text(orders(1, 10), "utf-8")
    commands = re.findall(r"^    \.venv/bin/forebay (.+?)(?:\s{2,}#.*)?$", section(), re.M)
    assert [command.split()[0] for command in commands] == ["check", "discover", "run", "trace"]
    for command in commands:
        words = [name if word == "orders" else word for word in command.split()]
        answer = shop.forebay(*words, "--json")
        assert answer.code == 0, answer.out + answer.err
        if words[0] == "run":
            assert [file["published"] for file in answer.json["files"]] == [10]
            assert "inferred id int64; customer string" in answer.err
    assert (answer.json["uri"], answer.json["row"]) == (f"file://{path}", 1)
