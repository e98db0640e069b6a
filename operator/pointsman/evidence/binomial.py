"""The deadline test: one exact conditional binomial test, stratified by look, kept as three running sums.

Given the bad requests X_i of look i, the candidate's are at most Binomial(X_i, theta_i) under p_c <= R p_s, with theta_i =
R n_c / (R n_c + n_s). Their sum S over looks has P(S >= c) <= P(Binomial(N, mean theta) >= c) for c >= N mean(theta) + 1
(Hoeffding, "On the distribution of the number of successes in independent trials", 1956, Theorem 4), so that N, the sum of
theta and S are enough, and the test stays exact whatever the split did.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pointsman.evidence.margin import Arms
    from pointsman.evidence.model import Numbers

_TINY = 1e-300
_PRECISION = 1e-14
_ROUNDS = 20_000


def strata(arms: Arms, ratio: float | Numbers) -> Numbers:
    """Return what a look adds: bad requests of both arms, the candidate's expected ones among them, its own; shape (..., 3)."""
    both = arms.both()
    n_c, n_s = np.where(both, arms.candidate_requests, 1.0), np.where(both, arms.stable_requests, 1.0)
    bad = arms.candidate_bad + arms.stable_bad
    added = np.stack(np.broadcast_arrays(bad, bad * ratio * n_c / (ratio * n_c + n_s), arms.candidate_bad), axis=-1)
    return np.where(both[..., None], added, 0.0)


def p_value(sums: Numbers, phi: float | Numbers) -> Numbers:
    """Return the p-value of ``p_c <= R p_s`` in every look, from the summed ``strata``; counts are divided by ``phi``.

    Args:
        sums: shape (..., 3).
        phi: dispersion of counts, >= 1, one number or of the shape (...).
    """
    flat = np.reshape(sums / np.asarray(phi)[..., None], (-1, 3))
    return np.reshape(np.array([_p_value(*row) for row in flat.tolist()]), np.shape(sums)[:-1])


def _p_value(bad: float, expected: float, candidate: float) -> float:
    if bad <= 0 or candidate < expected + 1:
        return 1.0
    return binomial_tail(candidate, bad, expected / bad)


def binomial_tail(least: float, trials: float, chance: float) -> float:
    """Return P(Binomial(trials, chance) >= least) = I_chance(least, trials - least + 1), also for fractional counts."""
    if least <= 0:
        return 1.0
    if least > trials or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    a, b = least, trials - least + 1
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(chance) + b * math.log1p(-chance)
    if chance < (a + 1) / (a + b + 2):
        return min(1.0, math.exp(front) * _continued(a, b, chance) / a)
    return max(0.0, 1 - math.exp(front) * _continued(b, a, 1 - chance) / b)


def _continued(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function (Numerical Recipes 6.4, Lentz's method)."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _ROUNDS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            c = 1 + numerator / c
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            value *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return value
