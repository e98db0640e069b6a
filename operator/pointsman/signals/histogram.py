"""Cumulative histograms in seconds: what is known of them at an edge, and the edges that several of them share."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Fixed:
    """A histogram whose edges are known, those of empty buckets included.

    edges  in seconds, rising, +Inf last
    cells  requests at most as slow as each edge
    """

    edges: tuple[float, ...]
    cells: tuple[int, ...]

    def at(self, edge: float) -> int | None:
        """Requests at most as slow; None at an edge that is none of its own."""
        index = bisect_left(self.edges, edge)
        return self.cells[index] if index < len(self.edges) and self.edges[index] == edge else None


@dataclass(frozen=True, slots=True)
class Sparse:
    """A histogram that tells of its populated buckets alone: at any edge outside of these it is known, too.

    edges  of populated buckets, lower and upper ones, in seconds, rising, +Inf last
    cells  requests at most as slow as each edge
    """

    edges: tuple[float, ...]
    cells: tuple[int, ...]

    def at(self, edge: float) -> int | None:
        """Requests at most as slow; None inside of a populated bucket."""
        index = bisect_left(self.edges, edge)
        if self.edges[index] == edge:
            return self.cells[index]
        below = self.cells[index - 1] if index else 0
        return below if below == self.cells[index] else None


Histogram: TypeAlias = Fixed | Sparse


def common_edges(histograms: Iterable[Histogram | None]) -> tuple[float, ...]:
    """The edges at which all of them are known; cumulative counts are exact on any edges. Only +Inf where there is none."""
    fixed: set[float] | None = None
    told: set[float] = set()
    sparse: list[Sparse] = []
    seen: tuple[float, ...] = ()
    for one in histograms:
        if isinstance(one, Fixed):
            if one.edges != seen:  # mostly they all have the same
                fixed = set(one.edges) if fixed is None else fixed & set(one.edges)
                seen = one.edges
        elif one is not None:
            told.update(one.edges)
            sparse.append(one)
    shared = told if fixed is None else fixed
    return tuple(sorted(edge for edge in shared if all(one.at(edge) is not None for one in sparse))) or (math.inf,)


def on_edges(histograms: Mapping[str, Histogram | None], edges: tuple[float, ...]) -> dict[str, tuple[int, ...]]:
    """Each pod's cells on common edges; a pod without a series has counted zero everywhere."""
    return {pod: (0,) * len(edges) if one is None else project(one, edges) for pod, one in histograms.items()}


def project(one: Histogram, edges: tuple[float, ...]) -> tuple[int, ...]:
    """The cells of a histogram on some of the edges at which it is known.

    Raises:
        ValueError: it is not known at one of them.
    """
    if edges == one.edges:
        return one.cells
    cells = tuple(cell for cell in map(one.at, edges) if cell is not None)
    if len(cells) != len(edges):
        raise ValueError(f"the histogram is not known at all of {edges}")
    return cells


def add(histograms: Iterable[Histogram]) -> Histogram:
    """The sum on the edges that they share above zero: nothing takes no time, so `le="0"` tells nothing."""
    parts = tuple(histograms)
    edges = tuple(edge for edge in common_edges(parts) if edge > 0)
    cells = tuple(sum(column) for column in zip(*(project(one, edges) for one in parts), strict=True))
    if all(isinstance(one, Sparse) for one in parts):
        return Sparse(edges=edges, cells=cells)
    return Fixed(edges=edges, cells=cells)
