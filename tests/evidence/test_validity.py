"""Every path of a short rollout, weighted by its chance, through the very functions the operator calls.

The batch axis holds all outcomes of three looks at once; the expectation of each e-process must be at most 1 wherever its
null holds, with the cap, later starts, learnt guesses, tempering and the pod margin in place.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence import rate
from pointsman.evidence.latency import LatencyState
from pointsman.evidence.margin import SAFE_WEIGHTS
from pointsman.evidence.model import (
    LatencyGate,
    LatencyHistory,
    Margin,
    Noise,
    RateGate,
    RateHistory,
)
from pointsman.evidence.pods import pod_margin
from pointsman.evidence.rate import RateState
from tests.evidence.paths import Arms, every_histogram, every_path, fold_histograms, fold_rates, largest

# requests of candidate and stable, and stable's rate, of three looks: the split and the base rate both move
LOOKS = [(2, 3, 0.1), (2, 2, 0.4), (1, 3, 0.3)]
GATES = {
    "plain": RateGate(tolerance=Margin(1.5, 0.05), harm=Margin(1.25, 0.02), deadline=24.0),
    "cold guess": RateGate(tolerance=Margin(1.2, 0.001), harm=Margin(1.0), deadline=24.0),
    "guess far off": RateGate(
        tolerance=Margin(1.2, 0.3), harm=Margin(2.0), history=RateHistory(1000, 900), deadline=24.0
    ),
    "cap at work": RateGate(tolerance=Margin(1.5, 0.1), false_rollback=0.9, false_promotion=0.9, deadline=24.0),
    "tempered": RateGate(tolerance=Margin(1.5, 0.05), noise=Noise(phi=2.0), deadline=24.0),
    "pods differ": RateGate(tolerance=Margin(2.0, 0.05), noise=Noise(tau=0.1), deadline=24.0),
}


def rate_paths(gate: RateGate, candidate_rate: list[float]) -> tuple[RateState, np.ndarray]:
    """Fold every path of LOOKS with these rates of the candidate; return the batch's last state and each path's chance."""
    paths = every_path([Arms(n_c, n_s, p_c, p_s) for (n_c, n_s, p_s), p_c in zip(LOOKS, candidate_rate, strict=True)])
    return fold_rates(gate, paths), paths.chance


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("inside", [1.0, 0.9, 0.4, 0.0])
def test_harm_is_an_e_process(name: str, inside: float) -> None:
    gate = GATES[name]
    ratio = max(gate.harm.ratio, pod_margin(gate.noise.tau, 2, 3))
    rates = [min(1.0, inside * (ratio * p_s + gate.harm.excess)) for _, _, p_s in LOOKS]
    state, weight = rate_paths(gate, rates)
    assert weight.sum() == pytest.approx(1)
    assert state.harm.started == 12, "the looks span the whole deadline, so that every later copy takes part"
    assert float(weight @ np.exp(evidence.log_harm(state))) <= 1 + 1e-9
    assert largest(weight, state.harm.first) <= 1 + 1e-9
    assert largest(weight, state.harm.later) <= 1 + 1e-9


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("beyond", [0.0, 0.02, 0.2])
def test_safety_is_an_e_process(name: str, beyond: float) -> None:
    gate = GATES[name]
    ratio = gate.tolerance.ratio / pod_margin(gate.noise.tau, 2, 3)
    state, weight = rate_paths(gate, [ratio * p_s + gate.tolerance.excess + beyond for _, _, p_s in LOOKS])
    assert weight.sum() == pytest.approx(1)
    assert float(weight @ np.exp(evidence.log_safe(gate, state))) <= 1 + 1e-9


@pytest.mark.parametrize("excess", [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001])
def test_each_nested_bound_is_an_e_process(excess: float) -> None:
    gate = RateGate(tolerance=Margin(1.5, 0.05))
    state, weight = rate_paths(gate, [p_s + excess for _, _, p_s in LOOKS])
    at = int(np.argmax(rate.excesses(gate) <= excess))
    assert largest(weight, state.nested[:, at]) <= 1 + 1e-9


# ---------------------------------------------------------------- latency: buckets up to 1, 2, 4 s and more

EDGES = (1.0, 2.0, 4.0, math.inf)
HISTORY = LatencyHistory(EDGES, (20, 60, 15, 5))  # stable's median lies between 1 and 2 s


def latency_paths(
    gate: LatencyGate, shapes: list[tuple[tuple[float, ...], tuple[float, ...]]]
) -> tuple[LatencyState, np.ndarray]:
    """Fold every path of two looks of 2 + 2 requests with these bucket chances (candidate, stable) per look."""
    paths = every_histogram(EDGES, shapes)
    return fold_histograms(gate, paths), paths.chance


LATENCY_GATES = {
    "plain": LatencyGate(quantiles=(0.5,), history=HISTORY, deadline=24.0),
    "cap at work": LatencyGate(
        quantiles=(0.5,), history=HISTORY, false_rollback=0.9, false_promotion=0.9, deadline=24.0
    ),
    "tempered": LatencyGate(quantiles=(0.5,), history=HISTORY, noise=Noise(phi=2.0), deadline=24.0),
    "two quantiles": LatencyGate(quantiles=(0.5, 0.9), history=HISTORY, deadline=24.0),
}
SAME = ((0.3, 0.4, 0.2, 0.1), (0.3, 0.4, 0.2, 0.1))
SLOWER_TOGETHER = ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4))
FASTER = ((0.6, 0.3, 0.1, 0.0), (0.3, 0.4, 0.2, 0.1))


@pytest.mark.parametrize("name", LATENCY_GATES)
@pytest.mark.parametrize(
    "shapes", [[SAME, SAME], [SAME, SLOWER_TOGETHER], [FASTER, SAME]], ids=["same", "incident", "faster"]
)
def test_harm_of_latency_is_an_e_process(name: str, shapes: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    state, weight = latency_paths(LATENCY_GATES[name], shapes)
    assert float(weight @ np.exp(evidence.log_harm(state))) <= 1 + 1e-9


# candidates whose median is beyond the tolerance in force (stable's between 1 and 2 s, candidate's over 4 s), and looks in
# which stable is faster than the edges assume while the candidate stays four times slower
BEYOND = ((0.1, 0.2, 0.2, 0.5), (0.2, 0.3, 0.4, 0.1))
FAR_BEYOND = ((0.0, 0.0, 0.3, 0.7), (0.4, 0.6, 0.0, 0.0))
BOTH_SLOW = ((0.0, 0.0, 0.0, 1.0), (0.0, 0.1, 0.3, 0.6))


@pytest.mark.parametrize("name", LATENCY_GATES)
@pytest.mark.parametrize("shapes", list(product([BEYOND, FAR_BEYOND, BOTH_SLOW], repeat=2)))
def test_safety_of_latency_is_an_e_process(
    name: str, shapes: list[tuple[tuple[float, ...], tuple[float, ...]]]
) -> None:
    state, weight = latency_paths(LATENCY_GATES[name], shapes)
    assert largest(weight, state.safe[:, 0]) <= 1 + 1e-9


def test_the_one_sample_half_needs_no_trust_in_the_edges() -> None:
    # stable is under 1 s here, below the edges chosen from history; a candidate within 4 s would be no proof of anything
    fast = ((0.1, 0.3, 0.6, 0.0), (1.0, 0.0, 0.0, 0.0))
    state, weight = latency_paths(LATENCY_GATES["plain"], [fast, fast])
    assert largest(weight, state.safe[:, 0, len(SAFE_WEIGHTS) :]) <= 1 + 1e-9


@pytest.mark.parametrize("shapes", list(product([BEYOND, FAR_BEYOND, BOTH_SLOW], repeat=2)))
def test_safety_at_an_edge_is_an_e_process(shapes: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    gate = LatencyGate(quantiles=(0.5,), history=LatencyHistory(EDGES, (0, 450, 550, 0)), deadline=24.0)
    state, weight = latency_paths(gate, shapes)
    assert largest(weight, state.safe[:, 0]) <= 1 + 1e-9


@pytest.mark.parametrize("history", [(45, 55, 0, 0), (55, 45, 0, 0)])
@pytest.mark.parametrize("slow", [0.5, 1.0])
def test_around_the_first_edge_the_next_one_is_tested(history: tuple[int, ...], slow: float) -> None:
    gate = LatencyGate(quantiles=(0.5,), history=LatencyHistory(EDGES, history), deadline=24.0)
    shape = ((0.0, 1 - slow, slow, 0.0), (0.5, 0.5, 0.0, 0.0))
    state, weight = latency_paths(gate, [shape, shape])
    assert largest(weight, state.safe[:, 0]) <= 1 + 1e-9


@pytest.mark.parametrize("slow", [0.5, 0.7, 1.0])
def test_below_the_first_edge_one_sample_is_tested(slow: float) -> None:
    gate = LatencyGate(quantiles=(0.5,), history=LatencyHistory(EDGES, (95, 5, 0, 0)), deadline=24.0)
    shape = ((1 - slow, slow, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    state, weight = latency_paths(gate, [shape, shape])
    assert largest(weight, state.safe[:, 0]) <= 1 + 1e-9


def test_the_coarse_margin_is_an_e_process() -> None:
    # 1.5 x .3 + .1 points of the candidate's requests over the edge above stable's median
    shape = ((0.0, 0.549, 0.451, 0.0), (0.2, 0.5, 0.2, 0.1))
    state, weight = latency_paths(LATENCY_GATES["plain"], [shape, shape])
    assert largest(weight, state.coarse[:, 0]) <= 1 + 1e-9
