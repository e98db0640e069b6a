"""How many times more counts vary from look to look than chance alone, learnt from the looks so far, whatever drifts slowly.

The shares of neighbouring runs of looks are compared (von Neumann, "Distribution of the ratio of the mean square successive
difference to the variance", 1941): a rate that wanders slowly cancels, requests that come in bursts do not. Runs are of 1, 4
and 16 looks, because bursts may last for minutes; a longer run counts where it is significantly worse, as in ``calibration``.
Only earlier looks speak: an e-value raised to 1/phi, phi >= 1 known beforehand, is an e-value (Jensen).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence.model import Integers, Numbers

if TYPE_CHECKING:
    from pointsman.evidence.model import Flags

ASSUMED = 2.0
"""Dispersion before enough was seen: replays are sampled by their content, so that what is asked twice is compared twice."""
_RUNS: Numbers = np.array([1.0, 4.0, 16.0])
_PAIRS = 30  # of runs, before their comparison says anything
_EVENTS = 30.0  # outside the most frequent bin, as for the calibration of a rate
_DEVIATIONS = 3.0  # that a longer run must be worse by


@dataclass(frozen=True, eq=False)
class Dispersion:
    """Sums that say how counts in bins vary; ``...`` is any shape, L = 3 lengths of runs, B bins.

    Attributes:
        looks: with requests, shape (...).
        run: counts of the run that is under way, shape (..., L, B).
        before: counts of the run before it, 0 where there is none, shape (..., L, B).
        squares: sums of squared differences and what chance alone would give, shape (..., L, 2).
        pairs: how many, shape (..., L).
        totals: counts of all looks, shape (..., B).
    """

    looks: Integers
    run: Numbers
    before: Numbers
    squares: Numbers
    pairs: Integers
    totals: Integers

    @classmethod
    def begin(cls, shape: tuple[int, ...], bins: int) -> Dispersion:
        """Return the sums before the first look."""
        runs = (*shape, len(_RUNS))
        return cls(
            looks=np.zeros(shape, dtype=np.int64),
            run=np.zeros((*runs, bins)),
            before=np.zeros((*runs, bins)),
            squares=np.zeros((*runs, 2)),
            pairs=np.zeros(runs, dtype=np.int64),
            totals=np.zeros((*shape, bins), dtype=np.int64),
        )

    def fold(self, counts: Numbers) -> Dispersion:
        """Return the sums after a look with these counts per bin, shape (..., B); one without requests changes nothing."""
        some = counts.sum(axis=-1) > 0
        looks = self.looks + some
        run = self.run + counts[..., None, :]
        ends = some[..., None] & (looks[..., None] % _RUNS == 0)
        paired = ends & (self.before.sum(axis=-1) > 0)
        added = np.where(paired[..., None], _squares(run, self.before), 0.0)
        return Dispersion(
            looks=looks,
            run=np.where(ends[..., None], 0.0, run),
            before=np.where(ends[..., None], run, self.before),
            squares=self.squares + added,
            pairs=self.pairs + paired,
            totals=self.totals + counts.astype(np.int64),
        )

    def joined(self, other: Dispersion, *, axis: int) -> Dispersion:
        """Return the sums of both, side by side along an axis of their shape."""
        pairs = ((getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return Dispersion(*(np.concatenate(both, axis=axis) for both in pairs))

    def phi(self) -> Numbers:
        """Return the dispersion, shape (...): measured and widened by 1 + 2/sqrt(pairs), or ``ASSUMED``."""
        chance = self.squares[..., 1]
        ratio = np.where(chance > 0, self.squares[..., 0] / np.where(chance > 0, chance, 1.0), 1.0)
        pairs = np.maximum(self.pairs, 1)
        worse = (self.pairs >= _PAIRS) & (ratio > ratio[..., :1] * (1 + _DEVIATIONS * np.sqrt(2 / pairs)))
        counts = worse | (np.arange(len(_RUNS)) == 0)
        widened = np.where(counts, np.maximum(1.0, ratio) * (1 + 2 / np.sqrt(pairs)), 1.0)
        return np.where(self.known(), widened.max(axis=-1), ASSUMED)

    def known(self) -> Flags:
        """Return where enough was seen to measure, shape (...)."""
        rare = self.totals.sum(axis=-1) - self.totals.max(axis=-1)
        return np.asarray((self.pairs[..., 0] >= _PAIRS) & (rare >= _EVENTS))


def _squares(run: Numbers, before: Numbers) -> Numbers:
    """Return the squared difference of two runs' shares, weighted by their requests, and its expectation by chance; (..., 2)."""
    one, other = run.sum(axis=-1, keepdims=True), before.sum(axis=-1, keepdims=True)
    n, m = np.maximum(one, 1), np.maximum(other, 1)
    pooled, weight = (run + before) / (n + m), n * m / (n + m)
    found = ((run / n - before / m) ** 2 * weight).sum(axis=-1)
    chance = (pooled * (1 - pooled)).sum(axis=-1) * ((n + m) / np.maximum(n + m - 1, 1))[..., 0]
    return np.stack([found, chance], axis=-1)
