"""The deadline test: exact tails, and a p-value that is one."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence.binomial import binomial_tail, p_value, strata
from pointsman.evidence.margin import Arms


@pytest.mark.parametrize("trials", [1, 7, 60])
@pytest.mark.parametrize("chance", [0.02, 0.5, 0.97])
def test_tail_is_the_sum_of_its_terms(trials: int, chance: float) -> None:
    for least in range(trials + 1):
        terms = sum(math.comb(trials, i) * chance**i * (1 - chance) ** (trials - i) for i in range(least, trials + 1))
        assert binomial_tail(least, trials, chance) == pytest.approx(terms, rel=1e-9, abs=1e-12)


def test_tail_of_very_many_requests_is_finite_and_close_to_normal() -> None:
    n, p = 10**9, 0.3
    three_sd = n * p + 3 * math.sqrt(n * p * (1 - p))
    assert binomial_tail(three_sd, n, p) == pytest.approx(0.00135, rel=0.01)


def test_a_moving_split_keeps_the_error_rate() -> None:
    # every outcome of three looks whose bad requests fall to the candidate with chances .1, .5 and .8
    bad, chances = (4, 3, 3), (0.1, 0.5, 0.8)
    looks = [
        [(x, math.comb(n, x) * p**x * (1 - p) ** (n - x)) for x in range(n + 1)]
        for n, p in zip(bad, chances, strict=True)
    ]
    ps, weights = [], []
    for outcome in product(*looks):
        sums = np.array(
            [sum(bad), sum(n * p for n, p in zip(bad, chances, strict=True)), sum(x for x, _ in outcome)], dtype=float
        )
        ps.append(float(p_value(sums, 1.0)))
        weights.append(math.prod(w for _, w in outcome))
    for level in (0.001, 0.01, 0.05, 0.2):
        assert sum(w for p, w in zip(ps, weights, strict=True) if p <= level) <= level


@pytest.mark.parametrize(
    ("candidate", "stable", "below"),
    [((1000, 60), (1000, 20), 1e-3), ((1000, 20), (1000, 20), 1.01), ((1000, 25), (1000, 20), 1.01)],
)
def test_p_value_of_plain_counts(candidate: tuple[int, int], stable: tuple[int, int], below: float) -> None:
    arms = Arms(*(np.asarray(float(v)) for v in (*candidate, *stable)))
    p = float(p_value(strata(arms, 1.25), 1.0))
    assert p < below
    assert float(p_value(strata(arms, 1.25), 3.0)) >= p, "dispersion can only weaken it"


def test_a_look_without_one_arm_adds_nothing() -> None:
    assert not np.any(strata(Arms(*(np.asarray(v) for v in (0.0, 0.0, 10.0, 5.0))), 1.25))
