"""Where connections come from, and that their secrets stay there."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from forebay.config.connections import EnvironmentConnections, variables
from forebay.errors import ConfigError

CANARY = "canary-7f3a"


def of(**environ: Any) -> EnvironmentConnections:
    return EnvironmentConnections(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in environ.items()}
    )


def test_nothing_set_means_the_embedded_broker_and_boto3s_own_chain() -> None:
    assert of().kafka(None) is None
    assert of().s3(None) == {}


def test_bootstrap_servers_and_more_settings() -> None:
    found = of(
        KAFKA_BOOTSTRAP_SERVERS="a:1,b:2", KAFKA_CONFIG={"security.protocol": "SSL", "bootstrap.servers": "other:1"}
    ).kafka(None)
    assert found == {"security.protocol": "SSL", "bootstrap.servers": "a:1,b:2"}


def test_a_named_connection_goes_before_the_default() -> None:
    found = of(KAFKA_BOOTSTRAP_SERVERS="a:1", FOREBAY_CONN_MAIN={"bootstrap.servers": "m:1"}).kafka("main")
    assert found == {"bootstrap.servers": "m:1"}


def test_forebays_own_variable_goes_before_airflows() -> None:
    both = of(FOREBAY_CONN_MAIN={"bootstrap.servers": "f:1"}, AIRFLOW_CONN_MAIN={"extra": {"bootstrap.servers": "a:1"}})
    assert both.kafka("main") == {"bootstrap.servers": "f:1"}


@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "kafka", "extra": {"bootstrap.servers": "k:9092", "security.protocol": "SSL"}},
        {"conn_type": "kafka", "extra": '{"bootstrap.servers": "k:9092", "security.protocol": "SSL"}'},
        {"conn_type": "kafka", "host": "k", "port": 9092, "extra": {"security.protocol": "SSL"}},
        {"conn_type": "kafka", "host": "k", "extra": {"security.protocol": "SSL"}},
        "kafka://k:9092?security.protocol=SSL",
        "kafka://?__extra__=%7B%22bootstrap.servers%22%3A%20%22k%3A9092%22%2C%20%22security.protocol%22%3A%20%22SSL%22%7D",
    ],
)
def test_airflows_kafka_connection_in_all_its_forms(connection: Any) -> None:
    assert of(AIRFLOW_CONN_K=connection).kafka("k") == {"bootstrap.servers": "k:9092", "security.protocol": "SSL"}


def test_login_and_password_of_airflows_kafka_connection_are_sasls() -> None:
    found = of(AIRFLOW_CONN_K="kafka://bob:p%2Fw@k:9093?security.protocol=SASL_SSL").kafka("k")
    assert found == {
        "bootstrap.servers": "k:9093",
        "security.protocol": "SASL_SSL",
        "sasl.username": "bob",
        "sasl.password": "p/w",
    }


def test_s3_settings_are_boto3s() -> None:
    settings = {
        "endpoint_url": "http://x",
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        "region_name": "eu-west-1",
    }
    assert of(FOREBAY_CONN_LANDING=settings).s3("landing") == settings


@pytest.mark.parametrize(
    "connection",
    [
        {
            "conn_type": "aws",
            "login": "k",
            "password": "s/",
            "extra": {"endpoint_url": "http://x:1", "region_name": "eu-west-1"},
        },
        "aws://k:s%2F@?endpoint_url=http%3A%2F%2Fx%3A1&region_name=eu-west-1",
    ],
)
def test_airflows_aws_connection(connection: Any) -> None:
    assert of(AIRFLOW_CONN_LANDING=connection).s3("landing") == {
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s/",
        "endpoint_url": "http://x:1",
        "region_name": "eu-west-1",
    }


def test_names_become_variables() -> None:
    assert variables("my-s3.eu") == ("FOREBAY_CONN_MY_S3_EU", "AIRFLOW_CONN_MY_S3_EU", "AIRFLOW_CONN_MY-S3.EU")
    assert of(**{"AIRFLOW_CONN_MY-S3": {"login": "k"}}).s3("my-s3") == {"aws_access_key_id": "k"}


@pytest.mark.parametrize("kind", ["kafka", "s3"])
def test_a_name_that_is_defined_nowhere_is_an_error_that_says_how_to_define_it(kind: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^looking for connection `main`: it is defined nowhere \(set `FOREBAY_CONN_MAIN` or `AIRFLOW_CONN_MAIN`",
    ):
        getattr(of(), kind)("main")


def test_a_name_that_is_defined_nowhere_means_the_default_where_there_is_one() -> None:
    assert of(KAFKA_BOOTSTRAP_SERVERS="a:1").kafka("main") == {"bootstrap.servers": "a:1"}
    assert of(AWS_ENDPOINT_URL="http://x").s3("landing") == {}


@pytest.mark.parametrize(
    ("kind", "environ", "words"),
    [
        ("kafka", {"FOREBAY_CONN_X": f'{{"sasl.password": "{CANARY}"'}, "`FOREBAY_CONN_X` is not JSON at character"),
        ("kafka", {"FOREBAY_CONN_X": f'["{CANARY}"]'}, "holds no JSON object but a list"),
        ("kafka", {"FOREBAY_CONN_X": {"sasl.password": CANARY}}, "`FOREBAY_CONN_X` has no `bootstrap.servers`"),
        (
            "kafka",
            {"FOREBAY_CONN_X": {"bootstrap.servers": "a", "sasl.password": [CANARY]}},
            "`sasl.password` of `FOREBAY_CONN_X` is no plain value",
        ),
        ("kafka", {"AIRFLOW_CONN_X": CANARY}, "neither a JSON object nor an Airflow URI"),
        ("kafka", {"AIRFLOW_CONN_X": f"kafka://bob:{CANARY}@k:port"}, "neither a JSON object nor an Airflow URI"),
        ("kafka", {"AIRFLOW_CONN_X": f"kafka://k?__extra__={CANARY}"}, "`AIRFLOW_CONN_X` is not JSON"),
        ("s3", {"FOREBAY_CONN_X": {"aws_secret_acces_key": CANARY}}, "did you mean `aws_secret_access_key`?"),
        (
            "s3",
            {"AIRFLOW_CONN_X": {"login": "k", "password": CANARY, "extra": {"role_arn": "arn"}}},
            "unknown setting `role_arn`",
        ),
        ("s3", {"AIRFLOW_CONN_X": {"password": CANARY, "extra": f"{{{CANARY}"}}, "`extra` is not JSON"),
    ],
)
def test_what_cannot_be_read_is_an_error_without_its_secret(kind: str, environ: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        getattr(of(KAFKA_BOOTSTRAP_SERVERS="a:1", **environ), kind)("x")
    assert words in str(caught.value)
    chain = f"{caught.value!r} {caught.value.where} {caught.value.__cause__!r} {caught.value.__suppress_context__}"
    assert CANARY not in chain
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_broken_default_is_an_error() -> None:
    with pytest.raises(ConfigError, match="reading the Kafka settings: `KAFKA_CONFIG` is not JSON"):
        of(KAFKA_BOOTSTRAP_SERVERS="a:1", KAFKA_CONFIG="{").kafka(None)


def test_the_process_environment_is_read_when_asked_and_never_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = EnvironmentConnections()
    monkeypatch.setenv("FOREBAY_CONN_X", json.dumps({"aws_secret_access_key": CANARY}))
    assert connections.s3("x") == {"aws_secret_access_key": CANARY}
    assert CANARY.encode() not in pickle.dumps(connections)
    assert CANARY not in repr(connections)
