"""Latency on classic buckets: which edges are compared, what can be proven, and what cannot."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence.buckets import bracket, per_bucket, quantile, tails
from pointsman.evidence.model import LatencyGate, LatencyHistory, LatencyLook, Margin, Noise
from pointsman.evidence.verdict import GateVerdict

# the default buckets of Prometheus' Python client, which MLServer's endpoint has
CLASSIC = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)


def shares(edges: tuple[float, ...], median: float, sigma: float) -> np.ndarray:
    below = [NormalDist().cdf(math.log(e / median) / sigma) if e < math.inf else 1.0 for e in edges]
    return np.diff([0.0, *below])


def rollout(
    gate: LatencyGate, *, median: float, sigma: float, slower: float = 1.0, requests: int = 250, looks: int = 120,
    edges: tuple[float, ...] = CLASSIC, seed: int = 1,
) -> tuple[str, int, GateVerdict]:  # fmt: skip
    """Play a rollout of log-normal latencies at equal split; return its end, the candidate's requests until then, the verdict."""
    rng = np.random.default_rng(seed)
    state = evidence.start(gate)
    p_c, p_s = shares(edges, median * slower, sigma), shares(edges, median, sigma)
    end = "Undecided"
    for i in range(looks):
        look = LatencyLook(edges, rng.multinomial(requests, p_c), rng.multinomial(requests, p_s), 2, 2, 10.0 * (i + 1))
        state = evidence.fold(gate, state, look)
        if evidence.log_harm(state) >= math.log(1 / gate.false_rollback):
            end = "Harm"
        elif evidence.verdict(gate, state).safe:
            end = "Safe"
        if end != "Undecided":
            break
    verdict = evidence.verdict(gate, state)
    return end, verdict.counts.candidate_requests, verdict


@pytest.mark.parametrize(
    ("cumulative", "counts", "over"),
    [((0, 0, 0), [0, 0, 0], [0, 0, 0]), ((3, 3, 10), [3, 0, 7], [7, 7, 0]), ((5, 9, 9), [5, 4, 0], [4, 0, 0])],
)
def test_counts_per_bucket_and_tails(cumulative: tuple[int, ...], counts: list[int], over: list[int]) -> None:
    assert per_bucket(cumulative).tolist() == counts
    assert tails(per_bucket(cumulative)).tolist() == over


def test_falling_cumulative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="must not fall"):
        per_bucket((3, 2, 10))


@pytest.mark.parametrize(
    ("counts", "level", "lower", "upper", "edge", "tolerance", "beyond"),
    [
        ((0, 60, 40, 0, 0), 0.5, 1.0, 2.0, 4.0, 4.0, False),  # u_lo 1, u_hi 2, u' 4: a slow-down up to 4 passes
        ((0, 60, 40, 0, 0), 0.95, 2.0, 4.0, 8.0, 4.0, False),
        ((99, 1, 0, 0, 0), 0.5, 0.0, 1.0, 1.0, 0.0, False),  # below the first edge: compared there, no ratio
        ((55, 45, 0, 0, 0), 0.5, 0.0, 1.0, 2.0, math.inf, False),  # just below it: the next edge, and the coarse margin
        ((45, 55, 0, 0, 0), 0.5, 0.0, 1.0, 2.0, math.inf, False),  # just above it, nothing further up: likewise
        ((0, 45, 55, 0, 0), 0.5, 1.0, 2.0, 4.0, 4.0, False),  # just over an edge: the bucket below it is taken
        ((0, 45, 40, 15, 0), 0.5, 2.0, 4.0, 8.0, 4.0, False),  # but not where some are slower still
        ((0, 0, 0, 99, 1), 0.5, 4.0, 8.0, math.inf, math.inf, True),  # no edge above u_hi
        ((0, 0, 0, 1, 99), 0.5, 8.0, math.inf, math.inf, math.inf, True),
    ],
)
def test_edges_around_a_quantile(
    *, counts: tuple[int, ...], level: float, lower: float, upper: float, edge: float, tolerance: float, beyond: bool
) -> None:
    edges = (1.0, 2.0, 4.0, 8.0, math.inf)
    got = bracket(edges, np.array(counts, dtype=float), np.array([level]), slowdown=1.2, margin=1.0)
    assert (got.lower_seconds[0], edges[got.upper[0]], edges[got.edge[0]]) == (lower, upper, edge)
    assert (got.tolerance[0], bool(got.beyond[0])) == (tolerance, beyond)


def test_fine_buckets_keep_the_tolerance_that_was_asked_for() -> None:
    edges = (*(1.1**i for i in range(30)), math.inf)
    counts = np.full(len(edges), 10.0)
    got = bracket(edges, counts, np.array([0.5]), slowdown=1.5, margin=1.0)
    assert got.tolerance[0] == 1.5
    assert edges[got.edge[0]] <= 1.5 * got.lower_seconds[0] < edges[got.edge[0] + 1]
    tight = bracket(edges, counts, np.array([0.5]), slowdown=1.5, margin=1.1)
    assert tight.edge[0] == got.edge[0] - 1, "the pod margin takes one bucket away"
    coarse = bracket(
        (1.0, 10.0, 100.0, math.inf), np.array([0.0, 10.0, 0.0, 0.0]), np.array([0.5]), slowdown=1.5, margin=1.1
    )
    assert coarse.tolerance[0] == pytest.approx(110.0), "where buckets rule, it widens what is claimed instead"


@pytest.mark.parametrize(("level", "expected"), [(0.5, 1.5), (0.25, 1.0), (0.8, 3.0), (1.0, None)])
def test_quantiles_for_people_are_interpolated(level: float, expected: float | None) -> None:
    assert quantile((1.0, 2.0, 4.0, math.inf), np.array([10, 20, 4, 6]), level) == (
        pytest.approx(expected) if expected is not None else None
    )


@pytest.mark.parametrize("factor", [1.3, 1.6, 2.0, 2.5])
@pytest.mark.parametrize("median", [0.05, 0.0613])
def test_an_equal_version_is_safe_whatever_the_buckets(factor: float, median: float) -> None:
    edges = (*(0.001 * factor**i for i in range(math.ceil(math.log(8000) / math.log(factor)))), math.inf)
    end, requests, verdict = rollout(LatencyGate(), median=median, sigma=0.6, edges=edges, looks=400)
    assert end == "Safe"
    assert requests < 60_000
    assert verdict.aside.tolerance <= factor**2 * 1.0001 or verdict.aside.tolerance == 1.2


@pytest.mark.parametrize(
    ("median", "sigma", "at_most", "note"),
    [
        (0.003, 0.1, 800, "no more than 5 ms in both"),  # wholly under the first edge
        (0.008, 0.05, 6000, "between 5 ms and 10 ms"),  # wholly inside one bucket: the coarse margin's .1 points decide
        (0.02, 0.6, 12_000, "slow-down beyond"),
    ],
)
def test_an_equal_version_on_the_default_buckets_is_safe(median: float, sigma: float, at_most: int, note: str) -> None:
    end, requests, verdict = rollout(LatencyGate(), median=median, sigma=sigma)
    assert (end, requests <= at_most) == ("Safe", True)
    assert any(note in n for n in verdict.aside.notes)
    assert verdict.aside.estimate == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
@pytest.mark.parametrize("median", [0.0049, 0.005, 0.0051, 0.0097, 0.01, 0.0103])
def test_a_quantile_that_sits_on_an_edge_can_be_safe(median: float, sigma: float) -> None:
    assert rollout(LatencyGate(coarse=Margin(1.5, 0.005)), median=median, sigma=sigma, looks=20)[0] == "Safe"


def test_a_wider_coarse_margin_takes_fewer_requests() -> None:
    _, tight, _ = rollout(LatencyGate(), median=0.008, sigma=0.05)
    _, wide, _ = rollout(LatencyGate(coarse=Margin(1.5, 0.005)), median=0.008, sigma=0.05)
    assert wide * 2 < tight


@pytest.mark.parametrize(("median", "sigma"), [(0.02, 0.6), (0.008, 0.5), (0.05, 0.3), (0.0035, 0.2)])
def test_a_version_three_times_slower_is_harm(median: float, sigma: float) -> None:
    assert rollout(LatencyGate(), median=median, sigma=sigma, slower=3.0)[0] == "Harm"


@pytest.mark.parametrize("seed", range(5))
def test_slower_than_the_tolerance_in_force_is_not_safe(seed: int) -> None:
    end, _, verdict = rollout(LatencyGate(harm=6.0), median=0.02, sigma=0.6, slower=5.0, seed=seed, looks=40)
    assert (end, verdict.safe) != ("Safe", True)


@pytest.mark.parametrize(
    ("median", "said"), [(9.0, "last bucket, up to 10 s"), (60.0, "above the histogram's last edge, 10 s")]
)
def test_beyond_the_buckets_it_says_which_edge_is_missing(median: float, said: str) -> None:
    gate = LatencyGate(
        quantiles=(0.5,), history=LatencyHistory(CLASSIC, tuple(int(1e4 * p) for p in shares(CLASSIC, median, 0.05)))
    )
    verdict = evidence.verdict(gate, evidence.start(gate))
    assert verdict.unanswerable is not None
    assert verdict.unanswerable.reason == "BeyondBuckets"
    assert said in verdict.unanswerable.message
    assert "needs a finite edge above 10 s" in verdict.unanswerable.message
    assert rollout(gate, median=median, sigma=0.05, looks=5)[0] == "Undecided"


def test_without_history_the_first_look_only_chooses_edges() -> None:
    gate = LatencyGate()
    state = evidence.fold(gate, evidence.start(gate), LatencyLook(CLASSIC, (900, 0, *(0,) * 13), (0, 900, *(0,) * 13)))
    assert evidence.log_harm(state) == 0
    assert evidence.log_safe(gate, state) == pytest.approx(0, abs=1e-12)
    assert evidence.verdict(gate, state).aside.quantiles[0].upper == 0.01


def test_needed_requests_are_what_it_then_takes() -> None:
    gate = LatencyGate(history=LatencyHistory(CLASSIC, tuple(int(1e5 * p) for p in shares(CLASSIC, 0.02, 0.6))))
    first = rollout(gate, median=0.02, sigma=0.6, looks=1)[2]
    assert first.needed_requests is not None
    taken = np.mean([rollout(gate, median=0.02, sigma=0.6, seed=s)[1] for s in range(4)])
    assert 0.4 * first.needed_requests < taken < 2.5 * first.needed_requests


def test_pods_that_differ_widen_harm_and_tighten_safety() -> None:
    noise = Noise(tau=0.3)
    assert rollout(LatencyGate(harm=1.25, noise=noise), median=0.02, sigma=0.6, slower=1.5, looks=30)[0] != "Harm"
    assert rollout(LatencyGate(harm=1.25), median=0.02, sigma=0.6, slower=1.5, looks=30)[0] == "Harm"
    assert rollout(LatencyGate(noise=noise), median=0.02, sigma=0.6)[2].aside.harm_ratio == pytest.approx(
        math.exp(2.5758 * 0.3), rel=1e-4
    )
