"""Many rollouts at once are the same rollouts one by one: each with its own noise, history, pods and steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pointsman.evidence import calibration
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import (
    Gate,
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Look,
    Margin,
    Noise,
    RateGate,
    RateHistory,
    RateLook,
)

RUNS, LOOKS = 6, 12
PHI, TAU = np.array([1.0, 1.3, 2.5, 1.0, 1.5, 1.0]), np.array([0.0, 0.1, 0.3, 0.8, 0.1, 0.0])
ASSUMED = np.array([False, False, False, False, True, False])
PODS = np.array([1, 2, 3, 2, 2, 40])
EDGES = (0.01, 0.02, 0.04, 0.08, 0.16, float("inf"))
STEPS = {4: np.array([True, False, True, False, True, False]), 7: np.array([False, True, True, False, False, False])}
"""After which looks which runs begin a step; the last of the looks has the deadline test of those of the last."""


def noise(run: int) -> Noise:
    return Noise(phi=float(PHI[run]), tau=float(TAU[run]), assumed=bool(ASSUMED[run]))


def rates() -> tuple[Gate, list[Gate], list[Look], list[list[Look]]]:
    """Return a gate and its looks for all runs, and for each run alone."""
    rng = np.random.default_rng(1)
    had = rng.integers(0, 50_000, RUNS)
    failed = rng.binomial(had, 0.01)
    had[5] = failed[5] = 0
    base = RateGate(tolerance=Margin(1.5, 0.02), shares=(0.1, 0.5), deadline=200.0, deadline_test=True)
    many = replace(base, noise=Noise(PHI, TAU, ASSUMED), history=RateHistory(had, failed))
    alone: list[Gate] = [
        replace(base, noise=noise(r), history=RateHistory(int(had[r]), int(failed[r]))) for r in range(RUNS)
    ]
    looks: list[Look] = []
    singles: list[list[Look]] = [[] for _ in range(RUNS)]
    for i in range(LOOKS):
        n_c, n_s = rng.integers(0, 60, RUNS), rng.integers(0, 400, RUNS)
        rate = np.array([0.01, 0.2, 0.05, 0.9, 0.3, 0.0])  # the exact form in some runs, the Poisson form in others
        x_c, x_s = rng.binomial(n_c, rate), rng.binomial(n_s, rate / 2)
        at = 10.0 * (i + 1)
        looks.append(RateLook(n_c, x_c, n_s, x_s, PODS, PODS[::-1].copy(), at, at))
        for r in range(RUNS):
            counts = (int(n_c[r]), int(x_c[r]), int(n_s[r]), int(x_s[r]))
            singles[r].append(RateLook(*counts, int(PODS[r]), int(PODS[RUNS - 1 - r]), at, at))
    return many, alone, looks, singles


def latencies() -> tuple[Gate, list[Gate], list[Look], list[list[Look]]]:
    """Return a gate and its looks for all runs, and for each run alone."""
    rng = np.random.default_rng(2)
    shapes = rng.dirichlet([3, 8, 8, 3, 1, 0.2], RUNS)
    had = np.stack([rng.multinomial(5000, shape) for shape in shapes])
    had[5] = 0
    base = LatencyGate(quantiles=(0.5, 0.9), deadline=200.0, deadline_test=True)
    many = replace(base, noise=Noise(PHI, TAU / 4, ASSUMED), history=LatencyHistory(EDGES, had))
    alone: list[Gate] = [
        replace(
            base,
            noise=replace(noise(r), tau=float(TAU[r] / 4)),
            history=LatencyHistory(EDGES, tuple(int(c) for c in had[r])),
        )
        for r in range(RUNS)
    ]
    looks: list[Look] = []
    singles: list[list[Look]] = [[] for _ in range(RUNS)]
    for i in range(LOOKS):
        candidate = np.stack([rng.multinomial(rng.integers(0, 80), shape) for shape in shapes])
        stable = np.stack([rng.multinomial(rng.integers(0, 300), shape) for shape in shapes])
        at = 10.0 * (i + 1)
        looks.append(LatencyLook(EDGES, candidate, stable, PODS, PODS, at, at))
        for r in range(RUNS):
            one = LatencyLook(EDGES, candidate[r], stable[r], int(PODS[r]), int(PODS[r]), at, at)
            singles[r].append(one)
    return many, alone, looks, singles


def numbers(gate: Gate, state: evidence.State) -> dict[str, np.ndarray]:
    return {
        "log_harm": evidence.log_harm(state),
        "log_safe": evidence.log_safe(gate, state),
        "deadline_p": evidence.deadline_p(state),
        "room_for": evidence.room_for(gate, state, 0.5),
        "step_began": state.clock.step_began,
    }


@pytest.mark.parametrize("kind", [rates, latencies])
def test_a_batch_is_its_runs_one_by_one(
    kind: Callable[[], tuple[Gate, list[Gate], list[Look], list[list[Look]]]],
) -> None:
    gate, alone, looks, singles = kind()
    many = evidence.start(gate, (RUNS,))
    each = [evidence.start(one) for one in alone]
    for i in range(LOOKS):
        many = evidence.fold(gate, many, looks[i])
        each = [evidence.fold(alone[r], each[r], singles[r][i]) for r in range(RUNS)]
        if i in STEPS:
            at = 100.0 if i == max(STEPS) else None
            many = evidence.next_step(gate, many, deadline_test_at=at, where=STEPS[i])
            each = [
                evidence.next_step(alone[r], each[r], deadline_test_at=at) if STEPS[i][r] else each[r]
                for r in range(RUNS)
            ]
        got = numbers(gate, many)
        for r in range(RUNS):
            for name, expected in numbers(alone[r], each[r]).items():
                assert got[name][r] == pytest.approx(expected, rel=1e-9, abs=2e-6, nan_ok=True), (name, i, r)
    tested = ~np.isnan(got["deadline_p"])
    assert tested.tolist() == STEPS[max(STEPS)].tolist(), "only the runs that began the last step have its test"
    assert np.ptp(got["log_harm"]) > 0.1, "the runs do differ"


def test_a_step_of_some_runs_leaves_the_others_as_they_were() -> None:
    gate, _, looks, _ = rates()
    state = evidence.fold(gate, evidence.start(gate, (RUNS,)), looks[0])
    some = np.array([True, False, True, False, False, True])
    then = evidence.next_step(gate, state, where=some)
    assert evidence.log_safe(gate, then)[some] == pytest.approx(0.0, abs=1e-12)
    assert evidence.log_safe(gate, then)[~some].tolist() == evidence.log_safe(gate, state)[~some].tolist()
    assert evidence.log_harm(then).tolist() == evidence.log_harm(state).tolist()
    none = evidence.next_step(gate, state, where=np.zeros(RUNS, dtype=bool))
    assert evidence.log_safe(gate, none).tolist() == evidence.log_safe(gate, state).tolist()


def test_a_calibration_of_many_is_what_a_gate_takes() -> None:
    rng = np.random.default_rng(3)
    requests = np.full((RUNS, 120, 4), 200)
    bad = rng.binomial(requests, 0.01) * np.array([1, 1, 3, 1, 1, 0])[:, None, None]
    learnt = calibration.of_rates(requests, bad, interval=10.0)
    assert isinstance(learnt.history, RateHistory)
    many = replace(RateGate(), history=learnt.history, noise=learnt.noise)
    state = evidence.fold(many, evidence.start(many, (RUNS,)), RateLook(100, 9, 900, 9, 2, 4, 10.0, 10.0))
    for r in range(RUNS):
        one = calibration.of_rates(requests[r], bad[r], interval=10.0)
        assert isinstance(one.history, RateHistory)
        alone = replace(RateGate(), history=one.history, noise=one.noise)
        after = evidence.fold(alone, evidence.start(alone), RateLook(100, 9, 900, 9, 2, 4, 10.0, 10.0))
        assert evidence.log_harm(state)[r] == pytest.approx(float(evidence.log_harm(after)), abs=2e-6)


# ---------------------------------------------------------------- what the evidence of a run does not depend on


@pytest.mark.parametrize("kind", [rates, latencies])
def test_a_restart_between_any_two_looks_changes_nothing(
    kind: Callable[[], tuple[Gate, list[Gate], list[Look], list[list[Look]]]],
) -> None:
    _, alone, _, singles = kind()
    gate = alone[2]
    states = [evidence.start(gate)]
    for look in singles[2]:
        states.append(evidence.fold(gate, evidence.loads(evidence.dumps(states[-1])), look))
    for look, (before, after) in zip(singles[2], pairwise(states), strict=True):
        assert evidence.dumps(evidence.fold(gate, before, look)) == evidence.dumps(after)
