"""The table of failures is total, and flags refine it the way librdkafka means them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from forebay.errors import BrokerUnavailableError, ForebayError, NotAuthorizedError, RetryableError, TopicMissingError
from forebay.kafka import client, failures
from forebay.kafka.failures import Action

CODES = {getattr(KafkaError, name): name for name in dir(KafkaError) if type(getattr(KafkaError, name)) is int}


def _named(code: str) -> failures.Failure:
    return failures.of_code(getattr(KafkaError, code))


def test_every_code_of_the_installed_librdkafka_is_in_the_table_once() -> None:
    names = [name for _, _, row in failures._TABLE for name in row.split()]
    assert len(CODES) > 180
    assert {code: name for code, name in CODES.items() if code not in failures.table()} == {}
    assert sorted(names) == sorted(set(names))
    assert set(names) <= set(CODES.values())


def test_actions_and_error_types_agree() -> None:
    for failure in failures.table().values():
        retryable = issubclass(failure.error, RetryableError)
        assert retryable == (failure.action in {Action.RETRY, Action.RENEW, Action.LEDGER, Action.FOLLOW}), failure


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("_TIMED_OUT", Action.RETRY),
        ("CONCURRENT_TRANSACTIONS", Action.RETRY),
        ("_FENCED", Action.FOLLOW),
        ("PRODUCER_FENCED", Action.FOLLOW),
        ("INVALID_PRODUCER_EPOCH", Action.FOLLOW),
        ("INVALID_TXN_STATE", Action.LEDGER),
        ("_FATAL", Action.LEDGER),
        ("_MSG_TIMED_OUT", Action.RENEW),
        ("MSG_SIZE_TOO_LARGE", Action.DATA),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Action.STOP),
        ("INVALID_TRANSACTION_TIMEOUT", Action.STOP),
        ("_PARTITION_EOF", Action.NONE),
    ],
)
def test_the_error_table_of_the_protocol(code: str, action: Action) -> None:
    assert _named(code).action == action


def test_an_unknown_code_is_left_to_the_ledger() -> None:
    assert failures.of_code(31_000).action == Action.LEDGER


class FlaggedError:
    """A `KafkaError` with flags: the real one takes them from C only."""

    def __init__(self, code: str, **flags: bool) -> None:
        self._code = getattr(KafkaError, code)
        self._flags = flags

    def code(self) -> int:
        return self._code

    def str(self) -> str:
        return "words"

    def __getattr__(self, name: Any) -> Any:
        return lambda: self._flags.get(name, False)


@pytest.mark.parametrize(
    ("code", "flags", "action"),
    [
        ("_TIMED_OUT", {"retriable": True}, Action.RETRY),
        ("_TIMED_OUT", {}, Action.LEDGER),  # no flag: as if fatal
        ("_TIMED_OUT", {"txn_requires_abort": True}, Action.RENEW),
        ("INVALID_TXN_STATE", {"fatal": True}, Action.LEDGER),
        ("_INCONSISTENT", {"txn_requires_abort": True}, Action.RENEW),
        ("_FENCED", {"fatal": True}, Action.FOLLOW),
        ("TOPIC_AUTHORIZATION_FAILED", {"txn_requires_abort": True}, Action.STOP),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", {"fatal": True}, Action.STOP),
        ("CONCURRENT_TRANSACTIONS", {"retriable": True}, Action.RETRY),
    ],
)
def test_flags_of_a_transactional_call_refine_the_table(code: str, flags: dict[str, bool], action: Action) -> None:
    assert failures.classify(FlaggedError(code, **flags), transactional=True).action == action  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_becomes_an_error_that_can_be_pickled_and_says_a_way_out(code: int) -> None:
    error = client.exception(KafkaException(KafkaError(code)), "listing topics")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.message == error.message
    assert error.message.startswith("listing topics: ")
    assert CODES[code] in error.message
    assert isinstance(error, ForebayError)


def test_messages() -> None:
    missing = failures.classify(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)).exception(
        "reading ledger `forebay.a.ledger`", topic="x"
    )
    assert isinstance(missing, TopicMissingError)
    assert missing.message == (
        "reading ledger `forebay.a.ledger`: Broker: Unknown topic or partition "
        "(`UNKNOWN_TOPIC_OR_PART`; create the topic, or set `topic.manage: create`)"
    )
    assert missing.where == {"code": "UNKNOWN_TOPIC_OR_PART", "topic": "x"}


def test_refused_credentials_are_the_cause_of_a_timeout() -> None:
    errors = client.ClientErrors()
    timeout = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    assert isinstance(client.exception(timeout, "x", errors), BrokerUnavailableError)
    errors(KafkaError(KafkaError._AUTHENTICATION))
    errors(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert isinstance(client.exception(timeout, "x", errors), NotAuthorizedError)
    assert errors.cause is not None
    assert errors.cause.name == "_AUTHENTICATION"
