"""Classic histograms: the buckets of a pod's series as cumulative histograms in seconds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise
from typing import Final

from pointsman.signals.counters import FaultError, whole
from pointsman.signals.histogram import Fixed
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Sample

PER_SECOND: Final[Mapping[Unit, int]] = {"s": 1, "ms": 1_000, "us": 1_000_000}


def read(pod: str, series: Sequence[Sample], unit: Unit) -> list[Fixed]:
    """A pod's histograms: one for each path, method or whatever else tells them apart.

    Raises:
        FaultError: a bucket has no readable `le`, falls, is no count, or the +Inf one is missing.
    """
    parts: dict[frozenset[tuple[str, str]], dict[float, int]] = defaultdict(dict)
    for sample in series:
        upper = edge(pod, sample.labels.get("le"), unit)
        others = dict(sample.labels)
        others.pop("le", None)
        rest = frozenset(others.items())
        if upper in parts[rest]:
            raise FaultError(f"pod {pod} exports the bucket le={sample.labels.get('le')!r} twice")
        parts[rest][upper] = whole(pod, sample)
    return [_histogram(pod, buckets) for buckets in parts.values()]


def _histogram(pod: str, buckets: Mapping[float, int]) -> Fixed:
    edges = tuple(sorted(buckets))
    cells = tuple(buckets[upper] for upper in edges)
    if edges[-1] != math.inf:
        raise FaultError(f'pod {pod} exports a histogram without the bucket le="+Inf"')
    for (low, fewer), (high, more) in pairwise(zip(edges, cells, strict=True)):
        if more < fewer:
            raise FaultError(
                f"pod {pod} exports buckets that fall: {fewer} up to {low:g} s but {more} up to {high:g} s"
            )
    return Fixed(edges=edges, cells=cells)


def edge(pod: str, le: str | None, unit: Unit) -> float:
    """A bucket's edge in seconds; divided as a decimal, so that 2.5 ms and 0.0025 s are the same edge.

    Raises:
        FaultError: `le` is no number.
    """
    seconds = _seconds(le or "", unit)
    if math.isnan(seconds):
        raise FaultError(f"pod {pod} exports a bucket with le={le!r}, which is no number")
    return seconds


@lru_cache(maxsize=4096)  # all pods of all rollouts have the same few
def _seconds(le: str, unit: Unit) -> float:
    try:
        return float(Decimal(le) / PER_SECOND[unit])
    except InvalidOperation:
        return math.nan
