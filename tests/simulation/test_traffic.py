"""Simulated traffic: what it draws is what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.evidence.model import LatencyLook, RateLook
from pointsman.simulation.traffic import Arms, Script, SimulatedTraffic, hour
from pointsman.simulation.world import NOISES, Noise, Regression, World, tail_factor

WORLD = World(traffic=40, base_rate=0.02, replicas=4)
ARMS = Arms(share=np.array([0.1, 0.5]), candidate_pods=np.array([1, 2]), stable_pods=np.array([3, 2]))
RUNS = 200


def traffic(*, world: World = WORLD, regression: Regression = Regression(), warmup: int = 0) -> SimulatedTraffic:  # noqa: B008  frozen
    script = Script(
        world=world,
        regression=regression,
        arms=ARMS,
        rates=("errors",),
        histograms=("slow",),
        interval=10,
        warmup=warmup,
    )
    return SimulatedTraffic(script, stable_odd=np.ones((RUNS, 4)), seed=(1, 2), seen=lambda: None)


def totals(drawn: SimulatedTraffic, *, looks: int, step: int = 1) -> dict[str, float]:
    """Sums over the looks and the runs."""
    found = dict.fromkeys(("candidate", "bad", "stable", "stable_bad", "slow", "stable_slow"), 0.0)
    for index in range(looks):
        look = drawn.look(index, np.full(RUNS, step))
        rate, latency = look["errors"], look["slow"]
        assert isinstance(rate, RateLook)
        assert isinstance(latency, LatencyLook)
        found["candidate"] += np.sum(rate.candidate_requests)
        found["bad"] += np.sum(rate.candidate_bad)
        found["stable"] += np.sum(rate.stable_requests)
        found["stable_bad"] += np.sum(rate.stable_bad)
        found["slow"] += np.sum(np.asarray(latency.candidate)[:, 7:])  # over 250 ms
        found["stable_slow"] += np.sum(np.asarray(latency.stable)[:, 7:])
    return found


@pytest.mark.parametrize(("step", "share"), [(0, 0.1), (1, 0.5)])
def test_the_share_of_the_step_and_the_base_rate_of_both_arms(step: int, share: float) -> None:
    found = totals(traffic(), looks=20, step=step)
    requests = found["candidate"] + found["stable"]
    assert requests == pytest.approx(40 * 10 * 20 * RUNS, rel=0.01)
    assert found["candidate"] / requests == pytest.approx(share, rel=0.02)
    assert found["bad"] / found["candidate"] == pytest.approx(0.02, rel=0.05)
    assert found["stable_bad"] / found["stable"] == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("noise", NOISES)
def test_every_noise_keeps_an_equal_version_equal(noise: str) -> None:
    found = totals(traffic(world=World(traffic=40, base_rate=0.02, replicas=4, noise=NOISES[noise])), looks=60)
    assert found["bad"] / found["candidate"] == pytest.approx(found["stable_bad"] / found["stable"], rel=0.05)
    assert found["slow"] / found["candidate"] == pytest.approx(found["stable_slow"] / found["stable"], rel=0.1)


def test_a_regression_makes_worse_what_it_says_from_when_it_says() -> None:
    begins_later = traffic(regression=Regression(errors=3, after=100))
    before, after = totals(begins_later, looks=10), None
    for index in range(10, 30):
        look = begins_later.look(index, np.ones(RUNS, dtype=int))["errors"]
        assert isinstance(look, RateLook)
        bad, requests = np.sum(look.candidate_bad), np.sum(look.candidate_requests)
        after = (bad, requests) if after is None else (after[0] + bad, after[1] + requests)
    assert before["bad"] / before["candidate"] == pytest.approx(0.02, rel=0.05)
    assert after is not None
    assert after[0] / after[1] == pytest.approx(0.06, rel=0.05)


@pytest.mark.parametrize("regression", [Regression(latency=2), Regression(tail=3)])
def test_a_slower_version_has_a_longer_tail(regression: Regression) -> None:
    found = totals(traffic(regression=regression), looks=20)
    assert found["slow"] / found["candidate"] > 2 * found["stable_slow"] / found["stable"]


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0, 10.0])
def test_one_slow_request_in_twenty_makes_the_p99_so_many_times_as_long(factor: float) -> None:
    shape, slower = 0.3, tail_factor(0.3, factor)
    p99 = factor * 99**shape

    def over(at: float) -> float:
        return 1 / (1 + at ** (1 / shape))

    assert 0.95 * over(p99) + 0.05 * over(p99 / slower) == pytest.approx(0.01)


def test_scrapes_that_come_late_lose_nothing() -> None:
    late = traffic(world=World(traffic=40, base_rate=0.02, replicas=4, noise=Noise(late=True)))
    counted = totals(late, looks=30)["candidate"]
    served = late.exposed(np.full(RUNS, 300.0)).sum()
    last = np.sum(late.exposed(np.full(RUNS, 300.0)) - late.exposed(np.full(RUNS, 290.0)))
    assert served - last <= counted <= served


def test_a_cold_pod_counts_nothing_until_it_is_warm_but_serves() -> None:
    cold = traffic(warmup=1000)
    found = totals(cold, looks=9)
    assert found["candidate"] == 0  # 200 a look for two pods of 1000 each
    assert found["stable"] > 0
    assert cold.exposed(np.full(RUNS, 90.0)).mean() == pytest.approx(1800, rel=0.02)
    assert totals(cold, looks=3)["candidate"] > 0


def test_the_hour_before_is_counted_per_pod() -> None:
    drawn = hour(WORLD, hours=5, intervals=60, interval=10, histograms=("slow",), seed=(1,))
    assert drawn.requests.shape == drawn.bad.shape == (5, 60, 4)
    assert drawn.buckets is not None
    assert (drawn.buckets.sum(axis=-1) == drawn.requests).all()
    assert drawn.requests.sum() == pytest.approx(5 * 60 * 10 * 40, rel=0.02)
    assert drawn.bad.sum() / drawn.requests.sum() == pytest.approx(0.02, rel=0.05)


def test_the_same_seed_draws_the_same() -> None:
    assert totals(traffic(), looks=5) == totals(traffic(), looks=5)


@pytest.mark.parametrize(
    ("regression", "name"),
    [
        (Regression(), "equal"),
        (Regression(errors=2), "failures x2"),
        (Regression(latency=1.5, tail=3, after=60), "latency x1.5 and p99 x3, after 60 s"),
    ],
)
def test_what_a_regression_is_called(regression: Regression, name: str) -> None:
    assert regression.name == name
    assert math.isfinite(regression.errors)
