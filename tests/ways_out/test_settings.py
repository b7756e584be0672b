"""The way out that a fault of a pipeline file names, followed to the letter, leaves no fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from forebay.cli.main import app
from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.errors import ConfigError, SettingsError
from tests.keys.trial import BASE, GONE, ROWS, Trial, changed
from tests.support.pipelines import load_file

Settings = dict[str, Any]
DRIFT = {"quality.history.rules": [{"metric": "drift", "column": "day"}]}
MEAN = {"quality.redact": ["id"], "quality.history.rules": [{"metric": "mean", "column": "id"}]}
CASES: dict[str, tuple[Settings, str, Settings]] = {
    "unknown compression": ({"source.compression": "gzp"}, "did you mean `gzip`?", {"source.compression": "gzip"}),
    "unknown plug-in": ({"format.type": "cvs"}, "did you mean `csv`?", {"format.type": "csv"}),
    "unknown suite": ({"quality.suite": "s2"}, "known: s1", {"quality.suite": "s1"}),
    "unknown value": ({"record.headers": "standart"}, "did you mean `standard`?", {"record.headers": "standard"}),
    "unknown key": (
        {"topic.partition": 3},
        "did you mean `partitions`?",
        {"topic.partition": GONE, "topic.partitions": 3},
    ),
    "key elsewhere": (
        {"chunk": {"rows": 5}},
        "did you mean `publish.chunk`?",
        {"chunk": GONE, "publish.chunk": {"rows": 5}},
    ),
    "missing key": ({"owner": GONE}, "the required key `owner` is missing", {"owner": "tests"}),
    "not built yet": ({"transform": {"sql": "x"}}, "leave it out", {"transform": GONE}),
    "own name": (
        {"schema.columns.__a": "int64"},
        "name the column otherwise",
        {"schema.columns.__a": GONE, "schema.columns.a": "int64"},
    ),
    "no column": ({"record.key": "idd"}, "did you mean `id`?", {"record.key": "id"}),
    "drift of a date": (DRIFT, "take the rule out", {"quality.history.rules": GONE}),
    "mean of what is hidden": (
        MEAN,
        "compare its null_share",
        {"quality.history.rules": [{"metric": "null_share", "column": "id"}]},
    ),
    "hour of a day": (
        {"source.path": "drops/{{ ds }}/{{ hour }}/*"},
        "write `*` for the hour",
        {"source.path": "drops/{{ ds }}/*/*"},
    ),
    "hour, other way": (
        {"source.path": "drops/{{ ds }}/{{ hour }}/*"},
        "or a `cron` with several hours",
        {"schedule.cron": "0 */2 * * *"},
    ),
    "brace": ({"source.path": "drops/{{ ds/*"}, "write `{{ ds }}`", {"source.path": "drops/{{ ds }}/*"}),
    "template name": ({"source.path": "drops/{{ dss }}/*"}, "did you mean `ds`?", {"source.path": "drops/{{ ds }}/*"}),
    "rule limit": (
        {"quality.suite": "s1", "quality.block_when": {"rules": {"nam": "1%"}}},
        "did you mean `name`?",
        {"quality.block_when": {"rules": {"name": "1%"}}},
    ),
    "replicas": ({"topic.config": {"min.insync.replicas": 2}}, "raise `topic.replication`", {"topic.replication": 3}),
    "cron": ({"schedule.cron": "daily"}, "like `0 2 * * *`", {"schedule.cron": "0 2 * * *"}),
    "day": ({"schedule.start": "2013-1-1"}, "write it like `2013-01-01`", {"schedule.start": "2013-01-01"}),
    "zone": (
        {"schedule.timezone": "America/NewYork"},
        "did you mean `America/New_York`?",
        {"schedule.timezone": "America/New_York"},
    ),
    "zone, unlike any": (
        {"schedule.timezone": "qqq"},
        "write an IANA name such as `America/New_York`",
        {"schedule.timezone": "America/New_York"},
    ),
    "retention": (
        {"topic.quarantine_retention": "5m"},
        "at least `1h`, or `forever`",
        {"topic.quarantine_retention": "forever"},
    ),
    "retention, other way": (
        {"topic.quarantine_retention": "5m"},
        "at least `1h`, or `forever`",
        {"topic.quarantine_retention": "1h"},
    ),
    "type": ({"schema.columns.id": "integer"}, "did you mean", {"schema.columns.id": "int64"}),
    "decimal": (
        {"schema.columns.amount": "decimal(40,2)"},
        "a decimal has 1 to 38 digits",
        {"schema.columns.amount": "decimal(38,2)"},
    ),
    "unit": ({"limits.memory": "5 parsecs"}, "units: ", {"limits.memory": "5GB"}),
    "encoding": ({"format.encoding": "utf8-16"}, "did you mean `utf-16`?", {"format.encoding": "utf-16"}),
    "encoding, unlike any": (
        {"format.encoding": "qq"},
        "write one such as utf-8, latin-1, windows-1252, utf-16",
        {"format.encoding": "windows-1252"},
    ),
    "zone in a format": (
        {"schema.columns.x": "timestamp[tz]", "format.columns": {"x": {"format": "%H %z"}}},
        "leave `format` out",
        {"format.columns": GONE},
    ),
    "quote of two bytes": (
        {"format.quote": "\u00ab"},
        "an ASCII character other than a line end",
        {"format.quote": "'"},
    ),
    "archive": (
        {"settle": {"type": "archive", "path": "/"}},
        "write `done/{{ ds }}/`",
        {"settle": {"type": "archive", "path": "done/{{ ds }}/"}},
    ),
    "number in quotes": ({"topic.partitions": "3"}, "write `3`, without quotes", {"topic.partitions": 3}),
    "text without quotes": ({"owner": 5}, 'write it in quotes: "5"', {"owner": "5"}),
    "boolean": ({"format.trim": "yes"}, "write `true`", {"format.trim": True}),
    "mapping": ({"format.columns": ["name"]}, "a mapping (`key: value`)", {"format.columns": {"name": {"trim": True}}}),
    "list": ({"tags": "a"}, "a list (`[a, b]`)", {"tags": ["a", "b"]}),
    "notify, both": (
        {"quality.notify": [{"type": "webhook", "url": "http://a", "url_from": "B"}]},
        "url",
        {"quality.notify": [{"type": "webhook", "url_from": "B"}]},
    ),
    "nights": (
        {"quality.history": {"nights": 3, "min_nights": 5}},
        "no rule would ever speak",
        {"quality.history": {"nights": 5, "min_nights": 5}},
    ),
    "history column": (
        {"quality.history.rules": [{"metric": "mean"}]},
        "name the `column`",
        {"quality.history.rules": [{"metric": "mean", "column": "id"}]},
    ),
    "time column": ({"record.timestamp": "name"}, "a date or timestamp is wanted", {"record.timestamp": "day"}),
}
"""The settings, the words of the way out, and the settings that follow it."""
GOOD = yaml.safe_dump(BASE)
TEXTS: dict[str, tuple[bytes, str, bytes]] = {
    "empty": (b"", "a pipeline file begins with `pipeline: NAME`", GOOD.encode()),
    "no mapping": (b"- a\n", "a pipeline file begins with `pipeline: NAME`", GOOD.encode()),
    "braces": (
        b"source: {type: local, path: {{ ds }}/*.csv}\n",
        "write a value with `{{ … }}` in quotes",
        b'source: {type: local, path: "{{ ds }}/*.csv"}\n',
    ),
    "tabs": (
        b"source:\n\ttype: local\n\tpath: a\n",
        "indent with blanks, not with tabs",
        b"source:\n  type: local\n  path: a\n",
    ),
    "sign": (
        b"source: {type: local, path: a}\nowner: @me\n",
        "write a value that begins with `@` in quotes",
        b'source: {type: local, path: a}\nowner: "@me"\n',
    ),
    "bracket": (
        b"source: {type: local, path: a\n",
        "close every bracket and quote",
        b"source: {type: local, path: a}\n",
    ),
    "tag": (b"source: {type: local, path: !x a}\n", "write a plain value", b"source: {type: local, path: a}\n"),
    "key": (b"source: {type: local, path: a, [b]: c}\n", "write the keys out", b"source: {type: local, path: a}\n"),
    "bytes": (
        b"source: {type: local, path: a}\ndescription: \xff\n",
        "save the file as UTF-8",
        "source: {type: local, path: a}\ndescription: ÿ\n".encode(),
    ),
    "aliases": (
        b"source: {type: local, path: a}\ntags: &a [" + b"b, " * 20_000 + b"]\nx: [" + b"*a, " * 50 + b"]\n",
        "write them out",
        b"source: {type: local, path: a}\ntags: [b]\n",
    ),
    "twice": (
        b"source: {type: local, path: a}\nsource: {type: local, path: b}\n",
        "the key is given twice",
        b"source: {type: local, path: a}\n",
    ),
}
REST = yaml.safe_dump({name: value for name, value in BASE.items() if name not in {"source", "owner"}})
SUITE = {"name": "s1", "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "name"}}]}


def told(project: Project, path: Path) -> str:
    (project.expectations / "s1.json").write_text(json.dumps(SUITE))
    try:
        load_file(path, project)
    except SettingsError as error:
        return "\n".join(fault.message for fault in error.faults)
    return ""


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_gone_when_its_way_out_is_followed(name: str, project: Project, write: Callable[..., Path]) -> None:
    settings, way_out, followed = CASES[name]
    before = changed(BASE, settings)
    assert way_out in told(project, write(yaml.safe_dump(before)))
    assert told(project, write(yaml.safe_dump(changed(before, followed)))) == ""


@pytest.mark.parametrize("name", TEXTS)
def test_a_slip_of_yaml_is_gone_when_its_way_out_is_followed(
    name: str, project: Project, write: Callable[..., Path]
) -> None:
    broken, way_out, mended = TEXTS[name]
    path = write("")
    rest = b"" if mended == GOOD.encode() else (REST + ("" if b"owner" in mended else "owner: tests\n")).encode()
    path.write_bytes(rest * bool(rest) + broken)
    assert way_out in told(project, path)
    path.write_bytes(rest + mended)
    assert told(project, path) == ""


CONNECTIONS: dict[str, tuple[str, str, dict[str, str], str, dict[str, str]]] = {
    "kafka nowhere": (
        "kafka",
        "main",
        {},
        "set `FOREBAY_CONN_MAIN` or `AIRFLOW_CONN_MAIN`",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
    "s3 nowhere": (
        "s3",
        "main",
        {},
        "set `FOREBAY_CONN_MAIN` or `AIRFLOW_CONN_MAIN`",
        {"FOREBAY_CONN_MAIN": '{"region_name": "eu"}'},
    ),
    "no json": (
        "kafka",
        "main",
        {"FOREBAY_CONN_MAIN": "a:1"},
        "write one JSON object",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
    "no object": (
        "kafka",
        "main",
        {"FOREBAY_CONN_MAIN": "[1]"},
        "write one JSON object",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
    "no servers": (
        "kafka",
        "main",
        {"FOREBAY_CONN_MAIN": "{}"},
        "add it: host:port",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
    "odd value": (
        "kafka",
        "main",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": ["a:1"]}'},
        "texts, numbers or booleans",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
    "s3 setting": (
        "s3",
        "main",
        {"FOREBAY_CONN_MAIN": '{"region": "eu"}'},
        "did you mean `region_name`?",
        {"FOREBAY_CONN_MAIN": '{"region_name": "eu"}'},
    ),
    "neither": (
        "kafka",
        "main",
        {"AIRFLOW_CONN_MAIN": "x"},
        "write the JSON form",
        {"AIRFLOW_CONN_MAIN": '{"extra": {"bootstrap.servers": "a:1"}}'},
    ),
    "ours": (
        "kafka",
        "main",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1", "acks": "1"}'},
        "take it out of the connection",
        {"FOREBAY_CONN_MAIN": '{"bootstrap.servers": "a:1"}'},
    ),
}


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_connection_works_when_its_way_out_is_followed(name: str) -> None:
    kind, connection, environment, way_out, followed = CONNECTIONS[name]
    with pytest.raises(ConfigError) as raised:
        getattr(EnvironmentConnections(environment), kind)(connection)
    assert way_out in raised.value.message
    assert getattr(EnvironmentConnections(followed), kind)(connection)


def test_a_pipeline_that_is_called_otherwise_is_loaded_by_the_name_that_is_told(
    project: Project, write: Callable[..., Path]
) -> None:
    write(GOOD)
    with pytest.raises(ConfigError, match="did you mean `keys`"):
        load_pipeline(project, "kyes")
    assert load_pipeline(project, "keys").pipeline == "keys"


def test_a_path_with_a_nul_is_corrected(tmp_path: Path) -> None:
    broken = Trial(tmp_path / "a", {"source.path": "drops/{{ ds }}/*.csv\0"}, {"a.csv": ROWS})
    with pytest.raises(ConfigError, match=r"\(correct `source.path`\)"):
        broken.plan()
    assert len(Trial(tmp_path / "b", {}, {"a.csv": ROWS}).plan().files) == 1


def test_a_project_without_pipelines_is_reported_when_one_is_written(
    project: Project, write: Callable[..., Path]
) -> None:
    def report() -> str:
        done = CliRunner().invoke(app, ["report", "--project", str(project.root)])
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    assert report() == "no pipelines (write one to include/pipelines)"
    write(GOOD, "keys.yaml")
    assert "keys: 0 nights in" in report()
