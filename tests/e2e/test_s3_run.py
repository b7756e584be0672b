"""The whole way from a real S3 API to a real broker, by `forebay run`: archive, re-delivery, correction, and secrets
that stay secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.faulty_s3 import FaultyS3, serve
from tests.support.kafka import Cluster, read_all
from tests.support.project import Answer, OrdersProject, orders
from tests.support.s3 import S3Service

pytestmark = [pytest.mark.kafka, pytest.mark.s3]
DAY = "2026-01-05"
SOURCE = """\
  type: s3
  connection: landing
  path: {bucket}/in/{{{{ ds }}}}/*.csv
"""


class Landing:
    """An orders project whose files lie in a bucket of its own."""

    def __init__(self, shop: OrdersProject, s3: S3Service, bucket: str) -> None:
        self.shop, self.s3, self.bucket = shop, s3, bucket
        path = shop.root / "include/pipelines/orders.yaml"
        text = path.read_text("utf-8")
        local = "  type: local\n  path: drops/{{ ds }}/*.csv\n"
        assert local in text
        text = text.replace(local, SOURCE.format(bucket=bucket))
        path.write_text(text + f"settle: {{type: archive, path: '{bucket}/done/{{{{ ds }}}}/'}}\n", "utf-8")
        self.said = ""

    def put(self, name: str, body: str, day: str = DAY) -> str:
        self.s3.client.put_object(Bucket=self.bucket, Key=f"in/{day}/{name}", Body=body.encode())
        return f"s3://{self.bucket}/in/{day}/{quote(name, safe='+')}"

    def objects(self) -> list[str]:
        return sorted(item["Key"] for item in self.s3.client.list_objects_v2(Bucket=self.bucket).get("Contents", ()))

    def call(self, *words: str, connection: dict[str, str] | None = None) -> Answer:
        settings = connection if connection is not None else self.s3.arguments
        answer = self.shop.forebay(*words, "--json", FOREBAY_CONN_LANDING=json.dumps(settings))
        self.said += answer.out + answer.err
        return answer

    def run(self, **more: Any) -> Answer:
        return self.call("run", self.shop.name, "--date", DAY, **more)


@pytest.fixture
def landing(tmp_path: Path, kafka: Cluster, s3: S3Service, topic_name: str) -> Landing:
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    return Landing(shop, s3, s3.bucket())


def ids(landing: Landing, kafka: Cluster) -> list[int]:
    return sorted(json.loads(m.value())["id"] for m in read_all(kafka.config, landing.shop.name))


def files(answer: Answer) -> dict[str, dict[str, Any]]:
    assert answer.code == 0, answer.err
    return {file["uri"]: file for file in answer.json["files"]}


def test_objects_are_published_archived_recognised_and_corrected(landing: Landing, kafka: Cluster) -> None:
    a, b = landing.put("a.csv", orders(1, 100)), landing.put("b å+%20.csv", orders(101, 150) + "x,c,1.00,2026-01-05\n")
    first = files(landing.run())
    assert {uri: (f["fate"], f["published"], f["quarantined"]) for uri, f in first.items()} == {
        a: ("new", 100, 0),
        b: ("new", 50, 1),
    }
    assert ids(landing, kafka) == list(range(1, 151))
    assert landing.objects() == [f"done/{DAY}/a.csv", f"done/{DAY}/b å+%20.csv"]

    assert landing.run().json["files"] == [], "an archived file is gone from its source: nothing to do, exit 0"

    copy = landing.put("renamed.csv", orders(1, 100))
    [duplicate] = files(landing.run()).values()
    assert (duplicate["uri"], duplicate["fate"], duplicate["published"]) == (copy, "duplicate", 0)
    assert "a.csv" in duplicate["reason"]

    corrected = landing.put("a.csv", orders(201, 210))
    correction = files(landing.run())[corrected]
    assert (correction["fate"], correction["published"]) == ("changed content", 10)
    assert ids(landing, kafka) == [*range(1, 151), *range(201, 211)]
    [entry] = [
        e
        for e in landing.call("ledger", "show", landing.shop.name).json["files"]
        if e["fingerprint"] == correction["fingerprint"]
    ]
    assert entry["completion"]["supersedes"] == first[a]["fingerprint"]
    assert {f"done/{DAY}/a.csv"} < set(landing.objects()), "the archive keeps both contents"
    assert len([key for key in landing.objects() if key.startswith(f"done/{DAY}/a")]) == 2


def secrets_within(place: Path, secret: str) -> list[str]:
    """Files below `place` that hold the secret."""
    return [str(path) for path in place.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_secrets_appear_nowhere(landing: Landing, kafka: Cluster, s3: S3Service) -> None:
    """Not in words and logs, work folders, index, lineage, pages, nor in values, keys and headers of any topic."""
    landing.put("a.csv", orders(1, 20) + "x,c,1.00,2026-01-05\n")
    files(landing.run())
    for words in (("files", landing.shop.name), ("runs",), ("check",), ("ledger", "show", landing.shop.name)):
        landing.call(*words)
    home = landing.shop.root / ".forebay"
    assert len(list(home.rglob("*"))) > 5
    assert list(home.rglob("*.sqlite")) and any("lineage" in str(path) for path in home.rglob("*"))
    topics = [landing.shop.name, f"forebay.{landing.shop.name}.ledger", f"forebay.{landing.shop.name}.quarantine"]
    records = [record for topic in topics for record in read_all(kafka.config, topic)]
    seen = b"\n".join(repr((r.key(), r.value(), r.headers())).encode() for r in records)
    assert len(records) > 21 and b"done" in landing.said.encode()
    for secret in (s3.secret, s3.key):
        assert secret not in landing.said
        assert secrets_within(landing.shop.root, secret) == []
        assert secret.encode() not in seen
    canary = landing.shop.root / "canary"
    canary.write_text(s3.secret)
    assert secrets_within(landing.shop.root, s3.secret) == [str(canary)], "the search finds what is there"


@pytest.mark.parametrize(
    ("change", "code", "kind", "words"),
    [
        ({"aws_secret_access_key": "canary-77aa"}, 1, "NotAuthorizedError", "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "canary-77aa"}, 1, "NotAuthorizedError", "InvalidAccessKeyId"),
        ({"endpoint_url": "http://127.0.0.1:1"}, 4, "SourceUnavailableError", "trying again may help"),
        ({"endpoint": "x"}, 2, "ConfigError", "did you mean `endpoint_url`"),
    ],
)
def test_a_wrong_connection_is_said_and_loses_nothing(
    landing: Landing, kafka: Cluster, change: dict[str, str], code: int, kind: str, words: str
) -> None:
    landing.put("a.csv", orders(1, 10))
    answer = landing.run(connection={**landing.s3.arguments, **change})
    assert answer.code == code, answer.err
    assert answer.json["error"]["type"] == kind and words in answer.json["error"]["message"]
    assert "canary-77aa" not in landing.said and landing.s3.secret not in landing.said
    assert landing.objects() == [f"in/{DAY}/a.csv"]
    assert files(landing.run()) and ids(landing, kafka) == list(range(1, 11))


def test_a_bucket_that_is_not_there_is_a_fault_of_the_pipeline(landing: Landing) -> None:
    path = landing.shop.root / "include/pipelines/orders.yaml"
    path.write_text(
        path.read_text("utf-8").replace(f"path: {landing.bucket}/in", "path: no-such-bucket-77aa/in"), "utf-8"
    )
    answer = landing.run()
    assert answer.code == 2
    assert (
        "NoSuchBucket" in answer.json["error"]["message"]
        and "create it, or correct the path" in answer.json["error"]["message"]
    )


@pytest.mark.parametrize("last", [25, 30], ids=["read by inspect", "read by discover, as another file has its size"])
def test_a_file_that_cannot_be_read_just_now_holds_up_nobody(landing: Landing, kafka: Cluster, last: int) -> None:
    """One object that its store does not give out: the others of the window are published, and exit 4 says that trying
    again may help."""
    rows = {"a": (1, 12), "b": (13, 22), "c": (23, last + 2)}
    bodies = {f"in/{DAY}/{name}.csv": orders(*some).encode() for name, some in rows.items()}
    path = landing.shop.root / "include/pipelines/orders.yaml"
    text = path.read_text("utf-8").replace(f"path: {landing.bucket}/", "attempts: 1\n  path: bucket/")
    path.write_text(text[: text.index("settle:")], "utf-8")
    with serve(FaultyS3(bodies.pop(f"in/{DAY}/b.csv"), f"in/{DAY}/b.csv", others=bodies)) as store:
        store.down = {store.key}
        connection = {**landing.s3.arguments, "endpoint_url": store.endpoint}
        answer = landing.run(connection=connection)
        assert (answer.code, answer.json.get("status")) == (4, "failed"), answer.out + answer.err
        assert {Path(f["uri"]).name: f["published"] for f in answer.json["files"]} == {
            "a.csv": 12,
            "b.csv": 0,
            "c.csv": last - 20,
        }
        [reason] = [f["reason"] for f in answer.json["files"] if not f["published"]]
        assert "b.csv" in reason and "trying again may help" in reason
        store.down = set()
        healed = landing.run(connection=connection)
        assert (healed.code, ids(landing, kafka)) == (0, list(range(1, last + 3))), healed.err
