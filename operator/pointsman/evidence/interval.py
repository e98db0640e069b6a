"""An anytime-valid interval for the ratio of two rates, from sums that do not grow with the number of looks.

For every ratio R on a grid and every tilt h, exp(h S - sum_i X_i ln(1 + theta_i(R) (e^h - 1))) is the Poisson margin e-process
of ``margin.poisson`` with d = 0, X_i the bad requests of look i, S the candidate's among all. ln(1 + theta z) is concave in theta, so
replacing theta_i by its mean over bad requests can only lower it (Jensen): N, S and one sum of theta per R are enough. The
ratios not rejected by the mixture over h at level a/2 on either side are a (1 - a) confidence sequence (Ville).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence.process import log_mean

if TYPE_CHECKING:
    from pointsman.evidence.margin import Arms
    from pointsman.evidence.model import Numbers

_STEP = math.log(32) / 20
_PARTS = 32  # of a step: ends are exact to half a percent
RATIOS: Numbers = np.array([math.exp(i * _STEP) for i in range(-20, 21)], dtype=float)
_TILTS: Numbers = np.array([0.0125 * 2**i for i in range(9)])


def strata(arms: Arms) -> Numbers:
    """Return what a look adds: bad requests of both arms, the candidate's own, and X theta(R) per R; shape (..., 2 + 41)."""
    both = arms.both()
    n_c, n_s = np.where(both, arms.candidate_requests, 1.0), np.where(both, arms.stable_requests, 1.0)
    bad = arms.candidate_bad + arms.stable_bad
    theta = RATIOS * n_c[..., None] / (RATIOS * n_c[..., None] + n_s[..., None])
    added = np.concatenate([np.stack([bad, arms.candidate_bad], axis=-1), bad[..., None] * theta], axis=-1)
    return np.where(both[..., None], added, 0.0)


def ratio_interval(sums: Numbers, *, error: float, phi: float) -> tuple[float, float] | None:
    """Return the interval for p_c / p_s that covers it at all times with probability 1 - ``error``; None while it says nothing.

    Args:
        sums: the summed ``strata`` of one rollout, shape (43,).
        error: allowed probability of ever missing the ratio.
        phi: dispersion of counts, >= 1; the log e-values are divided by it.
    """
    bad, candidate, thetas = float(sums[0]), float(sums[1]), sums[2:]
    if bad <= 0:
        return None
    level = math.log(2 / error)
    theta = thetas / bad
    logit = np.log(theta) - np.log1p(-theta)
    low = _last_rejected(bad, candidate, logit, tilts=_TILTS, phi=phi, level=level)
    high = _last_rejected(bad, candidate, logit[::-1], tilts=-_TILTS, phi=phi, level=level)
    if low is None and high is None:
        return None
    return (low or 0.0, 1 / high if high is not None else math.inf)


def _last_rejected(
    bad: float, candidate: float, logit: Numbers, *, tilts: Numbers, phi: float, level: float
) -> float | None:
    """Return the last ratio of the grid's order that is rejected, 1/ratio for the falling grid; None where not even the first is.

    Between the grid's points the logit of theta is taken as linear in ln R, which it is for a split that stands still. The
    evidence itself is not: its chord lies over it, and would exclude ratios that are not rejected.
    """

    def over(logits: Numbers) -> Numbers:
        odds = np.exp(logits)[:, None]
        log_e = tilts * candidate - bad * np.log1p(odds / (1 + odds) * np.expm1(tilts))
        return log_mean(log_e / phi) - level

    kept = over(logit) < 0
    if kept[0]:
        return None
    if not kept.any():
        return float(RATIOS[-1])
    right = int(np.argmax(kept))
    parts = np.linspace(0, 1, _PARTS + 1)
    between = int(np.argmax(over(logit[right - 1] + parts * (logit[right] - logit[right - 1])) < 0))
    return math.exp(math.log(RATIOS[right - 1]) + (between - 1) * _STEP / _PARTS)
