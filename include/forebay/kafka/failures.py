"""What each of librdkafka's error codes asks of us: one table over all of them, so that no code is met unprepared.

A `KafkaError` says two things: its code, and (only when a call raised it) the flags `retriable`, `txn_requires_abort`
and `fatal`. The code alone gives an answer by the table below; flags, where there are any, refine it (`classify`).
librdkafka's rule for its transactional calls is that an error *without* a flag is fatal (INTRODUCTION.md,
"Transactional producer"), and `produce` raises `_FATAL` with `fatal()` False: so the code is judged as well as the
flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from forebay.errors import (
    BrokerUnavailableError,
    ConfigError,
    DeliveryError,
    FatalError,
    FencedError,
    ForebayError,
    LedgerError,
    NotAuthorizedError,
    OutcomeUnknownError,
    PreflightError,
    TopicMissingError,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError


class Action(StrEnum):
    """What to do about an error, from the mildest to the worst."""

    NONE = "nothing"  # not a failure: an event, or an answer such as the end of a partition
    RETRY = "call again"  # the same call on the same instance may succeed
    RENEW = "new producer"  # abort, destroy the instance, start the chunk again on a new one; nothing of it is visible
    LEDGER = "ledger decides"  # the outcome is unknown: destroy the instance, read the ledger behind a new one
    FOLLOW = "follow"  # another owner has the lane: destroy the instance and watch the ledger passively
    DATA = "data"  # these records can never be accepted: the rows belong in quarantine
    STOP = "stop"  # a person must change something; trying again repeats it


@dataclass(frozen=True, slots=True)
class Failure:
    """A Kafka error as plain, picklable data: `name` is librdkafka's (`_TIMED_OUT`), `text` its words."""

    code: int
    name: str
    action: Action
    error: type[ForebayError]
    text: str = ""

    def exception(self, doing: str, **where: Any) -> ForebayError:
        """The forebay error to raise, `doing` being gerund and object: "listing topics of `10.0.0.1:9092`"."""
        return self.error(
            f"{doing}: {self.text or self.name} (`{self.name}`; {_way_out(self)})", code=self.name, **where
        )


# action, error type, and the codes (KafkaError's constants). Every code is in exactly one row:
# tests/kafka/test_failures.py.
_TABLE: tuple[tuple[Action, type[ForebayError], str], ...] = (
    (
        Action.NONE,
        ForebayError,
        "NO_ERROR _PARTITION_EOF _NOOP _NO_OFFSET _ASSIGN_PARTITIONS _REVOKE_PARTITIONS _NODE_UPDATE "
        "ELECTION_NOT_NEEDED",
    ),
    (Action.NONE, ForebayError, "TOPIC_ALREADY_EXISTS NO_REASSIGNMENT_IN_PROGRESS"),
    # the network, a broker, a leader or a coordinator on its way
    (
        Action.RETRY,
        BrokerUnavailableError,
        "_TRANSPORT _RESOLVE _TIMED_OUT _ALL_BROKERS_DOWN _WAIT_COORD _WAIT_CACHE _RETRY _INTR _FAIL",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "_TIMED_OUT_QUEUE _IN_PROGRESS _PREV_IN_PROGRESS _UNKNOWN_BROKER _DESTROY_BROKER _OUTDATED _PARTIAL",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT BROKER_NOT_AVAILABLE",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "REPLICA_NOT_AVAILABLE STALE_CTRL_EPOCH NETWORK_EXCEPTION COORDINATOR_LOAD_IN_PROGRESS",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR NOT_CONTROLLER CONCURRENT_TRANSACTIONS",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "TRANSACTION_COORDINATOR_FENCED KAFKA_STORAGE_ERROR REASSIGNMENT_IN_PROGRESS LISTENER_NOT_FOUND",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH STALE_BROKER_EPOCH OFFSET_NOT_AVAILABLE",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE THROTTLING_QUOTA_EXCEEDED",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH UNSTABLE_OFFSET_COMMIT OPERATION_NOT_ATTEMPTED",
    ),
    (
        Action.RETRY,
        BrokerUnavailableError,
        "REBOOTSTRAP_REQUIRED UNKNOWN_CONTROLLER_ID UNKNOWN_TOPIC_ID REBALANCE_IN_PROGRESS "
        "INCONSISTENT_TOPIC_ID _NOENT",
    ),
    (Action.RETRY, DeliveryError, "_QUEUE_FULL"),
    # records that did not arrive: the transaction cannot commit
    (
        Action.RENEW,
        DeliveryError,
        "_MSG_TIMED_OUT _PURGE_QUEUE _PURGE_INFLIGHT _GAPLESS_GUARANTEE _ISR_INSUFF NOT_ENOUGH_REPLICAS",
    ),
    (
        Action.RENEW,
        DeliveryError,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND TRANSACTION_ABORTABLE _INCONSISTENT _BAD_MSG _BAD_COMPRESSION",
    ),
    (
        Action.RENEW,
        DeliveryError,
        "INVALID_MSG OUT_OF_ORDER_SEQUENCE_NUMBER UNKNOWN_PRODUCER_ID _INVALID_DIFFERENT_RECORD",
    ),
    (Action.RENEW, DeliveryError, "RECORD_LIST_TOO_LARGE INVALID_TIMESTAMP _DESTROY _CRIT_SYS_RESOURCE _UNDERFLOW"),
    # what happened to the transaction only the ledger knows
    (
        Action.LEDGER,
        OutcomeUnknownError,
        "_FATAL _STATE _CONFLICT _APPLICATION UNKNOWN INVALID_TXN_STATE DUPLICATE_SEQUENCE_NUMBER",
    ),
    (Action.LEDGER, OutcomeUnknownError, "INVALID_PRODUCER_ID_MAPPING"),
    (Action.FOLLOW, FencedError, "_FENCED PRODUCER_FENCED INVALID_PRODUCER_EPOCH"),
    (
        Action.DATA,
        FatalError,
        "MSG_SIZE_TOO_LARGE INVALID_MSG_SIZE INVALID_RECORD _KEY_SERIALIZATION _VALUE_SERIALIZATION",
    ),
    # a person must act
    (
        Action.STOP,
        NotAuthorizedError,
        "_AUTHENTICATION _SSL SASL_AUTHENTICATION_FAILED TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED",
    ),
    (
        Action.STOP,
        NotAuthorizedError,
        "CLUSTER_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED DELEGATION_TOKEN_AUTHORIZATION_FAILED",
    ),
    (
        Action.STOP,
        NotAuthorizedError,
        "DELEGATION_TOKEN_EXPIRED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH",
    ),
    (
        Action.STOP,
        NotAuthorizedError,
        "DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_REQUEST_NOT_ALLOWED SECURITY_DISABLED",
    ),
    (
        Action.STOP,
        NotAuthorizedError,
        "UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE UNACCEPTABLE_CREDENTIAL PRINCIPAL_DESERIALIZATION_FAILURE",
    ),
    (Action.STOP, NotAuthorizedError, "INVALID_PRINCIPAL_TYPE"),
    (Action.STOP, TopicMissingError, "_UNKNOWN_TOPIC _UNKNOWN_PARTITION UNKNOWN_TOPIC_OR_PART"),
    (
        Action.STOP,
        LedgerError,
        "OFFSET_OUT_OF_RANGE _AUTO_OFFSET_RESET _LOG_TRUNCATION _KEY_DESERIALIZATION _VALUE_DESERIALIZATION",
    ),
    (
        Action.STOP,
        PreflightError,
        "TOPIC_EXCEPTION INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG",
    ),
    (
        Action.STOP,
        PreflightError,
        "POLICY_VIOLATION INVALID_REQUIRED_ACKS INVALID_TRANSACTION_TIMEOUT UNSUPPORTED_VERSION",
    ),
    (
        Action.STOP,
        PreflightError,
        "UNSUPPORTED_FOR_MESSAGE_FORMAT UNSUPPORTED_COMPRESSION_TYPE _UNSUPPORTED_FEATURE TOPIC_DELETION_DISABLED",
    ),
    (
        Action.STOP,
        PreflightError,
        "MISMATCHED_ENDPOINT_TYPE UNSUPPORTED_ENDPOINT_TYPE FEATURE_UPDATE_FAILED INVALID_UPDATE_VERSION",
    ),
    (Action.STOP, PreflightError, "LOG_DIR_NOT_FOUND DUPLICATE_RESOURCE RESOURCE_NOT_FOUND INVALID_REQUEST"),
    (
        Action.STOP,
        ConfigError,
        "_INVALID_ARG _NOT_CONFIGURED _INVALID_TYPE _NOT_IMPLEMENTED _UNKNOWN_PROTOCOL _READ_ONLY _FS",
    ),
    # of consumer groups, quorum voters, share groups, streams and telemetry: nothing forebay calls answers with these
    (
        Action.STOP,
        FatalError,
        "_UNKNOWN_GROUP _EXISTING_SUBSCRIPTION _MAX_POLL_EXCEEDED _ASSIGNMENT_LOST ILLEGAL_GENERATION",
    ),
    (
        Action.STOP,
        FatalError,
        "INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID UNKNOWN_MEMBER_ID INVALID_SESSION_TIMEOUT "
        "OFFSET_METADATA_TOO_LARGE",
    ),
    (
        Action.STOP,
        FatalError,
        "INVALID_COMMIT_OFFSET_SIZE NON_EMPTY_GROUP GROUP_ID_NOT_FOUND MEMBER_ID_REQUIRED GROUP_MAX_SIZE_REACHED",
    ),
    (
        Action.STOP,
        FatalError,
        "FENCED_INSTANCE_ID GROUP_SUBSCRIBED_TO_TOPIC FENCED_MEMBER_EPOCH UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR",
    ),
    (
        Action.STOP,
        FatalError,
        "STALE_MEMBER_EPOCH INVALID_REGULAR_EXPRESSION INCONSISTENT_VOTER_SET INVALID_VOTER_KEY DUPLICATE_VOTER",
    ),
    (
        Action.STOP,
        FatalError,
        "VOTER_NOT_FOUND INVALID_REGISTRATION UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE INVALID_RECORD_STATE",
    ),
    (
        Action.STOP,
        FatalError,
        "SHARE_SESSION_NOT_FOUND INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH SHARE_SESSION_LIMIT_REACHED",
    ),
    (Action.STOP, FatalError, "STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED"),
)

_ADVICE: dict[type[ForebayError], str] = {
    BrokerUnavailableError: "check that the brokers run and can be reached, then try again",
    DeliveryError: "nothing of the transaction is visible; try again",
    OutcomeUnknownError: "try again: the ledger knows whether the chunk was committed",
    FencedError: "another run works on the same lane; try again when it has ended",
    NotAuthorizedError: "check user, password, certificates and ACLs of the connection",
    TopicMissingError: "create the topic, or set `topic.manage: create`",
    LedgerError: "the ledger topic must never be deleted, trimmed or recreated",
    PreflightError: "change the topic or the pipeline so that they agree",
    ConfigError: "change the settings of the Kafka connection",
}
_CREDENTIALS = frozenset(
    {"_AUTHENTICATION", "_SSL", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE"}
)


def _way_out(failure: Failure) -> str:
    return _ADVICE.get(failure.error, "see the broker's log for more")


@cache
def table() -> dict[int, Failure]:
    """Error code to `Failure`, for every code of the installed librdkafka that the table above names."""
    from confluent_kafka import KafkaError

    codes = {
        name: getattr(KafkaError, name) for _, _, names in _TABLE for name in names.split() if hasattr(KafkaError, name)
    }
    return {
        codes[name]: Failure(codes[name], name, action, error)
        for action, error, names in _TABLE
        for name in names.split()
        if name in codes
    }


def of_code(code: int, text: str = "") -> Failure:
    """The table's answer. A code it does not know (a newer librdkafka) is met like an unflagged error: the ledger
    decides."""
    failure = table().get(code) or Failure(code, f"code {code}", Action.LEDGER, OutcomeUnknownError)
    return Failure(failure.code, failure.name, failure.action, failure.error, text)


def classify(error: KafkaError, transactional: bool = False) -> Failure:
    """What to do about `error`; `transactional` when a transactional call (init, begin, commit, abort) or `produce`
    raised it.

    Flags refine the table, but never soften "stop", "follow" and "data". An error of a transactional call without any
    flag is treated as fatal.
    """
    failure = of_code(error.code(), error.str())
    if failure.action in {Action.STOP, Action.FOLLOW, Action.DATA}:
        return failure
    if error.fatal():
        return with_action(failure, Action.LEDGER)
    if error.txn_requires_abort():
        return with_action(failure, Action.RENEW)
    if error.retriable():
        return with_action(failure, Action.RETRY)
    return with_action(failure, Action.LEDGER) if transactional and failure.action == Action.RETRY else failure


def with_action(failure: Failure, action: Action) -> Failure:
    """The same failure, met otherwise."""
    return Failure(failure.code, failure.name, action, failure.error, failure.text)


def is_credentials(failure: Failure) -> bool:
    """Whether the broker was reached but would not let us in (wrong user, password, mechanism, CA or client
    certificate)."""
    return failure.name in _CREDENTIALS
