"""README's "Your own files", followed to the letter: its YAML, its commands, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import kill_all, reaper
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def section() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    return re.search(r"^## Your own files\n(.+?)^## ", text, re.M | re.S)[1]  # type: ignore[index]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where the project's broker lies, which ends with the test."""
    found = tmp_path / ".forebay/broker"
    with reaper(found):
        yield found
        kill_all(found)


def test_your_own_files_as_readme_says(tmp_path: Path, home: Path) -> None:
    """With the broker that they start."""
    shop = OrdersProject.make(tmp_path, "orders", "")
    block = re.search(r"```yaml\n(.+?)```", section(), re.S)[1]  # type: ignore[index]
    assert len(block.splitlines()) == 6, "six lines are a pipeline"
    (shop.root / "include/pipelines/orders.yaml").write_text(block, "utf-8")
    path = shop.root / "drops/orders/2026-01-05/a.csv"
    path.parent.mkdir(parents=True)
    path.write_text(orders(1, 10), "utf-8")
    commands = re.findall(r"^    \.venv/bin/forebay (.+?)(?:\s{2,}#.*)?$", section(), re.M)
    assert [command.split()[0] for command in commands] == ["check", "broker", "discover", "run", "trace"]
    for command in commands:
        words = command.split()
        answer = shop.forebay(*words, "--json")
        assert answer.code == 0, answer.out + answer.err
        if words[0] == "run":
            assert [file["published"] for file in answer.json["files"]] == [10]
            assert "inferred id int64; customer string" in answer.err
    assert (answer.json["uri"], answer.json["row"]) == (f"file://{path}", 1)
