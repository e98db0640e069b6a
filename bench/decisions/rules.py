"""Rules in use elsewhere, written anew from their documented behaviour: at which look each would roll back.

All see the same counts as we do, at a constant share for the whole time, through checks once a minute. A check without requests
in an arm passes. Each rule takes counts (T, R) and the look's seconds and returns the look of the rollback, (R,), T for never.

Sources: Flagger, docs "How it works" and "Metrics analysis"; Argo Rollouts, docs "Analysis and progressive delivery"
(``failureLimit``); Spinnaker, "How canary judgment works" (the judge of Kayenta).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.decisions.arms import Integers, Rates

Numbers = NDArray[np.float64]
MINUTE = 60.0


def flagger(counts: Rates, interval: float) -> Integers:
    """``threshold: 5``: roll back at the fifth check of a minute (not in a row) with a success rate under 99 %."""
    each = round(MINUTE / interval)
    candidate, _ = _per_check(counts, interval, window=1)
    return _first(np.cumsum(candidate > 0.01, axis=0) >= 5, each, len(counts.stable))


def argo_none(counts: Rates, interval: float) -> Integers:
    """``failureLimit: 0``, the default: roll back at the first check whose failure rate (5 minutes) is over 1.2 x stable's."""
    return _argo(counts, interval, failure_limit=0)


def argo_three(counts: Rates, interval: float) -> Integers:
    """``failureLimit: 3``: the same at the fourth such check, not in a row."""
    return _argo(counts, interval, failure_limit=3)


def kayenta(counts: Rates, interval: float) -> Integers:
    """Judge every 30 min over the minutes so far: High (Mann-Whitney, 98 %, effect over .25 of the shift) scores 0 and fails."""
    each = round(MINUTE / interval)
    candidate, stable = _per_check(counts, interval, window=1)
    never = len(counts.stable)
    stop = np.full(candidate.shape[1], never)
    for minutes in range(30, len(candidate) + 1, 30):
        high = mann_whitney_high(candidate[:minutes], stable[:minutes])
        stop = np.where(high & (stop == never), minutes * each - 1, stop)
    return stop


def z_test(counts: Rates, interval: float) -> Integers:  # noqa: ARG001  one signature for all rules
    """Two-sample z-test of the totals at every look, one-sided at 5 %."""
    x_c, n_c, x_s, n_s = (np.cumsum(a, axis=0).astype(float) for a in counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x_c + x_s) / (n_c + n_s)
        z = (x_c / n_c - x_s / n_s) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_s))
    return _first(z > norm.isf(0.05), 1, len(n_c))


RULES: dict[str, Callable[[Rates, float], Integers]] = {
    "Flagger, 5 failed checks": flagger,
    "Argo Rollouts, failureLimit 0": argo_none,
    "Argo Rollouts, failureLimit 3": argo_three,
    "Kayenta, every 30 min": kayenta,
    "z-test at every look": z_test,
}


def mann_whitney_high(candidate: Numbers, stable: Numbers) -> NDArray[np.bool_]:
    """Return where the judge classifies the candidate's series as High; series (N, R), nan where a minute has no data.

    The shift is the Hodges-Lehmann estimate, its 98 % interval the one of the rank-sum test in its normal approximation; High
    where the interval's lower end is over a quarter of the shift.
    """
    runs = candidate.shape[1]
    shifts = np.sort((candidate[:, None, :] - stable[None, :, :]).reshape(-1, runs), axis=0)  # nan last
    n, m = (np.sum(~np.isnan(a), axis=0) for a in (candidate, stable))
    pairs = n * m
    reach = norm.isf(0.01) * np.sqrt(pairs * (n + m + 1) / 12)
    lower = np.floor(pairs / 2 - reach).astype(int)
    known = lower >= 1
    run = np.arange(runs)
    middle = np.maximum(pairs - 1, 0)
    estimate = (shifts[middle // 2, run] + shifts[(middle + 1) // 2, run]) / 2
    return np.asarray(known & (shifts[np.maximum(lower - 1, 0), run] > 0.25 * np.abs(estimate)))


def _argo(counts: Rates, interval: float, *, failure_limit: int) -> Integers:
    each = round(MINUTE / interval)
    candidate, stable = _per_check(counts, interval, window=5)
    with np.errstate(invalid="ignore"):
        failed = candidate > 1.2 * stable
    return _first(np.cumsum(failed, axis=0) > failure_limit, each, len(counts.stable))


def _per_check(counts: Rates, interval: float, *, window: int) -> tuple[Numbers, Numbers]:
    """Return both arms' failure rates over the last ``window`` minutes at the end of each minute, (minutes, R); nan without requests."""
    each = math.ceil(MINUTE / interval)
    sums = []
    for one in counts:
        whole = one[: len(one) // each * each]
        total = np.cumsum(whole.reshape(-1, each, one.shape[1]).sum(axis=1), axis=0).astype(float)
        before = np.zeros_like(total)
        before[window:] = total[:-window]
        sums.append(total - before)
    x_c, n_c, x_s, n_s = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return x_c / n_c, x_s / n_s


def _first(over: NDArray[np.bool_], each: int, never: int) -> Integers:
    """Return the look at which a check was over the line first; check i ends with look (i + 1) each - 1."""
    return np.asarray(np.where(over.any(axis=0), (over.argmax(axis=0) + 1) * each - 1, never))
