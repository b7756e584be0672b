from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import generate_docs
from forebay import registry
from forebay.config import schema, yaml_lines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def validator() -> Any:
    found = json.loads(schema.json_schema_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def faults(validator: Any, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(yaml_lines.parse(text).data)]


@pytest.mark.parametrize(
    "path", ["include/schemas/pipeline.schema.json", "docs/pipeline-reference.md", "docs/changed-settings.md"]
)
def test_what_is_generated_is_current(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == generate_docs.generated()[Path(path)], "stale: run `make docs`"


def test_the_schema_takes_the_projects_pipelines(validator: Any) -> None:
    files = sorted((ROOT / "include" / "pipelines").glob("*.yaml"))
    assert files
    for file in files:
        assert faults(validator, file.read_text(encoding="utf-8")) == [], file


def test_the_schema_takes_what_the_loader_takes(validator: Any, good: str) -> None:
    assert faults(validator, good) == []
    assert faults(validator, good + "schedule: none\n") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("owner: shop", "ownr: shop"),
        ("delimiter", "delimeter"),
        ("type: local", "type: locl"),
        ("type: csv", "type: parquet"),  # a setting of another plug-in
        ("type: local", "type: local, options: {}"),
        ("partitions: 3", "partitions: 0"),
        ("key: id", "key: []"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator: Any, good: str, old: str, new: str) -> None:
    assert faults(validator, good.replace(old, new)) != []


def test_every_key_of_every_section_is_described() -> None:
    rows = [line for line in schema.reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_plug_in_stands_in_the_reference() -> None:
    found = set(re.findall(r"^#### `(\w+)`$", schema.reference(), re.MULTILINE))
    assert found == {name for kind in registry.KINDS for name in registry.names(kind)}


def test_the_schema_is_plain_json_that_yaml_reads_too() -> None:
    assert yaml.safe_load(schema.json_schema_text()) == json.loads(schema.json_schema_text())
