"""What a pipeline file says, and what is wrong with it: all faults at once, with their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from forebay import registry
from forebay.config import schema, yaml_lines
from forebay.config.home import Project
from forebay.errors import SettingsError
from tests.support.pipelines import load_file

Write = Callable[..., Path]


def faults(project: Project, path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_file(path, project)
    return [str(fault).removeprefix("include/pipelines/orders.yaml:") for fault in caught.value.faults]


def changed(good: str, old: str, new: str) -> str:
    assert old in good
    return good.replace(old, new)


def test_a_good_file_becomes_a_pipeline(project: Project, write: Write, good: str) -> None:
    found = load_file(write(good), project)
    assert (found.pipeline, found.record.key, found.topic.partitions) == ("orders", ("id",), 3)
    assert found.format.options == {"delimiter": ";"}
    assert found.schema_ is not None and found.schema_.columns is not None
    assert list(found.schema_.columns) == ["id", "amount", "day"]


def test_what_is_not_given_is_safe(project: Project, write: Write, good: str) -> None:
    found = load_file(write(good), project)
    assert (found.topic.manage, found.settle.type, found.record.value.type, found.record.partitioner.type) == (
        "check",
        "keep",
        "json",
        "murmur2",
    )
    assert (found.publish.chunk.bytes, found.publish.transaction_timeout) == (128 * 2**20, timedelta(seconds=60))
    assert (found.schedule, found.timezone) == (None, "UTC")


def test_all_faults_come_together_with_their_lines(project: Project, write: Write) -> None:
    path = write(
        "pipeline: orders\n"
        "ownr: shop\n"
        "source: {type: locl, path: x.csv}\n"
        'format: {type: csv, delimeter: ";"}\n'
        "schema: {columns: {id: int46}}\n"
        "record: {key: [id, dya], headers: standart}\n"
        "topic: {name: orders, partitions: 0}\n"
        "qualty: {}\n"
    )
    assert faults(project, path) == [
        "1: reading the file: the required key `owner` is missing",
        "2: reading the file: there is no key `ownr` (did you mean `owner`?)",
        "3: reading `source.type`: there is no `locl` (did you mean `local`?)",
        "4: reading `format`: there is no key `delimeter` (did you mean `delimiter`?)",
        next(f for f in faults(project, path) if "int46" in f),
        "6: reading `record.headers`: `standart` is not among its values (did you mean `standard`?)",
        "6: reading `record.key[1]`: column `dya` is not among `schema.columns` (known: id)",
        "7: reading `topic.partitions`: `0` is less than 1",
        "8: reading the file: there is no key `qualty` (did you mean `quality`?)",
    ]


def test_an_unknown_type_of_a_column_says_what_was_meant(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, "int64", "int46")))
    assert fault.startswith("7: ")
    assert "`int46`" in fault
    assert "did you mean `int64`?" in fault


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "partitions: 3",
            "partitions: 1_000",
            "`1_000` is found where a whole number is wanted (write `1000`, without quotes, "
            "underscores or leading zeros)",
        ),
        (
            "partitions: 3",
            "partitions: 0123",
            "`0123` is found where a whole number is wanted (write `123`, without quotes, "
            "underscores or leading zeros)",
        ),
        ("partitions: 3", "partitions: 3.0", "`3.0` is found where a whole number is wanted"),
        ("partitions: 3", "partitions: true", "`true` is found where a whole number is wanted"),
        ("owner: shop", "owner: 1234", '`1234` is found where text is wanted (write it in quotes: "1234")'),
        ("owner: shop", "owner: true", '`true` is found where text is wanted (write it in quotes: "true")'),
        ("owner: shop", "owner:", "nothing is found where text is wanted"),
        ("owner: shop", 'owner: ""', "it is empty"),
        ("key: id", "key: []", "it is empty"),
        ("key: id", "key: {id: 1}", "a mapping is found where a list (`[a, b]`) is wanted"),
        (
            "topic: {name: orders, partitions: 3}",
            "topic: orders",
            "`orders` is found where a mapping (`key: value`) is wanted",
        ),
        ("pipeline: orders", "pipeline: Orders", "`Orders` does not match"),
    ],
)
def test_slips_of_yaml_get_clear_words(
    project: Project, write: Write, good: str, old: str, new: str, words: str
) -> None:
    assert any(words in fault for fault in faults(project, write(changed(good, old, new))))


def test_a_slip_inside_a_plug_ins_own_section_says_what_was_meant(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, 'delimiter: ";"', "columns: {id: {trm: true}}")))
    assert fault.startswith("4: reading `format.columns.id`: there is no key `trm` (did you mean `trim`?)")


def test_a_boolean_written_as_a_word_says_how_to_write_it(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, 'delimiter: ";"', "header: no")))
    assert fault == "4: reading `format.header`: `no` is found where `true` or `false` is wanted (write `false`)"


def test_on_and_off_are_words_of_a_pipeline(project: Project, write: Write, good: str) -> None:
    found = load_file(
        write(good.replace("partitions: 3", "manage: off") + "quality: {steward: {on: never}}\n"), project
    )
    assert (found.topic.manage, found.quality.steward.on) == ("off", "never")


def test_a_key_that_belongs_elsewhere_is_told_where(project: Project, write: Write, good: str) -> None:
    assert faults(project, write(good + "lanes: 3\n")) == [
        "12: reading the file: there is no key `lanes` (did you mean `publish.lanes`?)"
    ]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("transform: {sql: SELECT 1}", "transform"),
        ("publish: {throttle: 50MB/s}", "throttle"),
        ("schedule: {on: [s3_events]}", "on"),
        ("schedule: {assets: [orders]}", "assets"),
        ("settle: {type: tag, key: a}", "tag"),
    ],
)
def test_what_a_later_release_brings_is_said_to_be_so(
    project: Project, write: Write, good: str, line: str, key: str
) -> None:
    [fault] = faults(project, write(good + line + "\n"))
    assert fault.startswith(f"12: reading `{line.split(':', maxsplit=1)[0]}")
    assert f"`{key}` is not built yet (" in fault


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (
            "schema:\n  columns:\n    id: int64\n    amount: decimal(10,2)\n    day: date\n",
            "schema: {file: orders.avsc}\n",
            "file",
        ),
        ("record: {", "record: {value: {type: avro, subject: orders-value, registry: registry}, ", "avro"),
        ("type: local", "type: local, ready_when: {manifest: manifest.json}", "manifest"),
        ("type: local", 'type: local, ready_when: {expect: {files: 3, deadline: "05:00"}}', "deadline"),
    ],
)
def test_later_settings_inside_a_section_are_one_fault_only(
    project: Project, write: Write, good: str, old: str, new: str, key: str
) -> None:
    [fault] = faults(project, write(changed(good, old, new)))
    assert f"`{key}` is not built yet (" in fault


def test_a_template_with_an_unknown_name_is_a_fault(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, "{{ ds }}", "{{ dss }}")))
    assert fault.startswith("3: ")
    assert "did you mean `ds`?" in fault


def test_an_unknown_suite_is_a_fault(project: Project, write: Write, good: str) -> None:
    (project.expectations / "orders.json").write_text("{}")
    [fault] = faults(project, write(good + "quality: {suite: ordrs}\n"))
    assert fault == "12: reading `quality.suite`: there is no include/expectations/ordrs.json (did you mean `orders`?)"


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "a/b"])
def test_a_suite_is_named_not_pathed(project: Project, write: Write, good: str, name: str) -> None:
    [fault] = faults(project, write(good + f"quality: {{suite: {name}}}\n"))
    assert fault.startswith("12: reading `quality.suite`")


def test_an_unknown_compression_is_a_fault(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, "type: local", "type: local, compression: gzp")))
    assert fault == "3: reading `source.compression`: there is no `gzp` (did you mean `gzip`?)"


def test_a_timestamp_must_be_a_time(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, "timestamp: day", "timestamp: id")))
    assert fault == "10: reading `record.timestamp`: column `id` is `int64`, a date or timestamp is wanted"


def test_more_replicas_than_there_are_can_never_confirm(project: Project, write: Write, good: str) -> None:
    [fault] = faults(project, write(changed(good, "partitions: 3", "config: {min.insync.replicas: 2}")))
    assert "2 replicas must confirm, the topic has 1" in fault


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("schedule: {cron: '0 2 * *'}", "`0 2 * *` is not a cron expression of five fields"),
        ("schedule: {timezone: Nowhere/Town}", "`Nowhere/Town` is not a time zone"),
        (
            "schedule: {timezone: America/New_Yrok}",
            "`America/New_Yrok` is not a time zone (did you mean `America/New_York`?)",
        ),
        ("schedule: {timezone: America}", "`America` is not a time zone"),
        ("schedule: {timezone: ../zone}", "`../zone` is not a time zone"),
        ("schedule: {start: 2013-02-30}", "`2013-02-30` is not a day"),
        ("quality: {block_when: {quarantined_over: 150%}}", "`1.5` is not a share like `1%`"),
        ("quality: {steward: {timeout: soon}}", "`soon` is not a quantity like `60s`"),
        ("publish: {chunk: {bytes: 1MBs}}", "`1MBs` is not a quantity like `128MiB`"),
    ],
)
def test_values_that_cannot_be_are_named(project: Project, write: Write, good: str, line: str, words: str) -> None:
    [fault] = faults(project, write(good + line + "\n"))
    assert fault.startswith("12: ")
    assert words in fault


def test_no_schedule_can_be_said(project: Project, write: Write, good: str) -> None:
    assert load_file(write(good + "schedule: none\n"), project).schedule is None


DESIGN = """\
pipeline: flights
owner: network-ops
schedule: {cron: "0 2 * * *", timezone: America/New_York}
source:
  type: s3
  connection: landing
  path: flights/{{ ds }}/*.csv.gz
  ready_when: {marker: _SUCCESS, quiet_for: 60s, manifest: manifest.json, expect: {files: 3, deadline: "05:00"}}
  changed_content: publish_as_correction
format: {type: csv, delimiter: ",", encoding: utf-8, null_values: ["", NA]}
schema: {file: flights.avsc, on_drift: {added: warn, missing: block, retyped: block}}
transform:
  sql: SELECT *, mask_email(contact) AS contact FROM rows
quality:
  suite: flights
  quarantine: critical
  block_when: {quarantined_over: 1%, any_table_rule: critical}
  steward: {on: block, timeout: 4h, default: reject}
record:
  key: [carrier, flight]
  value: {type: avro, subject: flights-value, registry: registry}
  headers: standard
  timestamp: sched_dep
  partitioner: {type: murmur2}
topic: {name: flights, partitions: 12, replication: 3, config: {min.insync.replicas: 2}, manage: check}
publish: {connection: kafka, lanes: 4, chunk: {rows: 500000, bytes: 128MiB}, throttle: 50MB/s}
settle: {type: archive, path: "done/{{ ds }}/"}
"""
"""Every key that the design has, those of later releases among them."""


def test_of_the_whole_design_only_what_is_not_built_yet_is_refused(project: Project, write: Write) -> None:
    (project.expectations / "flights.json").write_text("{}")
    found = faults(project, write(DESIGN))
    assert [fault for fault in found if "is not built yet" not in fault] == []
    keys = [fault.split("`")[1] for fault in found]
    assert keys == [
        "source.ready_when.manifest",
        "source.ready_when.expect.deadline",
        "schema.file",
        "transform",
        "record.value.type",
        "publish.throttle",
    ]


@pytest.mark.parametrize("place", ["path", "marker"])
@pytest.mark.parametrize(
    ("schedule", "known"),
    [
        ("", False),
        ("schedule: {}\n", False),
        ('schedule: {cron: "0 2 * * *"}\n', False),
        ('schedule: {cron: "0 * * * *"}\n', True),
    ],
)
def test_an_hour_in_a_path_needs_runs_of_an_hour(
    project: Project, write: Write, good: str, place: str, schedule: str, known: bool
) -> None:
    source = next(line for line in good.splitlines() if line.startswith("source:"))
    new = {"path": 'path: "drops/{{ hour }}/x.csv"', "marker": 'path: drops/x.csv, ready_when: {marker: "{{ hour }}"}'}[
        place
    ]
    path = write(changed(good, source, f"source: {{type: local, {new}}}") + schedule)
    if known:
        assert load_file(path, project).source
    else:
        assert [
            "no run is of a single hour" in fault and "write `*` for the hour" in fault
            for fault in faults(project, path)
        ] == [True]


@pytest.mark.parametrize("written", ["null", "~", '"null"', "", "quarantine", "string"])
def test_yamls_own_null_is_the_word_where_null_is_a_word(
    project: Project, write: Write, good: str, written: str
) -> None:
    """The reference shows it without quotes."""
    record = next(line for line in good.splitlines() if line.startswith("record:"))
    path = write(changed(good, record, f"record: {{key: id, value: {{type: json, nan: {written}}}}}"))
    plugin = registry.find("serializers", "json")
    config = plugin.Config(**load_file(path, project).record.value.options)
    assert config.nan == {"~": "null", "": "null", '"null"': "null"}.get(written, written)


def test_every_word_of_the_reference_can_be_written_as_it_stands_there(project: Project, write: Write) -> None:
    """YAML takes some words for something else (`null`, `off`, `on`); each word of a setting means itself without
    quotes."""
    words = set(re.findall(r'"(?:enum|const)": (?:\[(.*?)\]|"(.*?)")', json.dumps(schema.json_schema())))
    found = {word for listed, single in words for word in (json.loads(f"[{listed}]") if listed else [single])}
    assert {"off", "never", "null", "none", "check"} <= found
    document = yaml_lines.read(
        write("".join(f"w{n}: {word}\n" for n, word in enumerate(sorted(map(str, found - {None})))))
    )
    assert [
        document.data[f"w{n}"] for n, word in enumerate(sorted(map(str, found - {None}))) if word != "null"
    ] == sorted(map(str, found - {None, "null"}))
