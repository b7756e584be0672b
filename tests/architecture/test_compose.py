"""docker-compose.yaml against the compose specification's own schema (tests/support/compose-spec.json, from
compose-spec/compose-go v2.16.2)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SCHEMA = json.loads((ROOT / "tests/support/compose-spec.json").read_text("utf-8"))
ONE_SHOT = {"airflow-init", "postgres-init"}


def test_compose_follows_the_specification() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)


def test_the_schema_check_can_fail() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(COMPOSE | {"services": {"kafka-1": {"imagee": "x"}}}, SCHEMA)


def test_every_long_running_service_has_a_health_check() -> None:
    assert [
        name for name, service in COMPOSE["services"].items() if "healthcheck" not in service and name not in ONE_SHOT
    ] == []


def test_no_secret_has_a_default() -> None:
    """Each `${…}` is either required (`:?`), set by a required one, or no secret."""
    harmless = {"AIRFLOW_EXECUTOR"}
    defaulted = set(re.findall(r"\$\{(\w+):-", TEXT))
    assert defaulted <= harmless


def test_compose_env_gives_every_required_variable() -> None:
    out = subprocess.run(
        [sys.executable, ROOT / "tools/compose_env.py"], capture_output=True, text=True, check=True
    ).stdout
    given = {line.split("=", 1)[0] for line in out.splitlines()}
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) <= given


def test_the_kafka_cluster_replicates() -> None:
    brokers = [
        s["environment"] for name, s in COMPOSE["services"].items() if name.startswith("kafka-") and name != "kafka-ui"
    ]
    assert len(brokers) == 3
    assert all(b["KAFKA_DEFAULT_REPLICATION_FACTOR"] == "3" and b["KAFKA_MIN_INSYNC_REPLICAS"] == "2" for b in brokers)
