"""JSON from strangers: bounded in what it may cost, and read by JSON pointers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

MISSING: Final = object()
"""What a pointer gives that leads nowhere; null is a value."""

_MOST_CONTAINERS: Final = 50_000  # an empty list takes 56 bytes and two characters
_MOST_VALUES: Final = 500_000


class UnreadableError(Exception):
    """A body is not what it should be; the message quotes nothing of it."""


def parse(body: bytes) -> Any:
    """The document of a body.

    NaN and Infinity, which Python's model servers write, are read as such.

    Raises:
        UnreadableError: it is no JSON, names a key twice, or is nested or divided beyond all measure.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_CONTAINERS or body.count(b",") > _MOST_VALUES:
        raise UnreadableError("it has too many values")
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("it is no JSON") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError(
            "a key stands twice in one object"
        )  # which of the two a model server takes is its own affair
    return found


def at(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to, or MISSING."""
    for part in _parts(pointer):
        if isinstance(document, dict):
            document = document.get(part, MISSING)
        elif isinstance(document, list):
            document = document[int(part)] if _is_index(part) and int(part) < len(document) else MISSING
        else:
            return MISSING
    return document


@lru_cache(maxsize=1024)
def _parts(pointer: str) -> Sequence[str]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10  # noqa: PLR2004  far beyond any list that is read


def is_scalar(value: Any) -> bool:
    """Whether it is a string, a number, a truth value or null."""
    return value is None or isinstance(value, (str, int, float))


def canonical(value: Any) -> str:
    """The same text for the same value, whatever the order of its keys.

    Raises:
        UnreadableError: it is nested beyond all measure.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise UnreadableError("it is nested too deeply") from error
