"""Files that are wrong in every way we know, each full of a value that may not be shown: no error, reason, log, page,
index or event has it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.kafka import Cluster
from tests.support.project import Answer, OrdersProject

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECRET, NUMBER = "S3CRET", "918273645"
ODD = "x`S3CRET'y\"S3CRET[z{S3CRET"
"""Quotes of every kind in the value: what cuts a message at one of them must not be fooled by the next."""
CELL = '"' + ODD.replace('"', '""') + '"'

DECLARED = "schema: {columns: {id: int64, account: string, pin: int64, at: date}}\n"
PIPELINE = """\
pipeline: {name}
owner: tests
source: {{type: local, path: "drops/{kind}/{{{{ ds }}}}/*"}}
format: {{type: {format}}}
{schema}quality: {{redact: [account, pin, at], block_when: {{quarantined_over: 100%}}}}
record: {{key: id}}
topic: {{name: {name}, manage: create}}
"""

CSV: dict[str, str | bytes] = {
    "no-header": f"1,{CELL},{NUMBER},2026-01-05\n2,{SECRET},{NUMBER},{SECRET}\n",
    "other-delimiter": f"id;account;pin;at\n1;{SECRET};{NUMBER};{SECRET}\n",
    "no-header-other-delimiter": f"1;{SECRET};{NUMBER};{SECRET}\n",
    "value-in-header": f"id,account,pin,at,{CELL}\n1,{CELL},{NUMBER},2026-01-05,{SECRET}\n",
    "value-twice-in-header": f"id,{CELL},{CELL},at\n1,{SECRET},{NUMBER},{SECRET}\n",
    "header-lacks": f"id,account {SECRET},pin{NUMBER},at\n1,{SECRET},{NUMBER},{SECRET}\n",
    "open-quote": f'id,account,pin,at\n1,"{SECRET},{NUMBER},{SECRET}\n2,ok,1,2026-01-05\n',
    "open-quote-in-header": f'id,"account,{SECRET},at\n1,{SECRET},{NUMBER},{SECRET}\n',
    "text-behind-quote": f'id,account,pin,at\n1,"{SECRET}"{NUMBER},{NUMBER},2026-01-05\n2,"a"b,1,2026-01-05\n',
    "shifted": f"id,account,pin,at\n{SECRET},1,2,2026-01-05\n{CELL},{CELL},{CELL},{CELL}\n{NUMBER}x,a,1,2026-01-05\n3,ok,1,2026-01-05\n",  # noqa: E501
    "ragged": f"id,account,pin,at\n1,{SECRET}\n2,{SECRET},{NUMBER},2026-01-05,{SECRET},{NUMBER}\n3\n",
    "wrong-types": f"id,account,pin,at\n1,{SECRET},{SECRET},{SECRET}\n2,{CELL},{NUMBER}.5,{NUMBER}\n3,a,1,2026-01-05\n",
    "no-key": f"id,account,pin,at\n,{SECRET},{NUMBER},2026-01-05\n",
    "bad-bytes": f"id,account,pin,at\n1,{SECRET}\xff,{NUMBER},2026-01-05\n2,ok,1,2026-01-05\n".encode("latin-1"),
    "bad-bytes-in-header": f"id,account,{SECRET}\xff,at\n".encode("latin-1"),
    "utf-16": f"id,account,pin,at\n1,{SECRET},{NUMBER},2026-01-05\n".encode("utf-16"),
    "nul": f"id,account,pin,at\n1,{SECRET}\0,{NUMBER},2026-01-05\n",
    "lone-cr": f"id,account,pin,at\n1,{SECRET}\r{SECRET},{NUMBER},2026-01-05\r\n2,ok,1,2026-01-05\n",
    "one-line": SECRET * 3,
    "sep": f"sep={SECRET}\nid,account\n1,{SECRET}\n",
    "dated": f"id,account,pin,at\n1,{SECRET},{NUMBER},9999-01-05\n2,{SECRET},{NUMBER},0001-01-05\n",
    "is-json": json.dumps([{"id": 1, "account": ODD, "pin": int(NUMBER)}]),
}
JSON: dict[str, str | bytes] = {
    "array": json.dumps([{"id": 1, "account": ODD, "pin": int(NUMBER)}]),
    "array-lines": f'["{SECRET}", {NUMBER}]\n[{NUMBER}]\n{{"id": 1, "account": "a", "pin": 1, "at": "2026-01-05"}}\n',
    "pretty": json.dumps({"id": 1, "account": ODD, "pin": int(NUMBER)}, indent=2),
    "joined": json.dumps({"id": 1, "account": ODD}) + json.dumps({"id": 2, "account": ODD}),
    "scalar": f'"{SECRET}"\n{NUMBER}\n{SECRET}\n',
    "broken": f'{{"id": 1, "account": "{SECRET}\n{{"id": 2, "account": "{SECRET}", "pin": {NUMBER}',
    "types": (
        f'{{"id": "{SECRET}", "account": {NUMBER}, "pin": "{SECRET}", "at": "{SECRET}"}}\n{{"id": {NUMBER}.5, '
        f'"account": "a", "pin": 1, "at": null}}\n'
    ),
    "nested": (
        f'{{"id": 1, "account": {{"a": "{SECRET}"}}, "pin": [{NUMBER}], "at": null}}\n{{"id": 2, "account": "a", '
        f'"pin": 1, "at": null}}\n'
    ),
    "all-nested": f'{{"id": 1, "account": {{"a": "{SECRET}"}}, "pin": [{NUMBER}], "at": ["{SECRET}"]}}\n',
    "twice": f'{{"id": 1, "account": "{SECRET}", "account": "{SECRET}2", "pin": {NUMBER}, "at": null}}\n',
    "value-as-key": f'{{"id": 1, "{SECRET}": {NUMBER}, "pin": 1}}\n{{"id": 2, "{SECRET}": {{"a": 1}}}}\n',
    "huge-number": f'{{"id": 1, "account": "{SECRET}", "pin": {NUMBER}e400, "at": null}}\n',
    "bad-bytes": f'{{"id": 1, "account": "{SECRET}\xff"}}\n'.encode("latin-1"),
    "is-csv": f"id,account\n1,{SECRET}\n",
}


def parquet_of(table: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue()


def parquets() -> dict[str, bytes]:
    good = {
        "id": pa.array([1]),
        "account": pa.array([ODD]),
        "pin": pa.array([int(NUMBER)]),
        "at": pa.array(["2026-01-05"]),
    }
    whole = parquet_of(good)
    return {
        "texts": whole,
        "types": parquet_of(good | {"pin": pa.array([SECRET]), "id": pa.array([SECRET])}),
        "nested": parquet_of(good | {"account": pa.array([{"a": SECRET}])}),
        "column": parquet_of({"id": pa.array([1]), SECRET: pa.array([NUMBER])}),
        "cut": whole[:-20],
        "is-text": f"1,{SECRET}\n".encode(),
    }


def files() -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and bytes of each."""
    kinds: dict[str, Mapping[str, str | bytes]] = {"csv": CSV, "json_lines": JSON, "parquet": parquets()}
    for kind, found in kinds.items():
        for name, body in found.items():
            yield kind, name, body.encode() if isinstance(body, str) else body
    packed = gzip.compress(f"id,account,pin,at\n1,{SECRET},{NUMBER},2026-01-05\n".encode() * 1000)
    yield "csv", "cut.csv.gz", packed[: len(packed) // 2]


def leaks(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [
        data[max(0, at - 120) : at + 40].decode("utf-8", "replace")
        for sign in (SECRET, NUMBER)
        if (at := data.find(sign.encode())) >= 0
    ]


def commands(made: OrdersProject, name: str, kind: str) -> Iterator[Answer]:
    yield made.forebay("run", name, "--date", "2026-01-05", "--json", FOREBAY_LOG="DEBUG")
    yield made.forebay("files", name)
    yield made.forebay("quarantine", "show", name, "--json")
    yield made.forebay("quarantine", "export", name, "--to", str(made.root / f"{name}.csv"))
    yield made.forebay("report", name)
    for path in sorted((made.root / "drops" / kind / "2026-01-05").iterdir())[::8]:
        yield made.forebay("suite", "propose", str(path), "--pipeline", name, "--to", str(made.root / "proposed.json"))
        (made.root / "proposed.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("csv", "declared"),
        *(
            pytest.param(*given, marks=pytest.mark.long)
            for given in [
                ("csv", "inferred"),
                ("json_lines", "inferred"),
                ("parquet", "declared"),
                ("parquet", "inferred"),
            ]
        ),
        ("json_lines", "declared"),
    ],
)
def test_no_error_and_no_reason_shows_a_redacted_value(
    tmp_path: Path, kafka: Cluster, topic_name: str, kind: str, schema: str
) -> None:
    made = OrdersProject.make(tmp_path / "project", "unused", kafka.bootstrap)
    (made.root / "include/pipelines/orders.yaml").unlink()
    name = f"{kind}-{schema}-{topic_name[-8:]}".replace("_", "-").lower()
    text = PIPELINE.format(name=name, kind=kind, format=kind, schema=DECLARED if schema == "declared" else "")
    (made.root / "include/pipelines/p.yaml").write_text(text)
    # the names of a header that has every redacted column are the record's own where nothing is declared
    dropped = [
        (stem, body) for of, stem, body in files() if of == kind and (schema, stem) != ("inferred", "value-in-header")
    ]
    for stem, body in dropped:
        made.drop(f"{kind}/2026-01-05", stem if "." in stem else f"{stem}.{kind}", body)
    said = list(commands(made, name, kind))
    assert said[0].code in {0, 1}, said[0].err
    told = json.loads(said[0].out)["files"]
    assert len(told) == len(dropped)
    assert {leak for answer in said for leak in leaks(answer.out + answer.err)} == set()
    own = [made.root / "drops", made.root / ".forebay/work"]
    written = [
        path
        for path in made.root.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in own)
    ]
    assert any(path.name == "index.sqlite" for path in written) and any(path.name == "events.jsonl" for path in written)
    assert {str(path): leaks(path.read_bytes()) for path in written if leaks(path.read_bytes())} == {}
    refused = [file["reason"] for file in told if file["reason"].startswith(("reading ", "working on ", "unpacking "))]
    assert len(refused) >= 2, "files fail as a whole, too"


def test_the_same_files_show_it_where_nothing_is_redacted(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    """What the test above looks for is there to be found."""
    made = OrdersProject.make(tmp_path / "project", "unused", kafka.bootstrap)
    (made.root / "include/pipelines/orders.yaml").unlink()
    name = f"shown-{topic_name[-8:]}".lower()
    text = PIPELINE.format(name=name, kind="csv", format="csv", schema=DECLARED).replace(
        "redact: [account, pin, at], ", ""
    )
    (made.root / "include/pipelines/p.yaml").write_text(text)
    for stem in ("no-header", "wrong-types"):
        made.drop("csv/2026-01-05", f"{stem}.csv", CSV[stem])
    assert len([answer for answer in commands(made, name, "csv") if leaks(answer.out + answer.err)]) >= 3
