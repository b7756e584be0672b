"""Bad input through the real command: clear words with the way out, the exit code that is promised, and nothing
lost."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kafka import Cluster, create_topic, produce, read_all
from tests.support.project import Answer, OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
Run = Callable[..., Answer]


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    """An orders project that takes packed files too, and archives what it published."""
    made = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    edit(made, "*.csv", "*.csv*")
    return made


def edit(shop: OrdersProject, old: str, new: str) -> None:
    path = shop.root / "include/pipelines/orders.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def forebay(shop: OrdersProject) -> Run:
    """The command, always with `--json`."""
    return lambda *words, **environment: shop.forebay(*words, "--json", **environment)


def message(answer: Answer) -> str:
    """The one error of a command that failed as a whole; people and programs are told the same."""
    words = str(answer.json["error"]["message"])
    assert words.splitlines()[0] in answer.err
    return words


def published(shop: OrdersProject, kafka: Cluster) -> list[int]:
    return sorted(json.loads(m.value())["id"] for m in read_all(kafka.config, shop.name))


def heal(shop: OrdersProject, forebay: Run, kafka: Cluster, rows: int = 10) -> None:
    """What was wrong is put right: the same command, and all rows are there, once."""
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 0, answer.err
    assert published(shop, kafka) == list(range(1, rows + 1))


def test_a_broker_out_of_reach_exits_with_4_and_loses_nothing(
    shop: OrdersProject, forebay: Run, kafka: Cluster
) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    answer = forebay("run", shop.name, "--date", DAY, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert answer.code == 4
    assert "no broker answered" in message(answer) and "127.0.0.1:1" in message(answer)
    assert path.exists()
    heal(shop, forebay, kafka)


def test_a_missing_topic_is_named_and_never_made_unasked(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    edit(shop, "manage: create", "manage: check")
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 1
    assert (
        f"data topic `{shop.name}` does not exist (create it with 3 partitions, or set `topic.manage: create`)"
        in message(answer)
    )
    assert shop.name not in kafka.admin().list_topics(timeout=10).topics
    assert path.exists()
    edit(shop, "manage: check", "manage: create")
    heal(shop, forebay, kafka)


def test_another_partition_count_is_a_fault_of_the_pipeline(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    create_topic(kafka.config, shop.name, partitions=2)
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 2
    assert f"`{shop.name}` has 2 partitions, the pipeline says 3 (set `topic.partitions`" in message(answer)
    assert path.exists() and published(shop, kafka) == []
    edit(shop, "partitions: 3", "partitions: 2")
    heal(shop, forebay, kafka)


def sasl(kafka: Cluster, **login: str) -> dict[str, str]:
    settings = kafka.sasl(**login)
    return {"KAFKA_BOOTSTRAP_SERVERS": settings.pop("bootstrap.servers"), "KAFKA_CONFIG": json.dumps(settings)}


def test_a_wrong_password_is_said_at_once_and_never_shown(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    """librdkafka retries it forever, as if the broker were slow."""
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    began = time.monotonic()
    answer = forebay("run", shop.name, "--date", DAY, **sasl(kafka, user="admin", password="canary-5f1e"))
    assert time.monotonic() - began < 20
    assert answer.code == 1
    assert answer.json["error"]["type"] == "NotAuthorizedError"
    assert "uthentication failed" in message(answer)
    assert "canary-5f1e" not in answer.out + answer.err
    assert path.exists()
    heal(shop, forebay, kafka)


def test_a_principal_without_permission_is_told_which(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 10))
    answer = forebay("run", shop.name, "--date", DAY, **sasl(kafka, user="bob"))
    assert answer.code == 1
    assert answer.json["error"]["type"] == "NotAuthorizedError"
    assert "uthoriz" in message(answer)
    assert shop.name not in kafka.admin().list_topics(timeout=10).topics
    heal(shop, forebay, kafka)


HEADER = "id,customer,amount,day\n"
UNREADABLE = {
    "b-truncated.csv.gz": (gzip.compress(orders(1, 5_000).encode())[:-500], "gzip"),
    "c-garbage.csv.gz": (b"this was never packed", "gzip"),
    "d-trailing.csv.gz": (gzip.compress(orders(1, 5).encode()) + b"trailing garbage", "gzip"),
    "e-empty.csv": (b"", "the file is empty, it has not even a header"),
    "f-utf16.csv": (
        orders(1, 5).encode("utf-16"),
        "it begins with a utf-16 byte order mark (set format.encoding: utf-16)",
    ),
    "g-columns.csv": (b"id,customer,day\n1,c,2026-01-05\n", "column `amount` is missing"),
    "h-renamed.csv": (
        orders(1, 5).replace("amount", "Amount").encode(),
        "column `amount` is missing (did you mean `Amount`?)",
    ),
    "i-twice.csv": (b"id,customer,amount,day,id\n", "column `id` is there twice"),
    "j-dialect.csv": (orders(1, 5).replace(",", ";").encode(), "are missing"),
    "k-latin1.csv": ("id,customer,amount,day,\xe4\n".encode("latin-1"), "reading the header of"),
    "l-quotes.csv": (
        (HEADER + '1,"c,1.00,2026-01-05\n' * 150).encode(),
        "150 quotes are opened and never closed, more than 100",
    ),
}


def test_files_that_cannot_be_read_fail_alone_and_stay(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    """One window holds them all, between two good files and an empty one: exit 1, each named with the way out, the good
    ones published."""
    edit(shop, "topic:", "settle: {type: archive, path: 'done/{{ ds }}/'}\ntopic:")
    edit(shop, "format: {type: csv}", "format: {type: csv, max_unclosed_quotes: 100}")
    good = [
        shop.drop(DAY, "a-good.csv", orders(1, 100)),
        shop.drop(DAY, "z-good.csv.gz", gzip.compress(orders(101, 200).encode())),
    ]
    empty = shop.drop(DAY, "y-header-only.csv", HEADER)
    bad = {shop.drop(DAY, name, body): words for name, (body, words) in UNREADABLE.items()}
    answer = forebay("run", shop.name, "--date", DAY)
    assert (answer.code, answer.json["status"]) == (1, "failed")
    reasons = {Path(file["uri"].removeprefix("file://")): file for file in answer.json["files"]}
    assert set(reasons) == {*good, empty, *bad}
    assert {
        path.name: reasons[path]["reason"] for path, words in bad.items() if words not in reasons[path]["reason"]
    } == {}
    assert {path.name for path in bad if path.name not in reasons[path]["reason"]} == set()
    assert [reasons[path]["published"] for path in (*good, empty, *bad)] == [100, 100, 0] + [0] * len(bad)
    assert published(shop, kafka) == list(range(1, 201))
    assert {path.name for path in bad if not path.exists()} == set(), "a file that failed stays where it is"
    assert [path.exists() for path in (*good, empty)] == [False] * 3
    assert sorted(path.name for path in (shop.root / "done" / DAY).iterdir()) == sorted(
        path.name for path in (*good, empty)
    )
    for path in bad:
        path.unlink()
    shop.drop(DAY, "b-truncated.csv.gz", gzip.compress(orders(201, 210).encode()))
    heal(shop, forebay, kafka, rows=210)


def test_what_is_no_file_is_passed_over_and_hangs_nobody(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    folder = shop.drop(DAY, "a.csv", orders(1, 10)).parent
    (folder / "folder.csv").mkdir()
    (folder / "dangling.csv").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.csv")
    told = (
        "passed over, as only regular files are read: `dangling.csv` is a link, `folder.csv` is a folder, "
        "`pipe.csv` is a pipe"
    )
    assert told in forebay("discover", shop.name, "--date", DAY).json["note"]
    heal(shop, forebay, kafka)


def test_ten_thousand_rows_five_of_them_broken(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    lines = orders(1, 10_000).encode().split(b"\n")
    broken = {
        1_000: (b"1000,short", "parse", "record has 2 columns, the file has 4"),
        2_000: (b"2000,c,1.00,2026-01-05,long", "parse", "record has 5 columns, the file has 4"),
        3_000: (b"3000,\xff\xfe,1.00,2026-01-05", "decode", "bytes are not UTF-8"),
        4_000: (b"4000,c,ten,2026-01-05", "schema", "`ten` is not decimal(10,2)"),
        5_000: (b'5000,"c,1.00,2026-01-05', "parse", "a quote is opened and never closed"),
    }
    for row, (raw, _, _) in broken.items():
        lines[row] = raw  # line 0 is the header
    shop.drop(DAY, "a.csv", b"\n".join(lines))
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 0, answer.err
    [file] = answer.json["files"]
    assert (file["rows_in"], file["published"], file["quarantined"], file["rejected"]) == (10_000, 9_995, 5, 0)
    assert published(shop, kafka) == [i for i in range(1, 10_001) if i not in broken]
    aside = forebay("quarantine", "show", shop.name).json["files"][0]["rows"]
    assert {r["row"]: r["step"] for r in aside} == {row: stage for row, (_, stage, _) in broken.items()}
    assert [r["reason"] for r in aside if broken[r["row"]][2] not in r["reason"]] == []
    records = read_all(kafka.config, f"forebay.{shop.name}.quarantine")
    assert sorted(int(dict(m.headers())["ce_id"].split(b":")[2]) for m in records) == sorted(broken)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("owner: shop", "ownr: shop", "did you mean `owner`"),
        ("manage: create", "manage: creat", "create"),
        ("type: local", "type: lokal", "did you mean `local`"),
        ("id: int64", "id: int46", "did you mean `int64`"),
        ("suite: orders", "suite: order", "orders"),
    ],
)
def test_a_slip_in_the_yaml_is_found_before_anything_is_read(
    shop: OrdersProject, forebay: Run, old: str, new: str, words: str
) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    edit(shop, old, new)
    checked, ran = forebay("check"), forebay("run", shop.name, "--date", DAY)
    assert (checked.code, ran.code) == (2, 2), ran.err
    assert words in ran.err and "orders.yaml" in ran.err
    assert words in checked.out + checked.err
    assert path.exists() and not (shop.root / ".forebay/work").exists()


def test_a_suite_that_names_a_column_that_is_not_there(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    path = shop.root / "include/expectations/orders.json"
    good = path.read_text("utf-8")
    path.write_text(good.replace('"column": "amount"', '"column": "amont"'), "utf-8")
    dropped = shop.drop(DAY, "a.csv", orders(1, 10))
    for command in (("check",), ("run", shop.name, "--date", DAY)):
        answer = forebay(*command)
        assert answer.code == 2, answer.err
        assert "`amont`" in answer.out + answer.err and "`amount`" in answer.out + answer.err
    assert dropped.exists()
    path.write_text(good, "utf-8")
    heal(shop, forebay, kafka)


def test_a_suite_on_columns_that_only_the_file_knows(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    """Without a schema only the file can tell: it fails alone, and nothing of it is published."""
    path = shop.root / "include/expectations/orders.json"
    good = path.read_text("utf-8")
    path.write_text(good.replace('"column": "amount"', '"column": "amont"'), "utf-8")
    edit(shop, 'schema: {columns: {id: int64, customer: string, amount: "decimal(10,2)", day: date}}\n', "")
    dropped = shop.drop(DAY, "a.csv", orders(1, 10))
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 1, answer.err
    assert "`amont`" in answer.err
    assert dropped.exists() and published(shop, kafka) == []
    path.write_text(good, "utf-8")
    heal(shop, forebay, kafka)


def test_a_ledger_that_is_no_ledger_stops_the_run(shop: OrdersProject, forebay: Run, kafka: Cluster) -> None:
    """A topic of that name that expires or holds other people's records: refused, untouched."""
    shop.drop(DAY, "a.csv", orders(1, 10))
    create_topic(kafka.config, f"forebay.{shop.name}.ledger", partitions=1)
    produce(kafka.config, f"forebay.{shop.name}.ledger", [b"hello"])
    answer = forebay("run", shop.name, "--date", DAY)
    assert answer.code == 1
    assert f"forebay.{shop.name}.ledger" in message(answer) and answer.json["error"]["type"] == "LedgerError"
