"""Connections of the process environment: the one place of the engine that reads secrets.

A connection `landing` is looked for, in this order, in

* `FOREBAY_CONN_LANDING`: one JSON object, the client's own settings (Kafka: librdkafka's, those of kafka_settings.py;
  S3: arguments of `boto3.client`);
* `AIRFLOW_CONN_LANDING`: an Airflow connection, as JSON or as URI, so that one variable serves Airflow and the command
  line.

Names are upper-cased, and what cannot be in a variable's name becomes `_`. Without a name, `KAFKA_BOOTSTRAP_SERVERS`
(and `KAFKA_CONFIG`, JSON of more librdkafka settings) or boto3's own chain (`AWS_…`) are meant. No error shows a value,
only names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from forebay.config import kafka_settings
from forebay.contracts import Connections
from forebay.errors import ConfigError
from forebay.support.words import way_out

S3_SETTINGS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "endpoint_url",
    "region_name",
    "use_ssl",
    "verify",
)
"""Arguments of `boto3.client("s3", …)` that a connection may hold."""

JsonObject = dict[str, Any]


class EnvironmentConnections(Connections):
    """Connections of `environ` (default: this process's environment, read when asked, so that a pickled instance holds
    no secret)."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._given = environ

    def kafka(self, name: str | None) -> JsonObject | None:
        """librdkafka settings of a connection; without a name those of `KAFKA_BOOTSTRAP_SERVERS`, or None: the embedded
        broker.

        A name that is defined nowhere means `KAFKA_BOOTSTRAP_SERVERS` too, if that is set. Else, and for a definition
        that cannot be read, `ConfigError`: records never go to another cluster than the one that was named.
        """
        named = self._named(name) if name else None
        if named is None and self._environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            return self._default_kafka()
        if named is None:
            return self._nowhere(name, "KAFKA_BOOTSTRAP_SERVERS") if name else None
        variable, settings = named
        settings = _kafka_of_airflow(settings) if variable.startswith("AIRFLOW_") else settings
        return _checked_kafka(name, variable, settings)

    def s3(self, name: str | None) -> JsonObject:
        """Arguments of `boto3.client("s3", …)`; empty (boto3's own chain) without a name.

        A name that is defined nowhere means boto3's chain too if `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` is set,
        else `ConfigError`.
        """
        named = self._named(name) if name else None
        if named is None:
            redirected = self._environ.get("AWS_ENDPOINT_URL_S3") or self._environ.get("AWS_ENDPOINT_URL")
            return {} if not name or redirected else self._nowhere(name, "AWS_ENDPOINT_URL_S3")
        variable, settings = named
        settings = _s3_of_airflow(settings) if variable.startswith("AIRFLOW_") else settings
        return _checked_s3(name, variable, settings)

    def faulty_kafka(self, name: str | None) -> str | None:
        """What is wrong with a Kafka connection as it is defined here; None when nothing is, or when it is defined
        elsewhere (in Airflow)."""
        if name and self._named_in(name) is None and not self._environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            return None
        try:
            self.kafka(name)
        except ConfigError as error:
            return error.message
        return None

    @property
    def _environ(self) -> Mapping[str, str]:
        return os.environ if self._given is None else self._given

    def _named(self, name: str) -> tuple[str, JsonObject] | None:
        """The variable that defines the connection, and what it holds."""
        variable = self._named_in(name)
        if variable is None:
            return None
        text = self._environ[variable].strip()
        airflow_uri = variable.startswith("AIRFLOW_") and not text.startswith("{")
        return variable, _from_uri(name, variable, text) if airflow_uri else _object(
            f"connection `{name}`", variable, text
        )

    def _named_in(self, name: str) -> str | None:
        """The variable that defines the connection."""
        return next((variable for variable in variables(name) if self._environ.get(variable)), None)

    def _default_kafka(self) -> JsonObject:
        more = self._environ.get("KAFKA_CONFIG")
        settings = _object("the Kafka settings", "KAFKA_CONFIG", more) if more else {}
        return _flat(
            "the Kafka settings",
            "KAFKA_CONFIG",
            {**settings, "bootstrap.servers": self._environ["KAFKA_BOOTSTRAP_SERVERS"]},
        )

    def _nowhere(self, name: str, default: str) -> Any:
        ways = " or ".join(f"`{variable}`" for variable in variables(name)[:2])
        raise ConfigError(
            f"looking for connection `{name}`: it is defined nowhere (set {ways}, "
            f"or `{default}` for all connections of that kind)",
            connection=name,
        )


def variables(name: str) -> tuple[str, ...]:
    """The environment variables that may define a connection, the first one wins."""
    clean = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    return tuple(dict.fromkeys((f"FOREBAY_CONN_{clean}", f"AIRFLOW_CONN_{clean}", f"AIRFLOW_CONN_{name.upper()}")))


def _object(what: str, variable: str, text: str) -> JsonObject:
    """A JSON object; the error says where it breaks, never what stands there."""
    try:
        value = json.loads(text)
    except ValueError as error:
        where = f"at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else "anywhere"
        raise ConfigError(
            f"reading {what}: `{variable}` is not JSON {where} (write one JSON object)", variable=variable
        ) from None
    if not isinstance(value, dict):
        raise ConfigError(
            f"reading {what}: `{variable}` holds no JSON object but a {type(value).__name__} (write one JSON object)",
            variable=variable,
        )
    return value


def _from_uri(name: str, variable: str, text: str) -> JsonObject:
    """Airflow's URI form, `type://login:password@host:port/schema?extra=…` (apache/airflow, "Managing Connections")."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme:
        raise ConfigError(
            f"reading connection `{name}`: `{variable}` is neither a JSON object nor an Airflow URI (write the "
            "JSON form)",
            variable=variable,
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = _object(f"connection `{name}`", variable, query.pop("__extra__")) if "__extra__" in query else {}
    login = {"login": unquote(parts.username)} if parts.username else {}
    password = {"password": unquote(parts.password)} if parts.password else {}
    return {"host": unquote(parts.hostname or ""), "port": port, **login, **password, "extra": {**query, **extra}}


def _extra(settings: JsonObject) -> JsonObject:
    """Airflow's `extra`, which may be an object or its JSON text."""
    extra = settings.get("extra") or {}
    return _object("an Airflow connection", "extra", extra) if isinstance(extra, str) else dict(extra)


def _kafka_of_airflow(settings: JsonObject) -> JsonObject:
    """Airflow's Kafka provider keeps librdkafka's settings in `extra`; host and port fill in what is not there."""
    extra = _extra(settings)
    if "bootstrap.servers" not in extra and settings.get("host"):
        extra["bootstrap.servers"] = f"{settings['host']}:{settings.get('port') or 9092}"
    for given, option in (("login", "sasl.username"), ("password", "sasl.password")):
        if settings.get(given):
            extra.setdefault(option, settings[given])
    return extra


def _s3_of_airflow(settings: JsonObject) -> JsonObject:
    """Airflow's Amazon provider keeps the key in `login`, the secret in `password` and the rest in `extra`."""
    extra = _extra(settings)
    for given, option in (("login", "aws_access_key_id"), ("password", "aws_secret_access_key")):
        if settings.get(given):
            extra.setdefault(option, settings[given])
    return extra


def _checked_kafka(name: str | None, variable: str, settings: JsonObject) -> JsonObject:
    if not settings.get("bootstrap.servers"):
        raise ConfigError(
            f"reading connection `{name}`: `{variable}` has no `bootstrap.servers` (add it: host:port,…)",
            connection=name,
        )
    return _flat(f"connection `{name}`", variable, settings)


def _flat(what: str, variable: str, settings: JsonObject) -> JsonObject:
    """Plain values of settings that a connection may hold. Raises `ConfigError` naming the first that is not."""
    for key, value in settings.items():
        if wrong := kafka_settings.problem(key, value):
            raise ConfigError(f"reading {what}: `{variable}` {wrong}", variable=variable)
    odd = [key for key, value in settings.items() if not isinstance(value, str | int | float | bool)]
    if odd:
        raise ConfigError(
            f"reading {what}: `{odd[0]}` of `{variable}` is no plain value (librdkafka settings are texts, "
            "numbers or booleans)",
            variable=variable,
        )
    return settings


def _checked_s3(name: str | None, variable: str, settings: JsonObject) -> JsonObject:
    unknown = [key for key in settings if key not in S3_SETTINGS]
    if unknown:
        hint = way_out(unknown[0], S3_SETTINGS)
        raise ConfigError(
            f"reading connection `{name}`: `{variable}` has an unknown setting `{unknown[0]}` ({hint})", connection=name
        )
    return settings
