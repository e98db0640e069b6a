"""One column of a table, in two goes: what its values are, from a sample; then how often each bin is counted, of every row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pointsman.evidence.bins import OTHER, Bins
from pointsman.evidence.profile import HOURS
from pointsman.reference.file import Distribution

Cell: TypeAlias = str | float | int | bool | None
"""A value as CSV or Parquet gives it."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What stands for no value, in whatever case."""
_SAMPLE = 20_000  # values that edges and categories come from
_CATEGORIES = 20  # told apart, the rest together
_LONGEST = 128  # characters of a category
_STRAY = 0.1  # share of values that are no numbers, under which they are mistakes and not categories
_IDENTIFIERS = 0.5  # distinct values a value, from which a column names rows
_FEW = 100
_DIGITS = 6


class ColumnError(ValueError):
    """A column cannot be counted: why, and in which line where there is one."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


class Survey:
    """The first go: whether a column holds numbers, and a sample of its values that stays bounded.

    A row is in the sample where its own random number is under a rate that is halved whenever the sample is full.
    """

    def __init__(self) -> None:
        self.numbers = self.others = 0
        self._stray: tuple[int, str] | None = None
        self._sample: list[tuple[float, str]] = []
        self._rate = 1.0
        self._low, self._high = math.inf, -math.inf

    def see(self, cells: Sequence[Cell], keys: NDArray[np.float64], *, lines: Sequence[int]) -> None:
        """Take in the next rows.

        Args:
            cells: the column's values.
            keys: a random number in [0, 1) of each row.
            lines: the line of each row.
        """
        texts = [text(cell) for cell in cells]
        numbers = parsed(texts)
        there = np.array([one is not None for one in texts], dtype=bool)
        finite = np.isfinite(numbers)
        strays = np.flatnonzero(there & np.isnan(numbers))
        self.numbers += int(np.count_nonzero(~np.isnan(numbers)))
        self.others += len(strays)
        if self._stray is None and len(strays):
            self._stray = (lines[int(strays[0])], str(texts[strays[0]]))
        if finite.any():
            self._low = min(self._low, float(numbers[finite].min()))
            self._high = max(self._high, float(numbers[finite].max()))
        for i in np.flatnonzero(there & (keys < self._rate)):
            self._sample.append((float(keys[i]), str(texts[i])))
        while len(self._sample) > _SAMPLE:
            self._rate /= 2
            self._sample = [one for one in self._sample if one[0] < self._rate]

    def bins(self, name: str, count: int) -> Bins:
        """Return the bins to count: ``count`` of about the same number of values, or a bin for every category.

        Raises:
            ColumnError: there is no value, a value is no number among numbers, or the values are names of rows.
        """
        if not self.numbers and not self.others:
            raise ColumnError("it has no value: leave it out")
        if self._stray is None:
            return Bins(name, edges=self._edges(count))
        line, value = self._stray
        if self.others < _STRAY * (self.numbers + self.others):
            raise ColumnError(f"{value!r} is not a number, and the other values are: leave the cell empty", line)
        return Bins(name, categories=self._categories())

    def _edges(self, count: int) -> tuple[float, ...]:
        values = np.array([float(value) for _, value in self._sample])
        values = np.sort(values[np.isfinite(values)])
        if not values.size:
            raise ColumnError("it has no finite number: leave it out")
        distinct = np.unique(values)
        if len(distinct) <= count and self._low >= distinct[0] and self._high <= distinct[-1]:
            apart = float(np.min(np.diff(distinct))) if len(distinct) > 1 else max(abs(float(distinct[0])), 1.0)
            inner = (distinct[1:] + distinct[:-1]) / 2
            edges = [distinct[0] - apart / 2, *inner, distinct[-1] + apart / 2]
        else:
            edges = [self._low, *np.quantile(values, np.arange(1, count) / count), self._high]
        return tuple(sorted({float(f"{edge:.{_DIGITS}g}") for edge in edges}))

    def _categories(self) -> tuple[str, ...]:
        found = Counter(value for _, value in self._sample)
        if len(found) > max(_FEW, _IDENTIFIERS * len(self._sample)):
            raise ColumnError("nearly every value is another, as names or texts are: leave it out")
        common = [value for value, _ in found.most_common(_CATEGORIES + 1) if value != OTHER]
        kept = sorted(value for value in common[:_CATEGORIES] if len(value) <= _LONGEST)
        if not kept:
            raise ColumnError(f"its values are longer than {_LONGEST} characters: leave it out")
        return tuple(kept)


class Tally:
    """The second go: how often each bin was counted, by hour of the week where rows have a time."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.missing = 0
        self._places = {name: i for i, name in enumerate(bins.categories)}
        self._counts = np.zeros((HOURS, bins.size), dtype=np.int64)
        self._timed = False

    def see(self, cells: Sequence[Cell], hours: Iterable[int] | None) -> None:
        """Count the next rows.

        Args:
            cells: the column's values.
            hours: the hour of the week of each; None where rows have no time.
        """
        texts = [text(cell) for cell in cells]
        if self.bins.edges:
            numbers = parsed(texts)
            there = np.isfinite(numbers)
            at = np.searchsorted(self.bins.edges, numbers, side="left")
        else:
            there = np.array([one is not None for one in texts], dtype=bool)
            at = np.array([self._places.get(one or "", self.bins.size - 1) for one in texts], dtype=np.int64)
        rows = np.zeros(len(texts), dtype=np.int64) if hours is None else np.fromiter(hours, dtype=np.int64)
        self._timed = self._timed or hours is not None
        self.missing += int(np.count_nonzero(~there))
        flat = np.bincount((rows * self.bins.size + at)[there], minlength=self._counts.size)
        self._counts += flat.reshape(self._counts.shape)

    def distribution(self) -> Distribution:
        """Return what was counted."""
        return Distribution(
            edges=self.bins.edges,
            categories=self.bins.categories,
            counts=None if self._timed else tuple(self._counts[0].tolist()),
            hours=tuple(tuple(row) for row in self._counts.tolist()) if self._timed else None,
            missing=self.missing,
        )


def text(cell: Cell) -> str | None:
    """Return a cell as the inspector names its value: whole numbers without a point, truth values small; None for no value."""
    if isinstance(cell, str):
        stripped = cell.strip()
        return None if stripped.lower() in MISSING else stripped
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def parsed(texts: Sequence[str | None]) -> NDArray[np.float64]:
    """Return texts as numbers, nan where there is none."""
    try:
        return np.array([one if one is not None else "nan" for one in texts], dtype=np.float64)
    except ValueError:
        return np.array([_number(one) for one in texts], dtype=np.float64)


def _number(value: str | None) -> float:
    try:
        return float(value) if value is not None else math.nan
    except ValueError:
        return math.nan
