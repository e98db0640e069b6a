"""Manifests in YAML files as Kubernetes reads them, each value with the line that it stands on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a document: keys and numbers of list entries."""

_MOST_BYTES: Final = 8_000_000
_MOST_PLACES: Final = 200_000  # aliases may stand for more than there is memory
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_PART = re.compile(r"[^.\[\]]+|\[\d+\]")


@dataclass(frozen=True, kw_only=True)
class Document:
    """One object of a file.

    source  how messages call the file
    value   as Kubernetes reads it
    lines   of everything in it; `()` is the object itself
    """

    source: str
    value: Any
    lines: Mapping[Place, int] = field(default_factory=dict)

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    @property
    def kind(self) -> str:
        """Its kind; "" where it says none."""
        return self._text("kind")

    @property
    def api_version(self) -> str:
        """Its apiVersion; "" where it says none."""
        return self._text("apiVersion")

    @property
    def name(self) -> str:
        """Its name; "" where it says none."""
        return str(self._metadata().get("name") or "")

    @property
    def namespace(self) -> str:
        """Its namespace; "" where it says none."""
        return str(self._metadata().get("namespace") or "")

    def _text(self, key: str) -> str:
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return value if isinstance(value, str) else ""

    def _metadata(self) -> Mapping[str, Any]:
        found = self.value.get("metadata") if isinstance(self.value, dict) else None
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Why a file, or the rest of it, cannot be read."""

    source: str
    line: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Doubled(Unreadable):
    """A key that is there twice, of which Kubernetes would take only one."""


Found: TypeAlias = Document | Unreadable


def place(path: str) -> Place:
    """`spec.gates[1].name` -> ("spec", "gates", 1, "name")."""
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in _PART.findall(path))


def files(paths: list[str]) -> Iterator[str]:
    """The files themselves, and those in folders: *.yaml, *.yml and *.json."""
    for path in paths:
        if path != "-" and Path(path).is_dir():
            yield from (str(one) for one in sorted(Path(path).rglob("*")) if one.suffix in _SUFFIXES and one.is_file())
        else:
            yield path


def read(path: str) -> Iterator[Found]:
    """What is in a file, or on standard input for `-`."""
    source = "standard input" if path == "-" else path
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if path == "-" else _head(path)
        if len(data) > _MOST_BYTES:
            yield Unreadable(
                source=source, line=1, message=f"it is over {_MOST_BYTES // 1_000_000} MB long: no manifest is"
            )
            return
        yield from documents(data.decode("utf-8-sig"), source)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        yield Unreadable(source=source, line=line, message="this is not UTF-8: write manifests as YAML text")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        yield Unreadable(source=source, line=1, message=f"cannot be read: {reason}")


def documents(text: str, source: str) -> Iterator[Found]:
    """What is in a text; entries of a `kind: List` are documents of their own."""
    try:
        yield from _documents(text, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context
        yield Unreadable(source=source, line=mark.line + 1 if mark else 1, message=f"this is no YAML: {said}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = str(error).splitlines()[0] if str(error) else "too deep"
        yield Unreadable(source=source, line=1, message=f"this is no YAML: {said}")


def _documents(text: str, source: str) -> Iterator[Found]:
    loader = _Loader(text)
    while loader.check_node():
        node = loader.get_node()
        if node is None:
            continue
        yield from _doubled(node, source)
        value = loader.construct_document(node)
        if value is not None:
            whole = Document(source=source, value=value, lines=dict(_lines(node)))
            listed = whole.kind.endswith("List") and "items" in value
            yield from _entries(whole) if listed else (whole,)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: what looks like a date is a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as its base class has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _entries(whole: Document) -> Iterator[Document]:
    items = whole.value["items"]
    for number, item in enumerate(items if isinstance(items, list) else ()):
        within = ("items", number)
        lines = {place[2:]: line for place, line in whole.lines.items() if place[:2] == within}
        yield Document(source=whole.source, value=item, lines=lines)


def _lines(node: yaml.Node) -> Iterator[tuple[Place, int]]:
    """Every place and its line, from the outside to the inside."""
    waiting: list[tuple[Place, yaml.Node]] = [((), node)]
    yield (), node.start_mark.line + 1
    for _ in range(_MOST_PLACES):
        if not waiting:
            return
        where, here = waiting.pop()
        if isinstance(here, yaml.MappingNode):
            for key, value in here.value:
                inner = (*where, str(key.value))
                yield inner, key.start_mark.line + 1
                waiting.append((inner, value))
        elif isinstance(here, yaml.SequenceNode):
            for number, value in enumerate(here.value):
                yield (*where, number), value.start_mark.line + 1
                waiting.append(((*where, number), value))


def _doubled(node: yaml.Node, source: str) -> Iterator[Doubled]:
    """Keys that a mapping has twice; before it is constructed, which lays merged keys over them."""
    waiting, seen = [node], set[int]()
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.SequenceNode):
            waiting += here.value
        elif isinstance(here, yaml.MappingNode):
            keys: dict[str, int] = {}
            for key, value in here.value:
                line = key.start_mark.line + 1
                if key.value in keys and key.value != "<<":
                    said = f"`{key.value}` is there twice, in line {keys[key.value]}, too: Kubernetes would take one of them"
                    yield Doubled(source=source, line=line, message=said)
                if isinstance(key.value, str):
                    keys[key.value] = line
                waiting.append(value)
