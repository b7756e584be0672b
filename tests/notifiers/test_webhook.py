"""A notice by HTTP, to a real server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from forebay.contracts import Notifier
from forebay.errors import RetryableError
from forebay.notifiers.webhook import Webhook, WebhookConfig
from forebay.testing.notifiers import NOTICE, SECRET, NotifierContract


class Receiver(BaseHTTPRequestHandler):
    """Takes what comes to `/ok`, refuses `/no`, sends on from `/moved`, and lets `/slow` wait."""

    got: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0]
        if path == "/slow":
            time.sleep(2)
        if path == "/ok":
            type(self).got.append(json.loads(body))
        self.send_response({"/ok": 204, "/no": 500, "/moved": 302}.get(path, 200))
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        """Silence."""


class TestWebhook(NotifierContract):
    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:

        class Own(Receiver):
            got: ClassVar[list[dict[str, Any]]] = []

        self.receiver = Own
        server = ThreadingHTTPServer(("127.0.0.1", 0), self.receiver)
        self.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        monkeypatch.setenv("ALERTS", f"{self.address}/ok?token={SECRET}")
        monkeypatch.setenv("EMPTY", "")
        monkeypatch.setenv("ODD", f"file:///etc/passwd?{SECRET}")
        monkeypatch.setenv("BROKEN", f"http://[{SECRET}")
        monkeypatch.setenv("REFUSED", f"{self.address}/no?token={SECRET}")
        monkeypatch.setenv("MOVED", f"{self.address}/moved?token={SECRET}")
        monkeypatch.setenv("CLOSED", f"http://127.0.0.1:9/{SECRET}")
        yield
        server.shutdown()
        server.server_close()
        thread.join()

    def make_notifier(self) -> Notifier[Any]:
        return Webhook(WebhookConfig(url=f"{self.address}/ok"))

    def taken(self) -> list[dict[str, Any]]:
        return self.receiver.got

    def make_failing(self) -> list[Notifier[Any]]:
        names = ("EMPTY", "NOT_THERE", "ODD", "BROKEN", "REFUSED", "MOVED", "CLOSED")
        return [Webhook(WebhookConfig(url_from=name)) for name in names]

    def make_slow(self) -> Notifier[Any]:
        return Webhook(WebhookConfig(url=f"{self.address}/slow", timeout=0.2))

    def test_the_address_may_be_a_secret_of_the_environment(self) -> None:
        Webhook(WebhookConfig(url_from="ALERTS")).tell(NOTICE)
        assert len(self.taken()) == 1

    def test_an_address_that_is_missing_is_set_as_the_error_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        notifier = Webhook(WebhookConfig(url_from="EMPTY"))
        with pytest.raises(RetryableError, match=r"`EMPTY` holds no http address \(set it\)"):
            notifier.tell(NOTICE)
        monkeypatch.setenv("EMPTY", f"{self.address}/ok")
        notifier.tell(NOTICE)
        assert len(self.taken()) == 1

    def test_a_chat_service_finds_a_sentence(self) -> None:
        self.make_notifier().tell(NOTICE)
        [found] = self.taken()
        assert found["text"].startswith("orders 2026-01-05: a 'b\"ü.csv waits for a decision: critical rule x failed")

    def test_it_follows_nobody_elsewhere(self) -> None:
        assert any(notifier.config.url_from == "MOVED" for notifier in self.make_failing())
        self.test_a_failure_is_told_without_the_secret()
        assert self.taken() == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"url": "http://a", "url_from": "B"},
        {"url": "ftp://a"},
        {"url_from": "A B"},
        {"url": "http://a", "timeout": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebhookConfig(**given)
