"""What the models alone cannot see: keys of later releases, path templates, column types, suites, and settings that
contradict each other.

Each check reads the raw document, so that it also speaks when other sections have faults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from forebay import registry
from forebay.config import contradictions, paths, types
from forebay.config.contradictions import declared_columns, not_declared
from forebay.config.hints import Found
from forebay.config.home import Project
from forebay.config.quality import SUITE_NAME
from forebay.config.yaml_lines import Document, Path, reading
from forebay.errors import ConfigError
from forebay.support.words import way_out


@dataclass(frozen=True, slots=True)
class Later:
    """A setting that the design has and this release does not. `hides` is where its presence makes other faults
    pointless."""

    path: Path
    instead: str
    hides: Path = ()
    values: tuple[str, ...] = ()
    """Only these values are meant; empty: any."""
    kind: str = ""
    """The plug-in kind of the value: a plug-in that exists by now is no longer `later`."""

    def is_in(self, document: Document) -> bool:
        if self.path not in document.lines:
            return False
        value = document.at(*self.path)
        return not self.values or (value in self.values and value not in registry.names(self.kind))


LATER = (
    Later(("transform",), "leave it out"),
    Later(("schema", "file"), "write `columns` instead", hides=("schema", "columns")),
    Later(("record", "value", "type"), "use `json`", ("record", "value"), ("avro", "protobuf"), "serializers"),
    Later(("publish", "throttle"), "leave it out"),
    Later(("schedule", "on"), "use `cron`", hides=("schedule",)),
    Later(("schedule", "assets"), "use `cron`", hides=("schedule",)),
    Later(("source", "ready_when", "manifest"), "use `marker`, `quiet_for` or `expect`"),
    Later(("source", "ready_when", "trailer"), "use `marker`, `quiet_for` or `expect`"),
    Later(("source", "ready_when", "expect", "deadline"), "leave it out"),
    Later(("settle", "type"), "use `archive`, `delete` or `keep`", ("settle",), ("tag",), "settlements"),
)


def not_built_yet(document: Document) -> tuple[list[Found], list[Path]]:
    """Faults of settings that a later release brings, and the places where other faults need not be told."""
    written = [later for later in LATER if later.is_in(document)]
    faults = [
        (later.path, f"{reading(later.path)}: {_thing(later, document)} is not built yet ({later.instead})")
        for later in written
    ]
    return faults, [place for later in written for place in (later.path, later.hides) if place]


def _thing(later: Later, document: Document) -> str:
    return f"`{document.at(*later.path) if later.values else later.path[-1]}`"


def all_faults(document: Document, project: Project) -> list[Found]:
    """What is wrong with values that each model takes for plain text."""
    return [
        *_template(document),
        *_compression(document),
        *_columns(document),
        *_named_columns(document),
        *_timestamp(document),
        *_learning(document),
        *_suite(document, project),
        *_rule_limits(document, project),
        *_replicas(document),
        *contradictions.all_faults(document),
    ]


def _template(document: Document) -> Iterator[Found]:
    for place in (("source", "path"), ("source", "ready_when", "marker")):
        template = document.at(*place)
        if not isinstance(template, str):
            continue
        try:
            paths.check(template)
        except ConfigError as error:
            yield place, error.message
        else:
            if paths.needs_hour(template) and not _by_the_hour(document):
                yield (
                    place,
                    f"{reading(place)}: no run is of a single hour, `schedule` has none ({paths.NO_HOUR}, "
                    "or a `cron` with several hours)",
                )


def _by_the_hour(document: Document) -> bool:
    """Whether the schedule ticks more than once a day."""
    cron = document.at("schedule", "cron")
    fields = cron.split() if isinstance(cron, str) else []
    return len(fields) > 1 and not fields[1].isdigit()


def _compression(document: Document) -> Iterator[Found]:
    place = ("source", "compression")
    name, known = document.at(*place), ["auto", "none", *registry.names("compressions")]
    if isinstance(name, str) and name not in known:
        yield place, f"reading `source.compression`: there is no `{name}` ({way_out(name, known)})"


def _columns(document: Document) -> Iterator[Found]:
    for name, type_ in declared_columns(document).items():
        place = ("schema", "columns", name)
        if name.startswith("__"):
            yield place, f"{reading(place)}: names that begin with `__` are forebay's own (name the column otherwise)"
        if isinstance(type_, str) and (fault := types.problem(type_)):
            yield place, f"{reading(place)}: {fault}"


def _named_columns(document: Document) -> Iterator[Found]:
    """Columns of the record, of rules that learn and to be redacted, that the schema does not declare."""
    declared = declared_columns(document)
    for place, name in _record_columns(document):
        if declared and isinstance(name, str) and name not in declared:
            yield not_declared(place, name, declared)


def _record_columns(document: Document) -> Iterator[tuple[Path, Any]]:
    key = document.at("record", "key")
    if isinstance(key, list):
        yield from ((("record", "key", index), name) for index, name in enumerate(key))
    else:
        yield ("record", "key"), key
    yield ("record", "timestamp"), document.at("record", "timestamp")
    redacted = document.at("quality", "redact")
    yield from (
        (("quality", "redact", index), name)
        for index, name in enumerate(redacted if isinstance(redacted, list) else ())
    )
    rules = document.at("quality", "history", "rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield ("quality", "history", "rules", index, "column"), rule.get("column")


def _learning(document: Document) -> Iterator[Found]:
    """Rules that learn from a column which they cannot measure, or whose values the index may not keep."""
    redacted = document.at("quality", "redact")
    rules = document.at("quality", "history", "rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        place = ("quality", "history", "rules", index, "column")
        metric, name = (rule.get("metric"), rule.get("column")) if isinstance(rule, dict) else (None, None)
        type_ = declared_columns(document).get(name) if isinstance(name, str) else None
        if metric == "drift" and isinstance(type_, str) and type_.startswith(("date", "time", "binary")):
            yield (
                place,
                f"{reading(place)}: column `{name}` is `{type_}`, and drift is of numbers, "
                "texts and bools (take the rule out)",
            )
        if metric in {"drift", "mean"} and isinstance(redacted, list) and name in redacted:
            why = f"`{metric}` keeps values of `{name}` in the index, and `quality.redact` forbids it"
            yield place, f"{reading(place)}: {why} (compare its null_share or distinct_count)"


def _timestamp(document: Document) -> Iterator[Found]:
    place = ("record", "timestamp")
    name = document.at(*place)
    type_ = declared_columns(document).get(name) if isinstance(name, str) else None
    if isinstance(type_, str) and not type_.startswith(("date", "timestamp")):
        yield place, f"reading `record.timestamp`: column `{name}` is `{type_}`, a date or timestamp is wanted"


def _suite(document: Document, project: Project) -> Iterator[Found]:
    place = ("quality", "suite")
    name = document.at(*place)
    if (
        isinstance(name, str)
        and re.fullmatch(SUITE_NAME, name)
        and not (project.expectations / f"{name}.json").is_file()
    ):
        known = sorted(path.stem for path in project.expectations.glob("*.json"))
        yield (
            place,
            f"reading `quality.suite`: there is no include/expectations/{name}.json ({way_out(name, known)})",
        )


def _rule_limits(document: Document, project: Project) -> Iterator[Found]:
    """Limits for rules or columns that the suite does not have: they would never be reached."""
    known = _rule_names(document, project)
    if known is None:
        return
    for section in ("block_when", "warn_when"):
        place = ("quality", section, "rules")
        limits = document.at(*place)
        for name in limits if isinstance(limits, dict) else ():
            if name not in known:
                hint = way_out(str(name), sorted(known))
                yield (
                    (*place, str(name)),
                    f"{reading(place)}: the suite has no row rule `{name}` and none on such a column ({hint})",
                )


def _rule_names(document: Document, project: Project) -> set[str] | None:
    """Types and columns of the suite's rules; None where the suite cannot be read (its own faults say so)."""
    name = document.at("quality", "suite")
    if name is None:
        return set()
    try:
        suite = json.loads((project.expectations / f"{name}.json").read_text("utf-8"))
        rules = [(rule["type"], rule.get("kwargs", {})) for rule in suite["expectations"]]
        named = [kwargs.get(key) for _, kwargs in rules for key in ("column", "column_A", "column_B")]
        listed = [column for _, kwargs in rules for column in kwargs.get("column_list") or ()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {str(name) for name in [*(type_ for type_, _ in rules), *named, *listed] if name}


def _replicas(document: Document) -> Iterator[Found]:
    place = ("topic", "config", "min.insync.replicas")
    wanted, replication = document.at(*place), document.at("topic", "replication") or 1
    if isinstance(wanted, int) and isinstance(replication, int) and wanted > replication:
        yield (
            place,
            f"{reading(place)}: {wanted} replicas must confirm, the topic has {replication} (raise "
            "`topic.replication`)",
        )
