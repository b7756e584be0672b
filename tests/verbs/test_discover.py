"""Every file seen gets a fate, and the reason is in the words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from forebay import events
from forebay.errors import ConfigError
from forebay.model import Fate, Plan, SourceFile, Status
from forebay.sources.local import Local
from forebay.verbs.discover import GenerationRequest, note_of, to_do
from tests.verbs.discovery import WINDOW, fates, listed, look, put
from tests.verbs.published import Ledger


def test_an_empty_window_says_what_was_looked_for(tmp_path: Path, ledger: Ledger) -> None:
    plan = look(tmp_path, ledger)
    assert (plan.files, plan.ready) == ((), False)
    assert note_of(plan) == "not ready: nothing matches `drops/2013-01-02/*.csv`"


def test_new_files_come_in_order_of_their_uris_and_are_not_read(
    tmp_path: Path, drops: Path, ledger: Ledger, hashed: list[str]
) -> None:
    put(drops, "b.csv", b"22")
    put(drops, "a.csv", b"1")
    put(tmp_path / "drops" / "2013-01-03", "c.csv", b"of the next day")
    plan = look(tmp_path, ledger)
    assert fates(plan) == [("a.csv", Fate.NEW, "never seen before"), ("b.csv", Fate.NEW, "never seen before")]
    assert all(
        file.status is Status.DISCOVERED and file.run_id == "run-2" and file.window == WINDOW for file in plan.files
    )
    assert (note_of(plan), plan.ready, hashed) == (None, True, [])
    assert Plan.from_json(plan.to_json()) == plan


def test_the_same_bytes_under_the_same_name_are_published_already(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    (file,) = look(tmp_path, ledger).files
    assert (file.fate, file.status) == (Fate.PUBLISHED, Status.SKIPPED)
    assert file.reason == "the same bytes were published by run `run-1` at 2013-01-03 02:00:00 UTC"
    assert file.fingerprint == hashlib.sha256(b"1").hexdigest()


def test_a_published_file_that_was_only_touched_is_still_published(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    put(drops, "a.csv", b"1", age=5)
    assert look(tmp_path, ledger).files[0].fate is Fate.PUBLISHED


@pytest.mark.parametrize(
    ("policy", "status", "words"),
    [
        ("publish_as_correction", Status.DISCOVERED, "; published as a correction"),
        ("reject", Status.REJECTED, "; rejected, as `changed_content` says"),
        ("ignore", Status.SKIPPED, "; ignored, as `changed_content` says"),
    ],
)
def test_other_bytes_under_a_known_name(
    policy: str, status: Status, words: str, tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    before = ledger.publish(listed(tmp_path)[0], b"1")
    put(drops, "a.csv", b"corrected")
    (file,) = look(tmp_path, ledger, changed_content=policy).files
    assert (file.fate, file.status, file.earlier.supersedes) == (Fate.CHANGED, status, before)
    assert (
        file.reason
        == f"other bytes of this name (`{before[:16]}`) were published by run `run-1` at 2013-01-03 02:00:00 UTC{words}"
    )
    assert to_do(file) is (status is Status.DISCOVERED)


def test_a_second_correction_supersedes_the_first(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    second = ledger.publish(listed(tmp_path)[0], b"2")
    put(drops, "a.csv", b"3")
    assert look(tmp_path, ledger).files[0].earlier.supersedes == second


@pytest.mark.parametrize(
    ("policy", "status"),
    [("publish_as_correction", Status.DISCOVERED), ("reject", Status.REJECTED), ("ignore", Status.SKIPPED)],
)
def test_going_back_to_published_bytes_is_a_correction(
    policy: str, status: Status, tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    file = listed(tmp_path)[0]
    ledger.publish(file, b"1")
    other = ledger.publish(file, b"2", run="run-7")
    (back,) = look(tmp_path, ledger, changed_content=policy).files
    assert (back.fate, back.status, back.generation, back.earlier.supersedes) == (Fate.CHANGED, status, 2, other)
    assert back.reason.startswith(
        f"other bytes of this name (`{other[:16]}`) were published by run `run-7` at 2013-01-03 03:00:00 UTC"
    )
    ledger.publish(file, b"1", generation=2)  # then it is the latest
    (again,) = look(tmp_path, ledger, changed_content=policy).files
    assert (again.fate, again.generation) == (Fate.PUBLISHED, 2)
    ledger.publish(file, b"2", generation=2)
    (third,) = look(tmp_path, ledger, changed_content=policy).files
    assert (third.fate, third.generation, third.earlier.supersedes) == (Fate.CHANGED, 3, other)


def test_a_correction_that_was_cut_short_is_gone_on_with(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    file = listed(tmp_path)[0]
    ledger.publish(file, b"1")
    other = ledger.publish(file, b"2")
    ledger.begin(file, b"1", 2, run="run-8")
    (back,) = look(tmp_path, ledger).files
    assert (back.fate, back.generation, back.earlier.supersedes, back.earlier.left) == (Fate.CHANGED, 2, other, ())
    assert "going on with generation 2" in back.reason


def test_what_was_begun_before_the_latest_content_is_not_gone_on_with(
    tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    """Its rows that are visible lie before those of the other content: consumers would keep a mixture."""
    put(drops, "a.csv", b"1")
    file = listed(tmp_path)[0]
    ledger.begin(file, b"1")
    other = ledger.publish(file, b"2")
    (back,) = look(tmp_path, ledger).files
    assert (back.fate, back.generation, back.earlier.supersedes) == (Fate.CHANGED, 2, other)


@pytest.mark.parametrize("known", [False, True])
def test_a_half_published_content_is_superseded_and_said_to_stay_visible(
    known: bool, tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"new")
    file = listed(tmp_path)[0]
    if known:
        ledger.publish(file, b"0")
    half = ledger.begin(file, b"1", run="run-8")
    (changed,) = look(tmp_path, ledger).files
    assert (changed.fate, changed.generation, changed.earlier.supersedes) == (Fate.CHANGED, 1, half)
    (left,) = changed.earlier.left
    assert (left.fingerprint, left.first_row, left.last_row, left.outputs[0].first, left.outputs[0].last) == (
        half,
        1,
        5,
        3,
        7,
    )
    assert "rows 1 to 5 stay visible (`flights` partition 0 offsets 3 to 7)" in changed.reason
    ledger.publish(file, b"new")
    (done,) = look(tmp_path, ledger).files
    assert (done.fate, done.earlier.left) == (Fate.PUBLISHED, ())


def test_back_to_the_latest_content_after_half_of_another_is_a_correction(
    tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    file = listed(tmp_path)[0]
    ledger.publish(file, b"1")
    half = ledger.begin(file, b"2")
    (back,) = look(tmp_path, ledger).files
    assert (back.fate, back.generation, back.earlier.supersedes, len(back.earlier.left)) == (Fate.CHANGED, 2, half, 1)


def test_a_half_published_file_that_is_the_same_is_gone_on_with(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.begin(listed(tmp_path)[0], b"1")
    (same,) = look(tmp_path, ledger).files
    assert (same.fate, same.generation, same.earlier.left, same.earlier.supersedes) == (Fate.NEW, 1, (), None)
    (anew,) = look(tmp_path, ledger, GenerationRequest("other settings")).files
    assert (anew.fate, anew.generation) == (Fate.NEW, 2)
    assert (
        "published anew as generation 2: other settings; generation 1, begun by run `run-1`, stays visible in part"
        in anew.reason
    )


def test_a_new_generation_of_a_duplicate_is_published_under_its_name(
    tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "b.csv", b"1")
    first, copy = listed(tmp_path)
    ledger.publish(first, b"1")
    asked = GenerationRequest("the other name is needed")
    _, duplicate = look(tmp_path, ledger).files
    assert duplicate.fate is Fate.DUPLICATE
    (drops / "a.csv").unlink()
    (anew,) = look(tmp_path, ledger, asked, run_id="run-9").files
    assert (anew.fate, anew.generation, anew.earlier.duplicate_of, anew.status) == (
        Fate.NEW,
        2,
        first.uri,
        Status.DISCOVERED,
    )
    ledger.publish(copy, b"1", generation=2, run="run-9")
    (same_run,) = look(tmp_path, ledger, asked, run_id="run-9").files
    assert same_run.fate is Fate.PUBLISHED
    put(drops, "a.csv", b"1")
    both = look(tmp_path, ledger, asked, run_id="run-10").files
    assert [file.fate for file in both] == [Fate.NEW, Fate.DUPLICATE]
    assert both[1].reason == f"the same bytes as `{first.uri}` of this window"


def test_a_copy_that_replaces_what_its_name_had_is_published_when_asked_for(
    tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "b.csv", b"2")
    first, second = listed(tmp_path)
    ledger.publish(first, b"1")
    before = ledger.publish(second, b"2")
    (drops / "a.csv").unlink()
    put(drops, "b.csv", b"1", age=60)
    (copy,) = look(tmp_path, ledger).files
    assert (copy.fate, copy.earlier.duplicate_of) == (Fate.DUPLICATE, first.uri)
    stays = (
        f"; what this name had before (`{before[:16]}`) stays published (`--generation new` publishes these "
        "bytes instead)"
    )
    assert copy.reason.endswith(stays)
    (asked,) = look(tmp_path, ledger, GenerationRequest("b is what counts")).files
    assert (asked.fate, asked.generation, asked.earlier.supersedes, asked.earlier.duplicate_of) == (
        Fate.CHANGED,
        2,
        before,
        first.uri,
    )
    assert "b is what counts" in asked.reason


def test_the_same_bytes_under_another_name_are_a_duplicate(
    tmp_path: Path, drops: Path, ledger: Ledger, hashed: list[str]
) -> None:
    put(drops, "a.csv", b"1")
    first = listed(tmp_path)[0]
    ledger.publish(first, b"1")
    (drops / "a.csv").rename(drops / "renamed.csv")
    put(drops, "other-size.csv", b"22")
    plan = look(tmp_path, ledger)
    assert [file.fate for file in plan.files] == [Fate.NEW, Fate.DUPLICATE]
    assert plan.files[1].earlier.duplicate_of == first.uri
    assert (
        plan.files[1].reason
        == f"the same bytes were published by run `run-1` at 2013-01-03 02:00:00 UTC, as `{first.uri}`"
    )
    assert plan.files[1].status is Status.SKIPPED
    assert hashed == ["renamed.csv"]


def test_of_twins_in_one_window_the_first_is_new(
    tmp_path: Path, drops: Path, ledger: Ledger, hashed: list[str]
) -> None:
    for name, content in (("a.csv", b"1"), ("b.csv", b"2"), ("c.csv", b"1"), ("d.csv", b"long")):
        put(drops, name, content)
    plan = look(tmp_path, ledger)
    assert [file.fate for file in plan.files] == [Fate.NEW, Fate.NEW, Fate.DUPLICATE, Fate.NEW]
    assert plan.files[2].reason == f"the same bytes as `{plan.files[0].file.uri}` of this window"
    assert plan.files[2].earlier.duplicate_of == plan.files[0].file.uri
    assert hashed == ["a.csv", "b.csv", "c.csv"]


def test_a_twin_of_a_file_that_is_not_published_is_new(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    put(drops, "a.csv", b"corrected")
    put(drops, "b.csv", b"corrected")
    assert [file.fate for file in look(tmp_path, ledger, changed_content="reject").files] == [Fate.CHANGED, Fate.NEW]
    assert [file.fate for file in look(tmp_path, ledger).files] == [Fate.CHANGED, Fate.DUPLICATE]


def test_a_file_of_a_known_size_but_other_bytes_is_new(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    ledger.publish(SourceFile("file:///elsewhere/x.csv", 1, 0.0), b"9")
    put(drops, "a.csv", b"1")
    (file,) = look(tmp_path, ledger).files
    assert (file.fate, file.fingerprint) == (Fate.NEW, hashlib.sha256(b"1").hexdigest())


def test_a_rejected_file_is_told_as_such(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1", rejected=True)
    assert look(tmp_path, ledger).files[0].reason.startswith("the same bytes were rejected by run `run-1`")


def test_a_surely_same_version_is_not_read(
    tmp_path: Path, drops: Path, ledger: Ledger, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    monkeypatch.setattr(Local, "same_version", lambda self, a, b: a == b)  # as S3 does, by ETag
    (file,) = look(tmp_path, ledger).files
    assert (file.fate, hashed) == (Fate.PUBLISHED, [])
    assert file.fingerprint == hashlib.sha256(b"1").hexdigest()


def test_a_person_may_have_published_files_published_anew(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    put(drops, "b.csv", b"new")
    ledger.publish(listed(tmp_path)[0], b"1", generation=1)
    ledger.publish(listed(tmp_path)[0], b"1", generation=2)
    plan = look(tmp_path, ledger, GenerationRequest("consumer lost its store"))
    assert [(file.fate, file.generation, file.reason) for file in plan.files] == [
        (Fate.NEW, 3, "published anew as generation 3: consumer lost its store"),
        (Fate.NEW, 1, "never seen before"),
    ]


def test_a_repeated_request_of_the_same_run_publishes_nothing_twice(
    tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1", generation=1)
    ledger.publish(listed(tmp_path)[0], b"1", generation=2, run="run-2")
    (file,) = look(tmp_path, ledger, GenerationRequest("again"), run_id="run-2").files
    assert (file.fate, file.generation) == (Fate.PUBLISHED, 2)


@pytest.mark.parametrize("request_", [None, GenerationRequest("again")])
def test_an_unfinished_generation_is_gone_on_with(
    request_: GenerationRequest | None, tmp_path: Path, drops: Path, ledger: Ledger
) -> None:
    put(drops, "a.csv", b"1")
    ledger.publish(listed(tmp_path)[0], b"1")
    ledger.begin(listed(tmp_path)[0], b"1", 2)
    (file,) = look(tmp_path, ledger, request_).files
    assert (file.fate, file.generation, file.status) == (Fate.NEW, 2, Status.DISCOVERED)
    assert file.reason.startswith("going on with generation 2: ")


def test_every_file_seen_is_an_event(tmp_path: Path, drops: Path, ledger: Ledger) -> None:
    put(drops, "a.csv", b"1")
    seen: list[tuple[str, Any]] = []
    stop = events.listen(lambda name, fields: seen.append((name, fields["fate"])))
    look(tmp_path, ledger)
    stop()
    assert seen == [(events.FILE_SEEN, "new")]


def test_an_unknown_name_in_the_path_is_wrong_configuration(tmp_path: Path, ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="did you mean `ds`"):
        look(tmp_path, ledger, path="drops/{{ dss }}/*.csv")
