"""States as JSON and back, exactly: what ModelRevision.status keeps of the evidence."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from pydantic_core import from_json, to_json

from pointsman.evidence.model import Integers

FORMAT = 1
_T = TypeVar("_T")


def pack(state: Any) -> dict[str, Any]:
    """Return a state (a dataclass of arrays, numbers, tuples of numbers and such dataclasses) as JSON values."""
    return {f.name: _packed(getattr(state, f.name)) for f in fields(state)}


def unpack(kind: type[_T], values: dict[str, Any]) -> _T:
    """Return the state of class ``kind`` that ``pack`` wrote.

    Raises:
        ValueError: a field is missing, unknown or not of its type.
    """
    hints = get_type_hints(kind)
    if not isinstance(values, dict) or set(values) != set(hints):
        raise ValueError(f"the stored evidence is not a {kind.__name__}: start the gate anew")
    try:
        return kind(**{name: _unpacked(hints[name], value) for name, value in values.items()})
    except (TypeError, ValueError) as e:
        raise ValueError(f"the stored evidence of a {kind.__name__} cannot be read ({e}): start the gate anew") from e


def to_text(kind: str, state: Any) -> str:
    """Return one compact JSON object with the format's number, the kind and the state."""
    return to_json({"format": FORMAT, "kind": kind, **pack(state)}).decode()


def from_text(text: str) -> tuple[str, dict[str, Any]]:
    """Return kind and values of what ``to_text`` wrote.

    Raises:
        ValueError: the text is not one of ours, or of another format.
    """
    try:
        values = from_json(text)
    except ValueError as e:
        raise ValueError(f"the stored evidence is not JSON ({e}): start the gate anew") from e
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"the stored evidence is not of format {FORMAT}: start the gate anew")
    return str(values.pop("kind", "")), values


def _packed(value: Any) -> Any:
    if is_dataclass(value):
        return pack(value)
    if isinstance(value, np.ndarray | np.generic):
        return _packed(value.tolist())
    if isinstance(value, list | tuple):
        return [_packed(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no inf; float() reads it back
    return value


def _unpacked(hint: Any, value: Any) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return unpack(hint, value)
    if hint in (bool, int, float, str):
        return hint(value)
    if get_origin(hint) is tuple:
        return tuple(_unpacked(get_args(hint)[0], v) for v in value)
    if hint == Integers:
        return np.asarray(value, dtype=np.int64)
    return np.asarray(_floats(value), dtype=np.float64)


def _floats(value: Any) -> Any:
    return [_floats(v) for v in value] if isinstance(value, list) else float(value)
