"""Faults of the quality section that the models alone do not see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.config.home import Project
from forebay.errors import SettingsError
from tests.support.pipelines import load_file

Write = Callable[..., Path]


def faults(project: Project, path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_file(path, project)
    return [fault.message for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("quality: {redact: [amout]}", "column `amout` is not among `schema.columns` (did you mean `amount`?)"),
        (
            "quality: {redact: [amount], history: {rules: [{metric: mean, column: amount}]}}",
            "`quality.redact` forbids it (compare its null_share",
        ),
        (
            "quality: {redact: [id], history: {rules: [{metric: drift, column: id}]}}",
            "keeps values of `id` in the index",
        ),
        (
            "quality: {history: {rules: [{metric: drift, column: day}]}}",
            "column `day` is `date`, and drift is of numbers, texts and bools",
        ),
        ("quality: {history: {rules: [{metric: drift}]}}", "metric `drift`: name the `column`"),
        ("quality: {notify: [{type: webhok, url: http://a}]}", "there is no `webhok` (did you mean `webhook`?)"),
        ("quality: {notify: [{type: webhook, urls: http://a}]}", "`urls`"),
        ("quality: {notify: [{type: webhook}]}", "write either `url` or `url_from`"),
        ("quality: {notify: [{type: command, command: []}]}", "it is empty"),
        ("quality: {notify: [{type: command, command: [a], on: [wating]}]}", "did you mean `waiting`?"),
        ("quality: {notify: {type: command}}", "quality.notify"),
    ],
)
def test_a_fault_is_named_with_its_way_out(project: Project, write: Write, good: str, line: str, words: str) -> None:
    found = faults(project, write(good + line + "\n"))
    assert any(words in message for message in found), found


def test_notifiers_have_their_own_settings_beside_their_type(project: Project, write: Write, good: str) -> None:
    sections = [
        {"type": "command", "command": ["true"], "on": ["failed"]},
        {"type": "webhook", "url_from": "ALERTS", "timeout": 5},
    ]
    quality = {"notify": sections, "redact": ["id"], "history": {"rules": [{"metric": "null_share", "column": "id"}]}}
    found = load_file(write(good + f"quality: {json.dumps(quality)}\n"), project).quality
    assert [(n.type, n.on, n.options) for n in found.notify] == [
        ("command", ("failed",), {"command": ["true"]}),
        ("webhook", ("waiting", "rejected"), {"url_from": "ALERTS", "timeout": 5}),
    ]
    assert found.redact == ("id",)
