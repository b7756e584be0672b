"""Fixtures that more than one folder of tests needs: real services as child processes, started once a session."""

from __future__ import annotations

pytest_plugins = ["tests.support.kafka", "tests.support.parallel", "tests.support.s3"]
