"""A counter's sample as a whole number, or a fault that says which pod exported what."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pointsman.signals.samples import Sample

_EXACT = 2**53  # above it a float no longer holds every whole number


class FaultError(Exception):
    """Samples that cannot be true; the message is a sentence. It becomes a `Faulty` before it leaves this package."""


def are_counts(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of the values are whole numbers from 0 up."""
    return np.asarray(np.isfinite(values) & (values >= 0) & (values <= _EXACT) & (values == np.floor(values)))


def whole(pod: str, sample: Sample) -> int:
    """A counter's value.

    Raises:
        FaultError: it is not a whole number from 0 up.
    """
    value = sample.value
    if not (math.isfinite(value) and 0 <= value <= _EXACT and value == int(value)):
        name = sample.labels.get("__name__", "a counter")
        raise FaultError(f"{f'pod {pod} exports ' if pod else ''}{name} = {value}, which is no count of requests")
    return int(value)
