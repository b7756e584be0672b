"""One file's content never costs another its night: what each file holds, through the real command, judged by a
consumer of its own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import Answer, OrdersProject
from tests.support.s3 import S3Service

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"

PIPELINE = """\
pipeline: {name}
owner: shop
source: {{type: local, path: "drops/{{{{ ds }}}}/*"{source}}}
format: {{type: {format}}}
{more}record: {{key: id{record}}}
topic: {{name: {name}, manage: create, config: {{retention.ms: -1}}}}
"""


class Shop:
    """A project of one pipeline, whose settings each test says."""

    def __init__(self, root: Path, kafka: Cluster, topic: str) -> None:
        self.kafka, self.name = kafka, f"iso-{topic[-8:]}"
        (root / "include/pipelines").mkdir(parents=True)
        (root / "include/expectations").mkdir()
        self.project = OrdersProject(root, self.name, kafka.bootstrap)

    def pipeline(self, format: str = "csv", more: str = "", record: str = "", source: str = "") -> None:
        text = PIPELINE.format(name=self.name, format=format, more=more, record=record, source=source)
        (self.project.root / "include/pipelines/p.yaml").write_text(text)

    def drop(self, name: str, body: str | bytes | pa.Table) -> Path:
        if not isinstance(body, pa.Table):
            return self.project.drop(DAY, name, body)
        path = self.project.drop(DAY, name, b"")
        pq.write_table(body, path)
        return path

    def run(self, *more: str, **environment: str) -> Answer:
        return self.project.run(DAY, *more, **environment)

    def records(self) -> list[Any]:
        return read_all(self.kafka.config, self.name)

    def ids(self) -> list[int]:
        """What a consumer sees, sorted."""
        return sorted(json.loads(record.value())["id"] for record in self.records())

    def runs(self) -> list[dict[str, Any]]:
        return self.project.forebay("runs", "--json").json["runs"]


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> Shop:
    return Shop(tmp_path, kafka, topic_name)


def ends(answer: Answer) -> dict[str, str]:
    """Each file's name, and why it is not simply published."""
    return {
        Path(file["uri"]).name: "" if file["published"] and file["fate"] == "new" else file["reason"]
        for file in answer.json["files"]
    }


FINE = "id,t\n1,x\n2,y\n"


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("id,ID,t\n7,8,z\n", "columns `id` and `ID` differ in case only"),
        ("__index_level_0__,id,t\n0,7,z\n", "column `__index_level_0__` begins with `__`"),
        ("t,n\nz,7\n", "there is no column `id` in the file (columns: `t`, `n`; "),
    ],
)
def test_columns_of_one_file_are_that_files_matter(shop: Shop, odd: str, words: str) -> None:
    shop.pipeline()
    shop.drop("a_odd.csv", odd)
    shop.drop("b_fine.csv", FINE)
    answer = shop.run()
    assert (answer.code, answer.json["status"]) == (1, "failed"), answer.err
    assert words in ends(answer)["a_odd.csv"]
    assert shop.ids() == [1, 2]
    [run] = shop.runs()
    assert run["status"] == "failed"
    shop.drop("a_odd.csv", "id,t\n7,z\n")  # the way out: delivered anew
    assert shop.run().code == 0
    assert shop.ids() == [1, 2, 7]


def test_the_index_column_of_pandas_is_read_or_left_out_and_never_costs_the_other_file(shop: Shop) -> None:
    shop.pipeline("parquet")
    columns = {"id": pa.array([3, 4]), "t": pa.array(["c", "d"])}
    shop.drop("a_filtered.parquet", pa.table(columns | {"__index_level_0__": pa.array([0, 2])}))
    shop.drop("b_plain.parquet", pa.table({"id": pa.array([1, 2]), "t": pa.array(["a", "b"])}))
    answer = shop.run()
    assert answer.code in {0, 1}, answer.err
    assert {1, 2} <= set(shop.ids())
    shop.pipeline("parquet", more="schema: {columns: {id: int64, t: string}}\n")  # the way out that the error names
    assert shop.run().code == 0
    assert shop.ids() == [1, 2, 3, 4]


TIMES = """\
id,at
1,2026-01-05T10:00:00.123Z
2,1970-01-01T00:00:00Z
3,1969-07-20T20:17:00Z
4,9999-12-31T23:59:59Z
5,
"""


@pytest.mark.parametrize("headers", ["standard", "minimal", "none"])
def test_a_time_that_no_record_can_have_sets_its_row_aside_and_a_null_is_the_time_of_publishing(
    shop: Shop, kafka: Cluster, headers: str
) -> None:
    shop.pipeline(
        more='schema: {columns: {id: int64, at: "timestamp[tz]"}}\nquality: {block_when: {quarantined_over: 90%}}\n',
        record=f", timestamp: at, headers: {headers}",
    )
    shop.drop("a_odd.csv", TIMES)
    shop.drop("b_fine.csv", "id,at\n6,2026-01-05T11:00:00Z\n")
    answer = shop.run()
    assert answer.code == 0, answer.err
    times = {json.loads(record.value())["id"]: record.timestamp()[1] for record in shop.records()}
    assert {1: times[1], 6: times[6]} == {1: 1767607200123, 6: 1767610800000}
    assert set(times) == {1, 5, 6}
    assert times[5] > 1790000000000  # now, or whenever this is read
    aside = [dict(record.headers()) for record in read_all(kafka.config, f"forebay.{shop.name}.quarantine")]
    told = {int(found["ce_id"].rpartition(b":")[2]): found["q_reason"].decode() for found in aside}
    assert set(told) == {2, 3, 4}
    assert "not after 1970-01-01 00:00:00 UTC" in told[2] and "not after 1970-01-01 00:00:00 UTC" in told[3]
    assert "further ahead than the topic takes (raise its `message.timestamp.after.max.ms`" in told[4]


def test_a_time_column_of_another_type_is_the_files_matter(shop: Shop) -> None:
    shop.pipeline(record=", timestamp: at")
    shop.drop("a_odd.csv", "id,at\n7,soon\n")
    shop.drop("b_none.csv", "id,t\n8,x\n")
    shop.drop("c_fine.csv", "id,at\n1,2026-01-05T11:00:00\n")
    answer = shop.run()
    assert answer.code == 1, answer.err
    assert "column `at` is `string` in the file" in ends(answer)["a_odd.csv"]
    assert "there is no column `at` in the file" in ends(answer)["b_none.csv"]
    assert shop.ids() == [1]


def test_a_rule_on_a_type_that_one_file_has_not_is_that_files_matter(shop: Shop) -> None:
    rules = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "n", "min_value": 0},
            "severity": "critical",
        }
    ]
    (shop.project.root / "include/expectations/s.json").write_text(json.dumps({"name": "s", "expectations": rules}))
    shop.pipeline(more="quality: {suite: s}\n")
    shop.drop("a_odd.csv", "id,n\n7,many\n8,few\n")
    shop.drop("b_none.csv", "id,m\n9,1\n")
    shop.drop("c_fine.csv", "id,n\n1,5\n2,6\n")
    answer = shop.run()
    assert answer.code == 1, answer.err
    assert "the columns that were inferred do not fit it" in ends(answer)["a_odd.csv"]
    assert "there is no column `n`" in ends(answer)["b_none.csv"]
    assert shop.ids() == [1, 2]


def test_an_object_in_an_archive_tier_costs_no_other_object_its_night(
    tmp_path: Path, kafka: Cluster, s3: S3Service, topic_name: str
) -> None:
    """All three have one size, so that discovery reads them to tell twins apart."""
    shop, bucket = Shop(tmp_path, kafka, topic_name), s3.bucket()
    shop.pipeline()
    path = shop.project.root / "include/pipelines/p.yaml"
    local = '{type: local, path: "drops/{{ ds }}/*"}'
    path.write_text(path.read_text().replace(local, f'{{type: s3, connection: landing, path: "{bucket}/*.csv"}}'))
    for name, body, tier in (
        ("a.csv", "id\n1\n", "STANDARD"),
        ("b.csv", "id\n2\n", "GLACIER"),
        ("c.csv", "id\n3\n", "STANDARD"),
    ):
        s3.client.put_object(Bucket=bucket, Key=name, Body=body.encode(), StorageClass=tier)
    environment = {"FOREBAY_CONN_LANDING": json.dumps(s3.arguments)}
    answer = shop.run(**environment)
    assert answer.code == 1, answer.err
    assert "it lies in an archive tier (restore the object" in ends(answer)["b.csv"]
    assert shop.ids() == [1, 3]
    s3.client.restore_object(Bucket=bucket, Key="b.csv", RestoreRequest={"Days": 1})
    assert shop.run(**environment).code == 0
    assert shop.ids() == [1, 2, 3]


POISON = '''
"""Reads CSV, unless the file asks for something worse: its second line names it."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import threading
import time
from pathlib import Path

from forebay.contracts import StageWriter
from forebay.formats.csv import Csv, CsvSettings
from forebay.model import Column, Snapshot, Stage


class Poison(Csv):
    """CSV with traps."""

    Config = CsvSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        what, kept = plain.read_bytes().split(b"\\n")[1].split(b",")[0], []
        if what == b"segfault":
            ctypes.string_at(0)
        while what == b"loop":
            sum(range(1_000_000))
        while what == b"wait":
            threading.Event().wait()
        while what == b"memory":
            kept.append(b"x" * (8 << 20))
        while what == b"threads":
            try:
                kept.append(mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            except OSError:
                threading.Thread(target=print).start()
        while what == b"disk":
            with (into.folder / "much").open("ab") as file:
                file.write(b"x" * (8 << 20))
        if what == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == b"defect":
            raise KeyError("nobody thought of this")
        return super().read(snapshot, plain, columns, into)
'''

SITE = """
import forebay.formats
forebay.formats.__path__.append({folder!r})
"""
"""Each interpreter that is started knows the format: the command's, and its children's."""

LONG = (
    "it takes more than 3 s of processor time and one for each MiB of it, or 4 times as long on the clock "
    "(raise `limits.time`"
)
TOLD = {
    "segfault": "its reader died of SIGSEGV (ask for it again",
    "loop": LONG,
    "wait": LONG,
    "memory": "it needs more than 400 MiB of memory (raise `limits.memory`",
    "threads": "it needs more than 400 MiB of memory (raise `limits.memory`",
    "disk": "it takes more than 100 MiB of disk while it is read (raise `limits.disk`",
    "kill": "its reader was killed, as a machine without memory does",
    "defect": "KeyError: 'nobody thought of this' (not foreseen: report it with the log",
}


def test_a_file_that_kills_starves_or_holds_up_its_reader_fails_alone(shop: Shop, tmp_path: Path) -> None:
    """Eight poison files between nine good ones: real crashes, in one run."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/poison.py").write_text(POISON)
    (tmp_path / "plugins/sitecustomize.py").write_text(SITE.format(folder=str(tmp_path / "plugins")))
    shop.pipeline("poison", more="limits: {time: 3s, memory: 400MiB, disk: 100MiB}\n")
    for n, what in enumerate(TOLD):
        shop.drop(f"{n}_a_fine.csv", f"id,t\n{n},x\n")
        shop.drop(f"{n}_b_{what}.csv", f"id,t\n{what},x\n")
    shop.drop("9_fine.csv", "id,t\n9,x\n")
    answer = shop.project.started("run", shop.name, "--date", DAY, "--json", PYTHONPATH=str(tmp_path / "plugins"))
    assert answer.code == 1, answer.err
    told = ends(answer)
    assert {name for name, words in told.items() if not words} == {name for name in told if "fine" in name}, told
    for n, (what, words) in enumerate(TOLD.items()):
        assert words in told[f"{n}_b_{what}.csv"], told
    assert shop.ids() == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    left = [
        path
        for path in (tmp_path / ".forebay/work").rglob("*")
        if path.name.startswith(".stage-") or path.name == "plain"
    ]
    assert left == []


def test_a_gzip_bomb_fails_alone(shop: Shop) -> None:
    """120 MB of short rows that are all alike, packed 300 to 1 and more."""
    shop.pipeline(more="schema: {columns: {id: int64}}\n")
    shop.drop("a_bomb.csv.gz", gzip.compress(b"id\n" + b"1\n" * 60_000_000, 9))
    shop.drop("b_fine.csv", "id\n2\n")
    answer = shop.run()
    assert answer.code == 1, answer.err
    assert "`limits.ratio`" in ends(answer)["a_bomb.csv.gz"]
    assert shop.ids() == [2]
