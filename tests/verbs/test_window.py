"""Whether a window is complete, what a person asks for anew, and which work units come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.model import Fate, FileRun, Plan, SourceFile, Status, WaitsFor
from forebay.sources.local import Local
from forebay.verbs.discover import group, note_of
from tests.verbs.discovery import WINDOW, fates, listed, look, put
from tests.verbs.published import Ledger


def test_without_the_marker_all_files_are_incomplete(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    plan = look(tmp_path, ledger, ready_when={"marker": "_SUCCESS"})
    words = "the marker `drops/2013-01-02/_SUCCESS` is not there yet"
    assert fates(plan) == [("a.csv", Fate.INCOMPLETE, words)]
    assert (note_of(plan), plan.ready, plan.files[0].status) == (f"not ready: {words}", False, Status.SKIPPED)


def test_without_marker_and_files_the_window_is_not_ready(tmp_path: Path, ledger: Ledger) -> None:
    plan = look(tmp_path, ledger, ready_when={"marker": "_SUCCESS"})
    assert (plan.files, plan.ready) == ((), False)
    assert note_of(plan) == "not ready: the marker `drops/2013-01-02/_SUCCESS` is not there yet"


@pytest.mark.parametrize("path", ["drops/{{ ds }}/*.csv", "drops/{{ ds }}/*"])
def test_with_the_marker_the_files_are_new_and_the_marker_is_ignored(
    path: str, tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "done_2013-01-02.flag", b"")
    plan = look(tmp_path, ledger, path=path, ready_when={"marker": "done_{{ ds }}.flag"})
    assert fates(plan) == [
        ("a.csv", Fate.NEW, "never seen before"),
        ("done_2013-01-02.flag", Fate.IGNORED, "the marker"),
    ]
    assert plan.ready


def test_a_marker_speaks_for_its_own_folder_only(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops / "ewr", "a.csv", b"1")
    put(drops / "ewr", "_SUCCESS", b"")
    put(drops / "jfk", "a.csv", b"22")
    plan = look(tmp_path, ledger, path="drops/{{ ds }}/*/*.csv", ready_when={"marker": "_SUCCESS"})
    assert [(file.fate, file.reason) for file in plan.files] == [
        (Fate.IGNORED, "the marker"),
        (Fate.NEW, "never seen before"),
        (Fate.INCOMPLETE, "its folder has no marker `_SUCCESS` yet"),
    ]
    assert plan.waits_for == WaitsFor(files=(plan.files[2].file.uri,))


def test_a_file_that_changed_a_moment_ago_is_incomplete(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "old.csv", b"1", age=60)
    put(drops, "young.csv", b"22", age=12)
    put(drops, "zukunft.csv", b"333", age=-5)
    assert fates(look(tmp_path, ledger, ready_when={"quiet_for": "60s"})) == [
        ("old.csv", Fate.NEW, "never seen before"),
        ("young.csv", Fate.INCOMPLETE, "it changed 12 s ago and must be quiet for 60 s"),
        ("zukunft.csv", Fate.INCOMPLETE, "its time of change is 5 s ahead of this machine's clock"),
    ]


def test_fewer_files_than_expected_are_incomplete(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "b.csv", b"22")
    plan = look(tmp_path, ledger, ready_when={"expect": {"files": 3}})
    assert {reason for _, _, reason in fates(plan)} == {"2 of 3 expected files are there"}
    assert plan.waits_for == WaitsFor(there=2, expected=3)
    assert (plan.ready, note_of(plan)) == (False, "not ready: 2 of 3 expected files are there")


def test_files_that_are_published_and_archived_still_count(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    for name in ("a.csv", "b.csv"):
        put(drops, name, name.encode())
    for file in listed(tmp_path):
        ledger.publish(file, file.name.encode())
        (drops / file.name).unlink()
    put(drops, "c.csv", b"1")
    assert [file.fate for file in look(tmp_path, ledger, ready_when={"expect": {"files": 3}}).files] == [Fate.NEW]
    assert not look(tmp_path, Ledger(), ready_when={"expect": {"files": 3}}).ready


def test_more_files_than_expected_are_published_and_noted(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "b.csv", b"22")
    plan = look(tmp_path, ledger, ready_when={"expect": {"files": 1}})
    assert ([file.fate for file in plan.files], plan.ready) == ([Fate.NEW, Fate.NEW], True)
    assert note_of(plan) == "2 files are there, 1 were expected"


def test_a_file_that_vanishes_while_it_is_looked_at_is_incomplete(
    tmp_path: Path, drops: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    real = Local.fingerprint

    def vanishing(self: Local, file: SourceFile) -> str:
        (drops / "a.csv").unlink()
        return real(self, file)

    monkeypatch.setattr(Local, "fingerprint", vanishing)
    assert fates(look(tmp_path, ledger)) == [
        ("a.csv", Fate.INCOMPLETE, "it changed or vanished while it was looked at")
    ]


def units(sizes: list[int], max_bytes: int, max_files: int = 500) -> list[list[int]]:
    files = tuple(
        FileRun("r", "p", WINDOW, SourceFile(f"file:///{n:04d}", size, 0.0), Fate.NEW, "")
        for n, size in enumerate(sizes)
    )
    return [[file.file.size for file in unit] for unit in group(Plan("r", "p", WINDOW, files), max_bytes, max_files)]


def test_work_units_hold_many_small_files_or_one_large_one() -> None:
    assert units([1, 2, 3, 100, 4, 4, 4], 10) == [[1, 2, 3], [100], [4, 4], [4]]
    assert units([0] * 7, 10, max_files=3) == [[0] * 3, [0] * 3, [0]]
    assert units([], 10) == []


def test_only_files_to_do_are_in_work_units(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    put(drops, "b.csv", b"new")
    plan = look(tmp_path, ledger)
    assert [[file.file.name for file in unit] for unit in group(plan, 1 << 20)] == [["b.csv"]]
    assert fates(plan)[0][:2] == ("a.csv", Fate.PUBLISHED)
