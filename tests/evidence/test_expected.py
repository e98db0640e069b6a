"""What the evidence says beforehand of the requests it needs, against rollouts of equal versions that were played."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence.model import (
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Margin,
    Noise,
    RateGate,
    RateHistory,
    RateLook,
)
from tests.evidence.paths import safe_level

RUNS = 60
RATES = RateGate(tolerance=Margin(1.5, 0.001), shares=(0.05, 0.2, 0.5), history=RateHistory(180_000, 900))


def played(gate: RateGate, *, share: float, coming: float | None, pods: tuple[int, int]) -> float:
    """Return the mean of candidate requests until the step is done, of runs in which both arms fail as stable did."""
    rng = np.random.default_rng(5)
    rate = float(gate.history.bad) / float(gate.history.requests)
    expected = evidence.expected_requests(gate, share=share, coming=coming, candidate_pods=pods[0], stable_pods=pods[1])
    n_c = max(1, int(expected / 40))
    n_s = int(n_c * (1 - share) / share)
    state, needed = evidence.start(gate, (RUNS,)), np.full(RUNS, math.inf)
    for i in range(240):
        look = RateLook(n_c, rng.binomial(n_c, rate, RUNS), n_s, rng.binomial(n_s, rate, RUNS), *pods, elapsed=10.0 * i)
        state = evidence.fold(gate, state, look)
        done = (
            evidence.log_safe(gate, state) >= safe_level(gate)
            if coming is None
            else evidence.room_for(gate, state, coming)
        )
        needed = np.where(done & np.isinf(needed), n_c * (i + 1.0), needed)
    return float(np.mean(needed))


@pytest.mark.parametrize(
    ("share", "coming"), [(0.05, 0.2), (0.2, 0.5), (0.05, None), (0.5, None)], ids=["5 to 20", "20 to 50", "5", "50"]
)
@pytest.mark.parametrize("noise", [Noise(), Noise(phi=2.0), Noise(tau=0.05)], ids=["calm", "bursts", "pods differ"])
def test_a_step_needs_about_as_many_requests_as_was_said(share: float, coming: float | None, noise: Noise) -> None:
    gate = replace(RATES, noise=noise)
    said = evidence.expected_requests(gate, share=share, coming=coming, candidate_pods=2, stable_pods=4)
    assert said / 1.5 <= played(gate, share=share, coming=coming, pods=(2, 4)) <= said * 1.5


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("a tighter tolerance", replace(RATES, tolerance=Margin(1.5, 0.0005))),
        ("bursts", replace(RATES, noise=Noise(phi=2.0))),
        ("pods that differ", replace(RATES, noise=Noise(tau=0.1))),
        ("fewer wrong promotions", replace(RATES, false_promotion=0.01)),
        ("a higher base rate", replace(RATES, tolerance=Margin(1.5), history=RateHistory(180_000, 450))),
    ],
)
def test_what_takes_more_requests(what: str, changed: RateGate) -> None:
    usual, more = (
        evidence.expected_requests(gate, share=0.2, coming=None, candidate_pods=2, stable_pods=4)
        for gate in (RATES, changed)
    )
    assert usual < more < math.inf, what


@pytest.mark.parametrize(
    "gate",
    [
        replace(RATES, tolerance=Margin(1.0)),  # no difference is allowed
        replace(RATES, noise=Noise(tau=0.6)),  # pods differ by more than the tolerance
    ],
)
def test_what_no_number_of_requests_can_show_needs_infinitely_many(gate: RateGate) -> None:
    assert evidence.expected_requests(gate, share=0.2, coming=None, candidate_pods=2, stable_pods=4) == math.inf


# ---------------------------------------------------------------- latency

CLASSIC = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)
NATIVE = (*(0.001 * 2 ** (i / 8) for i in range(90)), math.inf)


def log_normal(edges: tuple[float, ...], *, median: float, sigma: float) -> np.ndarray:
    below = [0.5 * (1 + math.erf(math.log(e / median) / sigma / math.sqrt(2))) for e in edges[:-1]]
    return np.diff([0.0, *below, 1.0])


def latency_gate(edges: tuple[float, ...], *, median: float = 0.03, tau: float = 0.0) -> LatencyGate:
    counts = np.round(1e5 * log_normal(edges, median=median, sigma=0.6)).astype(int)
    return LatencyGate(
        quantiles=(0.5, 0.95), history=LatencyHistory(edges, tuple(counts.tolist())), noise=Noise(tau=tau)
    )


@pytest.mark.parametrize(
    ("edges", "median", "share", "within"),
    [
        (CLASSIC, 0.03, 0.1, 1.5),
        (CLASSIC, 0.0335, 0.5, 1.5),
        (NATIVE, 0.1, 0.5, 1.5),
        (NATIVE, 0.0335, 0.5, 2.6),  # p95 lies near an edge: which side of it is compared moves as counts come in
    ],
)
def test_latency_needs_about_as_many_requests_as_was_said(
    edges: tuple[float, ...], median: float, share: float, within: float
) -> None:
    gate = latency_gate(edges, median=median)
    said = evidence.expected_requests(gate, share=share, coming=None, candidate_pods=1, stable_pods=1)
    rng, shape = np.random.default_rng(6), log_normal(edges, median=median, sigma=0.6)
    n_c = max(1, int(said / 20))
    n_s = int(n_c * (1 - share) / share)
    state, needed = evidence.start(gate, (RUNS,)), np.full(RUNS, math.inf)
    for i in range(200):
        look = LatencyLook(edges, rng.multinomial(n_c, shape, RUNS), rng.multinomial(n_s, shape, RUNS))
        state = evidence.fold(gate, state, look)
        done = evidence.log_safe(gate, state) >= safe_level(gate)
        needed = np.where(done & np.isinf(needed), n_c * (i + 1.0), needed)
        if np.all(np.isfinite(needed)):
            break
    assert said / within <= float(np.mean(needed)) <= said * within


@pytest.mark.parametrize(("pods", "enough"), [((1, 1), False), ((2, 4), False), ((40, 80), True)])
def test_pods_that_differ_by_as_much_as_the_tolerance_cannot_show_latency_to_be_safe(
    pods: tuple[int, int], *, enough: bool
) -> None:
    gate = latency_gate(NATIVE, tau=0.2)
    state = evidence.start(gate)
    shape = log_normal(NATIVE, median=0.03, sigma=0.6)
    counts = np.round(1e5 * shape).astype(int)
    for _ in range(20):
        state = evidence.fold(gate, state, LatencyLook(NATIVE, counts, counts, *pods))
    verdict = evidence.verdict(gate, state)
    said = evidence.expected_requests(gate, share=0.5, coming=None, candidate_pods=pods[0], stable_pods=pods[1])
    blurred = any("stable's own pods" in note for note in verdict.aside.notes)
    assert (verdict.safe, math.isfinite(said), blurred) == (enough, enough, not enough)
    if not enough:
        assert verdict.needed_requests is None
        assert "stable's own pods differ by 20%" in verdict.aside.notes[0]
        k_c, k_s = (int(word) for word in verdict.aside.notes[0].split("it takes ")[1].split(" pods")[0].split(" and "))
        with_them = LatencyLook(NATIVE, counts, counts, k_c, k_s)
        later = evidence.verdict(gate, evidence.fold(gate, evidence.start(gate), with_them))
        assert not any("stable's own pods" in note for note in later.aside.notes), "with as many pods as it said it can"


def test_on_wide_buckets_it_takes_fewer_pods_as_they_show_only_a_wide_slow_down() -> None:
    # the median lies between 25 and 50 ms, the next edge is 100 ms: only a slow-down of 4 could be shown, and pods differ by as much
    gate = replace(latency_gate(CLASSIC, tau=0.6), quantiles=(0.5,))
    counts = np.round(1e5 * log_normal(CLASSIC, median=0.03, sigma=0.6)).astype(int)

    def note(pods: int) -> str:
        state = evidence.fold(gate, evidence.start(gate), LatencyLook(CLASSIC, counts, counts, pods, pods))
        return next(iter(evidence.verdict(gate, state).aside.notes), "")

    assert "it takes 2 and 2 pods" in note(1)
    assert "it takes" not in note(2)


def test_a_spread_that_is_assumed_blurs_nothing() -> None:
    gate = replace(latency_gate(NATIVE), noise=Noise(phi=1.5, tau=0.4, assumed=True))
    said = evidence.expected_requests(gate, share=0.5, coming=None, candidate_pods=1, stable_pods=1)
    assert math.isfinite(said)
