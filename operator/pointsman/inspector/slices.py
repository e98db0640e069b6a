"""Slices: the parts of the traffic that are told apart, never more than so many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pointsman.inspector import documents
from pointsman.inspector.assignment import Slices
from pointsman.inspector.documents import MISSING

ALL: Final = ""
OTHER: Final = "other"
NONE: Final = "none"
_LONGEST: Final = 128


class Names:
    """The first `most` values that come have a name of their own; all that come later are `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def name(self, value: str) -> str:
        """The name that a value is counted under."""
        if value in self._known:
            return value
        if len(self._known) >= self._most or not is_label(value):
            return OTHER
        self._known.add(value)
        return value


def value(slices: Slices, headers: Mapping[str, str], document: Any) -> str:
    """What a request has where the slices look: a header's value, or a string, number or truth value of its body."""
    if slices.header is not None:
        found: Any = headers.get(slices.header, MISSING)
    else:
        found = documents.at(document, str(slices.path))
    match found:
        case bool():
            return str(found).lower()
        case str() | int() | float():
            return str(found) or NONE
        case _:
            return NONE


def is_label(value: str) -> bool:
    """Whether a label of Prometheus should have this value: a lone surrogate is no UTF-8, control characters are nobody's name."""
    return len(value) <= _LONGEST and value.isprintable()
