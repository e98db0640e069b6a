"""Bins of one value (a feature, a prediction), and what is counted of them: tails over and up to every edge, every category."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pointsman.evidence.model import Flags, Integers, Numbers

OTHER = "other"
"""What the last bin of categories is called: every value that is none of them."""


@dataclass(frozen=True)
class Bins:
    """The bins of one value.

    Attributes:
        name: of the feature or prediction.
        edges: of a number: finite upper edges, rising; a bin holds values up to its edge, the last bin those over the last edge.
        categories: of anything else: its values, the last bin holding all others.
    """

    name: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.edges) == bool(self.categories):
            raise ValueError(f"{self.name}: give edges (a number) or categories (anything else), and one of the two")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise ValueError(f"{self.name}: edges must be finite: values over the last edge have a bin of their own")
        if not all(low < high for low, high in itertools.pairwise(self.edges)):
            raise ValueError(f"{self.name}: edges must rise, and these do not: {list(self.edges)}")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"{self.name}: each category once, not {list(self.categories)}")

    @property
    def size(self) -> int:
        """How many bins there are."""
        return len(self.edges or self.categories) + 1

    def events(self) -> Flags:
        """Return which bins (columns) each event (rows) counts, shape (E, B).

        Of a number: over each edge, then up to each edge. Of categories: each one and ``other``, then each but that one. So
        every event is there in both directions: the share of one grows or that of its opposite does.
        """
        bins = np.arange(self.size)
        over = bins > np.arange(len(self.edges))[:, None] if self.edges else bins == bins[:, None]
        return np.concatenate([over, ~over])

    def event(self, index: int) -> str:
        """Return an event of ``events`` in words: ``over 0.4``, ``up to 0.4``, ``is de``, ``is not de``."""
        half = self.size - 1 if self.edges else self.size
        at = index % half
        if self.edges:
            return f"{'over' if index < half else 'up to'} {self.edges[at]:g}"
        return f"{'is' if index < half else 'is not'} {(*self.categories, OTHER)[at]}"


def counted(bins: Bins, counts: Integers | Numbers) -> Numbers:
    """Return how often each event happened, shape (..., E), of counts per bin (..., B).

    Raises:
        ValueError: the counts are not of these bins, or negative.
    """
    given = np.asarray(counts, dtype=float)
    if given.shape[-1:] != (bins.size,) or np.any(given < 0):
        raise ValueError(f"{bins.name}: there are {bins.size} bins with counts of 0 or more, not {counts}")
    return np.asarray(given @ bins.events().T)
