"""The interval for the ratio: covers at every look at once, and closes in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.evidence.interval import RATIOS, ratio_interval, strata
from pointsman.evidence.margin import Arms
from tests.evidence.paths import Arms as Counts
from tests.evidence.paths import every_path


def look(n_c: float, x_c: float, n_s: float, x_s: float) -> Arms:
    return Arms(*(np.asarray(float(v)) for v in (n_c, x_c, n_s, x_s)))


@pytest.mark.parametrize(
    ("x_c", "x_s", "low", "high"),
    [
        (0, 0, None, None),  # nothing seen
        (1, 0, None, None),  # one failure says nothing
        (0, 30, 0.0, 0.4),  # only an upper end
        (30, 0, 2.5, math.inf),  # only a lower one
        (100, 100, 0.6, 1.65),
        (10_000, 10_000, 0.95, 1.06),
        (3000, 1000, 2.6, 3.5),
    ],
)
def test_interval_holds_the_plain_ratio_and_is_not_wider_than_needed(
    x_c: int, x_s: int, low: float | None, high: float | None
) -> None:
    got = ratio_interval(strata(look(1e6, x_c, 1e6, x_s)), error=0.05, phi=1.0)
    if low is None or high is None:
        assert got is None
        return
    assert got is not None
    assert low <= got[0] <= max(x_c, 1e-9) / max(x_s, 1e-9) <= got[1] <= high


def test_interval_covers_the_ratio_at_all_looks_at_once() -> None:
    # 150 runs of 60 looks, the split and the base rate moving: the ratio 2 is ever missed in at most 5 %
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(150):
        sums, out = np.zeros(2 + len(RATIOS)), False
        for i in range(60):
            share, rate = (0.05, 0.25, 0.5)[i // 20], 0.002 * (1 + 9 * (i % 7 == 0))
            n_c, n_s = 1000 * share, 1000 * (1 - share)
            sums = sums + strata(look(n_c, rng.binomial(int(n_c), 2 * rate), n_s, rng.binomial(int(n_s), rate)))
            if i % 10 == 9:
                interval = ratio_interval(sums, error=0.05, phi=1.0)
                out = out or (interval is not None and not interval[0] <= 2 <= interval[1])
        missed += out
    assert missed <= 150 * 0.05


@pytest.mark.parametrize("ratio", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("error", [0.5, 0.2])
def test_the_ratio_is_ever_missed_no_more_often_than_allowed(ratio: float, error: float) -> None:
    # every outcome of three looks whose split and base rate move; the error is large so that so few looks can miss it
    looks = [Counts(6, 2, min(1.0, ratio * p_s), p_s) for p_s in (0.1, 0.4)] + [Counts(2, 4, ratio * 0.2, 0.2)]
    paths = every_path(looks)
    sums, missed = np.zeros((len(paths.chance), 2 + len(RATIOS))), np.zeros(len(paths.chance), dtype=bool)
    for i, arms in enumerate(paths.looks):
        n_c, n_s = (np.full(len(missed), float(n)) for n in (arms.candidate, arms.stable))
        sums += strata(Arms(n_c, paths.candidate_bad[i].astype(float), n_s, paths.stable_bad[i].astype(float)))
        rows, where = np.unique(np.round(sums, 12), axis=0, return_inverse=True)
        missed |= np.array([misses(row, ratio, error) for row in rows])[where]
    assert 0 < paths.expected(missed.astype(float)) <= error


def misses(sums: np.ndarray, ratio: float, error: float) -> bool:
    interval = ratio_interval(sums, error=error, phi=1.0)
    return interval is not None and not interval[0] <= ratio <= interval[1]


def test_dispersion_widens_the_interval() -> None:
    sums = strata(look(1e6, 300, 1e6, 200))
    calm, bursty = (ratio_interval(sums, error=0.05, phi=phi) for phi in (1.0, 2.0))
    assert calm is not None
    assert bursty is not None
    assert bursty[0] < calm[0] < 1.5 < calm[1] < bursty[1]
