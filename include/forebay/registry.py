"""Plug-ins by address: `type: csv` in YAML is the class in `formats/csv.py`. Nothing lists plug-ins by hand."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any

from forebay import contracts
from forebay.errors import UnknownPluginError
from forebay.support.words import way_out

KINDS: dict[str, type] = {
    "sources": contracts.Source,
    "compressions": contracts.Compression,
    "formats": contracts.Format,
    "serializers": contracts.Serializer,
    "partitioners": contracts.Partitioner,
    "settlements": contracts.Settlement,
    "notifiers": contracts.Notifier,
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """The plug-ins of one kind, sorted. Modules that begin with `_` are helpers, not plug-ins."""
    package = importlib.import_module(f"forebay.{kind}")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


@cache
def find(kind: str, name: str) -> Any:
    """The plug-in class of that name.

    Raises `UnknownPluginError`, with what was meant, if there is none; `TypeError` if the module breaks the rule of one
    class.
    """
    if name not in names(kind):
        hint = way_out(name, names(kind))
        raise UnknownPluginError(f"looking for `{name}` in {kind}: there is none ({hint})", kind=kind, name=name)
    module = importlib.import_module(f"forebay.{kind}.{name}")
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, KINDS[kind]) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TypeError(f"{module.__name__} must define exactly one {KINDS[kind].__name__}, found {len(classes)}")
    return classes[0]
