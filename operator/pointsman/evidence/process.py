"""Running products of e-values: mixtures of copies, the cap on one look, and harm's copies that start later.

A mixture of e-processes with weights summing to 1 is an e-process, and so is any that is cut down; E >= 1/a is reached with
probability at most a while the null holds, at whatever time one looks (Ville's inequality).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pointsman.evidence.model import Numbers

STARTS = 12  # copies of harm that start every deadline/12
_DECIMALS = 1e6
FIRST = 0.75  # of the weight is on the copy that starts with the rollout (docs/adr/0009)


def cap(log_e: Numbers, level: float | Numbers) -> Numbers:
    """Return a look's log e-values cut to half of ``level``, the log level that a copy must reach alone.

    No single look (a bad scrape, one burst) can then decide. min(e, c) <= e, so it stays an e-value.
    """
    return np.minimum(log_e, level / 2)


def settle(log_e: Numbers) -> Numbers:
    """Return running logs rounded down to six decimals: short to store, and rounding down keeps validity."""
    return np.floor(log_e * _DECIMALS) / _DECIMALS


def log_sum(logs: Numbers, axis: int = -1) -> Numbers:
    """Return ln(sum(exp(logs))) along ``axis`` without overflow; -inf where all are."""
    top = logs.max(axis=axis, keepdims=True)
    finite = np.isfinite(top)
    if finite.all():  # nearly always, and several times faster
        return np.asarray(np.log(np.exp(logs - top).sum(axis=axis)) + top.squeeze(axis=axis))
    top = np.where(finite, top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.sum(np.exp(logs - top), axis=axis)) + np.squeeze(top, axis=axis))


def log_mean(logs: Numbers, axis: int = -1) -> Numbers:
    """Return the log of the equally weighted mixture of the copies along ``axis``."""
    return log_sum(logs, axis) - math.log(logs.shape[axis])


@dataclass(frozen=True, eq=False)
class Harm:
    """Harm's copies: one that starts with the rollout and ``STARTS`` that start every deadline/STARTS, for each alternative.

    Copies of one alternative that have started share every further look, so their sum is one number: it is multiplied by the
    look's e-value, as in the Shiryaev-Roberts recursion, and each start adds its weight. Most of the weight is on the copy
    that starts with the rollout. A copy may start at any stopping time, so pauses that move the starts do no harm.

    Attributes:
        first: log of the copies that started with the rollout, shape (..., K).
        later: log of the weighted sum of those started since, shape (..., K); -inf before the first.
        started: how many of the later copies have started.
    """

    first: Numbers
    later: Numbers
    started: int

    @classmethod
    def begin(cls, shape: tuple[int, ...]) -> Harm:
        """Return the copies before the first look; ``shape`` ends with the alternatives."""
        return cls(first=np.zeros(shape), later=np.full(shape, -math.inf), started=0)

    def fold(self, log_e: Numbers, *, level: float | Numbers, phase: float) -> Harm:
        """Return the copies after a look.

        Args:
            log_e: the look's log e-values, shape (..., K), tempered and not yet capped.
            level: log level that the whole mixture must reach alone, to broadcast against ``log_e``.
            phase: part of the deadline used up at the end of the look.
        """
        alone = level + math.log(self.first.shape[-1])
        due = self.due(phase)
        later = self.later
        if due > self.started:
            later = np.logaddexp(later, math.log((due - self.started) / STARTS))
        first = self.first + cap(log_e, alone - math.log(FIRST))
        later = later + cap(log_e, alone + math.log(STARTS / (1 - FIRST)))
        return Harm(first=settle(first), later=settle(later), started=due)

    def due(self, phase: float) -> int:
        """Return how many of the later copies have started when that part of the deadline is used up."""
        return min(STARTS, max(self.started, int(STARTS * phase)))

    def log_value(self) -> Numbers:
        """Return the log of the mixture over starts and alternatives, shape (...)."""
        waiting = 1 - self.started / STARTS
        later = np.logaddexp(self.later, math.log(waiting)) if waiting > 0 else self.later
        return log_mean(np.logaddexp(self.first + math.log(FIRST), later + math.log(1 - FIRST)))


def log_mixture(logs: Numbers, log_weights: Numbers) -> Numbers:
    """Return the log of the mixture of the copies along the last axis, with weights that sum to 1."""
    return log_sum(logs + log_weights)


def fold_safe(copies: Numbers, log_e: Numbers, *, level: float, log_weights: Numbers) -> Numbers:
    """Return the log copies of a safety mixture after a look.

    Args:
        copies: logs so far, shape (..., K).
        log_e: the look's log e-values, tempered and not yet capped, same shape.
        level: log level that the mixture must reach.
        log_weights: logs of the copies' weights in the mixture, shape (K,).
    """
    return settle(copies + cap(log_e, level - log_weights))


def looks_needed(copies: Numbers, growth: Numbers, *, level: float, log_weights: Numbers) -> float:
    """Return how many more units of ``growth`` a mixture needs to reach ``level``; inf if never.

    Args:
        copies: logs so far, flat, shape (K,).
        growth: expected log e-value per unit (a candidate request, say), shape (K,).
        level: log level to reach.
        log_weights: logs of the copies' weights, shape (K,).
    """
    if log_mixture(copies, log_weights) >= level:
        return 0.0
    rising = growth > 0
    if not np.any(rising):
        return math.inf
    # The mixture's log is convex, so Newton's steps from a point beyond the level come down to it and never go below.
    units = float(np.min((level - log_weights[rising] - copies[rising]) / growth[rising]))
    for _ in range(_STEPS):
        logs = copies + units * growth + log_weights
        value = float(log_sum(logs))
        step = (value - level) / float(np.exp(logs - value) @ growth)
        units -= step
        if step <= _CLOSE * units:
            break
    return units


_STEPS = 30
_CLOSE = 1e-4  # of the result
