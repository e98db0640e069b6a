"""An anytime-valid interval for a share that may change from look to look: for its mean over the requests so far.

For every tilt h, exp(h x - sum ln(1 + p_i (e^h - 1))) is a martingale, x the requests that count and p_i the share at request i.
ln(1 + p z) is concave in p, so its mean value p can only lower it (Jensen), as in ``interval``: the requests and those that count
are enough. Values of the mean not rejected by the mixture over h at level a/2 on either side are a (1 - a) confidence sequence
(Ville).
"""

from __future__ import annotations

import math

import numpy as np

from pointsman.evidence.model import Numbers
from pointsman.evidence.process import log_mean

_TILTS: Numbers = np.array([0.0125 * 2**i for i in range(9)])
_HALVINGS = 40


def interval(requests: int, counted: int, *, error: float, phi: float) -> tuple[float, float] | None:
    """Return the interval that covers the mean share at all times with probability 1 - ``error``; None before the first request.

    Args:
        requests: all of them.
        counted: those of the share.
        error: allowed probability of ever missing it.
        phi: dispersion of counts, >= 1; the log e-values are divided by it.
    """
    if requests <= 0:
        return None
    level = math.log(2 / error)

    def rejected(mean: float, tilts: Numbers) -> bool:
        log_e = tilts * counted - requests * np.log1p(mean * np.expm1(tilts))
        return float(log_mean(log_e / phi)) >= level

    seen = counted / requests
    low, high = (0.0, seen), (seen, 1.0)
    for _ in range(_HALVINGS):
        middle = sum(low) / 2
        low = (middle, low[1]) if rejected(middle, _TILTS) else (low[0], middle)
        middle = sum(high) / 2
        high = (high[0], middle) if rejected(middle, -_TILTS) else (middle, high[1])
    return (low[0], high[1])
