"""The margin e-process as in design/evidence.md's figures, with R = 1, no hardening and an implementation of its own.

It says which power the hardening costs, and that the figures of the design are those of this traffic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench import traffic
from bench.decisions.arms import Integers, Latencies, Rates

FACTORS = np.asarray([1.1, 1.25, 1.5, 2, 3, 5, 10, 30])
LEVELS = (0.5, 0.9, 0.95, 0.99)


def rates(counts: Rates, alpha: float) -> Integers:
    """Return the look at which the Poisson form reaches 1/alpha, (R,), T for never; counts (T, R)."""
    x_c, n_c, x_s, n_s = (a.astype(float)[..., None] for a in counts)
    both = (n_c > 0) & (n_s > 0)
    split = np.where(both, n_c / np.where(both, n_s, 1), 1.0)
    up = FACTORS * (1 + split) / (1 + FACTORS * split)
    down = (1 + split) / (1 + FACTORS * split)
    logs = np.cumsum(np.where(both, x_c * np.log(up) + x_s * np.log(down), 0.0), axis=0)
    return _first(_mixture(logs), alpha)


def latencies(counts: Latencies, edges: NDArray[np.float64], alpha: float) -> Integers:
    """Return the look at which exceedances of stable's own quantiles (exact Bernoulli form, mixed over levels) reach 1/alpha.

    The edge of each level is the first one over the quantile of ``traffic``'s undisturbed latency, as a long history would say.
    """
    upper = edges[1:-1]
    logs = []
    for level in LEVELS:
        quantile = traffic.MED * math.exp(traffic.SIG * norm.ppf(level))
        edge = int(np.searchsorted(upper, quantile)) + 1
        x_c, x_s = (a[..., edge:].sum(axis=-1).astype(float)[..., None] for a in counts)
        n_c, n_s = (a.sum(axis=-1).astype(float)[..., None] for a in counts)
        t_s = float(norm.sf(math.log(upper[edge - 1] / traffic.MED) / traffic.SIG))
        t_c = FACTORS * t_s / (1 - t_s + FACTORS * t_s)
        both = (n_c > 0) & (n_s > 0)
        m = np.where(both, (n_c * t_c + n_s * t_s) / np.where(both, n_c + n_s, 1), 0.5)
        one = x_c * np.log(t_c / m) + (n_c - x_c) * np.log((1 - t_c) / (1 - m))
        one += x_s * np.log(t_s / m) + (n_s - x_s) * np.log((1 - t_s) / (1 - m))
        logs.append(np.cumsum(np.where(both, one, 0.0), axis=0))
    return _first(_mixture(np.concatenate(logs, axis=-1)), alpha)


def _mixture(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.logaddexp.reduce(logs, axis=-1) - math.log(logs.shape[-1]))


def _first(log_e: NDArray[np.float64], alpha: float) -> Integers:
    over = log_e >= math.log(1 / alpha)
    return np.asarray(np.where(over.any(axis=0), over.argmax(axis=0), len(log_e)))
