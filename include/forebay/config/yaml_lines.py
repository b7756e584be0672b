"""A YAML file as plain values, with the line of every key: safe, small, and free of YAML 1.1's surprises.

Only what JSON knows is understood: mappings, lists, text, `true`/`false`, decimal numbers and `null` (YAML 1.2's core
schema, less octal and hexadecimal). So `on:` stays the key `on`, `off` stays text, a date stays text, and `0123` and
`1_000` stay as they were written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.resolver import BaseResolver

MAX_BYTES = 1_000_000
MAX_NODES = 20_000
"""Values a file may hold after its aliases are followed: a bound for "billion laughs" files."""
MAX_DEPTH = 40

Path = tuple[str | int, ...]
"""The way to a value: `("source", "path")`, `("record", "key", 0)`."""


class YamlFault(Exception):
    """What is wrong with the text as YAML, and the 1-based line of it (None: the whole file)."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """`data` are plain values; `lines` the 1-based line of every key and list item; `faults` what is wrong but does not
    hide the rest."""

    data: Any
    lines: dict[Path, int]
    faults: tuple[tuple[int, str], ...] = ()

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, *path: str | int) -> Any:
        """The value at `path`, or None."""
        value = self.data
        for step in path:
            children = dict(enumerate(value)) if isinstance(value, list) else value
            if not isinstance(children, dict) or step not in children:
                return None
            value = children[step]
        return value


def read(path: FilePath) -> Document:
    """The document in a file. Raises `YamlFault` if it is too large, not UTF-8, not YAML, or not one mapping."""
    if path.stat().st_size > MAX_BYTES:
        raise YamlFault(
            f"reading the file: it is {path.stat().st_size:_} bytes, a pipeline file may have {MAX_BYTES:_}"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlFault(f"reading the file: byte {error.start} is not UTF-8 (save the file as UTF-8)") from error
    return parse(text)


def parse(text: str) -> Document:
    """The document in `text`. Raises `YamlFault`."""
    node = _compose(text)
    if node is None:
        raise YamlFault("reading the file: it is empty (a pipeline file begins with `pipeline: NAME`)")
    if not isinstance(node, yaml.MappingNode):
        raise YamlFault(
            "reading the file: it is not a mapping (a pipeline file begins with `pipeline: NAME`)", _line(node)
        )
    walk = _Walk()
    data = walk.value(node, ())
    return Document(data, walk.lines, tuple(walk.faults))


class _Resolver(BaseResolver):
    """JSON's scalars only."""


_SCALARS = [
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$", "-+0123456789"),
]
for _name, _pattern, _first in _SCALARS:
    _Resolver.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_pattern), list(_first))

if yaml.__with_libyaml__:

    class _Loader(yaml.cyaml.CParser, _Resolver):  # type: ignore[name-defined, misc]  # its stubs leave it out
        def __init__(self, text: str) -> None:
            yaml.cyaml.CParser.__init__(self, text)  # type: ignore[attr-defined]
            _Resolver.__init__(self)

else:

    class _Loader(  # type: ignore[no-redef]
        yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, _Resolver
    ):
        def __init__(self, text: str) -> None:
            yaml.reader.Reader.__init__(self, text)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)
            yaml.composer.Composer.__init__(self)
            _Resolver.__init__(self)


def _compose(text: str) -> Any:
    try:
        _check_depth(text)
        return _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" {error.context}" if error.context else ""
        slip = _slip(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
        raise YamlFault(f"reading YAML{context}: {error.problem}{slip}", mark.line + 1 if mark else None) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlFault(f"reading YAML: {' '.join(str(error).split())}") from error


def _slip(lines: list[str]) -> str:
    """The way out of what people mean as text and YAML does not."""
    line = lines[0] if lines else ""
    if "{{" in line:
        return " (write a value with `{{ … }}` in quotes)"
    if re.match(r" *\t", line):
        return " (indent with blanks, not with tabs)"
    if match := re.search(r"(?:: +|- +|[\[,] *)([*&@%`])", line):
        return f" (write a value that begins with `{match[1]}` in quotes)"
    return " (close every bracket and quote, and write a value with `: ` in it in quotes)"


def _check_depth(text: str) -> None:
    """Refuse deep nesting before nodes are composed: composing recurses in C, where 400,000 brackets end the
    process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlFault(
                f"reading YAML: more than {MAX_DEPTH} levels of nesting",
                event.start_mark.line + 1 if event.start_mark else None,
            )


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


@dataclass
class _Walk:
    """Turns nodes into values, remembering lines; bounded, so that aliases cannot explode."""

    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    seen: int = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.seen += 1
        if self.seen > MAX_NODES or len(path) > MAX_DEPTH:
            raise YamlFault(
                f"reading YAML: its aliases make more than {MAX_NODES:_} values or {MAX_DEPTH} levels (write them out)",
                _line(node),
            )
        self.lines.setdefault(path, _line(node))
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key == "<<":
                self._fault(
                    key_node, f"reading a key: `{key or 'a list or mapping'}` cannot be a key (write the keys out)"
                )
                continue
            if key in mapping:
                self._fault(
                    key_node, f"{reading((*path, key))}: the key is given twice, first in line {self.lines[*path, key]}"
                )
                continue
            self.lines[*path, key] = _line(key_node)
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return node.value
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int" | "float" as kind:
                return self._number(node, kind)
        self._fault(node, f"reading YAML: the tag `{node.tag}` is not allowed (write a plain value)")
        return None

    def _number(self, node: yaml.Node, kind: str) -> Any:
        try:
            return int(node.value) if kind == "int" else float(node.value)
        except ValueError:
            self._fault(node, f"reading YAML: `{node.value[:40]}` is not a number")
            return None

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append((_line(node), message))


def dotted(path: Path) -> str:
    """A path as people write it: `record.key[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def reading(path: Path) -> str:
    """The beginning of a fault's message."""
    return f"reading `{dotted(path)}`" if path else "reading the file"
