"""Topics that tests lose."""

from __future__ import annotations

import time

from tests.support.kafka import Cluster


def lose(topic: str, kafka: Cluster) -> None:
    admin = kafka.admin()
    admin.delete_topics([topic])[topic].result(30)
    deadline = time.monotonic() + 20
    while topic in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline
        time.sleep(0.1)
