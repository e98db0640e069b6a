"""Outputs: the parts of an answer that are compared, as rows of plain values with a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from pointsman.inspector.documents import MISSING, Scalar, UnreadableError, at, canonical

_MOST_DEPTH: Final = 32
_MOST_OUTPUTS: Final = 256


@dataclass(frozen=True, slots=True)
class Output:
    """Values in their order, and the shape that they have: () of one value, (2, 3) of two rows of three."""

    values: tuple[Scalar, ...]
    shape: tuple[int, ...]

    def rows(self) -> list[tuple[Scalar, ...]]:
        """The values along the last dimension."""
        width = self.shape[-1] if self.shape and prod(self.shape) == len(self.values) else len(self.values)
        return [self.values[start : start + width] for start in range(0, len(self.values), width)] if width else []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version answered: its outputs by name, and the document and bytes they come from."""

    outputs: Mapping[str, Output]
    document: Any
    body: bytes

    def output(self, name: str) -> Output | None:
        """The output of that name, or what a JSON pointer leads to; None where there is neither, or nothing readable."""
        found = self.outputs.get(name)
        if found is not None or not name.startswith("/"):
            return found
        value = at(self.document, name)
        try:
            return None if value is MISSING else output(value)
        except UnreadableError:
            return None


def output(value: Any) -> Output:
    """A value as an output; objects become their text.

    Raises:
        UnreadableError: it is nested too deeply.
    """
    if isinstance(value, list):
        values: list[Scalar] = []
        shape = _flatten(value, values, 1)
        return Output(tuple(values), shape)
    return Output((canonical(value) if isinstance(value, dict) else value,), ())


def _flatten(items: list[Any], values: list[Scalar], depth: int) -> tuple[int, ...]:
    """Adds the values in their order; the shape, of ragged lists its first dimension and -1."""
    if depth > _MOST_DEPTH:
        raise UnreadableError("it is nested too deeply")
    inner: set[tuple[int, ...]] = set()
    for item in items:
        if isinstance(item, list):
            inner.add(_flatten(item, values, depth + 1))
        else:
            values.append(canonical(item) if isinstance(item, dict) else item)
            inner.add(())
    if len(inner) > 1:
        return (len(items), -1)
    return (len(items), *next(iter(inner), ()))


def named(name: str, value: Any) -> dict[str, Output]:
    """The outputs of a value: of an object one a key, of a list of objects with the same keys one a key and row.

    `{"a": 1, "b": {"c": [2]}}` has `/a` and `/b/c` below the name.

    Raises:
        UnreadableError: it is nested too deeply or has too many.
    """
    found: dict[str, Output] = {}
    for key, one in _leaves(name, value, 1):
        found[key] = output(one)
        if len(found) > _MOST_OUTPUTS:
            raise UnreadableError("it has too many outputs")
    return found


def _leaves(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MOST_DEPTH:
        raise UnreadableError("it is nested too deeply")
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(f"{name}/{key}", one, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict) and _alike(value):
        for key in value[0]:
            yield from _leaves(f"{name}/{key}", [row[key] for row in value], depth + 1)
    else:
        yield name, value


def _alike(rows: list[Any]) -> bool:
    keys = rows[0].keys()
    return all(isinstance(row, dict) and row.keys() == keys for row in rows)
