"""A small project of its own for tests of the whole way: a pipeline of orders, a suite, drops, and the `forebay`
command on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.spawner import spawner
from tests.support.kafka import CACHE

PIPELINE = """\
pipeline: {name}
owner: shop
source:
  type: local
  path: drops/{{{{ ds }}}}/*.csv
format: {{type: csv}}
schema: {{columns: {{id: int64, customer: string, amount: "decimal(10,2)", day: date}}}}
quality:
  suite: orders
  block_when: {{quarantined_over: 20%}}
record: {{key: [customer], headers: {headers}}}
topic: {{name: {name}, partitions: 3, manage: create}}
publish: {{transaction_timeout: 10s, chunk: {{rows: {chunk}}}}}
"""

SUITE = {
    "name": "orders",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "severity": "critical"},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "amount", "min_value": 0},
            "severity": "critical",
        },
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "severity": "critical"},
        {
            "type": "expect_table_row_count_to_be_between",
            "kwargs": {"min_value": 0, "max_value": 1000000},
            "severity": "warning",
        },
    ],
}


@dataclass(frozen=True)
class Answer:
    """What a command answered: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass(frozen=True)
class OrdersProject:
    """A project folder whose one pipeline, suite and topic belong to one test."""

    root: Path
    name: str
    bootstrap: str

    @classmethod
    def make(
        cls, root: Path, name: str, bootstrap: str, chunk: int = 500_000, headers: str = "standard"
    ) -> OrdersProject:
        for folder in ("pipelines", "expectations"):
            (root / "include" / folder).mkdir(parents=True)
        (root / "include/pipelines/orders.yaml").write_text(PIPELINE.format(name=name, chunk=chunk, headers=headers))
        (root / "include/expectations/orders.json").write_text(json.dumps(SUITE))
        return cls(root, name, bootstrap)

    def drop(self, day: str, name: str, body: str | bytes) -> Path:
        """A file as the partner delivers it."""
        path = self.root / "drops" / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        ours = (
            "FOREBAY_",
            "KAFKA_",
            "OPENLINEAGE",
            "AWS_",
            "COLUMNS",
        )  # xdist sets the width of its workers' terminals
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return clean | {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, "FOREBAY_CACHE": str(CACHE)} | more

    def forebay(self, *words: str, **environment: str) -> Answer:
        """The command in the project's folder, in a process of its own: forked from one that has imported everything
        (tests/harness/spawner.py).

        A traceback is a bug of ours, whatever the test expects.
        """
        done = spawner.run("forebay.cli", words, self.root, self.environment(**environment), timeout=180)
        assert "Traceback (most recent call last)" not in done.err, done.err
        return Answer(done.code, done.out, done.err)

    def started(self, *words: str, **environment: str) -> Answer:
        """The same as a user calls it: an interpreter of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "forebay.cli", *words],
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def run(self, day: str = "2026-01-05", *more: str, **environment: str) -> Answer:
        return self.forebay("run", self.name, "--date", day, "--json", *more, **environment)


def orders(first: int, last: int) -> str:
    """Rows `first` to `last` of a well-formed file, with its header."""
    rows = (f"{n},c{n % 7},{n % 100}.50,2026-01-05\n" for n in range(first, last + 1))
    return "id,customer,amount,day\n" + "".join(rows)
