"""The same numbers from elsewhere: scipy's distributions and optimisers, and a published run of another implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from pointsman.evidence.binomial import binomial_tail, p_value, strata
from pointsman.evidence.interval import ratio_interval
from pointsman.evidence.interval import strata as contrast
from pointsman.evidence.margin import Arms, Line, bernoulli, poisson

ONES = Line(np.asarray(1.0), np.asarray(0.0))


def arms(n_c: float, x_c: float, n_s: float, x_s: float) -> Arms:
    return Arms(*(np.asarray(float(v)) for v in (n_c, x_c, n_s, x_s)))


# ---------------------------------------------------------------- e-values

# 79 blocks of two observations of arm a and one of arm b, printed with their e-value in the vignette "Safe Tests and
# Confidence Intervals for Tests of Two Proportions" of the R package safestats 0.8.6 (Turner, Ly, Grünwald)
BLOCKS_A = "0100011100000020101122010111011020012111001010000000001000101102000101100000000"
BLOCKS_B = "1110110110101110010000101110001001001100001100001110010000000110100111110111000"
PUBLISHED = 1.8097


def test_the_published_e_value_of_another_implementation() -> None:
    # its guess: successes + .18 (arm a) or + .09 (arm b, half as many) over trials + twice that
    seen_a, seen_b, log_e = 0, 0, 0.0
    for i, (a, b) in enumerate(zip(map(int, BLOCKS_A), map(int, BLOCKS_B), strict=True)):
        guess_a, guess_b = (seen_a + 0.18) / (2 * i + 0.36), (seen_b + 0.09) / (i + 0.18)
        log_e += float(bernoulli(arms(2, a, 1, b), ONES, candidate=np.asarray(guess_a), stable=np.asarray(guess_b)))
        seen_a, seen_b = seen_a + a, seen_b + b
    assert math.exp(log_e) == pytest.approx(PUBLISHED, abs=5e-5)


def likelihood_ratio(counts: Arms, line: Line, candidate: float, stable: float) -> float:
    """Divide the guess's likelihood by that of the point of the line that is nearest to the guess, found numerically."""
    n_c, x_c, n_s, x_s = (float(v) for v in counts)
    ratio, excess = float(line.ratio), float(line.excess)

    def distance(m: float) -> float:
        m_c = ratio * m + excess
        return n_c * float(special.rel_entr(candidate, m_c) + special.rel_entr(1 - candidate, 1 - m_c)) + n_s * float(
            special.rel_entr(stable, m) + special.rel_entr(1 - stable, 1 - m)
        )

    top = min(1.0, (1 - excess) / ratio)
    m = float(optimize.minimize_scalar(distance, bounds=(0.0, top), method="bounded", options={"xatol": 1e-12}).x)
    guess = stats.binom.logpmf(x_c, n_c, candidate) + stats.binom.logpmf(x_s, n_s, stable)
    null = stats.binom.logpmf(x_c, n_c, ratio * m + excess) + stats.binom.logpmf(x_s, n_s, m)
    return float(guess - null)


@pytest.mark.parametrize(("ratio", "excess"), [(1.0, 0.0), (1.25, 0.0), (1.5, 0.001), (0.8, 0.1), (3.0, 0.05)])
@pytest.mark.parametrize(("n_c", "n_s"), [(30, 570), (400, 400), (5, 3)])
@pytest.mark.parametrize(("stable", "times"), [(0.005, 3.0), (0.05, 0.4), (0.2, 1.5)])
def test_the_exact_form_is_the_likelihood_ratio_to_the_nearest_null(
    *, ratio: float, excess: float, n_c: int, n_s: int, stable: float, times: float
) -> None:
    line = Line(np.asarray(ratio), np.asarray(excess))
    candidate = min(0.95, times * (ratio * stable + excess))
    counts = arms(n_c, n_c // 5, n_s, n_s // 20)
    got = float(bernoulli(counts, line, candidate=np.asarray(candidate), stable=np.asarray(stable)))
    assert got == pytest.approx(likelihood_ratio(counts, line, candidate, stable), abs=1e-4)


@pytest.mark.parametrize(("ratio", "excess"), [(1.25, 0.0), (1.5, 0.001), (1.0, 0.01)])
@pytest.mark.parametrize("times", [0.3, 2.0, 10.0])
def test_the_poisson_form_is_the_likelihood_ratio_of_poisson_counts(ratio: float, excess: float, times: float) -> None:
    n_c, x_c, n_s, x_s, stable = 300.0, 4, 5700.0, 25, 0.004
    candidate = times * (ratio * stable + excess)

    def distance(m: float) -> float:
        m_c = ratio * m + excess
        return n_c * float(special.kl_div(candidate, m_c)) + n_s * float(special.kl_div(stable, m))

    m = float(optimize.minimize_scalar(distance, bounds=(1e-9, 0.5), method="bounded", options={"xatol": 1e-13}).x)
    expected = (
        stats.poisson.logpmf(x_c, n_c * candidate)
        + stats.poisson.logpmf(x_s, n_s * stable)
        - stats.poisson.logpmf(x_c, n_c * (ratio * m + excess))
        - stats.poisson.logpmf(x_s, n_s * m)
    )
    line = Line(np.asarray(ratio), np.asarray(excess))
    got = float(poisson(arms(n_c, x_c, n_s, x_s), line, candidate=np.asarray(candidate), stable=np.asarray(stable)))
    assert got == pytest.approx(float(expected), abs=1e-4)


# ---------------------------------------------------------------- the deadline test


@pytest.mark.parametrize("chance", [1e-6, 0.03, 0.5, 0.97])
@pytest.mark.parametrize(("least", "trials"), [(1, 1), (7.5, 30.2), (40, 41), (300, 1000), (20_300, 1_000_000)])
def test_tails_of_the_binomial_are_the_incomplete_beta_function(least: float, trials: float, chance: float) -> None:
    expected = special.betainc(least, trials - least + 1, chance)
    assert binomial_tail(least, trials, chance) == pytest.approx(float(expected), rel=1e-7, abs=1e-14)


@pytest.mark.parametrize("looks", [[(100, 9, 100, 2)], [(50, 9, 200, 4), (50, 11, 200, 9)]])
@pytest.mark.parametrize("ratio", [1.0, 1.25])
def test_with_a_steady_split_the_deadline_test_is_scipys_binomial_test(
    looks: list[tuple[int, int, int, int]], ratio: float
) -> None:
    sums = np.sum([strata(arms(*look), ratio) for look in looks], axis=0)
    n_c, x_c, n_s, x_s = np.sum(looks, axis=0)
    theta = ratio * n_c / (ratio * n_c + n_s)
    expected = stats.binomtest(int(x_c), int(x_c + x_s), theta, alternative="greater").pvalue
    assert float(p_value(sums, 1.0)) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------- the interval


@pytest.mark.parametrize(("x_c", "x_s"), [(60, 20), (200, 200), (1000, 400)])
def test_the_anytime_valid_interval_holds_the_one_for_a_single_look(x_c: int, x_s: int) -> None:
    # the price of looking at any time: at most 2.2 times as wide on the log scale as Clopper and Pearson's for one look
    got = ratio_interval(contrast(arms(1e6, x_c, 2e6, x_s)), error=0.05, phi=1.0)
    single = stats.binomtest(x_c, x_c + x_s).proportion_ci(0.95)
    low, high = (2 * p / (1 - p) for p in (single.low, single.high))
    assert got is not None
    assert got[0] < low < high < got[1]
    assert math.log(got[1] / got[0]) < 2.2 * math.log(high / low)


@pytest.mark.parametrize(
    ("x_c", "x_s"), [(9, 1), (60, 20), (500, 900), (10_000, 10_000), (1_000_000, 1_030_000), (10**8, 10**8)]
)
@pytest.mark.parametrize("phi", [1.0, 2.5])
def test_the_intervals_ends_are_where_the_evidence_crosses_its_level(x_c: int, x_s: int, phi: float) -> None:
    # with a steady split the ends solve an equation; what is returned may be wider by half a percent, and never narrower
    n_c, n_s, level = 1e9, 2e9, math.log(2 / 0.05)
    tilts = 0.0125 * 2.0 ** np.arange(9)

    def over(log_ratio: float, side: int) -> float:
        theta = math.exp(log_ratio) * n_c / (math.exp(log_ratio) * n_c + n_s)
        log_e = side * tilts * x_c - (x_c + x_s) * np.log1p(theta * np.expm1(side * tilts))
        return float(special.logsumexp(log_e / phi) - math.log(len(tilts)) - level)

    got = ratio_interval(contrast(arms(n_c, x_c, n_s, x_s)), error=0.05, phi=phi)
    estimate = math.log(2 * x_c / x_s)
    ends = []
    for side, far in ((1, -math.log(32)), (-1, math.log(32))):
        ends.append(optimize.brentq(over, far, estimate, args=(side,)) if over(far, side) > 0 else far)
    assert got is not None
    assert -0.006 <= math.log(max(got[0], 1 / 32)) - ends[0] <= 1e-6
    assert -1e-6 <= math.log(min(got[1], 32.0)) - ends[1] <= 0.006
