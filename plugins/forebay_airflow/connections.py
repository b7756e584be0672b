"""Airflow's connections for the engine: asked for by name, first of Airflow, then of the environment."""

from __future__ import annotations

import json
from typing import Any

from forebay.config.connections import EnvironmentConnections, variables
from forebay.contracts import Connections

_SECRET = ("password", "secret", "token", "jaas", "key.pem")


class AirflowConnections(Connections):
    """Named connections of Airflow (secrets backend, environment, metadata database); `EnvironmentConnections` for all
    that Airflow has not."""

    def kafka(self, name: str | None) -> dict[str, Any] | None:
        """librdkafka settings: the connection's `extra`, as Airflow's Kafka provider has it. Raises `ConfigError`."""
        return _masked((_airflow(name) or EnvironmentConnections()).kafka(name))

    def s3(self, name: str | None) -> dict[str, Any]:
        """Arguments of `boto3.client("s3", …)`: login, password and `extra`, as Airflow's Amazon provider has them.
        Raises `ConfigError`."""
        return _masked((_airflow(name) or EnvironmentConnections()).s3(name)) or {}


def _airflow(name: str | None) -> Connections | None:
    """The connection as the environment would define it, so that one reader checks both; None when Airflow has none of
    that name."""
    if not name:
        return None
    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
    parts = {
        "host": connection.host,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "extra": connection.extra_dejson,
    }
    variable = next(v for v in variables(name) if v.startswith("AIRFLOW_"))
    return EnvironmentConnections({variable: json.dumps({key: value for key, value in parts.items() if value})})


def _masked(settings: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same settings; Airflow's logs show `***` for what is secret in them."""
    from airflow.sdk.log import mask_secret

    for key, value in (settings or {}).items():
        if any(word in key.lower() for word in _SECRET) and isinstance(value, str) and value:
            mask_secret(value)
    return settings
