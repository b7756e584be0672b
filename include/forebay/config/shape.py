"""From the shape people write to the shape the models have: a plug-in's settings stand beside its `type` and become its
`options`."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from forebay import registry
from forebay.config import hints
from forebay.config.hints import Found
from forebay.config.pipeline import FormatSection, SourceSection, Typed
from forebay.config.quality import NotifySection
from forebay.config.yaml_lines import Document, Path, reading
from forebay.contracts import Settings
from forebay.support.words import way_out


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of the pipeline file that takes a plug-in."""

    path: tuple[str, ...]
    kind: str
    model: type[Settings]
    default: str | None = None
    many: bool = False
    """Whether a list of plug-ins stands there."""

    def places(self, document: Document) -> list[Path]:
        """Where its plug-ins stand in a document."""
        section = document.at(*self.path)
        if self.many:
            return [(*self.path, index) for index in range(len(section))] if isinstance(section, list) else []
        return [self.path]

    @property
    def own_keys(self) -> list[str]:
        """Keys of the section itself; all others are the plug-in's."""
        return hints.keys(self.model)


SLOTS = (
    Slot(("source",), "sources", SourceSection),
    Slot(("format",), "formats", FormatSection),
    Slot(("record", "value"), "serializers", Typed, "json"),
    Slot(("record", "partitioner"), "partitioners", Typed, "murmur2"),
    Slot(("settle",), "settlements", Typed, "keep"),
    Slot(("quality", "notify"), "notifiers", NotifySection, many=True),
)


def fold(document: Document) -> Any:
    """The document's data with every plug-in's settings moved into `options`; the document itself is left as it is."""
    whole = Document(copy.deepcopy(document.data), {})
    for slot, place in _places(whole):
        section = whole.at(*place)
        if isinstance(section, dict):
            section["options"] = {key: section.pop(key) for key in list(section) if key not in slot.own_keys}
    return whole.data


def _places(document: Document) -> list[tuple[Slot, Path]]:
    return [(slot, place) for slot in SLOTS for place in slot.places(document)]


def validate(model: type[BaseModel], data: Any) -> Any:
    """A model from plain values, strictly: as JSON, where a list may be a tuple but `"1"` is no number. Raises
    `ValidationError`."""
    return model.model_validate_json(json.dumps(data), strict=True)


def plugin_faults(document: Document) -> list[Found]:
    """What is wrong with the types and settings of plug-ins."""
    return [fault for slot, place in _places(document) for fault in _slot_faults(slot, place, document)]


def _slot_faults(slot: Slot, place: Path, document: Document) -> list[Found]:
    section = document.at(*place)
    if not isinstance(section, dict) or not isinstance(section.get("type"), str):
        return []  # the section's own model says so
    name, known = section["type"], registry.names(slot.kind)
    if name not in known:
        return [((*place, "type"), f"{reading((*place, 'type'))}: there is no `{name}` ({way_out(name, known)})")]
    config = registry.find(slot.kind, name).Config
    try:
        validate(config, settings(slot, section, config))
    except ValidationError as error:
        return hints.explain(error, config, document, place, slot.own_keys)
    return []


def settings(slot: Slot, section: dict[str, Any], config: type[BaseModel]) -> dict[str, Any]:
    """The plug-in's own settings in a section; a source's also has the section's `connection`."""
    shared = {key: section.get(key) for key in ("connection",) if key in slot.own_keys and key in config.model_fields}
    return {**shared, **{key: value for key, value in section.items() if key not in slot.own_keys}}
