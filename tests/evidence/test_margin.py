"""The e-value of one look: an expectation of at most 1 on and inside its null, by summing over every outcome."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import latency
from pointsman.evidence.margin import (
    HARM_FACTORS,
    SAFE_FACTORS,
    SAFE_WEIGHTS,
    Arms,
    Line,
    bernoulli,
    bernoulli_safe,
    log_e,
    log_e_safe,
    odds_times,
    one_sample,
    poisson,
)

LINES = [(1.0, 0.0), (1.25, 0.0), (1.5, 0.001), (1.5, 0.05), (1.0, 0.2), (0.7, 0.1)]
SIZES = [(1, 1), (3, 20), (20, 5), (7, 7)]
GUESSES = (0.001, 0.03, 0.2, 0.45)
RATES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0)


def binomial(n: int, p: float) -> np.ndarray:
    return np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)])


def line(ratio: float, excess: float) -> Line:
    return Line(np.asarray(ratio), np.asarray(excess))


def arms(n_c: float, x_c: float, n_s: float, x_s: float) -> Arms:
    return Arms(*(np.asarray(float(v)) for v in (n_c, x_c, n_s, x_s)))


def every_outcome(n_c: int, n_s: int) -> Arms:
    x_c, x_s = np.meshgrid(np.arange(n_c + 1.0), np.arange(n_s + 1.0), indexing="ij")
    return Arms(np.full_like(x_c, n_c), x_c, np.full_like(x_s, n_s), x_s)


def expectation(e: np.ndarray, n_c: int, p_c: float, n_s: int, p_s: float) -> float:
    return float(np.einsum("i,j,ijk->k", binomial(n_c, p_c), binomial(n_s, p_s), e).max())


@pytest.mark.parametrize(("n_c", "n_s"), SIZES)
@pytest.mark.parametrize(("ratio", "excess"), LINES)
@pytest.mark.parametrize("form", ["poisson", "bernoulli"])
def test_expectation_is_at_most_one_on_and_inside_the_null(
    form: str, ratio: float, excess: float, n_c: int, n_s: int
) -> None:
    outcomes, border = every_outcome(n_c, n_s).spread(1), line(ratio, excess)
    for guess in GUESSES:
        stable = np.asarray(guess)
        for factors in (HARM_FACTORS, SAFE_FACTORS):
            if form == "poisson":
                e = np.exp(poisson(outcomes, border, candidate=factors * border.height(stable), stable=stable))
            else:
                e = np.exp(
                    bernoulli(outcomes, border, candidate=odds_times(border.height(stable), factors), stable=stable)
                )
            for p_s in RATES:
                height = ratio * p_s + excess
                harm_null = [min(1.0, height * part) for part in (0.0, 0.3, 0.9, 1.0)]
                safe_null = [p for p in (height, height * 1.1, height + 0.1, 1.0) if height <= p <= 1]
                for p_c in harm_null if factors is HARM_FACTORS else safe_null:
                    assert expectation(e, n_c, p_c, n_s, p_s) <= 1 + 1e-9, (guess, p_s, p_c)


@pytest.mark.parametrize(("n_c", "n_s"), SIZES)
@pytest.mark.parametrize(("ratio", "excess"), LINES)
@pytest.mark.parametrize("alike", [0.001, 0.2, 0.9])
def test_the_guess_that_the_candidate_is_as_good_is_below_every_line(
    alike: float, ratio: float, excess: float, n_c: int, n_s: int
) -> None:
    # whatever "as good as stable" is taken to be, also where it is above the line: the guess then stays under it
    outcomes, border = every_outcome(n_c, n_s).spread(1), line(ratio, excess)
    for guess in GUESSES:
        stable = np.asarray([guess])
        for e in (
            log_e_safe(outcomes, border, stable),
            bernoulli_safe(outcomes, border, candidate=np.asarray([alike]), stable=stable),
        ):
            assert e.shape[-1] == len(SAFE_WEIGHTS)
            for p_s in RATES:
                height = ratio * p_s + excess
                for p_c in (height, height * 1.1, height + 0.1, 1.0):
                    if height <= p_c <= 1:
                        assert expectation(np.exp(e), n_c, p_c, n_s, p_s) <= 1 + 1e-9, (guess, p_s, p_c)


def test_the_weights_of_the_safety_copies_are_weights() -> None:
    assert np.exp(SAFE_WEIGHTS).sum() == pytest.approx(1)
    assert np.exp(latency.WEIGHTS).sum() == pytest.approx(1)


def test_outside_its_null_an_e_value_grows() -> None:
    outcomes, border, stable = every_outcome(20, 20).spread(1), line(1.25, 0.0), np.asarray(0.1)
    harm = np.exp(log_e(outcomes, border, stable, HARM_FACTORS))
    safe = np.exp(log_e(outcomes, line(1.5, 0.05), stable, SAFE_FACTORS))
    assert expectation(harm, 20, 0.4, 20, 0.1) > 3
    assert expectation(safe, 20, 0.05, 20, 0.1) > 1.2


@pytest.mark.parametrize("k", [0.3, 1.5, 10.0])
@pytest.mark.parametrize("rho", [0.05, 1.0, 19.0])
def test_without_excess_the_poisson_form_is_the_conditional_binomial_test(k: float, rho: float) -> None:
    # a = k (1 + rho) / (1 + k rho), b = (1 + rho) / (1 + k rho): the odds of a bad request being the candidate's, times k
    counts = arms(1000 * rho, 7, 1000, 11)
    got = float(poisson(counts, line(1.0, 0.0), candidate=np.asarray(k * 0.01), stable=np.asarray(0.01)))
    a, b = k * (1 + rho) / (1 + k * rho), (1 + rho) / (1 + k * rho)
    assert got == pytest.approx(7 * math.log(a) + 11 * math.log(b))


@pytest.mark.parametrize("k", [0.05, 0.6, 2.0])
def test_the_poisson_form_is_the_designs_closed_form(k: float) -> None:
    ratio, d, n_c, n_s, t_s = 1.5, 0.001, 300.0, 5700.0, 0.004
    t_c, rho = k * (ratio * t_s + d), ratio * n_c / n_s
    big_b, big_c = t_c * rho + ratio * t_s + d * (1 + rho), t_c * (1 + rho)
    a = 2 * big_c / (big_b + math.sqrt(big_b**2 - 4 * d * rho * big_c))
    b = 1 - rho * (a - 1)
    got = float(poisson(arms(n_c, 3, n_s, 25), line(ratio, d), candidate=np.asarray(t_c), stable=np.asarray(t_s)))
    assert got == pytest.approx(3 * math.log(a) + 25 * math.log(b) - n_c * d * (a - 1))


@pytest.mark.parametrize(("ratio", "excess"), LINES)
@pytest.mark.parametrize("k", [0.3, 3.0])
def test_the_exact_form_projects_onto_the_line(ratio: float, excess: float, k: float) -> None:
    # independent check: minimise n_c KL(t_c || R m + d) + n_s KL(t_s || m) on a fine grid
    n_c, x_c, n_s, x_s, t_s = 40.0, 9.0, 160.0, 20.0, 0.15
    t_c = float(odds_times(np.asarray(ratio * t_s + excess), np.asarray(k)))
    m = np.linspace(1e-6, min(1.0, (1 - excess) / ratio) - 1e-6, 2_000_001)
    m_c = ratio * m + excess
    cost = -n_c * (t_c * np.log(m_c) + (1 - t_c) * np.log1p(-m_c)) - n_s * (t_s * np.log(m) + (1 - t_s) * np.log1p(-m))
    best = float(m[np.argmin(cost)])
    best_c = ratio * best + excess
    expected = (
        x_c * math.log(t_c / best_c)
        + (n_c - x_c) * math.log((1 - t_c) / (1 - best_c))
        + x_s * math.log(t_s / best)
        + (n_s - x_s) * math.log((1 - t_s) / (1 - best))
    )
    got = float(
        bernoulli(arms(n_c, x_c, n_s, x_s), line(ratio, excess), candidate=np.asarray(t_c), stable=np.asarray(t_s))
    )
    assert got == pytest.approx(expected, abs=1e-4)


def test_both_forms_agree_at_small_rates() -> None:
    counts, border, stable = arms(5000, 30, 50_000, 250), line(1.25, 0.0), np.asarray(0.005)
    height = border.height(stable)
    limit = poisson(counts, border, candidate=2 * height, stable=stable)
    exact = bernoulli(counts, border, candidate=odds_times(height, np.asarray(2.0)), stable=stable)
    assert float(limit) == pytest.approx(float(exact), rel=0.05)


@pytest.mark.parametrize("factors", [HARM_FACTORS, SAFE_FACTORS], ids=["harm", "safety"])
def test_two_halves_of_a_look_prove_what_the_whole_does(factors: np.ndarray) -> None:
    border, stable = line(1.5, 0.001), np.asarray(0.005)
    halves = [log_e(arms(500, x_c, 5000, x_s).spread(1), border, stable, factors) for x_c, x_s in ((3, 20), (1, 31))]
    whole = log_e(arms(1000, 4, 10_000, 51).spread(1), border, stable, factors)
    assert halves[0] + halves[1] == pytest.approx(whole)


@pytest.mark.parametrize(("n_c", "n_s"), [(0, 100), (100, 0), (0, 0)])
@pytest.mark.parametrize("guess", [0.005, 0.5])
def test_a_look_without_one_arm_says_nothing(n_c: int, n_s: int, guess: float) -> None:
    counts = arms(n_c, n_c // 2, n_s, n_s // 2).spread(1)
    for factors, border in product((HARM_FACTORS, SAFE_FACTORS), (line(1.25, 0.0), line(1.5, 0.001))):
        assert not np.any(log_e(counts, border, np.asarray(guess), factors))


@pytest.mark.parametrize("guess", [1e-9, 0.005, 0.5, 0.999999])
@pytest.mark.parametrize(("n_c", "n_s"), [(1e9, 1e9), (1.0, 1e9), (1e9, 1.0)])
def test_a_thousand_million_requests_overflow_nothing(n_c: float, n_s: float, guess: float) -> None:
    for factors, (ratio, excess) in product((HARM_FACTORS, SAFE_FACTORS), LINES):
        for part in (0.0, 0.5, 1.0):
            counts = arms(n_c, part * n_c, n_s, part * n_s).spread(1)
            assert np.all(np.isfinite(log_e(counts, line(ratio, excess), np.asarray(guess), factors)))


def test_a_line_above_one_cannot_be_crossed() -> None:
    # R p_s + d > 1: every candidate is inside harm's null, so nothing may speak against it
    e = bernoulli(arms(10, 10, 10, 9).spread(1), line(3.0, 0.0), candidate=np.asarray(0.99999), stable=np.asarray(0.9))
    assert float(e[0]) <= 0


@pytest.mark.parametrize(("null", "guess"), [(0.5, 0.1), (0.01, 0.0005), (0.5, 0.9), (0.01, 0.5)])
def test_one_sample_ratio_is_an_e_value_beyond_its_null(null: float, guess: float) -> None:
    x = np.arange(13.0)
    e = np.exp(one_sample(np.asarray(12.0), x, null=np.asarray(null), guess=np.asarray(guess)))
    beyond = np.linspace(null, 1, 9) if guess < null else np.linspace(0, null, 9)
    assert max(float(binomial(12, p) @ e) for p in beyond) <= 1 + 1e-9


@pytest.mark.parametrize("factor", [1.1, 30.0, 0.9, 0.05])
def test_the_projection_is_exact_at_any_size(factor: float) -> None:
    # the expectation has a closed form: a request's, to the power of the requests; on the line it is 1 up to rounding
    rng = np.random.default_rng(3)
    n_c, n_s = 10 ** rng.uniform(0, 9, (2, 2000))
    border = Line(rng.choice([0.5, 1.0, 1.5, 3.0], 2000), rng.choice([0.0001, 0.001, 0.1, 0.3], 2000))
    stable = np.minimum(10 ** rng.uniform(-6, -0.01, 2000), (1 - border.excess) / border.ratio * 0.999)
    candidate = odds_times(border.height(stable), np.asarray(factor))
    ones = bernoulli(Arms(n_c, n_c, n_s, 0 * n_s), border, candidate=candidate, stable=stable)
    none = bernoulli(Arms(n_c, 0 * n_c, n_s, 0 * n_s), border, candidate=candidate, stable=stable)
    all_stable = bernoulli(Arms(n_c, 0 * n_c, n_s, n_s), border, candidate=candidate, stable=stable)
    hit_c, hit_s = (ones - none) / n_c, (all_stable - none) / n_s  # what one bad request adds
    rate = stable  # a point on the line
    log_expectation = (
        none + n_c * np.log1p(border.height(rate) * np.expm1(hit_c)) + n_s * np.log1p(rate * np.expm1(hit_s))
    )
    assert np.max(log_expectation / np.maximum(1, np.abs(none))) <= 1e-6
