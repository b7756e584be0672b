"""A TCP proxy before a Kafka broker that does harm on purpose: one per broker, an asyncio server in a thread of its
own.

The broker tells clients to come back through the proxy (`broker.start(..., advertised=…)`), so none goes round it. Harm
is done to whole connections (`cut`, `refuse`), to a direction (`lose`, `delay`, `rate`), or to single requests: the
proxy knows enough of Kafka's framing (length, ApiKey, ApiVersion, correlation id) to hold an EndTxn request or its
response, and to send a captured one again later.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

HOST = "127.0.0.1"
PRODUCE, END_TXN = 0, 26
Direction = Literal["to_broker", "to_client"]
T = TypeVar("T")


@dataclass
class Harm:
    """What is done at present. `lose`: directions in which bytes vanish; `delay` in seconds and `rate` in bytes/s hold
    for both directions."""

    refuse: bool = False
    lose: frozenset[Direction] = frozenset()
    delay: float = 0.0
    rate: float = 0.0
    hold: Literal["", "request", "response"] = ""  # of EndTxn
    spare: int = 0  # how many of them pass before one is held


@dataclass
class Traffic:
    """What went through, for a trial that waits for a moment: EndTxn frames as sent, and the time of the last Produce
    request."""

    end_txn: list[bytes] = field(default_factory=list)
    produced_at: list[float] = field(default_factory=list)


class Proxy:
    """Listens at `port` and forwards to `target`, both on the loopback. Use as a context manager; methods may be called
    from any thread.

    The port is known once it is entered, the target may be set later: the broker behind it must be told the port before
    it starts.
    """

    def __init__(self, target: int = 0) -> None:
        self.port, self.target = 0, target
        self.harm, self.traffic = Harm(), Traffic()
        self.held = threading.Event()  # an EndTxn request or response is being held
        self._release = asyncio.Event()
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_unless_cut)
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, HOST, 0, limit=2**22))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._reset()
        own = asyncio.current_task()
        rest = [t for t in asyncio.all_tasks() if t is not own]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    # harm

    def cut(self, refuse: bool = False) -> None:
        """RST to every connection; with `refuse` also to those that come, until `heal`."""
        self.harm.refuse = refuse
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for link in list(self._links):
            link.abort()

    def lose(self, *directions: Direction) -> None:
        """Bytes in these directions vanish (the connection stays open), until `heal`, which resets connections that
        lost any."""
        self.harm.lose = frozenset(directions)

    def slow(self, delay: float = 0.0, rate: float = 0.0) -> None:
        """Latency in seconds, and bandwidth in bytes/s, each way and for each connection."""
        self.harm.delay, self.harm.rate = delay, rate

    def hold_end_txn(self, what: Literal["request", "response"], spare: int = 0) -> None:
        """Keep an EndTxn request, or its response, until `heal` or `release`, once `spare` of them have passed; `held`
        is set when there is one."""
        self.held.clear()
        self._loop.call_soon_threadsafe(self._release.clear)
        self.harm.hold, self.harm.spare = what, spare

    def release(self) -> None:
        """Let what is held go on its way, if its connection still stands."""
        self.harm.hold = ""
        self._loop.call_soon_threadsafe(self._release.set)

    def heal(self) -> None:
        """No more harm. Connections that lost bytes are reset: their streams make no sense any more."""
        lost = bool(self.harm.lose)
        self.release()
        self.harm = Harm()
        if lost:
            self.cut()

    def forget(self) -> None:
        """A new trial begins."""
        self.traffic = Traffic()
        self.held.clear()

    def send_again(self, frame: bytes) -> int:
        """Deliver a captured EndTxn request to the broker once more, on a connection of its own; the error code of the
        answer (0: accepted)."""
        with socket.create_connection((HOST, self.target), 10) as s:
            s.sendall(frame)
            size = struct.unpack(">i", _exactly(s, 4))[0]
            answer = _exactly(s, size)
        flexible = struct.unpack(">h", frame[6:8])[0] >= 3  # EndTxn v3 has tagged fields in its headers
        return int(struct.unpack_from(">h", answer, 4 + flexible + 4)[0])  # correlation id, (tags), throttle time

    # pumping

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.harm.refuse:
            writer.transport.abort()
            return
        try:
            ahead, back = await asyncio.open_connection(HOST, self.target, limit=2**22)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, writer, back)
        self._links.add(link)
        try:
            await asyncio.gather(link.requests(reader, back), link.responses(ahead, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._links.discard(link)
            link.abort()


class _Link:
    """A client's connection and ours to the broker."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._proxy, self._writers = proxy, (client, broker)
        self._watched: set[int] = set()  # correlation ids of EndTxn requests under way

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in _frames(reader):
            key, _, correlation = struct.unpack(">hhi", frame[4:12])
            if key == PRODUCE:
                self._proxy.traffic.produced_at.append(time.monotonic())
            if key == END_TXN:
                self._proxy.traffic.end_txn.append(frame)
                self._watched.add(correlation)
                await self._hold("request")
            await self._forward(frame, writer, "to_broker")

    async def responses(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in _frames(reader):
            correlation = struct.unpack(">i", frame[4:8])[0]
            if correlation in self._watched:
                self._watched.discard(correlation)
                await self._hold("response")
            await self._forward(frame, writer, "to_client")

    async def _hold(self, what: str) -> None:
        harm = self._proxy.harm
        if harm.hold == what and harm.spare:
            harm.spare -= 1
        elif harm.hold == what:
            self._proxy.held.set()
            await self._proxy._release.wait()

    async def _forward(self, frame: bytes, writer: asyncio.StreamWriter, direction: Direction) -> None:
        harm = self._proxy.harm
        pause = harm.delay + (len(frame) / harm.rate if harm.rate else 0.0)
        if pause:
            await asyncio.sleep(pause)
        if direction not in self._proxy.harm.lose:
            writer.write(frame)
            await writer.drain()


def _unless_cut(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A connection that is cut while it is read ends its generator in the middle: no news."""
    if not isinstance(context.get("exception"), RuntimeError):
        loop.default_exception_handler(context)


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Kafka's frames: a length of four bytes and as many more. Ends the connection at its end
    (`IncompleteReadError`)."""
    while True:
        size = await reader.readexactly(4)
        yield size + await reader.readexactly(struct.unpack(">i", size)[0])


def _exactly(s: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise ConnectionError("the broker closed the connection")
        data += more
    return data
