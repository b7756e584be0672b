"""An S3 server that misbehaves to order: one object with a list of faults, each used up by one GET, among others that
behave."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix><KeyCount>{count}</KeyCount>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"""

CONTENTS = "<Contents><Key>{key}</Key><LastModified>2013-01-01T00:00:00.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"  # noqa: E501


@dataclass
class FaultyS3:
    """`faults` are taken one by one by GETs: an HTTP status (int), `("reset", n)`, `("stall", n)`, `("short", n)`
    (fewer bytes than the length says), `("truncated", n)` (fewer bytes, and a length that fits), `("wrong", n)` (byte n
    flipped), `"overwrite"` (other bytes, other ETag, and `If-Match` overlooked)."""

    body: bytes = b""
    key: str = "a.csv"
    others: dict[str, bytes] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    """Keys that answer each GET with 503."""
    listed_twice: bool = False
    faults: list[Any] = field(default_factory=list)
    gets: list[dict[str, str]] = field(default_factory=list)
    endpoint: str = ""

    @property
    def etag(self) -> str:
        return _md5(self.body)

    def listing(self) -> bytes:
        contents = CONTENTS.format(key=self.key, etag=self.etag, size=len(self.body)) * (2 if self.listed_twice else 1)
        contents += "".join(
            CONTENTS.format(key=key, etag=_md5(body), size=len(body)) for key, body in self.others.items()
        )
        return LISTING.format(count=1 + len(self.others), contents=contents).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FaultyS3

    def log_message(self, format: str, *args: Any) -> None:
        """Silence is normal."""

    def do_GET(self) -> None:
        if "list-type=2" in self.path:
            status = self.store.faults.pop(0) if self.store.faults and isinstance(self.store.faults[0], int) else 200
            self._answer(
                status, self.store.listing() if status == 200 else _error(status), {"Content-Type": "application/xml"}
            )
            return
        key = unquote(urlsplit(self.path).path).removeprefix("/bucket/")
        if key in self.store.down:
            self._answer(503, _error(503), {"Content-Type": "application/xml"})
            return
        if key in self.store.others:
            self._answer(200, self.store.others[key], {"ETag": f'"{_md5(self.store.others[key])}"'})
            return
        self.store.gets.append(dict(self.headers))
        fault = self.store.faults.pop(0) if self.store.faults else None
        match fault:
            case int():
                self._answer(fault, _error(fault), {"Content-Type": "application/xml"})
            case "overwrite":
                other = self.store.body[::-1]
                self._answer(200, other, {"ETag": f'"{_md5(other)}"'})
            case (kind, n):
                self._broken(kind, n)
            case _:
                self._answer(200, self.store.body, {"ETag": f'"{self.store.etag}"'})

    def _broken(self, kind: str, n: int) -> None:
        body, etag = self.store.body, {"ETag": f'"{self.store.etag}"'}
        if kind == "wrong":
            self._answer(200, body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :], etag)
        elif kind == "truncated":
            self._answer(200, body[:n], etag)
        else:
            self._answer(200, body[:n], etag, length=len(body))
            self.close_connection = True
            if kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            elif kind == "stall":
                threading.Event().wait(2)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Last-Modified", "Tue, 01 Jan 2013 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _error(status: int) -> bytes:
    code = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}[
        status
    ]
    return f"<Error><Code>{code}</Code><Message>to order</Message></Error>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that we reset ourselves are no news."""


@contextmanager
def serve(store: FaultyS3) -> Iterator[FaultyS3]:
    """The store on a free port, in a thread."""
    handler = type("Handler", (_Handler,), {"store": store})
    server = _Server(("127.0.0.1", 0), handler)
    store.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def faulty_s3() -> Iterator[FaultyS3]:
    with serve(FaultyS3(body=bytes(range(256)) * 10_000)) as store:
        yield store
