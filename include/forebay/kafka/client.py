"""Kafka clients as forebay builds them: quiet, committed reads, and able to say the true cause of a failure.

To librdkafka, wrong credentials are a broker that is slow: every call ends in `_TIMED_OUT`, and the reason
(`_AUTHENTICATION`, `_SSL`) reaches only the error callback, and that only while `poll` runs. So each client here
carries a `ClientErrors`, and `connect_check` polls for it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from forebay.config import kafka_settings
from forebay.errors import BrokerUnavailableError, ConfigError, ForebayError, OutOfResourcesError
from forebay.kafka import failures
from forebay.kafka.failures import Action, Failure

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource

Config = dict[str, Any]

COMMON: Config = {
    "client.id": "forebay",
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,  # default 10 s: a broker that restarts in 2 s would be missed for 8 more
    "log.connection.close": False,
}
CONSUMER: Config = {
    "group.id": "forebay",  # required by the client; forebay assigns partitions and never commits offsets
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # a range that has expired is said, not silently skipped
}
PRODUCER: Config = {
    "enable.idempotence": True,
    "acks": "all",
}  # what librdkafka takes for a transaction anyway, said so that nothing else is
CONTACT = 10.0  # seconds for brokers that have not answered yet: they may be far, or not be there
FIRST_ANSWER = 3.0  # seconds after which a new client asks; it waits twice as long, for the network may be that slow
_VAGUE = frozenset({"_TIMED_OUT", "_ALL_BROKERS_DOWN", "_WAIT_COORD"})


class Log:
    """librdkafka's log lines as DEBUG of `forebay.librdkafka`: what matters of them comes back as an error of some
    call."""

    def __init__(self) -> None:
        self._log = logging.getLogger("forebay.librdkafka")

    def log(self, _level: int, message: str, *args: Any) -> None:
        self._log.debug(message, *args)


class ClientErrors:
    """The client-level errors of one client, as its error callback heard them (call `poll` for news)."""

    def __init__(self) -> None:
        self.seen: dict[int, Failure] = {}
        self.fatal: Failure | None = None  # the true cause of an `_FATAL` that `produce` raises

    def __call__(self, error: KafkaError) -> None:
        failure = failures.classify(error)
        self.seen[failure.code] = failure
        if error.fatal():
            self.fatal = failure

    @property
    def cause(self) -> Failure | None:
        """The most telling error so far: refused credentials before anything else; that all brokers are down says
        least."""
        return max(
            self.seen.values(), key=lambda f: 2 if failures.is_credentials(f) else f.name not in _VAGUE, default=None
        )

    @property
    def refused(self) -> Failure | None:
        """The broker was reached but did not let us in."""
        cause = self.cause
        return cause if cause and failures.is_credentials(cause) else None


def _settings(config: Config, defaults: Config, errors: ClientErrors | None, overrides: Config) -> Config:
    """`config` is a connection's: it decides nothing that the protocol needs (config/kafka_settings.py), whoever it
    came from."""
    given = {key: value for key, value in config.items() if not kafka_settings.is_ours(key)}
    return {**COMMON, **defaults, **given, **overrides, "error_cb": errors or ClientErrors(), "logger": Log()}


def admin(config: Config, errors: ClientErrors | None = None, **overrides: Any) -> AdminClient:
    """An admin client. `overrides` are librdkafka settings: `admin(config, **{"socket.timeout.ms": 5000})`."""
    from confluent_kafka.admin import AdminClient

    heard = errors or ClientErrors()
    built = _build(AdminClient, _settings(config, {}, heard, overrides))
    built.errors = heard
    return built


def answer(admin: Any, future: Any, patience: float = 60.0) -> Any:
    """The result of an admin call's future, waited for with an ear on the error callback: refused credentials are
    raised at once.

    Raises `NotAuthorizedError` and `KafkaException` (see `translate`); `TimeoutError` after `patience` seconds, for the
    call's own `request_timeout` does not always end it (seen when the broker that was asked was killed).
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return future.result(0.2)
        except TimeoutError:
            admin.poll(0)
            if refused := admin.errors.refused:
                raise refused.exception("asking the brokers") from None
            if time.monotonic() > deadline:
                raise


class Asker:
    """Asks the brokers through an admin client, and through a new one where the old one gets no answer.

    librdkafka's admin client goes on asking with the leader, and the leader epoch, that it knows: after a leader was
    killed or moved it is refused (`FENCED_LEADER_EPOCH`), or left without an answer for longer than any
    `request_timeout` allows. A new client learns first who leads: asked for offsets before it knows, it would look for
    the leader every 3 s only.
    """

    def __init__(
        self,
        config: Config,
        errors: ClientErrors | None = None,
        patience: float = 30.0,
        clients: Callable[[Config, ClientErrors], AdminClient] = admin,
    ) -> None:
        """`patience`: seconds after which a question is not asked again. Brokers that have never answered are given
        `CONTACT` at most. `clients` makes each new client."""
        self.errors = errors or ClientErrors()
        self._config, self._patience, self._reached, self._slow = config, patience, False, 0.0
        self._clients = clients
        self.admin = clients(config, self.errors)

    def ask(
        self,
        question: Callable[[AdminClient, float], Any],
        final: frozenset[int] = frozenset(),
        absent: frozenset[int] = frozenset(),
    ) -> Any:
        """What the brokers answer. `question(admin, seconds)` sends it, `seconds` being the `request_timeout` to give,
        and returns the future, or a dict of them; then a dict of results comes back, without those that ended with one
        of the codes `absent`.

        It may be asked several times, so doing it twice must change nothing. Errors that time mends are waited out;
        those of the codes `final`, and all others, are raised at once. Raises `KafkaException` (see `translate`),
        `NotAuthorizedError`, `BrokerUnavailableError`.
        """
        from confluent_kafka import KafkaException

        contact = min(CONTACT, max(FIRST_ANSWER, self._patience))
        began, within = time.monotonic(), max(FIRST_ANSWER if self._reached else contact, self._slow)
        while True:
            try:
                return self._answers(question(self.admin, within), within + 1, absent)
            except TimeoutError:
                if self._too_late(began, contact):
                    raise BrokerUnavailableError(
                        f"asking the brokers: no answer within {time.monotonic() - began:.0f} s (try again)"
                    ) from None
            except KafkaException as error:
                mends = failures.classify(error.args[0]).action == Action.RETRY and error.args[0].code() not in final
                if not mends or self._too_late(began, contact):
                    raise
            within = min(within * 2, max(within, self._patience))  # what is refused at once is asked often
            self._renew(within)
            within = max(within, self._slow)

    def _too_late(self, began: float, contact: float) -> bool:
        """Brokers that never answered are given less time, unless nothing is wrong with them but that they are slow."""
        unseen = not self._reached and self.errors.seen
        return time.monotonic() - began > (contact if unseen else self._patience)

    def offsets(
        self,
        partitions: Iterable[TopicPartition],
        earliest: bool = False,
        uncommitted: bool = True,
        final: frozenset[int] = frozenset(),
    ) -> dict[tuple[str, int], int]:
        """By (topic, partition) the log's first offset (`earliest`), its high watermark, or (not `uncommitted`) its
        last stable offset."""
        from confluent_kafka import IsolationLevel
        from confluent_kafka.admin import OffsetSpec

        level = IsolationLevel.READ_UNCOMMITTED if uncommitted else IsolationLevel.READ_COMMITTED
        wanted = {at: OffsetSpec.earliest() if earliest else OffsetSpec.latest() for at in partitions}
        answers = self.ask(
            lambda admin, within: admin.list_offsets(wanted, isolation_level=level, request_timeout=within), final
        )
        return {(at.topic, at.partition): offset.offset for at, offset in answers.items()}

    def topics(self, names: Iterable[str]) -> dict[str, Any]:
        """The description of each of these topics that exists."""
        from confluent_kafka import KafkaError, TopicCollection

        wanted = TopicCollection(list(names))
        absent = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART})
        described: dict[str, Any] = self.ask(
            lambda admin, within: admin.describe_topics(wanted, request_timeout=within), absent=absent
        )
        return described

    def settings(self, resource: ConfigResource) -> dict[str, str]:
        """The effective configuration of a topic or a broker."""
        entries = self.ask(lambda admin, within: admin.describe_configs([resource], request_timeout=within)[resource])
        return {name: entry.value for name, entry in entries.items()}

    def _answers(self, asked: Any, within: float, absent: frozenset[int]) -> Any:
        several = isinstance(asked, dict)
        answers = {}
        for about, future in (asked if several else {None: asked}).items():
            with _unless(absent):
                answers[about] = _known(answer(self.admin, future, within))
        self._reached = True
        return answers if several else answers[None]

    def _renew(self, within: float) -> None:
        """A new client, which has learnt who leads. Its second question is one round trip; two connections and what
        they ask take four, and some."""
        from confluent_kafka import KafkaException

        time.sleep(0.1)
        self.admin = self._clients(self._config, self.errors)
        with contextlib.suppress(KafkaException):
            self.admin.list_topics(timeout=within)
            began = time.monotonic()
            self.admin.list_topics(timeout=within)
            self._slow = 6 * (time.monotonic() - began)


@contextlib.contextmanager
def _unless(absent: frozenset[int]) -> Iterator[None]:
    """Pass over a `KafkaException` of one of these codes."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        if error.args[0].code() not in absent:
            raise


def _known(known: Any) -> Any:
    """What was told, unless it is an offset below 0: so librdkafka 2.16 says, without any error, that no leader
    answered in time."""
    if getattr(known, "offset", 0) < 0:
        raise TimeoutError
    return known


def producer(config: Config, errors: ClientErrors | None = None, **overrides: Any) -> Producer:
    """A producer; not transactional unless `overrides` say so. Build it in the process that uses it: clients do not
    survive fork()."""
    from confluent_kafka import Producer

    return _build(Producer, _settings(config, PRODUCER, errors, overrides))


def consumer(config: Config, errors: ClientErrors | None = None, **overrides: Any) -> Consumer:
    """A read_committed consumer without auto commit, which reports partition ends; use it with `assign`."""
    from confluent_kafka import Consumer

    return _build(Consumer, _settings(config, CONSUMER, errors, overrides))


def _build(kind: Any, settings: Config) -> Any:
    from confluent_kafka import KafkaError, KafkaException

    try:
        return kind(settings)
    except (KafkaException, MemoryError) as error:
        words = error.args[0].str() if isinstance(error, KafkaException) else "out of memory"
        starved = {
            KafkaError._CRIT_SYS_RESOURCE,
            KafkaError.NO_ERROR,
        }  # no thread could be made; the admin client's error has no code then
        if isinstance(error, MemoryError) or error.args[0].code() in starved:
            raise OutOfResourcesError(
                f"building a Kafka client: {words} (give the process more memory or threads, then try again)"
            ) from None
        raise ConfigError(f"building a Kafka client: {words} (correct the connection's librdkafka settings)") from None


@contextlib.contextmanager
def translate(doing: str, errors: ClientErrors | None = None, **where: Any) -> Iterator[None]:
    """Turn a `KafkaException` (which cannot be pickled) into a forebay error, naming the true cause where `errors`
    knows it.

    `doing` is gerund and object, without a colon: "reading ledger `forebay.flights.ledger`".
    """
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise exception(error, doing, errors, **where) from None


def exception(error: Exception, doing: str, errors: ClientErrors | None = None, **where: Any) -> ForebayError:
    """The forebay error for a `KafkaException`."""
    failure = failures.classify(error.args[0])
    cause = errors.cause if errors is not None else None
    if cause is not None and (
        failure.name in _VAGUE or (failure.action == Action.RETRY and failures.is_credentials(cause))
    ):
        failure = cause  # "timed out" says less than "connection refused", and much less than "wrong password"
    return failure.exception(doing, **where)


def connect_check(config: Config, timeout: float = 5.0) -> str:
    """Reach the cluster within `timeout` seconds and return its id.

    Raises `NotAuthorizedError` as soon as a broker refuses the credentials or the certificates,
    `BrokerUnavailableError` when none answers.
    """
    from confluent_kafka import KafkaException

    errors = ClientErrors()
    client = admin(config, errors)
    where = f"connecting to `{config.get('bootstrap.servers')}`"
    deadline = time.monotonic() + timeout
    while True:
        try:
            metadata = client.list_topics(timeout=0.25)
            return str(metadata.cluster_id)
        except KafkaException as error:
            client.poll(0.05)
            failure = errors.refused or failures.classify(error.args[0])
            if failure.action == Action.STOP:
                raise failure.exception(where) from None
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(_unreachable(where, timeout, errors.cause or failure)) from None


def _unreachable(where: str, timeout: float, cause: Failure) -> str:
    return (
        f"{where}: no broker answered within {timeout:g} s, last cause: {cause.text or cause.name} (start the broker "
        "or correct the address)"
    )
