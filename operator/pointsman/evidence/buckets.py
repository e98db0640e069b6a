"""Histograms with fixed edges: counts per bucket, tails, and the edges around the stable arm's quantiles.

Nothing is interpolated inside a bucket for a test; ``quantile`` interpolates for people only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointsman.evidence.model import Flags, Integers, Numbers

_CLEAR = (
    1.5  # ratio of odds from which the shares on the two sides of an edge can be told apart with some hundred requests
)
_NOTHING = (
    0.1  # share of what a quantile leaves over it, under which comparing the two arms there would have nothing to count
)
_LEAST = 1e-12
_SLACK = 1 + 1e-9  # edges that are equal up to rounding count as equal


def per_bucket(cumulative: Sequence[int] | Integers) -> Integers:
    """Return requests per bucket from Prometheus' cumulative ``le`` counts in rising order of their edges, shape (..., B).

    Raises:
        ValueError: a count is smaller than that of a lower edge.
    """
    totals = np.asarray(cumulative, dtype=np.int64)
    counts = totals.copy()
    counts[..., 1:] -= totals[..., :-1]
    if np.any(counts < 0):
        raise ValueError(f"cumulative bucket counts must not fall from edge to edge, as {cumulative} do")
    return counts


def tails(counts: Integers | Numbers) -> Numbers:
    """Return the requests slower than each edge, shape (..., B), the last 0."""
    counts = np.asarray(counts, dtype=float)
    over = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(over - counts)


def shares_over(counts: Integers | Numbers) -> Numbers:
    """Return the smoothed share of requests slower than each edge, inside (0, 1), shape (..., B)."""
    return np.asarray((tails(counts) + 0.5) / (counts.sum(axis=-1)[..., None] + 1))


def index_at_least(edges: tuple[float, ...], value: Numbers) -> Numbers:
    """Return the index of the smallest edge that is at least ``value``."""
    return np.asarray(np.searchsorted(edges, value / _SLACK, side="left"))


def index_at_most(edges: tuple[float, ...], value: Numbers) -> Numbers:
    """Return the index of the largest edge that is at most ``value``, -1 where there is none."""
    return np.asarray(np.searchsorted(edges, value * _SLACK, side="right") - 1)


def quantile(edges: tuple[float, ...], counts: Integers, level: float) -> float | None:
    """Return a quantile interpolated inside its bucket, in seconds, for people; None if empty or beyond the last edge."""
    total = float(counts.sum())
    if total <= 0:
        return None
    rank, below = level * total, 0.0
    for i, edge in enumerate(edges):
        count = float(counts[i])
        if below + count >= rank and count > 0:
            lower = edges[i - 1] if i else 0.0
            return lower + (edge - lower) * (rank - below) / count if math.isfinite(edge) else None
        below += count
    return None


@dataclass(frozen=True)
class Brackets:
    """Where the quantiles of the stable arm lie, shapes (..., Q); an edge's index runs from 0 to B - 1, the last is +Inf.

    Attributes:
        upper: index of the edge over the quantile.
        lower: index of the edge under it, -1 below the first edge.
        edge: index of the edge at which the candidate is compared.
        lower_seconds: the edge under the quantile, 0 below the first.
        tolerance: slow-down in force; 0 where the candidate is compared at the first edge itself, which needs no other proof, and inf
            where it is compared further up though no edge lies under the quantile, so that the coarse margin alone limits it.
        alone: where only the one-sample copies may speak: the quantile lies below the first edge, or so close over an edge, with
            nothing over the next one, that the bucket under it is taken.
        beyond: where ``upper`` or ``edge`` is not a finite edge.
        widest: the slow-down that gate and buckets allow if pods do not differ.
        blurred: where the pods differ by as much as that, so that nothing can be proven of so few.
        known: where earlier looks hold enough requests to place the quantile.
    """

    upper: Integers
    lower: Integers
    edge: Integers
    lower_seconds: Numbers
    tolerance: Numbers
    alone: Flags
    beyond: Flags
    widest: Numbers
    blurred: Flags
    known: Flags


def stable_upper(counts: Numbers, levels: Numbers) -> tuple[Integers, Flags]:
    """Return the index of the edge over each quantile of ``counts`` (..., B), and where counts suffice to place it (..., Q)."""
    total = counts.sum(axis=-1)[..., None]
    reached = np.cumsum(counts, axis=-1)[..., None, :] >= (levels * total)[..., None]
    return np.asarray(np.argmax(reached, axis=-1)), np.asarray(total * (1 - levels) >= 1)


def bracket(
    edges: tuple[float, ...], counts: Numbers, levels: Numbers, *, slowdown: float, margin: Numbers
) -> Brackets:
    """Return the edges for the safety of each quantile, chosen from counts of earlier looks.

    The candidate's edge is the next one over ``upper``, or the last that is within ``slowdown`` of ``lower`` where that is
    further; the pod margin widens what is claimed by as much as it would have tightened what is tested.

    Args:
        edges: upper edges in seconds, +Inf last.
        counts: the stable arm's requests per bucket in earlier looks, shape (..., B).
        levels: quantiles, shape (Q,).
        slowdown: the gate's tolerance g.
        margin: the pod margin M >= 1, shape (...).
    """
    by = np.asarray(margin)[..., None]
    upper, known = stable_upper(counts, levels)
    last = len(edges) - 1
    odds = _odds(shares_over(counts))
    null = _odds(1 - levels)
    close = (upper > 0) & (take(odds, upper) < _NOTHING * null) & (take(odds, np.maximum(upper - 1, 0)) < _CLEAR * null)
    upper = upper - close
    lower = upper - 1
    below = lower < 0
    ends = np.asarray(edges)
    lower_seconds = np.where(below, 0.0, ends[np.maximum(lower, 0)])
    over = np.maximum(np.minimum(upper + 1, last), index_at_most(edges, lower_seconds * (slowdown / by)))
    clear = np.argmax(odds[..., None, :] * _CLEAR <= null[..., None], axis=-1)
    edge = np.where(below, clear, np.minimum(over, last))
    with np.errstate(divide="ignore"):
        coarsest = np.maximum(slowdown, ends[np.minimum(upper + 1, last)] / lower_seconds)
        claim = np.maximum(slowdown, by * ends[edge] / lower_seconds)
    return Brackets(
        upper=upper,
        lower=lower,
        edge=edge,
        lower_seconds=lower_seconds,
        tolerance=np.where(below & (edge == 0), 0.0, claim),
        alone=np.asarray(below | close),
        beyond=np.asarray(edge == last),
        widest=coarsest,
        blurred=np.asarray(~below & (by >= coarsest)),
        known=known,
    )


def take(values: Numbers, index: Integers) -> Numbers:
    """Return ``values`` (..., B) at ``index`` (..., Q) or (Q,)."""
    if values.ndim == 1:  # one rollout: several times faster
        return np.asarray(values[index])
    return np.take_along_axis(values, np.broadcast_to(index, (*values.shape[:-1], index.shape[-1])), axis=-1)


def _odds(share: Numbers) -> Numbers:
    return np.asarray(share / np.maximum(1 - share, _LEAST))
