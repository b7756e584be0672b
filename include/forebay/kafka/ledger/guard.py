"""What is remembered of a ledger outside Kafka, so that one which has lost its past is refused instead of believed.

A ledger that was recreated, cut back or repartitioned looks like one in which nothing was published yet, and everything
would be published again. So `FOREBAY_HOME/ledger/PIPELINE.json` keeps, for each ledger that was used, the topic's id,
and for each partition how far it was seen and which record was the last one. Losing this file loses the protection,
nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from forebay.errors import ConfigError, LedgerError
from forebay.kafka.ledger.entries import Owner
from forebay.model import Json, JsonDict
from forebay.support import files
from forebay.support.folders import private
from forebay.support.words import counted

VERSION = 1
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class LedgerHome:
    """Where things are kept beside the ledger, and which cluster is meant: `place` is `EMBEDDED`, or the bootstrap
    servers."""

    folder: Path
    place: str
    root: str = ""  # the project's folder: a home that was copied with a project remembers another one

    @classmethod
    def of(cls, home: Path, bootstrap: str | None, root: Path | None = None) -> LedgerHome:
        """The folder in forebay's home; no bootstrap servers mean the embedded broker."""
        servers = ",".join(sorted(server.strip() for server in bootstrap.split(","))) if bootstrap else EMBEDDED
        return cls(home / "ledger", servers, str(root or ""))


@dataclass(frozen=True, slots=True)
class Tail(Json):
    """The last record that was seen of a partition."""

    offset: int
    digest: str

    @classmethod
    def of(cls, offset: int, key: bytes) -> Tail:
        return cls(offset, hashlib.sha256(key).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Known(Json):
    """A ledger topic that was used. `ends`: how far each partition was read, `low`: where it begins (0, unless a person
    accepted another)."""

    topic_id: str
    cluster_id: str
    place: str
    partitions: int
    since: str
    ends: dict[str, int] = field(default_factory=dict)
    tails: dict[str, Tail] = field(default_factory=dict)
    low: dict[str, int] = field(default_factory=dict)
    accepted: str | None = None
    owner: Owner | None = None  # whose it was when it was used last, by the project in `root`
    root: str = ""

    def merged(self, other: Known) -> Known:
        """What two processes saw of the same ledger: per partition what lies further."""
        ends = {p: max(self.ends.get(p, 0), other.ends.get(p, 0)) for p in {*self.ends, *other.ends}}
        tails = dict(self.tails)
        for p, tail in other.tails.items():
            if p not in tails or tails[p].offset < tail.offset:
                tails[p] = tail
        return replace(self, ends=ends, tails=tails, owner=other.owner or self.owner, root=other.root or self.root)


class Guard:
    """The memory of one pipeline's ledgers. Any number of processes may use it at once."""

    def __init__(self, keep: LedgerHome, pipeline: str) -> None:
        self.pipeline = pipeline
        self.folder = keep.folder
        self._place, self._root = keep.place, keep.root
        self._path = keep.folder / f"{pipeline}.json"
        self._known = self._load()

    # asking

    def known(self, topic_id: str) -> Known | None:
        return next((k for k in self._known if k.topic_id == topic_id), None)

    def check(self, topic_id: str, partitions: int, cluster_id: Callable[[], str]) -> None:
        """Refuse another topic, or another partition count, than this cluster's ledger had; remember one never seen
        before.

        Raises `LedgerError` with the ways out.
        """
        known = self.known(topic_id)
        if known is None:
            cluster = self.refuse_other(topic_id, cluster_id)
            self._save(Known(topic_id, cluster, self._place, partitions, now()))
        elif known.partitions != partitions:
            raise LedgerError(
                f"{self._doing}: the topic has {counted(partitions, 'partition')} and had {known.partitions}, "
                "so files would be looked for in the wrong place "
                f"(set `publish.ledger_partitions: {known.partitions}`, then: "
                f"`forebay ledger export {self.pipeline} --to FILE`, delete the topic, "
                f"`forebay ledger restore {self.pipeline} --from FILE`)"
            )

    def refuse_other(self, topic_id: str, cluster_id: Callable[[], str]) -> str:
        """Refuse an unknown topic where this cluster has a known one (`LedgerError`); returns the cluster's id."""
        cluster = cluster_id()
        if earlier := self._same_cluster(cluster):
            raise LedgerError(
                f"{self._doing}: the topic was recreated, its id is `{topic_id}` and was `{earlier.topic_id}` "
                f"{self._ways_out()}"
            )
        return cluster

    def missing(self, cluster_id: Callable[[], str]) -> None:
        """Refuse to begin a new ledger where there was one. Raises `LedgerError`."""
        if self._known and (earlier := self._same_cluster(cluster_id())):
            raise LedgerError(f"{self._doing}: the topic of id `{earlier.topic_id}` is gone {self._ways_out()}")

    def check_ends(self, topic_id: str, ends: Mapping[int, int]) -> None:
        """Refuse a topic that ends before what was seen of it. Raises `LedgerError`."""
        known = self.known(topic_id)
        for partition, end in ends.items():
            seen = known.ends.get(str(partition), 0) if known else 0
            if end < seen:
                raise LedgerError(
                    f"{self._doing}: partition {partition} ends at offset {end}, it was read up to {seen} before "
                    f"{self._ways_out()}"
                )

    def rewritten(self, partition: int, offset: int) -> LedgerError:
        """The error for a partition in which another record, or none, lies where the last one was seen."""
        return LedgerError(
            f"{self._doing}: partition {partition} no longer has the record that was seen at offset {offset} "
            f"(committed records were lost, as by an unclean election) {self._ways_out()}"
        )

    def tail(self, topic_id: str, partition: int) -> Tail | None:
        known = self.known(topic_id)
        return known.tails.get(str(partition)) if known else None

    def low(self, topic_id: str, partition: int) -> int:
        """The offset at which a partition may begin."""
        known = self.known(topic_id)
        return known.low.get(str(partition), 0) if known else 0

    def owner(self, topic_id: str) -> Owner | None:
        """Whose the ledger was when this project, in this folder, used it last."""
        known = self.known(topic_id)
        return known.owner if known and known.root == self._root else None

    # remembering

    def saw(self, topic_id: str, ends: Mapping[int, int], tails: Mapping[int, Tail]) -> None:
        """Remember how far a ledger was read."""
        known = self.known(topic_id)
        if known is None:
            return
        new = replace(known, ends={str(p): n for p, n in ends.items()}, tails={str(p): t for p, t in tails.items()})
        if known.merged(new) != known:
            self._save(new)

    def owned(self, topic_id: str, owner: Owner) -> None:
        """Remember whose a ledger is that this project uses."""
        if known := self.known(topic_id):
            self._save(replace(known, owner=owner, root=self._root))

    def accept(self, known: Known, reason: str) -> None:
        """Go on with this ledger as it is, by a person's decision; what was known of this cluster's ledger is kept as a
        note only."""
        with self._locked():
            document = self._read()
            gone = [
                k
                for k in self._known_of(document)
                if self._is_same(k, known.cluster_id) or k.topic_id == known.topic_id
            ]
            rest = [k for k in self._known_of(document) if k not in gone]
            note = {"at": now(), "reason": reason, "topic_id": known.topic_id, "instead_of": [k.topic_id for k in gone]}
            self._write([*rest, replace(known, accepted=reason)], [*document.get("accepted", []), note])
        self._known = self._load()

    def forget(self, cluster_id: str, reason: str) -> None:
        """Let a new ledger begin in this cluster, by a person's decision."""
        with self._locked():
            document = self._read()
            gone = [k for k in self._known_of(document) if self._is_same(k, cluster_id)]
            note = {"at": now(), "reason": reason, "topic_id": None, "instead_of": [k.topic_id for k in gone]}
            self._write([k for k in self._known_of(document) if k not in gone], [*document.get("accepted", []), note])
        self._known = self._load()

    # the file

    @property
    def _doing(self) -> str:
        return f"reading ledger of `{self.pipeline}`"

    def _ways_out(self) -> str:
        name = self.pipeline
        return (
            f"(bring its records back with `forebay ledger restore {name} --from FILE`, or go on without them with "
            f'`forebay ledger accept {name} --reason "…"`: files that only they recorded are then published again)'
        )

    def _is_same(self, known: Known, cluster_id: str) -> bool:
        return known.cluster_id == cluster_id or known.place == self._place

    def _same_cluster(self, cluster_id: str) -> Known | None:
        return next((k for k in self._known if self._is_same(k, cluster_id)), None)

    def _save(self, known: Known) -> None:
        with self._locked():
            document = self._read()
            others = self._known_of(document)
            mine = next((k for k in others if k.topic_id == known.topic_id), None)
            merged = mine.merged(known) if mine else known
            self._write([*(k for k in others if k.topic_id != known.topic_id), merged], document.get("accepted", []))
        self._known = self._load()

    def _load(self) -> list[Known]:
        return self._known_of(self._read())

    @staticmethod
    def _known_of(document: JsonDict) -> list[Known]:
        return [Known.from_json(item) for item in document.get("ledgers", [])]

    def _read(self) -> JsonDict:
        try:
            document: JsonDict = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            raise LedgerError(
                f"reading `{self._path}`: it is not JSON (it remembers which ledger is the right one: restore it, "
                "or delete it and run "
                f"`forebay ledger verify {self.pipeline}` before anything is published)"
            ) from None
        return document

    def _write(self, known: list[Known], accepted: list[JsonDict]) -> None:
        document = {
            "v": VERSION,
            "pipeline": self.pipeline,
            "ledgers": [k.to_json() for k in known],
            "accepted": accepted,
        }
        files.write(json.dumps(document, indent=1), self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            private(self.folder)
            with files.locked(self.folder / f"{self.pipeline}.lock"):
                yield
        except OSError as error:
            raise ConfigError(
                f"writing `{self._path}`: {error} (make forebay's home writable, or set FOREBAY_HOME)"
            ) from None


def now() -> str:
    """This moment as it is written down: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
