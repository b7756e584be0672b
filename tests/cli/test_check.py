from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.cli.conftest import GOOD
from tests.support.project import Answer

Call = Callable[..., Answer]
Write = Callable[..., Path]

SUITE = {
    "name": "orders",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "severity": "critical"}
    ],
}


def suite(root: Path, data: Any) -> None:
    (root / "include" / "expectations" / "orders.json").write_text(json.dumps(data, indent=1))


def test_good_files_are_ok(forebay: Call, pipeline: Write) -> None:
    pipeline()
    answer = forebay("check")
    assert (answer.code, answer.out.split()) == (
        0,
        ["ok", "include/pipelines/orders.yaml", "1", "file,", "all", "right"],
    )


def test_no_files_is_no_fault_and_is_said(forebay: Call) -> None:
    answer = forebay("check")
    assert (answer.code, answer.out) == (0, "no pipeline files in include/pipelines\n")


def test_faults_are_told_per_file_and_exit_with_2(forebay: Call, pipeline: Write) -> None:
    pipeline(GOOD.replace("owner", "ownr"))
    pipeline(GOOD.replace("orders", "returns"), "returns")
    answer = forebay("check")
    assert answer.code == 2
    assert answer.out.splitlines() == [
        "faults include/pipelines/orders.yaml",
        "       include/pipelines/orders.yaml:1: reading the file: the required key `owner` is missing",
        "       include/pipelines/orders.yaml:2: reading the file: there is no key `ownr` (did you mean `owner`?)",
        "ok     include/pipelines/returns.yaml",
        "2 files, 2 faults",
    ]


def test_json_is_one_document(forebay: Call, pipeline: Write) -> None:
    pipeline(GOOD.replace("owner: shop", "owner: 5"))
    answer = forebay("check", "--json")
    assert answer.code == 2
    assert answer.json == {
        "ok": False,
        "files": [
            {
                "path": "include/pipelines/orders.yaml",
                "pipeline": "orders",
                "ok": False,
                "faults": [
                    {
                        "path": "include/pipelines/orders.yaml",
                        "line": 2,
                        "message": 'reading `owner`: `5` is found where text is wanted (write it in quotes: "5")',
                    }
                ],
                "notes": [],
            }
        ],
    }


def test_only_the_named_pipelines_are_judged(forebay: Call, pipeline: Write) -> None:
    pipeline("pipeline: [", "broken")
    pipeline()
    assert forebay("check", "orders").code == 0
    assert forebay("check", "broken").code == 2
    assert forebay("check").code == 2


def test_an_unknown_name_says_what_was_meant(forebay: Call, pipeline: Write) -> None:
    pipeline()
    answer = forebay("check", "ordrs", "--json")
    assert answer.code == 2
    assert answer.json["error"]["message"] == "looking for the pipeline `ordrs`: there is none (did you mean `orders`?)"
    assert "did you mean `orders`?" in answer.err


def test_what_grows_wild_is_found(forebay: Call, pipeline: Write) -> None:
    pipeline()
    pipeline(GOOD.replace("pipeline: orders", "pipeline: copy").replace("shop", "depot"), "copy")
    messages = [
        fault["message"] for file in forebay("check", "orders", "--json").json["files"] for fault in file["faults"]
    ]
    assert [message.split(" (")[0] for message in messages] == [
        (
            "reading `source.path`: one file can be read twice, by `drops/orders/{{ ds }}/*.csv` and by "
            "`drops/orders/{{ "
            "ds }}/*.csv`"
        ),
        "reading `topic.name`: two owners write to the topic `orders`: `depot` and `shop`",
    ]


def test_a_suite_that_fits_is_ok(forebay: Call, pipeline: Write, root: Path) -> None:
    suite(root, SUITE)
    pipeline(GOOD + "quality: {suite: orders}\n")
    assert forebay("check").code == 0


def test_a_suite_naming_a_column_that_is_not_there_is_a_fault(forebay: Call, pipeline: Write, root: Path) -> None:
    suite(root, json.loads(json.dumps(SUITE).replace('"id"', '"idd"')))
    pipeline(GOOD + "quality: {suite: orders}\n")
    answer = forebay("check", "--json")
    [fault] = answer.json["files"][0]["faults"]
    assert (answer.code, fault["path"]) == (2, "include/expectations/orders.json")
    assert "`idd`" in fault["message"]


def test_a_suite_that_is_no_json_is_a_fault(forebay: Call, pipeline: Write, root: Path) -> None:
    (root / "include" / "expectations" / "orders.json").write_text("{")
    pipeline(GOOD + "quality: {suite: orders}\n")
    answer = forebay("check")
    assert answer.code == 2
    assert "include/expectations/orders.json:1: " in answer.out


def test_a_missing_suite_is_told_once(forebay: Call, pipeline: Write) -> None:
    pipeline(GOOD + "quality: {suite: orders}\n")
    answer = forebay("check", "--json")
    assert [fault["line"] for fault in answer.json["files"][0]["faults"]] == [8]


def test_nothing_is_contacted(forebay: Call, pipeline: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> NoReturn:
        raise AssertionError(f"a connection was asked for: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    pipeline(GOOD.replace("type: local", "type: s3, connection: landing"))
    assert forebay("check").code == 0


def test_a_folder_that_is_no_project_says_the_way_out(forebay: Call, root: Path) -> None:
    (root / "include" / "pipelines").rmdir()
    answer = forebay("check")
    assert answer.code == 2
    assert "has no include/pipelines (name the folder with --project DIR)" in answer.err
