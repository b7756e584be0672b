"""How a file is cut into chunks, and what the plan's hash depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from forebay.encoding import encode, work
from forebay.encoding.work import Work
from forebay.model import Decision, Severity
from forebay.support import versions
from tests.encoding.made import Made, make_verdict, numbered, pipeline


class TestPlan:
    """Chunk sizes, and what the plan's hash depends on."""

    def test_bytes_bound_a_chunk(self, tmp_path: Path) -> None:
        table = numbered(2000, text=["x" * 970] * 2000)
        made = Made(tmp_path, table, pipeline(publish={"chunk": {"bytes": "100kB"}}))
        assert 90 <= made.plan.rows_per_chunk <= 100
        assert all(sum(map(len, c.records.values.to_pylist())) <= 102_000 for c in made.chunks())

    def test_a_file_that_grows_wide_has_chunks_that_fit(self, tmp_path: Path) -> None:
        table = numbered(14_000, text=["x"] * 12_000 + ["y" * 1000] * 2000)
        made = Made(tmp_path, table, pipeline(publish={"chunk": {"bytes": "500kB"}}))
        assert all(c.records.values.nbytes <= 520_000 for c in made.chunks())

    def test_rows_set_aside_have_chunks_that_fit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing but broken rows, each much longer than its place in a chunk of good ones."""
        monkeypatch.setattr("tests.encoding.made.RAW", b"x" * 1000)
        made = Made(tmp_path, numbered(0), pipeline(publish={"chunk": {"bytes": "100kB"}}), rejects=range(1, 2001))
        assert made.plan.chunks >= 20 and sum(len(chunk.quarantine) for chunk in made.chunks()) == 2000

    def test_at_least_one_row(self, tmp_path: Path) -> None:
        made = Made(tmp_path, numbered(3), pipeline(publish={"chunk": {"bytes": "1B"}}))
        assert (made.plan.rows_per_chunk, made.plan.chunks) == (1, 3)

    changes: ClassVar[list[dict[str, Any]]] = [
        {"key": "name"},
        {"key": ["id", "name"]},
        {"topic": {"name": "t", "partitions": 6}},
        {"topic": {"name": "u", "partitions": 5}},
        {"record": {"headers": "none"}},
        {"format": {"type": "csv", "options": {"delimiter": ";"}}},
        {"record": {"value": {"type": "json", "options": {"nan": "null"}}}},
        {"publish": {"chunk": {"rows": 7}}},
        {"quality": {"quarantine": "warning"}},
    ]

    @pytest.mark.parametrize("change", changes)
    def test_the_hash_names_each_parameter(self, tmp_path: Path, change: dict[str, Any]) -> None:
        base = Made(tmp_path, numbered(20), pipeline()).plan.plan_hash
        assert Made(tmp_path, numbered(20), pipeline(**change)).plan.plan_hash != base

    @pytest.mark.parametrize(
        "change",
        [
            {"owner": "other"},
            {"topic": {"name": "t", "partitions": 5, "manage": "create"}},
            {"publish": {"lanes": 9}},
            {"format": {"type": "csv", "options": {"delimiter": ","}}},  # the default, written down
        ],
    )
    def test_the_hash_leaves_out_what_decides_no_record(self, tmp_path: Path, change: dict[str, Any]) -> None:
        base = Made(tmp_path, numbered(20), pipeline()).plan.plan_hash
        assert Made(tmp_path, numbered(20), pipeline(**change)).plan.plan_hash == base

    @pytest.mark.parametrize("name", ["duckdb", "pyarrow", "numpy", "python"])
    def test_the_hash_and_the_work_folder_name_the_libraries(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def made() -> tuple[str, Path]:
            return Made(tmp_path, numbered(20), pipeline()).plan.plan_hash, Work(tmp_path, {}).base

        def other(*names: str) -> dict[str, str]:
            return versions.libraries(*names) | {name: "0.0.1"}

        before = made()
        monkeypatch.setattr(encode, "libraries", other)
        monkeypatch.setattr(work, "libraries", other)
        after = made()
        assert (before[0] != after[0], before[1] != after[1]) == (True, True)

    def test_the_hash_names_suite_decision_and_quarantined_rows(self, tmp_path: Path) -> None:
        verdict = make_verdict(tmp_path, {}, ("id", Severity.CRITICAL))
        found = {
            Made(tmp_path, numbered(20), pipeline()).plan.plan_hash,
            Made(tmp_path, numbered(20), pipeline(), verdict=verdict).plan.plan_hash,
            Made(tmp_path, numbered(20), pipeline(), verdict=verdict, decision=Decision.PUBLISH_ALL).plan.plan_hash,
            Made(tmp_path, numbered(19), pipeline(), rejects=[3]).plan.plan_hash,
            Made(tmp_path, numbered(19), pipeline(), rejects=[4]).plan.plan_hash,
        }
        assert len(found) == 5
