"""Each hardening by itself keeps what it hardens valid, by summing over every outcome of a few looks.

Where a hardening is needed, the same sum without it is shown to be over 1: these tests can fail.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence import latency, rate
from pointsman.evidence.margin import SAFE_WEIGHTS
from pointsman.evidence.model import LatencyGate, LatencyHistory, Margin, Noise, RateGate, RateHistory
from pointsman.evidence.pods import pod_margin
from pointsman.evidence.process import STARTS, cap, log_mixture
from tests.evidence.paths import (
    Arms,
    every_histogram,
    every_path,
    fold_histograms,
    fold_rates,
    largest,
    safe_level,
)

# the split and the base rate both move, and one look has no failures of stable at all
MOVING = [(2, 3, 0.1), (2, 2, 0.4), (1, 3, 0.0)]
STEADY = [(2, 3, 0.1), (2, 3, 0.3), (1, 3, 0.2)]
ALMOST_ONE = 1 + 1e-9
HALF = len(SAFE_WEIGHTS)  # of a latency gate's copies: two-sample, then one-sample


def on_the_line(looks: list[tuple[int, int, float]], margin: Margin) -> list[Arms]:
    return [Arms(n_c, n_s, min(1.0, margin.ratio * p_s + margin.excess), p_s) for n_c, n_s, p_s in looks]


# ---------------------------------------------------------------- cap


@pytest.mark.parametrize(
    ("log_e", "level", "expected"),
    [(0.1, 3.0, 0.1), (1.5, 3.0, 1.5), (40.0, 3.0, 1.5), (math.inf, 3.0, 1.5), (-40.0, 3.0, -40.0)],
)
def test_a_look_adds_at_most_half_of_the_level_and_takes_away_all(log_e: float, level: float, expected: float) -> None:
    assert float(cap(np.asarray(log_e), level)) == expected


@pytest.mark.parametrize("false_rollback", [0.3, 0.05, 0.01])
def test_one_look_cannot_decide_and_three_can(false_rollback: float) -> None:
    gate = RateGate(false_rollback=false_rollback, history=RateHistory(10_000, 50))
    paths = every_path([Arms(4, 4, 1.0, 0.0)] * 3)
    worst = int(np.argmax(paths.candidate_bad.sum(axis=0) - paths.stable_bad.sum(axis=0)))
    level, logs = math.log(1 / false_rollback), []
    state = evidence.start(gate, paths.chance.shape)
    for i in range(3):
        state = evidence.fold(gate, state, paths.look(i, elapsed=10.0))
        logs.append(float(evidence.log_harm(state)[worst]))
    assert logs[0] < level
    assert logs[2] >= level


# ---------------------------------------------------------------- start-time mixture


@pytest.mark.parametrize(
    "elapsed",
    [
        (8.0, 16.0, 24.0),  # four copies start at every look
        (24.0, 24.0, 24.0),  # all start with the first look
        (0.0, 0.0, 24.0),  # a pause first
        (8.0, 8.0, 8.0),  # a pause that never ends: most never start
        (8.0, 2.0, 24.0),  # a clock that was set back
    ],
)
@pytest.mark.parametrize("looks", [MOVING, STEADY], ids=["moving", "steady"])
def test_later_starts_keep_harm_an_e_process_at_whatever_pace(
    looks: list[tuple[int, int, float]], elapsed: tuple[float, ...]
) -> None:
    gate = RateGate(harm=Margin(1.25, 0.02), deadline=24.0)
    paths = every_path(on_the_line(looks, gate.harm))
    state = fold_rates(gate, paths, elapsed=elapsed)
    assert state.harm.started == int(STARTS * max(elapsed) / 24)
    assert paths.expected(np.exp(evidence.log_harm(state))) <= ALMOST_ONE


@pytest.mark.parametrize("paused_by", ["a failure", "no failure"])
def test_pauses_that_depend_on_what_was_counted_keep_harm_an_e_process(paused_by: str) -> None:
    gate = RateGate(harm=Margin(1.25, 0.02), deadline=24.0)
    paths = every_path(on_the_line(STEADY, gate.harm))
    going, paused = (
        np.exp(evidence.log_harm(fold_rates(gate, paths, elapsed=elapsed)))
        for elapsed in ((8.0, 16.0, 24.0), (8.0, 8.0, 8.0))
    )
    pauses = (paths.candidate_bad[0] > 0) == (paused_by == "a failure")
    assert paths.expected(np.where(pauses, paused, going)) <= ALMOST_ONE


# ---------------------------------------------------------------- tempering


@pytest.mark.parametrize("history", [RateHistory(), RateHistory(1000, 300)], ids=["Poisson form", "exact form"])
def test_failures_in_clusters_need_their_dispersion(history: RateHistory) -> None:
    # retries: every failure counts three times. As e^(1/3) of three equal counts is e of one, phi = 3 is exactly enough
    clusters = [replace(one, cluster=3) for one in on_the_line([(9, 3, 0.1), (6, 6, 0.3)], Margin(1.25))]
    paths = every_path(clusters)
    gate = RateGate(harm=Margin(1.25), tolerance=Margin(1.25), history=history, deadline=24.0)
    untreated, treated = (fold_rates(one, paths) for one in (gate, replace(gate, noise=Noise(phi=3.0))))
    assert paths.expected(np.exp(evidence.log_harm(untreated))) > 1.2
    assert paths.expected(np.exp(evidence.log_safe(gate, untreated))) > 1.2
    assert paths.expected(np.exp(evidence.log_harm(treated))) <= ALMOST_ONE
    assert paths.expected(np.exp(evidence.log_safe(gate, treated))) <= ALMOST_ONE


# ---------------------------------------------------------------- pod margin


@pytest.mark.parametrize(("tau", "pods"), [(0.5, (2, 3)), (0.3, (1, 1)), (0.8, (4, 50))])
def test_pods_that_differ_by_tau_are_inside_both_nulls(tau: float, pods: tuple[int, int]) -> None:
    noise, by = Noise(tau=tau), float(pod_margin(tau, *pods))
    gate = RateGate(harm=Margin(1.1), tolerance=Margin(2.5, 0.01), noise=noise, deadline=24.0)

    def value(of: RateGate, ratio: float, excess: float, what: str) -> float:
        paths = every_path(on_the_line(STEADY, Margin(ratio, excess)))
        state: evidence.State = evidence.start(of, paths.chance.shape)
        for i in range(len(STEADY)):
            state = evidence.fold(of, state, paths.look(i, elapsed=10.0 * (i + 1), pods=pods))
        return paths.expected(np.exp(evidence.log_harm(state) if what == "harm" else evidence.log_safe(of, state)))

    assert value(gate, max(1.1, by), 0.0, "harm") <= ALMOST_ONE
    assert value(gate, 2.5 / by, 0.01, "safe") <= ALMOST_ONE
    unaware = replace(gate, noise=Noise())
    assert value(unaware, by, 0.0, "harm") > 1, "without the margin pods alone are evidence of harm"
    assert value(unaware, 2.5 / by, 0.01, "safe") > 1, "and of safety"


def test_the_margin_widens_harm_only_where_it_is_wider() -> None:
    paths = every_path(on_the_line(STEADY, Margin(2.0)))
    wide = RateGate(harm=Margin(2.0))
    plain, aware = (evidence.log_harm(fold_rates(g, paths)) for g in (wide, replace(wide, noise=Noise(tau=0.1))))
    assert plain.tolist() == aware.tolist()


def test_an_assumed_spread_widens_harm_of_rates_and_leaves_safety_as_it_is() -> None:
    paths = every_path([Arms(2, 3, 0.4, 0.1)] * 2)
    plain = RateGate(tolerance=Margin(1.5, 0.05))
    aware = replace(plain, noise=Noise(tau=0.5, assumed=True))
    was, is_ = fold_rates(plain, paths), fold_rates(aware, paths)
    assert evidence.log_safe(aware, is_).tolist() == evidence.log_safe(plain, was).tolist()
    assert paths.expected(evidence.log_harm(is_)) < paths.expected(evidence.log_harm(was))


def test_an_assumed_spread_widens_harm_of_latency_and_leaves_safety_as_it_is() -> None:
    paths = every_histogram(EDGES, [SLOWER])
    plain = LatencyGate(quantiles=(0.5,), history=HISTORY)
    aware = replace(plain, noise=Noise(tau=0.5, assumed=True))
    was, is_ = fold_histograms(plain, paths), fold_histograms(aware, paths)
    assert evidence.log_safe(aware, is_).tolist() == evidence.log_safe(plain, was).tolist()
    assert paths.expected(evidence.log_harm(is_)) < paths.expected(evidence.log_harm(was))


# ---------------------------------------------------------------- nested bound


@pytest.mark.parametrize("worse", [0.15, 0.3, 0.6])
def test_the_smallest_excluded_excess_is_wrong_no_more_often_than_allowed(worse: float) -> None:
    # the bound is looked at after every look, and over two steps; a step may begin whenever it is under what is allowed
    gate = RateGate(false_promotion=0.4, shares=(0.1, 0.5), history=RateHistory(100, 10))
    paths = every_path([Arms(n_c, n_s, p_s + worse, p_s) for n_c, n_s, p_s in [(4, 4, 0.1), (3, 3, 0.4), (2, 3, 0.2)]])
    state, wrong = rate.start(gate, paths.chance.shape), np.zeros(paths.chance.shape, dtype=bool)
    for i in range(3):
        if i == 2:
            state = rate.next_step(state, None)
        state = rate.fold(gate, state, paths.look(i, elapsed=10.0 * (i + 1)))
        wrong |= rate.excess_bound(gate, state) < worse
    assert paths.expected(wrong.astype(float)) <= 0.4
    if worse < 0.2:
        assert np.any(rate.excess_bound(gate, state) < 1), "the bound does exclude something here"


# ---------------------------------------------------------------- latency

EDGES = (1.0, 2.0, 4.0, 8.0, math.inf)
HISTORY = LatencyHistory(EDGES, (20, 60, 15, 4, 1))  # stable's median lies between 1 and 2 s
SLOWER = ((0.1, 0.2, 0.4, 0.3, 0.0), (0.3, 0.4, 0.2, 0.1, 0.0))


@pytest.mark.parametrize(("tau", "valid"), [(0.0, False), (0.4, True)])
def test_pods_twice_as_slow_by_chance_are_no_harm_once_tau_says_so(tau: float, *, valid: bool) -> None:
    edges = (1.0, 1.3, 2.0, 2.6, 4.0, math.inf)
    shape = ((0.0, 0.0, 0.3, 0.3, 0.2, 0.2), (0.3, 0.3, 0.2, 0.1, 0.1, 0.0))  # every time of the candidate's is doubled
    history = LatencyHistory(edges, (30, 30, 20, 10, 10, 0))
    gate = LatencyGate(quantiles=(0.5,), harm=1.25, history=history, noise=Noise(tau=tau), deadline=24.0)
    assert (pod_margin(tau, 2, 3) >= 2) == valid
    paths = every_histogram(edges, [shape, shape])
    expected = paths.expected(np.exp(evidence.log_harm(fold_histograms(gate, paths))))
    assert (expected <= ALMOST_ONE) == valid


@pytest.mark.parametrize("copies", ["two-sample", "one-sample"])
def test_safety_allows_for_pods_that_are_faster_by_chance(copies: str) -> None:
    # half of the candidate's requests take over 4 s, the edge that is tested; what is claimed then is M times 4 s
    gate = LatencyGate(quantiles=(0.5,), tolerance=1.2, history=HISTORY, noise=Noise(tau=0.1))
    shape = ((0.1, 0.2, 0.2, 0.3, 0.2), (0.2, 0.3, 0.4, 0.1, 0.0))
    paths = every_histogram(EDGES, [shape, shape])
    state = fold_histograms(gate, paths)
    assert float(state.widest.max()) == pytest.approx(4 * float(pod_margin(0.1, 2, 3)))
    taken = {"two-sample": slice(0, HALF), "one-sample": slice(HALF, None)}[copies]
    assert largest(paths.chance, state.safe[:, 0, taken]) <= ALMOST_ONE


def test_the_lesser_of_two_one_sample_tests_holds_where_either_null_does() -> None:
    # stable slower than the edge under its assumed quantile allows (one null), or the candidate too slow (the other)
    gate = LatencyGate(quantiles=(0.5,), history=HISTORY)
    stable_moved = ((0.9, 0.1, 0.0, 0.0, 0.0), (0.5, 0.3, 0.2, 0.0, 0.0))
    candidate_slow = ((0.1, 0.2, 0.2, 0.3, 0.2), (0.0, 0.0, 0.0, 0.5, 0.5))
    for shapes in ([stable_moved] * 2, [candidate_slow] * 2, [stable_moved, candidate_slow]):
        paths = every_histogram(EDGES, shapes)
        state = fold_histograms(gate, paths)
        assert largest(paths.chance, state.safe[:, 0, HALF:]) <= ALMOST_ONE
    neither = ((1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0))
    paths = every_histogram(EDGES, [neither] * 2)
    assert largest(paths.chance, fold_histograms(gate, paths).safe[:, 0, HALF:]) > 1


@pytest.mark.parametrize("excess", [0.0, 0.1])
@pytest.mark.parametrize("inside", [0.0, 0.2])
def test_the_coarse_margin_is_an_e_process_on_and_beyond_its_line(excess: float, inside: float) -> None:
    gate = LatencyGate(quantiles=(0.5,), history=HISTORY, coarse=Margin(1.5, excess))
    over = 1.5 * 0.3 + excess + inside  # stable has 30 % over 2 s
    shape = ((0.0, 1 - over, over, 0.0, 0.0), (0.2, 0.5, 0.2, 0.1, 0.0))
    paths = every_histogram(EDGES, [shape, shape])
    assert largest(paths.chance, fold_histograms(gate, paths).coarse[:, 0]) <= ALMOST_ONE


def test_one_quantile_beyond_its_tolerance_keeps_the_whole_gate_from_safe() -> None:
    # the median is far better, p90 is beyond what its buckets allow; false_promotion is high so that two looks could do it
    edges, history = (1.0, 2.0, 4.0, math.inf), LatencyHistory((1.0, 2.0, 4.0, math.inf), (900, 95, 4, 1))
    gate = LatencyGate(quantiles=(0.5, 0.9), history=history, false_promotion=0.6, coarse=Margin(9.0, 0.5))
    shape = ((0.85, 0.0, 0.0, 0.15), (0.9, 0.1, 0.0, 0.0))
    paths = every_histogram(edges, [shape, shape], requests=3)
    state = fold_histograms(gate, paths)
    by_quantile = log_mixture(state.safe, latency.WEIGHTS)
    assert paths.expected((by_quantile[:, 0] >= safe_level(gate)).astype(float)) > 0.6, "the median alone is proven"
    assert paths.expected((evidence.log_safe(gate, state) >= safe_level(gate)).astype(float)) <= 0.6
    assert np.all(evidence.log_safe(gate, state) <= by_quantile.min(axis=-1) + 1e-12)
