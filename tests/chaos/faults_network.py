"""Faults between the publisher and one broker: cuts, losses, delays (rows 17 and 19), and rights taken away (row
40)."""

from __future__ import annotations

import signal
import time
from random import Random
from typing import Any

from tests.chaos.faults import fault, place
from tests.chaos.lab import Lab, Unmet
from tests.support.kafka import USERS


@fault("17", "RST to every connection, again and again", harm="cut", seconds=7)
def network_cut(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng, rows=2400, chunk=400), lab.proxies
    child = lab.start(file, bootstrap=lab.proxied)
    cuts = 0
    while child.process.poll() is None and cuts < 12:
        time.sleep(0.1 + rng.random() * 0.5)
        proxy.cut()
        cuts += 1
    ends(lab, file, child)
    return cuts


@fault("17", "no connection for 2 to 5 s", harm="cut", seconds=9)
def network_away(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng, rows=1200, chunk=400), lab.proxies
    child = lab.start(file, f"{place('after_flush', rng.randrange(3))}:sleep=0.3", bootstrap=lab.proxied)
    child.reaches()
    proxy.cut(refuse=True)
    time.sleep(2 + rng.random() * 3)
    proxy.heal()
    ends(lab, file, child)
    return 1


@fault("17", "no connection for 30 s, three times the transaction timeout", harm="cut", seconds=50)
def network_away_for_long(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng, rows=1200, chunk=400), lab.proxies
    child = lab.start(file, f"{place('after_flush', rng.randrange(3))}:sleep=0.3", bootstrap=lab.proxied)
    child.reaches()
    proxy.cut(refuse=True)
    time.sleep(30)
    proxy.heal()
    ends(lab, file, child)
    return 1


def _one_way(lab: Lab, rng: Random, direction: Any, seconds: float, timeout: str) -> int:
    file, [proxy] = lab.file(rng, rows=1200, chunk=400, config={"socket.timeout.ms": 3000}), lab.proxies
    child = lab.start(
        file,
        f"{place(rng.choice(['mid_produce', 'after_flush', 'after_ledger']), rng.randrange(3))}:sleep=0.2",
        bootstrap=lab.proxied,
        timeout=timeout,
    )
    child.reaches()
    time.sleep(0.15)
    proxy.lose(direction)
    time.sleep(seconds)
    proxy.heal()
    ends(lab, file, child)
    return 1


@fault("17", "answers of the broker vanish for 4 s (asymmetric)", harm="cut", seconds=11)
def answers_lost(lab: Lab, rng: Random) -> int:
    return _one_way(lab, rng, "to_client", 4, "30s")


@fault("17", "requests to the broker vanish for 4 s (asymmetric)", harm="cut", seconds=11)
def requests_lost(lab: Lab, rng: Random) -> int:
    return _one_way(lab, rng, "to_broker", 4, "30s")


@fault("17", "answers vanish for longer than the transaction timeout", harm="cut", seconds=35)
def answers_lost_for_long(lab: Lab, rng: Random) -> int:
    return _one_way(lab, rng, "to_client", 7, "4s")


@fault(
    "17",
    "the answer to EndTxn is cut off again and again: outcome unknown to the client, known to the ledger",
    harm="cut",
    seconds=8,
)
def commit_answer_cut(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng, rows=1200, chunk=400), lab.proxies
    proxy.hold_end_txn("response", spare=rng.randrange(3))
    child = lab.start(file, bootstrap=lab.proxied)
    cuts = 0
    while child.process.poll() is None and cuts < 3:
        if proxy.held.wait(0.1):
            proxy.cut()
            cuts += 1
            proxy.release()
            proxy.hold_end_txn("response", spare=0) if cuts < 3 else None
    proxy.heal()
    ends(lab, file, child)
    if not cuts:
        raise Unmet("no EndTxn was held")
    return cuts


def ends(lab: Lab, file: Any, child: Any) -> None:
    """The attempt ends by itself; if it gave up (it says that trying again may help), the next one finishes."""
    answer = child.answer(150).must(0, 4)
    if answer.code:
        lab.note(f"the attempt gave up: {answer.said['message']}")
        lab.finish(file)


@fault("19", "every packet 0.3 or 0.6 s late, each way", harm="delay", seconds=60)
def latency(lab: Lab, rng: Random) -> int:
    file, [proxy] = (
        lab.file(rng, rows=800, chunk=400, timeout="60s", manage="off"),
        lab.proxies,
    )  # the connection check allows 5 s
    proxy.slow(delay=rng.choice([0.3, 0.6]))
    lab.finish(file, bootstrap=lab.proxied)
    return 1


@fault("19", "bandwidth of 20 to 100 kB/s", harm="delay", seconds=20)
def bandwidth(lab: Lab, rng: Random) -> int:
    plain = {"compression.type": "none", "batch.size": 16_384}
    file, [proxy] = lab.file(rng, rows=6000, chunk=2000, timeout="60s", config=plain), lab.proxies
    proxy.slow(rate=rng.choice([20_000, 50_000, 100_000]))
    lab.finish(file, bootstrap=lab.proxied)
    return 1


@fault("19", "delays longer than the transaction timeout (F5), then a healthy network", harm="delay", seconds=45)
def slower_than_the_timeout(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng, rows=1200, chunk=600), lab.proxies
    child = lab.start(file, f"{place('after_barrier', 0)}:sleep=0.2", bootstrap=lab.proxied, timeout="2s")
    child.reaches()
    proxy.slow(delay=1.5)
    time.sleep(8)
    proxy.heal()
    ends(lab, file, child)
    return 1


# row 40: rights


def _acl(lab: Lab, kind: str, name: str, operation: str) -> Any:
    from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

    what = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "txn": ResourceType.TRANSACTIONAL_ID}[kind]
    allow = AclPermissionType.ALLOW
    return AclBinding(what, name, ResourcePatternType.PREFIXED, "User:bob", "*", AclOperation[operation], allow)


def _allow(lab: Lab, bindings: list[Any]) -> None:
    for future in lab.admin.create_acls(bindings).values():
        future.result()


def _deny(lab: Lab, bindings: list[Any]) -> None:
    from confluent_kafka.admin import AclBindingFilter

    filters = [
        AclBindingFilter(
            b.restype, b.name, b.resource_pattern_type, b.principal, b.host, b.operation, b.permission_type
        )
        for b in bindings
    ]
    for future in lab.admin.delete_acls(filters).values():
        future.result()


def _rights(lab: Lab) -> dict[str, Any]:
    name = lab.now.name
    return {
        "data": [_acl(lab, "topic", f"{name}.data", op) for op in ("WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")],
        "ledger": [
            _acl(lab, "topic", f"forebay.{name}.", op) for op in ("WRITE", "READ", "DESCRIBE", "DESCRIBE_CONFIGS")
        ],
        "group": [_acl(lab, "group", "forebay", "READ")],
        "txn": [_acl(lab, "txn", f"forebay.{name}.", op) for op in ("WRITE", "DESCRIBE")],
    }


def _as_bob(lab: Lab, password: str = "") -> dict[str, Any]:
    settings = lab.cluster.sasl("bob", password or USERS["bob"])
    return {"bootstrap": settings.pop("bootstrap.servers"), "config": settings}


@fault(
    "40",
    "the right to write to a topic, or under the transactional.id, is taken away in mid-transaction: a clear error, "
    "nothing visible; then given back",
    harm="change",
    seconds=5,
)
def rights_removed(lab: Lab, rng: Random) -> int:
    rights, taken = _rights(lab), rng.choice(["data", "ledger", "txn"])
    _allow(lab, [b for group in rights.values() for b in group])
    file = lab.file(rng, rows=900, chunk=300)
    chunk = rng.randrange(3)
    child = lab.start(
        file, f"{place(rng.choice(['mid_produce', 'after_flush', 'after_ledger']), chunk)}:stop", **_as_bob(lab)
    )
    child.stops()
    _deny(lab, [b for b in rights[taken] if b.operation.name == "WRITE"])
    time.sleep(0.2)
    child.send(signal.SIGCONT)
    answer = child.answer(90)
    _allow(lab, rights[taken])
    if answer.code:  # of the last chunk all may have been written that the right was for
        _refused(answer)
    lab.finish(file, **_as_bob(lab))
    _deny(lab, [b for group in rights.values() for b in group])
    return int(answer.code != 0)


@fault("40", "wrong password: a clear error within seconds", harm="change")
def wrong_password(lab: Lab, rng: Random) -> int:
    file = lab.file(rng)
    began = time.monotonic()
    _refused(lab.attempt(file, **_as_bob(lab, "wrong")))
    if time.monotonic() - began > 10:
        raise Unmet(f"it took {time.monotonic() - began:.1f} s to say that the password is wrong")
    lab.finish(file)
    return 1


def _carol(lab: Lab, password: str, remove: bool = False) -> None:
    """Make, change or remove the SCRAM user `carol`."""
    from confluent_kafka.admin import (
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialDeletion,
        UserScramCredentialUpsertion,
    )

    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change: Any = (
        UserScramCredentialDeletion("carol", ScramMechanism.SCRAM_SHA_512)
        if remove
        else UserScramCredentialUpsertion("carol", info, password.encode())
    )
    for future in lab.admin.alter_user_scram_credentials([change]).values():
        future.result(20)
    time.sleep(0.3)  # until the broker's own copy of its metadata has it


def _as_carol(lab: Lab, password: str) -> dict[str, Any]:
    settings = lab.cluster.sasl("carol", password) | {"sasl.mechanism": "SCRAM-SHA-512"}
    return {"bootstrap": settings.pop("bootstrap.servers"), "config": settings}


@fault(
    "40",
    "credentials are removed, or changed, while a transaction is open; the login expires: a clear error; "
    "then they are right again",
    seconds=12,
    harm="change",
)
def credentials_expire(lab: Lab, rng: Random) -> int:
    _carol(lab, "right")
    file = lab.file(rng, rows=900, chunk=300)
    place_ = place(rng.choice(["mid_produce", "after_flush", "after_ledger"]), rng.randrange(3))
    child = lab.start(file, f"{place_}:sleep=5", **_as_carol(lab, "right"), timeout="30s")
    child.reaches()
    _carol(lab, "another", remove=rng.random() < 0.5)
    began = time.monotonic()
    answer = child.answer(90)
    took = time.monotonic() - began
    _carol(lab, "right")
    if answer.code:  # a transaction that was committed before the login expired may be the last one
        _refused(answer)
    if took > 60:  # the transaction timeout, for which a flush waits, and some more
        raise Unmet(f"it took {took:.0f} s to say that the credentials are refused")
    lab.finish(file, **_as_carol(lab, "right"))
    return 1


def _refused(answer: Any) -> None:
    if answer.said.get("error") != "NotAuthorizedError":
        raise Unmet(f"not refused as unauthorised: {answer}")
