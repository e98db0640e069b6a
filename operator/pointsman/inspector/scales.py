"""Histograms of features and predictions: edges that are known beforehand, so that processes and versions can be compared."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

from pointsman.inspector.assignment import Scale
from pointsman.inspector.documents import Scalar
from pointsman.inspector.outputs import Output
from pointsman.inspector.slices import OTHER, is_label

_DECADES: Final = tuple(factor * 10.0**power for power in range(6) for factor in (1.0, 2.0, 5.0))
_TWENTIETHS: Final = tuple(count / 20 for count in range(1, 20))
GRID: Final = (
    *(-edge for edge in reversed(_DECADES)),
    *(-edge for edge in reversed(_TWENTIETHS)),
    0.0,
    *_TWENTIETHS,
    *_DECADES,
)
"""Where no reference gives edges: twentieths between -1 and 1, then 1, 2, 5, 10 ... 500,000."""

_WIDEST: Final = 16  # columns that are counted one by one: classes; longer rows are embeddings
_MOST_NAMES: Final = 32


class Histogram:
    """How many values there were up to each edge; what is no finite number is counted apart."""

    def __init__(self, edges: Iterable[float]) -> None:
        self.edges = tuple(edges)
        self._cells = [0] * (len(self.edges) + 1)
        self.missing = 0

    def observe(self, value: object) -> None:
        """Count one value; truth values as 0 and 1."""
        if not isinstance(value, (int, float)) or not _finite(value):
            self.missing += 1
            return
        self._cells[bisect_left(self.edges, value)] += 1

    def cumulative(self) -> list[tuple[str, int]]:
        """The `le` of each bucket and the count up to it."""
        names = [*(repr(float(edge)) for edge in self.edges), "+Inf"]
        return list(zip(names, accumulate(self._cells), strict=True))


class Categories:
    """How often each of the known values came, all others as `other`; what is not there is counted apart."""

    def __init__(self, known: Iterable[str]) -> None:
        self.counts = Counter(dict.fromkeys((*known, OTHER), 0))
        self.missing = 0

    def observe(self, value: object) -> None:
        """Count one value; whole numbers are the same category with and without a point."""
        name = _name(value)
        if name is None:
            self.missing += 1
            return
        self.counts[name if name in self.counts else OTHER] += 1


def counted(scale: Scale | None) -> Histogram | Categories:
    """What counts the values of a scale, of the grid without one."""
    if scale is not None and scale.categories:
        return Categories(scale.categories)
    return Histogram(scale.edges if scale is not None else GRID)


class Predictions:
    """What one version predicted: a histogram for each output, of rows for each column, of texts of their lengths."""

    def __init__(self, scales: Mapping[str, Scale]) -> None:
        self._scales = scales
        self.found: dict[str, Histogram | Categories] = {name: counted(scale) for name, scale in scales.items()}

    def observe(self, name: str, output: Output) -> None:
        """Count the values of an output; of labels only those that a scale names: bodies are nobody's label values."""
        width = output.shape[-1] if len(output.shape) > 1 else 1
        if name in self._scales or width == 1:
            self._observe(name, output.values)
        elif 1 < width <= _WIDEST and len(output.values) % width == 0:
            for column in range(width):
                self._observe(f"{name}/{column}", output.values[column::width])

    def _observe(self, name: str, values: Iterable[Scalar]) -> None:
        if name not in self.found and (len(self.found) >= _MOST_NAMES or not is_label(name)):
            return
        counter = self.found.setdefault(name, Histogram(GRID))
        for value in values:
            measured = len(value) if isinstance(value, str) and isinstance(counter, Histogram) else value
            counter.observe(measured)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False  # a whole number beyond all floats


def _name(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            return None
