"""Files are finished at their source only when their records are proved."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forebay.model import Fate, FileRun, Status, Window
from forebay.verbs.context import Context
from forebay.verbs.settle import settle
from tests.verbs.published import context

WINDOW = Window.of_day(date(2013, 1, 2))
ARCHIVE = {"type": "archive", "options": {"path": "done/{{ ds }}/"}}
DELETE = {"type": "delete"}


def one(root: Path, section: dict[str, Any] | None, **changes: Any) -> tuple[Context, FileRun]:
    (root / "drops").mkdir()
    (root / "drops" / "a.csv").write_bytes(b"1")
    ctx = context(root, path="drops/*.csv", settle=section)
    (file,) = ctx.source.list("drops/*.csv")
    return ctx, FileRun("run-2", "flights", WINDOW, file, Fate.NEW, "", status=Status.RECONCILED).but(**changes)


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("section", "said", "left"),
    [
        (None, "kept in place", ["drops/a.csv"]),
        (ARCHIVE, "archived to file://{root}/done/2013-01-02/a.csv", ["done/2013-01-02/a.csv"]),
        (DELETE, "deleted", []),
    ],
    ids=["keep is the default", "archive", "delete"],
)
def test_a_reconciled_file_is_settled_and_done(
    section: dict[str, Any] | None, said: str, left: list[str], tmp_path: Path
) -> None:
    ctx, file = one(tmp_path, section)
    settled = settle(ctx, file)
    assert settled == file.but(status=Status.DONE, settled=said.format(root=tmp_path))
    assert names(tmp_path) == left
    assert settle(ctx, settled) == settled
    assert settle(ctx, file) == settled  # a retry that knows nothing of the first


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.RECONCILED])
def test_a_file_that_is_not_reconciled_stays(status: Status, tmp_path: Path) -> None:
    ctx, file = one(tmp_path, DELETE, status=status)
    assert settle(ctx, file) == file
    assert names(tmp_path) == ["drops/a.csv"]


@pytest.mark.parametrize("fate", [Fate.DUPLICATE, Fate.INCOMPLETE, Fate.IGNORED, Fate.CHANGED])
def test_skipped_files_stay(fate: Fate, tmp_path: Path) -> None:
    ctx, file = one(tmp_path, ARCHIVE, status=Status.SKIPPED, fate=fate)
    assert settle(ctx, file) == file
    assert names(tmp_path) == ["drops/a.csv"]


def test_a_published_file_that_still_lies_there_is_archived(tmp_path: Path) -> None:
    """A crash may have come between reconcile and settle."""
    ctx, file = one(tmp_path, ARCHIVE, status=Status.SKIPPED, fate=Fate.PUBLISHED)
    settled = settle(ctx, file)
    assert (settled.status, settled.settled) == (Status.SKIPPED, f"archived to file://{tmp_path}/done/2013-01-02/a.csv")
    assert names(tmp_path) == ["done/2013-01-02/a.csv"]


def test_a_published_file_that_still_lies_there_is_not_deleted(tmp_path: Path) -> None:
    ctx, file = one(tmp_path, DELETE, status=Status.SKIPPED, fate=Fate.PUBLISHED)
    assert str(settle(ctx, file).settled).startswith("left in place: an earlier run published it")
    assert names(tmp_path) == ["drops/a.csv"]


@pytest.mark.parametrize("section", [ARCHIVE, DELETE], ids=["archive", "delete"])
def test_a_later_delivery_is_left_for_the_next_run(section: dict[str, Any], tmp_path: Path) -> None:
    ctx, file = one(tmp_path, section)
    (tmp_path / "drops" / "a.csv").write_bytes(b"later")
    settled = settle(ctx, file)
    assert (settled.status, settled.settled) == (Status.DONE, "left in place: it changed or vanished since it was read")
    assert (tmp_path / "drops" / "a.csv").read_bytes() == b"later"
