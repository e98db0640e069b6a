"""Many rollouts at once: values that may be one number or one per run, and states of which some runs take another."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from pointsman.evidence.model import Count, Flags, Numbers

_T = TypeVar("_T")


def spread(value: float | Numbers | Count, axes: int = 1) -> Numbers:
    """Return one number, or one per run (...), with ``axes`` new axes behind, to broadcast against each run's own values."""
    return np.asarray(value, dtype=float)[(..., *(None,) * axes)]


def choose(where: Flags, then: _T, otherwise: _T) -> _T:
    """Return ``then`` for the runs in ``where`` and ``otherwise`` for the rest, array by array.

    Args:
        where: shape (R,).
        then: a dataclass of arrays whose first axis is R; what is no array is the same in both.
        otherwise: another of the same class.
    """
    picked: dict[str, Any] = {}
    for field in fields(then):  # type: ignore[arg-type]  # any dataclass: the type system cannot say it
        new, old = getattr(then, field.name), getattr(otherwise, field.name)
        if isinstance(new, np.ndarray):
            picked[field.name] = np.where(np.reshape(where, (*where.shape, *(1,) * (new.ndim - where.ndim))), new, old)
        elif is_dataclass(new):
            picked[field.name] = choose(where, new, old)
    return replace(then, **picked)  # type: ignore[type-var]  # as above
