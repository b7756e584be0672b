from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.config import conflicts
from forebay.config.home import Project
from forebay.config.load import load_all

Put = Callable[..., None]


def pipeline(
    name: str,
    *,
    owner: str = "shop",
    path: str | None = None,
    topic: str | None = None,
    more: str = "",
    partitions: int = 1,
) -> str:
    return (
        f"pipeline: {name}\n"
        f"owner: {owner}\n"
        f"source: {{type: local, path: '{path or f'drops/{name}/*.csv'}'}}\n"
        "format: {type: csv}\n"
        "record: {key: id}\n"
        f"topic: {{name: {topic or name}, partitions: {partitions}}}\n{more}"
    )


@pytest.fixture
def put(write: Callable[..., Path]) -> Put:
    def put(file: str, text: str) -> None:
        write(text, file)

    return put


def found(project: Project) -> list[str]:
    loaded = load_all(project)
    assert not any(file.faults for file in loaded.files)
    return [str(fault).removeprefix("include/pipelines/") for fault in conflicts.faults(loaded, project)]


def test_pipelines_that_share_nothing_have_no_faults(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a"))
    put("b.yaml", pipeline("b"))
    assert found(project) == []


def test_two_pipelines_of_one_name_are_refused_for_their_name_alone(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("x", path="a/*", topic="a"))
    put("b.yaml", pipeline("x", path="b/*", topic="b", more="publish: {lanes: 2}\n"))
    assert found(project) == [
        "a.yaml:1: reading `pipeline`: two pipelines have the name `x` (the other: include/pipelines/b.yaml:1)",
        "b.yaml:1: reading `pipeline`: two pipelines have the name `x` (the other: include/pipelines/a.yaml:1)",
    ]


def test_a_name_that_two_files_have_is_loaded_from_neither(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("x", path="a/*", topic="a"))
    put("b.yaml", pipeline("x", path="b/*", topic="b"))
    put("c.yaml", pipeline("c"))
    loaded = load_all(project)
    assert list(loaded.pipelines) == ["c"]
    assert [path.name for path in loaded.faults] == ["a.yaml", "b.yaml"]


def test_two_owners_of_one_topic(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", owner="shop", topic="orders"))
    put("b.yaml", pipeline("b", owner="depot", topic="orders"))
    assert found(project) == [
        (
            "a.yaml:6: reading `topic.name`: two owners write to the topic `orders`: `shop` and `depot` (the other: "
            "include/pipelines/b.yaml:6)"
        ),
        (
            "b.yaml:6: reading `topic.name`: two owners write to the topic `orders`: `shop` and `depot` (the other: "
            "include/pipelines/a.yaml:6)"
        ),
    ]


def test_one_owner_may_write_one_topic_from_two_pipelines(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", topic="orders"))
    put("b.yaml", pipeline("b", topic="orders"))
    assert found(project) == []


def test_the_same_topic_name_on_two_clusters_is_two_topics(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", owner="shop", topic="orders", more="publish: {connection: east}\n"))
    put("b.yaml", pipeline("b", owner="depot", topic="orders", more="publish: {connection: west}\n"))
    assert found(project) == []


def test_one_topic_has_one_count_of_partitions(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", topic="orders", partitions=3))
    put("b.yaml", pipeline("b", topic="orders", partitions=6))
    assert found(project)[0].startswith(
        "a.yaml:6: reading `topic.partitions`: the topic `orders` has two counts of partitions: 3 and 6"
    )


def test_one_drop_read_twice(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", path="drops/{{ ds }}/*.csv"))
    put("b.yaml", pipeline("b", path="./drops/{{ ds }}/EWR*"))
    assert found(project)[0] == (
        "a.yaml:3: reading `source.path`: one file can be read twice, by `drops/{{ ds }}/*.csv` and by `./drops/{{ "
        "ds }}/EWR*`"
        " (the other: include/pipelines/b.yaml:3)"
    )


def test_a_relative_and_an_absolute_path_meet(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", path="drops/*.csv"))
    put("b.yaml", pipeline("b", path=f"{project.root}/drops/x.csv"))
    assert len(found(project)) == 2


def test_the_same_path_behind_two_connections_is_two_drops(project: Project, put: Put) -> None:
    for name in ("a", "b"):
        put(
            f"{name}.yaml",
            pipeline(name).replace("type: local", f"type: s3, connection: {name}").replace(f"drops/{name}", "bucket"),
        )
    assert found(project) == []


def test_one_bucket_read_twice(project: Project, put: Put) -> None:
    for name in ("a", "b"):
        put(
            f"{name}.yaml",
            pipeline(name).replace("type: local", "type: s3, connection: landing").replace(f"drops/{name}", "bucket"),
        )
    assert len(found(project)) == 2


@pytest.mark.parametrize("kind", ["ledger", "quarantine"])
def test_no_data_goes_to_anothers_own_topics(project: Project, put: Put, kind: str) -> None:
    put("a.yaml", pipeline("a"))
    put("b.yaml", pipeline("b", topic=f"forebay.a.{kind}"))
    words = f"reading `topic.name`: `forebay.a.{kind}` is the {kind} topic of the pipeline `a`"
    assert found(project) == [
        f"a.yaml:1: {words} (the other: include/pipelines/b.yaml:6)",
        f"b.yaml:6: {words} (the other: include/pipelines/a.yaml:1)",
    ]


def test_no_data_goes_to_its_own_ledger(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", topic="forebay.a.ledger"))
    assert found(project) == [
        "a.yaml:6: reading `topic.name`: `forebay.a.ledger` is the ledger topic of the pipeline `a`"
    ]


def test_a_broken_file_is_still_compared_by_its_name(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("x"))
    put("b.yaml", pipeline("x").replace("owner", "ownr"))
    loaded = load_all(project)
    assert sum("two pipelines have the name `x`" in str(fault) for fault in conflicts.faults(loaded, project)) == 2


def test_an_archive_is_not_read_again(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", path="drops/**/*.csv", more="settle: {type: archive, path: drops/done/}\n"))
    assert found(project) == [
        "a.yaml:7: reading `settle.path`: files archived in `drops/done/` would be read again by `drops/**/*.csv`"
    ]


def test_an_archive_is_not_anothers_drop(project: Project, put: Put) -> None:
    put("a.yaml", pipeline("a", more="settle: {type: archive, path: 'done/{{ ds }}/'}\n"))
    put("b.yaml", pipeline("b", path="done/**"))
    assert found(project) == [
        (
            "a.yaml:7: reading `settle.path`: files archived in `done/{{ ds }}/` would be read again by `done/**` (the "
            "other: include/pipelines/b.yaml:3)"
        ),
        (
            "b.yaml:3: reading `settle.path`: files archived in `done/{{ ds }}/` would be read again by `done/**` (the "
            "other: include/pipelines/a.yaml:7)"
        ),
    ]


def test_an_archive_beside_the_drop_is_fine(project: Project, put: Put) -> None:
    put(
        "a.yaml",
        pipeline("a", path="drops/{{ ds }}/*.csv", more="settle: {type: archive, path: 'drops/{{ ds }}/done/'}\n"),
    )
    assert found(project) == []
