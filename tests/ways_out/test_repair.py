"""An edited file of quarantined rows (`forebay quarantine export --repair`) that cannot be replayed: the way out that
is named, followed, and its rows are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forebay.errors import ConfigError
from forebay.model import Column
from forebay.verbs import repair
from forebay.verbs._replay import check
from tests.keys.trial import DAY, GONE, Trial
from tests.verbs.published import Ledger

COLUMNS = (Column("id", "int64"), Column("name", "string"))
GOOD = "id,name,__fp,__generation,__row,__reason,__form,__raw\n1,a,ff,1,7,r,file,x\n2,,ff,1,8,r,typed,x\n"
FILES = {
    "no repair file": (
        "id,name\n1,a\n",
        "write it with: forebay quarantine export PIPELINE --to FILE --repair",
    ),
    "a name of ours": (
        GOOD.replace("__form", "form"),
        "write it with: forebay quarantine export PIPELINE --to FILE --repair",
    ),
    "a row's number": (GOOD.replace(",7,", ",seven,"), "the columns that begin with `__` stay"),
    "a generation": (GOOD.replace("ff,1,7", "ff,,7"), "the columns that begin with `__` stay"),
    "a form": (GOOD.replace(",file,", ",File,"), "the columns that begin with `__` stay"),
    "a row twice": (GOOD.replace(",8,", ",7,"), "leave one"),
    "few cells": (GOOD + "3,c,ff,1\n", "every line needs as many cells as the first"),
    "a column": (
        "\n".join(line.split(",", 1)[1] for line in GOOD.splitlines()) + "\n",
        "every column of the pipeline stays, empty cells are null",
    ),
}
"""What was made of `GOOD`, and the words of the way out: each says to write again what was there."""


def rows(trial: Trial, text: str, folder: Path) -> list[tuple[int | None, str | None]]:
    """The rows of all origins, typed by the pipeline's rules. Raises as replay does."""
    folder.mkdir()
    path = folder / "fixed.csv"
    path.write_text(text, encoding="utf-8")
    typed = [repair.typed(trial.context, part, COLUMNS, path, folder)[0] for part in repair.edited(path).values()]
    return [(row["id"], row["name"]) for row in pa.concat_tables(typed).to_pylist()]


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_read_when_its_way_out_is_followed(name: str, tmp_path: Path) -> None:
    text, way_out = FILES[name]
    trial = Trial(tmp_path / "project", {}, {})
    with pytest.raises(ConfigError) as refused:
        rows(trial, text, tmp_path / "refused")
    assert refused.value.message.endswith(f"({way_out})")
    assert rows(trial, GOOD, tmp_path / "followed") == [(1, "a"), (2, None)]


def test_rows_of_which_nobody_knows_the_columns_are_judged_when_the_pipeline_declares_them(tmp_path: Path) -> None:
    """A ledger of earlier versions has no columns, and the stage is on another machine."""
    path = tmp_path / "fixed.csv"
    path.write_text(GOOD, encoding="utf-8")
    ((_, edited),) = repair.edited(path).items()

    def judged(name: str, schema: dict[str, Any]) -> int:
        trial, ledger = Trial(tmp_path / name, schema, {"a.csv": b"id,name\n1,a\n"}), Ledger()
        (file,) = trial.context.source.list(f"drops/{DAY}/*")
        (entry,) = ledger.view.by_fingerprint(ledger.publish(file, b"x"))
        (folder := tmp_path / name / "scratch").mkdir()
        return check.judge(trial.context, entry, edited, path, folder)[0].rows_read

    with pytest.raises(ConfigError, match=r"\(declare `schema\.columns`\)"):
        judged("a", {"schema": GONE})
    assert judged("b", {"schema.columns": {"id": "int64", "name": "string"}}) == 2
