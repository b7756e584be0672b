"""The protocol with a mistake in it. Each is one that a reasonable person could make, and each must be found out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from forebay.kafka.ledger.view import LedgerView
from forebay.kafka.publish.order import Order
from forebay.kafka.publish.protocol import Publication, Steps, _Lost
from forebay.kafka.publish.steps import Close, Commit, Done, Effect, Event, Failed, Protections, Task


class Hasty(Publication):
    """Takes a commit that failed, in whatever way, for a chunk that was not published, and publishes it again without
    asking."""

    unsure: int | None = None

    def _commit(self, chunk: int) -> Steps:
        try:
            yield from super()._commit(chunk)
        except _Lost:
            self.unsure = chunk
            raise
        self.unsure = None

    def _next_chunk(self) -> Generator[Effect, Event, int | None]:
        return (yield from super()._next_chunk()) if self.unsure is None else self.unsure

    def _barrier(self) -> Generator[Effect, Event, int | None]:
        return (yield from super()._barrier()) if self.unsure is None else self.unsure


class Trusting(Publication):
    """Takes a commit that timed out for one that will have succeeded."""

    def _until(self, deadline: float, effect: Effect) -> Generator[Effect, Event, Event]:
        event = yield effect
        if type(effect) is Commit and isinstance(event, Failed):
            return Done(event.now)
        while isinstance(event, Failed):
            if event.failure.action != "call again" or event.now >= deadline:
                raise _Lost(event.failure, event.failure.action)
            event = yield effect
        return event


class Premature(Publication):
    """Asks the ledger first and takes the lane afterwards: what the former owner commits in between is missed."""

    def _transaction(self, chunk: int) -> Steps:
        if (yield from self._barrier()) != chunk:
            return
        yield from self._take_lane()
        yield from self._fill(chunk)
        yield from self._commit(chunk)
        yield from self._close()


class Unfenced(Publication):
    """Goes on in spite of being fenced: takes the answer of a fenced commit for success."""

    def _do(self, effect: Effect) -> Generator[Effect, Event, Event]:
        event = yield effect
        if isinstance(event, Failed) and event.failure.action != "follow":
            raise _Lost(event.failure, event.failure.action)
        return event if not isinstance(event, Failed) else Done(event.now)

    def _commit(self, chunk: int) -> Steps:
        yield from self._do(Commit(chunk))
        self._in_transaction = False
        self.committed.append(chunk)
        yield Close()
        self._open = False


class Unordered(Order):
    """Keeps no order of a name's contents."""

    def keep(self, view: LedgerView) -> tuple[int, ...]:
        return ()


class LeavesLanes(Order):
    """Lets whoever stands in the lane of what was left unfinished stand there."""

    def keep(self, view: LedgerView) -> tuple[int, ...]:
        super().keep(view)
        return ()


class AsksForPublished(Order):
    """Asks for contents that were published, and not for those that were begun."""

    def _refuse_begun(self, view: LedgerView) -> None: ...


class AsksForBegun(Order):
    """Asks for contents that were begun, and not for those that were published."""

    def _refuse_published(self, view: LedgerView) -> None: ...


ORDERS: dict[str, type[Order]] = {
    "C6 off: the order of a name's contents is not kept": Unordered,
    "C6 without taking the lane of what was left": LeavesLanes,
    "C6 without asking for begun contents": AsksForPublished,
    "C6 without asking for published contents": AsksForBegun,
}

MUTANTS: dict[str, Callable[[Task, Protections], Any]] = {
    "a failed commit is repeated unasked": Hasty,
    "a failed commit counts as done": Trusting,
    "the ledger is read before the lane is taken": Premature,
    "being fenced is ignored": Unfenced,
}
