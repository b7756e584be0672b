"""Keys of the pipeline file itself: some values of each, and what is seen under each."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

from tests.keys import looks
from tests.keys.kinds import Elsewhere, Shown
from tests.keys.looks import Look, dag, expected, fates, historical, rows, says, status, store
from tests.keys.trial import GONE, ROWS, SUITE

PACKED = gzip.compress(ROWS)
S3: dict[str, Any] = {
    "more": {"source": {"type": "s3", "connection": "store", "path": "bucket/x"}},
    "environment": {
        "FOREBAY_CONN_STORE": json.dumps(
            {"endpoint_url": "http://127.0.0.1:9", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
        )
    },
}
ISOLATION = "tests/e2e/test_isolation.py::test_a_file_that_kills_starves_or_holds_up_its_reader_fails_alone"
SUITED: dict[str, Any] = {
    "more": {"quality.suite": "s", "quality.block_when.any_table_rule": "critical"},
    "suite": SUITE,
}
BOTH = {
    "name": "s",
    "expectations": [
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 9}, "severity": "warning"},
        {"type": "expect_table_column_count_to_equal", "kwargs": {"value": 9}, "severity": "info"},
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "name", "value_set": ["ann"]},
            "severity": "info",
        },
    ],
}
BAD = b"id,name,amount,day\n1,ann,1.50,2026-01-05\n2,bo,much,2026-01-05\n3,cy,3.50,2026-01-05\n"


def rule(**given: Any) -> dict[str, Any]:
    return {"quality.history.rules": [{"metric": "row_count"} | given]}


def steward(fact: str) -> Look:
    return dag(lambda found: getattr(found.task_dict["steward"], fact))


def tell(*on: str, file: str = "told") -> list[dict[str, Any]]:
    return [{"type": "command", "command": ["sh", "-c", f"cat > {file}"], "on": list(on)}]


OVER: dict[str, Any] = {"quality.block_when": {"quarantined_count": 0}}
SLOW = "sleep 1; cat > told"


def held(changes: dict[str, Any]) -> dict[str, Any]:
    return OVER | changes


def as_type(name: str) -> list[dict[str, Any]]:
    others: dict[str, dict[str, Any]] = {
        "webhook": {"url": "http://127.0.0.1:9/"},
        "airflow": {"notifier": "tests.keys.looks.Leave", "arguments": {"to": "told by airflow"}},
    }
    return tell("waiting") if name == "command" else [{"type": name, **others[name]}]


SHOWN: dict[str, Shown | Elsewhere] = {
    "pipeline": Shown(looks.ledger, [("keys", "forebay.keys.ledger"), ("other", "forebay.other.ledger")]),
    "owner": Shown(dag(lambda d: d.task_dict["publish"].owner), [("shop", "shop"), ("ops", "ops")]),
    "description": Shown(
        dag(lambda d: d.description), [("words", "words"), (GONE, "drops/{{ ds }}/*.csv to the topic keys")]
    ),
    "tags": Shown(dag(lambda d: d.tags), [(["a"], {"forebay", "a"}), ([], {"forebay"})]),
    "settle": Shown(looks.settled, [({"type": "keep"}, ["drops/2026-01-05/a.csv"]), ({"type": "delete"}, [])]),
    "settle[archive].path": Shown(
        looks.settled,
        [("done/{{ ds }}/", ["done/2026-01-05/a.csv"]), ("old/", ["old/a.csv"])],
        more={"settle": {"type": "archive", "path": "x/"}},
    ),
    "schedule.cron": Shown(
        looks.nights,
        [
            ("0 2 * * *", ["2029-12-31T02:00", "2030-01-01T02:00", "2030-01-02T02:00"]),
            ("30 4 * * *", ["2029-12-31T04:30", "2030-01-01T04:30", "2030-01-02T04:30"]),
        ],
    ),
    "schedule.timezone": Shown(
        looks.window, [("UTC", "2026-01-05T00:00:00+00:00"), ("Asia/Tokyo", "2026-01-05T00:00:00+09:00")]
    ),
    "schedule.start": Shown(
        lambda trial: looks.nights(trial)[0], [(GONE, "2029-12-31T02:00"), ("2030-02-01", "2030-02-02T02:00")]
    ),
    "schedule.end": Shown(lambda trial: len(looks.nights(trial)), [(GONE, 3), ("2029-12-31", 2)]),
    "source.type": Shown(looks.source, [("local", "Local"), ("s3", "S3")]),
    "source.path": Shown(
        fates,
        [
            ("drops/{{ ds }}/*.csv", ["a.csv new discovered", "b.csv new discovered"]),
            ("drops/{{ ds }}/b*", ["b.csv new discovered"]),
        ],
        data={"a.csv": b"1", "b.csv": b"22"},
    ),
    "source.connection": Shown(
        store(lambda client: client.meta.endpoint_url),
        [("store", "http://127.0.0.1:9"), ("other", "http://127.0.0.1:8")],
        more=S3["more"],
        environment=S3["environment"] | {"FOREBAY_CONN_OTHER": '{"endpoint_url": "http://127.0.0.1:8"}'},
    ),
    "source.changed_content": Shown(
        fates,
        [
            ("publish_as_correction", ["a.csv changed discovered"]),
            ("reject", ["a.csv changed rejected"]),
            ("ignore", ["a.csv changed skipped"]),
        ],
        kept={"a.csv": b"other bytes"},
    ),
    "source.compression": Shown(
        looks.each_status,
        [("auto", ["failed", "inspected"]), ("none", ["failed", "failed"]), ("gzip", ["inspected", "inspected"])],
        {"a.csv": PACKED, "b.csv.gz": gzip.compress(ROWS + ROWS[-19:])},
        {"source.path": "drops/{{ ds }}/*"},
    ),
    "source.ready_when.marker": Shown(fates, [("_OK", ["a.csv incomplete skipped"]), (GONE, ["a.csv new discovered"])]),
    "source.ready_when.quiet_for": Shown(
        fates, [("5m", ["a.csv incomplete skipped"]), ("1m", ["a.csv new discovered"])]
    ),
    "source.ready_when.expect.files": Shown(fates, [(2, ["a.csv incomplete skipped"]), (1, ["a.csv new discovered"])]),
    "source[s3].region": Shown(
        store(lambda c: c.meta.region_name), [("eu-west-1", "eu-west-1"), ("us-east-2", "us-east-2")], **S3
    ),
    "source[s3].addressing": Shown(
        store(lambda c: c.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "x"}).split("?")[0]),
        [
            ("path", "https://s3.eu-west-1.amazonaws.com/bucket/x"),
            ("virtual", "https://bucket.s3.eu-west-1.amazonaws.com/x"),
            ("auto", "https://bucket.s3.amazonaws.com/x"),
        ],
        more=S3["more"],
        environment={
            "FOREBAY_CONN_STORE": '{"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "eu-west-1"}'
        },
    ),
    "source[s3].attempts": Elsewhere(
        "tests/sources/test_s3_faults.py::test_a_lasting_fault_ends_after_the_last_attempt", "attempts"
    ),
    "source[s3].timeout": Shown(store(lambda c: c.meta.config.read_timeout), [("5s", 5.0), ("1m", 60.0)], **S3),
    "source[s3].connect_timeout": Shown(
        store(lambda c: c.meta.config.connect_timeout), [("5s", 5.0), ("500ms", 0.5)], **S3
    ),
    "source[s3].etag_is_md5": Elsewhere(
        "tests/sources/test_s3_faults.py::test_a_store_whose_etags_mean_something_else_can_be_said_so", "etag_is_md5"
    ),
    "limits.memory": Elsewhere(ISOLATION, "memory: 400MiB"),
    "limits.time": Elsewhere(ISOLATION, "limits: {time: 3s"),
    "limits.disk": Elsewhere(ISOLATION, "disk: 100MiB"),
    "limits.unpacked": Shown(
        status, [("50B", "failed"), ("1kB", "inspected publish")], data=PACKED, more={"source.compression": "gzip"}
    ),
    "limits.ratio": Elsewhere(
        "tests/compressions/test_unpack.py::test_what_a_bomb_unpacks_to_is_bounded_by_default", "ratio"
    ),
    "schema.columns": Shown(rows("id"), [({"id": "int64"}, [1, 2, 3]), ({"id": "string"}, ["1", "2", "3"])]),
    "schema.misfits": Shown(
        looks.types,
        [("0%", {"id": "int64", "x": "string"}), ("20%", {"id": "int64", "x": "int64"})],
        b"id,x\n" + b"1,5\n" * 9 + b"2,a\n",
        {"schema": {}},
    ),
    "schema.on_drift.added": Shown(
        status,
        [("warn", "inspected publish"), ("block", "waiting ask")],
        ROWS.replace(b"day\n", b"day,new\n").replace(b"05\n", b"05,x\n"),
    ),
    "schema.on_drift.missing": Shown(
        status, [("warn", "inspected publish"), ("block", "failed")], b"id,name,amount\n1,a,1.50\n"
    ),
    "schema.on_drift.retyped": Shown(
        status,
        [("warn", "inspected publish"), ("block", "waiting ask")],
        ROWS.replace(b".50", b"x"),
        {"quality.block_when.quarantined_over": "100%"},
    ),
    "quality.suite": Shown(
        says("no suite is set", "rules of suite `s`"), [("s", [False, True]), (GONE, [True, False])], **SUITED
    ),
    "quality.quarantine": Shown(
        looks.aside,
        [("critical", [1]), ("warning", [1, 3]), ("info", [1, 2, 3]), ("never", [])],
        more={"quality.suite": "s", "quality.block_when": {"any_table_rule": "critical", "quarantined_over": "100%"}},
        suite=SUITE
        | {
            "expectations": [
                *SUITE["expectations"],
                {
                    "type": "expect_column_values_to_not_be_in_set",
                    "kwargs": {"column": "name", "value_set": ["bo"]},
                    "severity": "info",
                },
            ]
        },
    ),
    "quality.redact": Shown(looks.reasons("much"), [(["amount"], [False]), ([], [True])], BAD),
    "quality.block_when.quarantined_over": Shown(status, [("20%", "waiting ask"), ("50%", "inspected publish")], BAD),
    "quality.block_when.quarantined_count": Shown(status, [(0, "waiting ask"), (1, "inspected publish")], BAD),
    "quality.block_when.rules": Shown(
        status, [({"name": "10%"}, "waiting ask"), ({"name": 1}, "inspected publish")], **SUITED
    ),
    "quality.block_when.any_table_rule": Shown(
        says("row_count_to_equal(table) failed: obs", "column_count_to_equal(table) failed: obs"),
        [("critical", [False, False]), ("warning", [True, False]), ("info", [True, True])],
        more={"quality.suite": "s"},
        suite=BOTH,
    ),
    "quality.warn_when.quarantined_over": Shown(says("WARNING"), [("20%", [True]), ("50%", [False])], BAD),
    "quality.warn_when.quarantined_count": Shown(says("WARNING"), [(0, [True]), (1, [False])], BAD),
    "quality.warn_when.rules": Shown(says("WARNING"), [({"name": "10%"}, [True]), ({"name": 1}, [False])], **SUITED),
    "quality.history.nights": Shown(historical(lambda r: expected(r)["nights"]), [(5, 5), (6, 6)], more=rule()),
    "quality.history.min_nights": Shown(
        historical(lambda r: "verdict" in expected(r)), [(6, False), (7, True)], more=rule()
    ),
    "quality.history.rules[].metric": Shown(
        historical(lambda r: (r.rule, r.observed)),
        [
            ("row_count", ("history_row_count", "3")),
            ("null_share", ("history_null_share", "0")),
            ("distinct_count", ("history_distinct_count", "3")),
            ("mean", ("history_mean", "2")),
            ("drift", ("history_drift", "1.0000")),
        ],
        put=lambda value: (
            rule(metric=value)
            if value == "row_count"
            else rule(metric=value, column="name" if value == "drift" else "id")
        ),
    ),
    "quality.history.rules[].column": Shown(
        historical(lambda r: r.observed),
        [("id", "2"), ("amount", "2.5")],
        put=lambda value: rule(metric="mean", column=value),
    ),
    "quality.history.rules[].tolerance": Shown(
        historical(lambda r: (round(expected(r)["min_value"], 9), r.success)),
        [("50%", (17.5, False)), ("99%", (0.35, True))],
        put=lambda value: rule(tolerance=value),
    ),
    "quality.history.rules[].severity": Shown(
        historical(lambda r: r.severity.value),
        [(word, word) for word in ("critical", "warning", "info")],
        put=lambda value: rule(severity=value),
    ),
    "quality.notify[].type": Shown(
        looks.noticed,
        [("command", ["told"]), ("webhook", []), ("airflow", ["told by airflow"])],
        BAD,
        put=lambda v: held({"quality.notify": as_type(v)}),
    ),
    "quality.notify[].on": Shown(
        looks.noticed,
        [(["waiting"], ["told"]), (["rejected", "over_budget", "failed"], [])],
        BAD,
        put=lambda value: held({"quality.notify": tell(*value)}),
    ),
    "quality.notify[command].command": Shown(
        looks.noticed,
        [("told1", ["told1"]), ("told2", ["told2"])],
        BAD,
        put=lambda value: held({"quality.notify": tell("waiting", file=value)}),
    ),
    "quality.notify[command].timeout": Shown(
        looks.noticed,
        [(10, ["told"]), (0.01, [])],
        BAD,
        put=lambda value: held(
            {"quality.notify": [{"type": "command", "command": ["sh", "-c", SLOW], "timeout": value}]}
        ),
    ),
    "quality.notify[airflow].notifier": Elsewhere(
        "tests/notifiers/test_airflow.py::test_it_is_called_with_the_notice_in_its_context", "notifier="
    ),
    "quality.notify[airflow].arguments": Elsewhere(
        "tests/notifiers/test_airflow.py::test_it_is_called_with_the_notice_in_its_context", "arguments="
    ),
    "quality.notify[airflow].timeout": Elsewhere("tests/notifiers/test_airflow.py::TestAirflow", "timeout="),
    "quality.notify[webhook].url": Elsewhere("tests/notifiers/test_webhook.py::TestWebhook", "url="),
    "quality.notify[webhook].url_from": Elsewhere("tests/notifiers/test_webhook.py::TestWebhook", "url_from="),
    "quality.notify[webhook].timeout": Elsewhere("tests/notifiers/test_webhook.py::TestWebhook", "timeout="),
    "quality.steward.on": Shown(status, [("block", "waiting ask"), ("never", "rejected reject")], BAD, OVER),
    "quality.steward.timeout": Shown(
        steward("response_timeout"), [("4h", timedelta(hours=4)), ("30m", timedelta(minutes=30))]
    ),
    "quality.steward.default": Shown(
        steward("defaults"), [("reject", ["Reject"]), ("publish", ["Publish passing rows"])]
    ),
    "quality.steward.users": Shown(steward("assigned_users"), [(["ann"], [{"id": "ann", "name": "ann"}]), ([], None)]),
    "record.key": Shown(
        looks.keys,
        [
            ("id", ["1", "2", "3"]),
            (["name", "id"], ['{"name":"ann","id":1}', '{"name":"bo","id":2}', '{"name":"cy","id":3}']),
        ],
    ),
    "record.value": Shown(
        looks.faults,
        [({"type": "json"}, ""), ({"type": "xml"}, "reading `record.value.type`: there is no `xml` (known: json)")],
    ),
    "record.partitioner": Shown(
        looks.faults,
        [
            ({"type": "murmur2"}, ""),
            ({"type": "crc"}, "reading `record.partitioner.type`: there is no `crc` (known: murmur2)"),
        ],
    ),
    "record.headers": Shown(
        looks.headers,
        [
            ("standard", ["ce_specversion", "ce_source", "ce_type", "content-type", "ce_runid"]),
            ("minimal", ["ce_source"]),
            ("none", []),
        ],
    ),
    "record.timestamp": Shown(looks.times, [("day", [1767571200000] * 3), (GONE, None)]),
    "topic.name": Shown(looks.topic("data", "name"), [("a", "a"), ("b", "b")]),
    "topic.partitions": Shown(looks.partitions, [(1, [0, 0, 0]), (9, [0, 2, 2])]),
    "topic.replication": Shown(looks.topic("data", "replication"), [(1, 1), (3, 3)]),
    "topic.config": Shown(looks.topic("data", "config"), [({"retention.ms": -1}, {"retention.ms": "-1"}), ({}, {})]),
    "topic.manage": Elsewhere("tests/kafka/test_topics.py::test_check_creates_nothing_and_says_the_way_out", "manage"),
    "topic.quarantine_retention": Shown(
        looks.topic("quarantine", "config", "retention.ms"),
        [("90d", "7776000000"), ("2h", "7200000"), ("forever", "-1")],
    ),
    "publish.connection": Shown(
        looks.broker,
        [("a", "a.invalid:1"), ("b", "b.invalid:1")],
        environment={f"FOREBAY_CONN_{name.upper()}": f'{{"bootstrap.servers": "{name}.invalid:1"}}' for name in "ab"},
    ),
    "publish.lanes": Shown(dag(lambda d: d.task_dict["publish"].max_active_tis_per_dag), [(2, 2), (64, 64)]),
    "publish.transaction_timeout": Elsewhere(
        "tests/verbs/test_doctor.py::test_a_timeout_that_the_brokers_do_not_allow", "transaction_timeout"
    ),
    "publish.ledger_partitions": Shown(looks.topic("ledger", "partitions"), [(1, 1), (5, 5)]),
    "publish.chunk.rows": Shown(looks.chunk_rows, [(2, [2, 1]), (3, [3])]),
    "publish.chunk.bytes": Shown(looks.chunk_rows, [("40B", [1, 1, 1]), ("1MiB", [3])]),
}
