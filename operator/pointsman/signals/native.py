"""Native histograms: exponential ones on one fixed grid of edges, those with custom buckets on the edges they tell.

Prometheus gives no schema and only populated buckets, but each with its bounds. Bounds that are powers of 2^(1/256) in
regular steps are those of a schema. Schemas 3 to 8 contain the edges of schema 3, so their buckets merge into its cells
exactly; coarser ones keep their own edges, which are some of the grid's. All other bounds are custom buckets (schema -53,
such as classic histograms that Prometheus converts): edges as they are, known wherever no populated bucket lies across.

The grid reaches from 2^-10 s (1 ms) to 2^7 s (2 min) in steps of 2^(1/8) (9 %). Where the histogram is in ms or us, its powers
of two are in that unit: the same span of other edges, which arms of different units do not share.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

from pointsman.signals.classic import PER_SECOND, edge
from pointsman.signals.counters import FaultError, whole
from pointsman.signals.histogram import Fixed, Histogram, Sparse
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Native, Sample

_FINEST: Final = 256  # bounds to a factor of two in schema 8
_GRID: Final = 8  # those of schema 3
_WIDE: Final = _FINEST // _GRID
_SHORTEST, _LONGEST = 2.0**-10, 2.0**7  # seconds
_EXACT: Final = 1e-6  # of a bucket of schema 8: far above the error of a logarithm

Bucket: TypeAlias = tuple[float, float, float]


def read(pod: str, found: Native, labels: Mapping[str, str], unit: Unit) -> Histogram:
    """A native histogram as a cumulative one in seconds.

    Raises:
        FaultError: its buckets overlap, hold more than its count, or are no counts of requests.
    """
    total = whole(pod, Sample(labels, found.count))
    buckets = sorted(found.buckets)
    for (_, upper, _), (lower, _, _) in pairwise(buckets):
        if lower < upper:
            raise FaultError(f"pod {pod} exports a native histogram whose buckets overlap, at {lower:g} and {upper:g}")
    counts = [whole(pod, Sample(labels, count)) for _, _, count in buckets]
    if sum(counts) > total:
        raise FaultError(f"pod {pod} exports a native histogram with {sum(counts)} in its buckets but {total} in all")
    if not total:
        return Sparse(edges=(math.inf,), cells=(0,))
    width = _width(buckets)
    if width is None:
        return _custom(pod, buckets, counts, total, unit)
    return _exponential(buckets, counts, total, unit, max(1, width // _WIDE))


def _width(buckets: Sequence[Bucket]) -> int | None:
    """How many buckets of schema 8 one of these is, 1 where none lies above zero; None for custom buckets."""
    widths = set()
    for lower, upper, _ in buckets:
        if upper <= 0 or (lower < 0 and math.isfinite(lower)):  # negative, or around zero
            continue
        low, high = _position(lower), _position(upper)
        if low is None or high is None:
            return None
        width = high - low
        if width & (width - 1) or high % width:
            return None
        widths.add(width)
    return None if len(widths) > 1 else next(iter(widths), 1)


@lru_cache(maxsize=4096)
def _position(bound: float) -> int | None:
    """The bound's place among those of schema 8; None if it is none of them."""
    if not (math.isfinite(bound) and bound > 0):
        return None
    place = math.log2(bound) * _FINEST
    return round(place) if abs(place - round(place)) < _EXACT else None


def _exponential(buckets: Sequence[Bucket], counts: Sequence[int], total: int, unit: Unit, step: int) -> Fixed:
    first, edges = _edges(unit, step)
    cells = [0] * len(edges)
    zero = 0.0
    for (lower, upper, _), count in zip(buckets, counts, strict=True):
        if lower < 0:
            zero = max(zero, upper / PER_SECOND[unit])
            cells[0] += count
        else:
            place = -(-(_position(upper) or 0) // _WIDE)  # rounded up: the first edge of the grid that is not below
            cells[min(max(0, (place - first) // step), len(edges) - 1)] += count
    hidden = bisect_left(edges, zero)  # edges within the bucket around zero
    return Fixed(edges=edges[hidden:] if hidden else edges, cells=(*tuple(accumulate(cells))[hidden:-1], total))


@lru_cache
def _edges(unit: Unit, step: int) -> tuple[int, tuple[float, ...]]:
    """The grid: the exponent of its first edge in eighths, and the edges in seconds, the same floats on every pod."""
    scale = PER_SECOND[unit]
    lowest = math.ceil(_GRID * math.log2(_SHORTEST * scale) / step) * step
    highest = math.floor(_GRID * math.log2(_LONGEST * scale))
    places = range(lowest, highest + 1, step)
    return lowest, (*(2.0 ** (place / _GRID) / scale for place in places), math.inf)


def _custom(pod: str, buckets: Sequence[Bucket], counts: Sequence[int], total: int, unit: Unit) -> Sparse:
    cells: dict[float, int] = {}
    below = 0
    for (lower, upper, _), count in zip(buckets, counts, strict=True):
        cells[lower] = below
        below += count
        cells[upper] = below
    seconds = {edge(pod, repr(bound), unit): cell for bound, cell in cells.items() if bound > 0}
    seconds[math.inf] = total
    return Sparse(edges=tuple(sorted(seconds)), cells=tuple(seconds[bound] for bound in sorted(seconds)))
