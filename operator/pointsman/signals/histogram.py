"""Classic histograms: the buckets of a pod's series as one cumulative histogram in seconds, and edges that pods share."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Final

from pointsman.signals.counters import FaultError, whole
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Sample

_PER_SECOND: Final[Mapping[Unit, int]] = {"s": 1, "ms": 1_000, "us": 1_000_000}


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests at most as slow as each edge; edges in seconds, rising, +Inf last."""

    edges: tuple[float, ...]
    cells: tuple[int, ...]


def read(pod: str, series: Sequence[Sample], unit: Unit) -> Histogram | None:
    """The sum of a pod's histograms over paths, methods and whatever else tells them apart; None without any.

    Raises:
        FaultError: a bucket has no readable `le`, falls, is no count, or the +Inf one is missing.
    """
    if not series:
        return None
    parts: dict[frozenset[tuple[str, str]], dict[float, int]] = defaultdict(dict)
    for sample in series:
        upper = edge(pod, sample.labels.get("le"), unit)
        rest = frozenset(item for item in sample.labels.items() if item[0] != "le")
        if upper in parts[rest]:
            raise FaultError(f"pod {pod} exports the bucket le={sample.labels.get('le')!r} twice")
        parts[rest][upper] = whole(pod, sample)
    histograms = [_histogram(pod, buckets) for buckets in parts.values()]
    edges = tuple(one for one in common_edges(histograms) if one > 0)  # nothing takes no time: le="0" tells nothing
    summed = tuple(sum(column) for column in zip(*(project(one, edges) for one in histograms), strict=True))
    return Histogram(edges=edges, cells=summed)


def common_edges(histograms: Iterable[Histogram | None]) -> tuple[float, ...]:
    """The edges that all of them have; cumulative counts are exact on any subset of edges. Only +Inf where there is none."""
    shared: set[float] | None = None
    for one in histograms:
        if one is not None:
            shared = set(one.edges) if shared is None else shared & set(one.edges)
    return tuple(sorted(shared)) if shared else (math.inf,)


def on_edges(histograms: Mapping[str, Histogram | None], edges: tuple[float, ...]) -> dict[str, tuple[int, ...]]:
    """Each pod's cells on common edges; a pod without a series has counted zero everywhere."""
    return {pod: (0,) * len(edges) if one is None else project(one, edges) for pod, one in histograms.items()}


def project(one: Histogram, edges: tuple[float, ...]) -> tuple[int, ...]:
    """The cells of a histogram on a subset of its edges."""
    cells = dict(zip(one.edges, one.cells, strict=True))
    return tuple(cells[upper] for upper in edges)


def _histogram(pod: str, buckets: Mapping[float, int]) -> Histogram:
    edges = tuple(sorted(buckets))
    cells = tuple(buckets[upper] for upper in edges)
    if edges[-1] != math.inf:
        raise FaultError(f'pod {pod} exports a histogram without the bucket le="+Inf"')
    for (low, fewer), (high, more) in pairwise(zip(edges, cells, strict=True)):
        if more < fewer:
            raise FaultError(
                f"pod {pod} exports buckets that fall: {fewer} up to {low:g} s but {more} up to {high:g} s"
            )
    return Histogram(edges=edges, cells=cells)


def edge(pod: str, le: str | None, unit: Unit) -> float:
    """A bucket's edge in seconds; divided as a decimal, so that 2.5 ms and 0.0025 s are the same edge.

    Raises:
        FaultError: `le` is no number.
    """
    try:
        seconds = float(Decimal(le or "") / _PER_SECOND[unit])
    except InvalidOperation:
        seconds = math.nan
    if math.isnan(seconds):
        raise FaultError(f"pod {pod} exports a bucket with le={le!r}, which is no number")
    return seconds
