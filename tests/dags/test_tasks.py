"""What the task bodies decide by themselves: which word about a file counts, and which files share a publish task."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forebay.model import Answer, Decision, Fate, FileRun, SourceFile, Status, Window
from tests.support.pipelines import load_file

DAY = Window.of_day(date(2013, 1, 1))


def file(name: str, status: Status = Status.DISCOVERED, size: int = 10, **changes: Any) -> FileRun:
    return FileRun("r", "birds", DAY, SourceFile(f"file:///drops/{name}", size, 0.0), Fate.NEW, "new", status).but(
        **changes
    )


class Instance:
    """A task instance's XCom: (task, key) to a value, or (task, key, map index)."""

    def __init__(self, said: dict[tuple[Any, ...], Any]) -> None:
        self.said = said

    def xcom_pull(self, task_ids: str, key: str = "return_value", map_indexes: Any = None) -> Any:
        if map_indexes is None:
            return self.said.get((task_ids, key))
        return [self.said.get((task_ids, key, index)) for index in map_indexes]


def context(**said: Any) -> dict[str, Any]:
    """`discover=[[a], [b]]`, `discover_others=[c]`, `inspect_0=[a]`: units, other files, and what a mapped instance
    made of its unit."""
    from forebay_airflow.translate import dump

    words: dict[tuple[Any, ...], Any] = {}
    for name, files in said.items():
        task, _, rest = name.partition("_")
        if rest == "others":
            words[task, "others"] = dump(files)
        elif rest:
            words[task, "return_value", int(rest)] = dump(files)
        elif task in {"discover", "select"}:
            words[task, "return_value"] = [dump(unit) for unit in files]
        else:
            words[task, "return_value"] = dump(files)
    return {"ti": Instance(words)}


def states(airflow: dict[str, Any], through: str) -> dict[str, Status]:
    from forebay_airflow.tasks import latest

    return {f.file.name: f.status for f in latest(airflow, through)}


def test_the_last_task_that_had_a_file_has_the_last_word() -> None:
    a, b, c = file("a"), file("b"), file("c", Status.SKIPPED)
    airflow = context(
        discover=[[a], [b]],
        discover_others=[c],
        inspect_0=[a.but(status=Status.INSPECTED)],
        inspect_1=[b.but(status=Status.FAILED)],
        select=[[a.but(status=Status.INSPECTED)]],
        select_others=[b.but(status=Status.FAILED), c],
        publish_0=[a.but(status=Status.PUBLISHED)],
        reconcile=[a.but(status=Status.RECONCILED)],
    )
    assert states(airflow, "inspect") == {"c": Status.SKIPPED, "a": Status.INSPECTED, "b": Status.FAILED}
    assert states(airflow, "publish")["a"] is Status.PUBLISHED
    assert states(airflow, "reconcile") == {"c": Status.SKIPPED, "a": Status.RECONCILED, "b": Status.FAILED}


def test_a_file_whose_task_said_nothing_stays_where_it_was() -> None:
    a, b = file("a"), file("b")
    airflow = context(discover=[[a], [b]], inspect_1=[b.but(status=Status.INSPECTED)])
    assert states(airflow, "inspect") == {"a": Status.DISCOVERED, "b": Status.INSPECTED}


def test_what_an_earlier_attempt_left_in_xcom_does_not_count() -> None:
    """A cleared run keeps its XComs until each task starts again, and those of mapped instances that it no longer has
    for ever."""
    published = file("a", Status.SKIPPED, fate=Fate.PUBLISHED)
    old = published.but(status=Status.DONE, published=300)
    airflow = context(
        discover=[],
        discover_others=[published],
        inspect_0=[old],
        select=[],
        select_others=[published],
        publish_0=[old],
        settle=[old],
    )
    assert states(airflow, "inspect") == {"a": Status.SKIPPED}
    assert states(airflow, "reconcile") == {"a": Status.SKIPPED}


def test_decide_is_believed_of_files_that_wait() -> None:
    """Airflow skips it in a run that is run again and holds nothing back now: what it said before still lies in
    XCom."""
    a, b = file("a"), file("b")
    held = b.but(status=Status.WAITING, answer=Answer(Decision.ASK, "gate", "why"))
    airflow = context(
        discover=[[a, b]],
        inspect_0=[a.but(status=Status.INSPECTED), held],
        select=[[a]],
        publish_0=[a.but(status=Status.PUBLISHED)],
        settle=[a.but(status=Status.DONE)],
        decide=[b.but(status=Status.REJECTED)],
    )
    assert states(airflow, "settle") == {"a": Status.DONE, "b": Status.WAITING}
    assert states(airflow, "decide") == {"a": Status.DONE, "b": Status.REJECTED}
    again = context(discover=[], discover_others=[b.but(status=Status.SKIPPED)], decide=[b.but(status=Status.DONE)])
    assert states(again, "decide") == {"b": Status.SKIPPED}


@pytest.fixture
def steps(tmp_path: Path) -> Any:
    from forebay.config.home import Project
    from forebay_airflow.tasks import Steps
    from tests.dags.conftest import MINIMAL

    folder = tmp_path / "include" / "pipelines"
    folder.mkdir(parents=True)
    (folder / "birds.yaml").write_text(MINIMAL.format(name="birds"), "utf-8")
    project = Project.find(tmp_path)
    return Steps(load_file(folder / "birds.yaml", project), project)


def inspected(lane: int, size: int, name: str) -> FileRun:
    return file(
        name,
        Status.INSPECTED,
        size,
        fingerprint=f"{lane:08x}" + "0" * 56,
        answer=Answer(Decision.PUBLISH, "gate", "all passed"),
    )


def test_small_files_share_one_publish_task_in_their_order(steps: Any) -> None:
    files = [inspected(n % 4, 1000, f"{n}.csv") for n in range(8)]
    assert steps.by_lane(files) == [files]
    assert steps.by_lane([]) == []


def test_large_ones_have_a_task_for_each_lane_and_no_two_tasks_share_a_lane(steps: Any) -> None:
    files = [inspected(n % 3, 200 << 20, f"{n}.csv") for n in range(6)]
    units = steps.by_lane(files)
    assert [[f.file.name for f in unit] for unit in units] == [
        ["0.csv", "3.csv"],
        ["1.csv", "4.csv"],
        ["2.csv", "5.csv"],
    ]


def test_a_new_generation_needs_a_reason(steps: Any) -> None:
    from forebay.errors import ConfigError

    assert steps._generation({"params": {"generation": "current", "reason": None}}) is None
    assert steps._generation({"params": {"generation": "new", "reason": " wrong rates "}}).reason == "wrong rates"
    with pytest.raises(ConfigError, match="reason"):
        steps._generation({"params": {"generation": "new", "reason": None}})
