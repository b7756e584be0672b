"""Connections as a task sees them: Airflow's by name, the environment's for the rest."""

from __future__ import annotations

import json

import pytest

from forebay.errors import ConfigError


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_CONFIG", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


def airflow_has(monkeypatch: pytest.MonkeyPatch, name: str, **parts: object) -> None:
    from airflow.sdk import Connection
    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    def get(conn_id: str) -> Connection:
        if conn_id != name:
            raise AirflowNotFoundException(conn_id)
        return Connection(conn_id=name, **parts)  # type: ignore[arg-type]

    monkeypatch.setattr(BaseHook, "get_connection", get)


def test_kafka_is_the_connections_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.connections import AirflowConnections

    extra = {"bootstrap.servers": "k:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
    airflow_has(monkeypatch, "main", conn_type="kafka", login="bob", password="s3cret-s3cret", extra=json.dumps(extra))
    assert AirflowConnections().kafka("main") == {**extra, "sasl.username": "bob", "sasl.password": "s3cret-s3cret"}


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import log

    from forebay_airflow.connections import AirflowConnections

    masked: list[str] = []
    monkeypatch.setattr(log, "mask_secret", masked.append)
    airflow_has(monkeypatch, "main", conn_type="kafka", host="k", port=9092, login="bob", password="s3cret-s3cret")
    assert AirflowConnections().kafka("main")["bootstrap.servers"] == "k:9092"  # type: ignore[index]
    assert masked == ["s3cret-s3cret"]


def test_s3_is_login_password_and_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.connections import AirflowConnections

    airflow_has(
        monkeypatch,
        "landing",
        conn_type="aws",
        login="key",
        password="hidden",
        extra='{"endpoint_url": "http://s3:9000"}',
    )
    found = AirflowConnections().s3("landing")
    assert found == {"aws_access_key_id": "key", "aws_secret_access_key": "hidden", "endpoint_url": "http://s3:9000"}


def test_without_a_name_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.connections import AirflowConnections

    assert AirflowConnections().kafka(None) is None
    assert AirflowConnections().s3(None) == {}
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "here:9092")
    assert AirflowConnections().kafka(None) == {"bootstrap.servers": "here:9092"}


def test_what_airflow_has_not_the_environment_may(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.connections import AirflowConnections

    airflow_has(monkeypatch, "main", conn_type="kafka", host="k")
    monkeypatch.setenv("FOREBAY_CONN_OTHER", '{"bootstrap.servers": "other:9092"}')
    assert AirflowConnections().kafka("other") == {"bootstrap.servers": "other:9092"}


def test_a_name_that_nobody_knows_is_a_fault_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.connections import AirflowConnections

    airflow_has(monkeypatch, "main", conn_type="kafka", host="k")
    with pytest.raises(ConfigError, match="`mian`"):
        AirflowConnections().kafka("mian")
