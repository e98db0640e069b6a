"""What stable's hour before says of its noise: tables of known noise and what must be found in it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.evidence import calibration
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import Calibration, LatencyHistory, RateHistory

LOOKS, EVERY = 360, 10.0  # an hour, scraped every 10 s
INFLATED = 1 + 2 / math.sqrt(LOOKS)


def by_themselves(seed: int, *, pods: int, bad: float, looks: int = LOOKS) -> tuple[np.ndarray, np.ndarray]:
    """Return 100 requests a pod and interval, of which on average ``bad`` fail, by themselves."""
    rng = np.random.default_rng(seed)
    requests = np.full((looks, pods), 100)
    return requests, rng.binomial(requests, bad / 100)


def of(counts: tuple[np.ndarray, np.ndarray]) -> Calibration:
    return calibration.of_rates(*counts, interval=EVERY)


def phi_of(counts: tuple[np.ndarray, np.ndarray]) -> float:
    return float(of(counts).noise.phi)


# ---------------------------------------------------------------- dispersion


@pytest.mark.parametrize(
    ("pods", "bad", "median", "worst"),
    [
        (3, 10.0, 1.2, 1.6),
        (4, 0.5, 1.2, 1.6),
        (20, 0.5, 1.2, 1.3),
        (10, 0.03, 1.3, 1.7),
        (3, 0.05, 1.7, 4.0),  # fifty failures in the hour say little: too high is the side that only costs time
    ],
)
def test_failures_that_come_by_themselves_have_a_dispersion_of_one(
    pods: int, bad: float, median: float, worst: float
) -> None:
    many = [by_themselves(seed, pods=pods, bad=bad) for seed in range(100)]
    got = calibration.of_rates(np.stack([n for n, _ in many]), np.stack([x for _, x in many]), interval=EVERY)
    assert np.mean(got.noise.assumed) <= 0.02
    assert np.quantile(got.noise.phi, 0.03) >= 1.0
    assert np.median(got.noise.phi) <= median
    assert np.quantile(got.noise.phi, 0.97) <= worst
    assert np.mean(np.asarray(got.noise.tau) > 0) <= 0.14, "a spread is seen where there is none one time in twenty"


def runs(seed: int, *, size: int, pods: int = 4, each: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return failures in runs of 1 to 2 ``size`` - 1 in one interval of a pod, such as the retries of one client."""
    rng = np.random.default_rng(seed)
    starts = rng.poisson(each, (LOOKS, pods))
    longest = 2 * size - 1
    bad = np.sum(rng.integers(1, longest + 1, (*starts.shape, 8)) * (np.arange(8) < starts[..., None]), axis=-1)
    return np.full((LOOKS, pods), 1000), bad


@pytest.mark.parametrize("size", [2, 5, 10])
@pytest.mark.parametrize("seed", range(2))
def test_runs_of_failures_have_the_dispersion_of_their_size(size: int, seed: int) -> None:
    # a sum of runs of size S varies by E[S^2] / E[S] times as much as it has on average
    sizes = np.arange(1, 2 * size)
    assert phi_of(runs(seed, size=size)) == pytest.approx(INFLATED * np.sum(sizes**2) / np.sum(sizes), rel=0.2)


@pytest.mark.parametrize("minutes", [1, 3])
def test_minutes_in_which_one_pod_fails_more_are_found_on_their_own_scale(minutes: int) -> None:
    # within an interval failures come by themselves; that one pod has three times as many for minutes shows over minutes
    rng = np.random.default_rng(5)
    span = 6 * minutes
    bursts = np.repeat(rng.random((LOOKS // span, 4)) < 0.15, span, axis=0)
    requests = np.full((LOOKS, 4), 100)
    bad = np.minimum(rng.poisson(np.where(bursts, 3.0, 1.0)), requests)
    quiet = by_themselves(5, pods=4, bad=float(bad.mean()))
    assert phi_of((requests, bad)) > 2 * phi_of(quiet)


@pytest.mark.parametrize("times", [5.0, 20.0])
def test_incidents_that_hit_all_pods_are_no_dispersion(times: float) -> None:
    rng = np.random.default_rng(6)
    incident = np.where((np.arange(LOOKS) // 12) % 5 == 0, times, 1.0)[:, None]
    requests = np.full((LOOKS, 4), 200)
    bad = rng.binomial(requests, 0.01 * incident)
    got = of((requests, bad))
    assert got.noise.phi <= 1.25 * INFLATED
    assert got.noise.tau < 0.1


def test_load_that_moves_between_pods_is_no_dispersion() -> None:
    rng = np.random.default_rng(7)
    requests = rng.integers(1, 800, (LOOKS, 4))
    got = of((requests, rng.binomial(requests, 0.01)))
    assert got.noise.phi <= 1.25 * INFLATED
    assert got.noise.tau < 0.1


# ---------------------------------------------------------------- spread between pods


@pytest.mark.parametrize("tau", [0.2, 0.4, 0.8])
def test_the_spread_between_pods_is_found(tau: float) -> None:
    # 40 pods, so that tau itself is drawn with little error; their rates stay theirs for the hour
    rng = np.random.default_rng(8)
    rates = 0.01 * np.exp(tau * rng.standard_normal(40))
    requests = np.full((LOOKS, 40), 100)
    got = of((requests, rng.binomial(requests, np.minimum(rates, 1.0))))
    assert got.noise.tau == pytest.approx(tau, rel=0.3)
    assert got.noise.phi <= 1.25 * INFLATED, "what a pod keeps for the hour is not dispersion"


def test_pods_that_are_alike_differ_by_nothing_most_of_the_time() -> None:
    taus = [float(of(by_themselves(seed, pods=5, bad=1.0)).noise.tau) for seed in range(30)]
    assert sum(tau > 0 for tau in taus) <= 5
    assert max(taus) < 0.15


# ---------------------------------------------------------------- what is missing


def test_missing_samples_change_little_and_are_not_requests() -> None:
    requests, bad = runs(3, size=5)
    rng = np.random.default_rng(9)
    gone = rng.random(requests.shape) < 0.2
    holes = of((np.where(gone, -1, requests), np.where(gone, -1, bad)))
    whole = of((requests, bad))
    assert holes.noise.phi == pytest.approx(whole.noise.phi, rel=0.15)
    assert holes.requests == int(requests[~gone].sum())
    assert holes.bad == int(bad[~gone].sum())
    assert holes.history == RateHistory(holes.requests, holes.bad)


def test_a_pod_that_lived_for_half_the_hour_is_a_pod() -> None:
    requests, bad = by_themselves(4, pods=4, bad=0.5)
    requests[: LOOKS // 2, 3] = bad[: LOOKS // 2, 3] = -1
    got = of((requests, bad))
    assert got.pods == 4
    assert got.noise.phi <= 1.25 * INFLATED


@pytest.mark.parametrize(
    ("what", "pods", "looks", "bad"),
    [("two pods", 2, LOOKS, 1.0), ("nine minutes", 4, 54, 1.0), ("a handful of failures", 4, LOOKS, 0.01)],
)
def test_a_short_history_is_assumed(what: str, pods: int, looks: int, bad: float) -> None:
    got = of(by_themselves(10, pods=pods, bad=bad, looks=looks))
    assert (got.noise.phi, got.noise.tau, got.noise.assumed) == (1.5, 0.1, True), what
    assert got.requests == looks * pods * 100, "what was counted still is the base rate"


def test_just_enough_is_measured() -> None:
    requests, bad = np.full((60, 3), 100), np.zeros((60, 3), dtype=int)
    bad[::2, :] = np.eye(3, dtype=int)[np.arange(30) % 3]
    assert bad.sum() == calibration.LEAST_BAD
    assert not of((requests, bad)).noise.assumed
    bad[0, :] = 0
    assert of((requests, bad)).noise.assumed


def test_where_every_request_failed_nothing_can_be_seen_to_vary() -> None:
    requests = np.full((LOOKS, 4), 100)
    assert of((requests, requests)).noise.assumed


@pytest.mark.parametrize("shape", [(360, 0), (0, 0), (0, 3), (360, 1), (1, 3)])
def test_nothing_at_all_is_assumed(shape: tuple[int, int]) -> None:
    for requests in (0, -1):
        got = of((np.full(shape, requests), np.full(shape, requests)))
        assert (got.requests, got.bad, got.pods, got.noise.assumed) == (0, 0, 0, True)
        evidence.dumps_calibration(got)


# ---------------------------------------------------------------- what does not matter


def test_the_order_of_pods_does_not_matter() -> None:
    requests, bad = runs(11, size=5)
    requests[:50, 1] = bad[:50, 1] = -1
    turned = [3, 0, 2, 1]
    one, other = of((requests, bad)), of((requests[:, turned], bad[:, turned]))
    assert other.history == one.history
    assert other.noise.phi == pytest.approx(one.noise.phi, rel=1e-9)
    assert other.noise.tau == pytest.approx(one.noise.tau, rel=1e-9)


def test_a_batch_is_one_by_one() -> None:
    many = [runs(0, size=5), by_themselves(1, pods=4, bad=0.001), by_themselves(2, pods=4, bad=2.0), runs(3, size=2)]
    stacked = calibration.of_rates(
        np.stack([one[0] for one in many]), np.stack([one[1] for one in many]), interval=EVERY
    )
    for i, one in enumerate(map(of, many)):
        for got, expected in zip(numbers(stacked, i), numbers(one, None), strict=True):
            assert got == pytest.approx(expected, rel=1e-9)


def numbers(one: Calibration, run: int | None) -> list[float]:
    """Return the numbers of a calibration of rates, or of one run of a batch."""
    assert isinstance(one.history, RateHistory)
    each = (one.noise.phi, one.noise.tau, one.noise.assumed, one.history.requests, one.history.bad, one.pods)
    return [float(v if run is None else np.asarray(v)[run]) for v in each]


@pytest.mark.parametrize("bad", [0, 5_000_000, 10**9])
def test_a_thousand_million_requests_an_interval(bad: int) -> None:
    got = of((np.full((LOOKS, 4), 10**9), np.full((LOOKS, 4), bad)))
    assert got.requests == 4 * LOOKS * 10**9
    assert got.noise.phi >= 1
    assert math.isfinite(float(got.noise.phi))
    assert math.isfinite(float(got.noise.tau))


# ---------------------------------------------------------------- latency

EDGES = (*(0.01 * 1.2**i for i in range(24)), math.inf)


def latencies(seed: int, *, slower: tuple[float, ...], sigma: float = 0.5, requests: int = 100) -> np.ndarray:
    """Return histograms (intervals, pods, buckets) of log-normal latencies around 100 ms times each pod's own factor."""
    rng = np.random.default_rng(seed)
    times = 0.1 * np.exp(sigma * rng.standard_normal((LOOKS, len(slower), requests))) * np.asarray(slower)[:, None]
    placed = np.searchsorted(EDGES, times)
    return np.stack([(placed == b).sum(axis=-1) for b in range(len(EDGES))], axis=-1)


def of_latency(counts: np.ndarray) -> Calibration:
    return calibration.of_latency(EDGES, counts, quantiles=(0.5, 0.95, 0.99), interval=EVERY)


def test_pods_that_are_as_fast_differ_by_nothing() -> None:
    got = of_latency(latencies(1, slower=(1.0,) * 4))
    assert got.noise.phi <= 1.25 * INFLATED
    assert got.noise.tau < 0.02
    assert not got.noise.assumed
    assert isinstance(got.history, LatencyHistory)
    assert (sum(got.history.counts), got.pods) == (LOOKS * 4 * 100, 4)


@pytest.mark.parametrize("sigma", [0.3, 0.8])
@pytest.mark.parametrize("factor", [1.1, 1.2, 1.5])
def test_slow_pods_have_the_spread_of_their_quantiles(factor: float, sigma: float) -> None:
    # a fifth of the pods slower: the sd of the log quantiles is ln(factor) times sqrt(.2 x .8); the worst level counts
    pods = (1.0, 1.0, 1.0, 1.0, factor)
    expected = math.log(factor) * math.sqrt(0.2 * 0.8)
    got = of_latency(latencies(2, slower=pods, sigma=sigma))
    assert 0.7 * expected < got.noise.tau < 2.2 * expected


def test_latency_of_the_batch_is_one_by_one_and_order_does_not_matter() -> None:
    many = [latencies(3, slower=(1.0, 1.2, 1.0, 0.9)), latencies(4, slower=(1.0,) * 4)]
    many[1][:, :2] = 0  # two pods served nothing
    stacked = of_latency(np.stack(many))
    for i, one in enumerate(many):
        alone, turned = of_latency(one), of_latency(one[:, ::-1])
        for other, run in ((stacked, i), (turned, None)):
            for field in ("phi", "tau", "assumed"):
                value = np.asarray(getattr(other.noise, field))
                got = float(value if run is None else value[run])
                assert got == pytest.approx(float(getattr(alone.noise, field)), rel=1e-9)


@pytest.mark.parametrize(
    ("what", "counts"),
    [
        ("no pod", np.zeros((LOOKS, 0, len(EDGES)), dtype=int)),
        ("no request", np.zeros((LOOKS, 3, len(EDGES)), dtype=int)),
        ("no sample", np.full((LOOKS, 3, len(EDGES)), -1)),
        ("two pods", latencies(5, slower=(1.0, 1.0))),
        ("nine minutes", latencies(5, slower=(1.0,) * 3)[:54]),
        ("all under the first edge", latencies(5, slower=(0.001,) * 3)),
        ("all over the last finite edge", latencies(5, slower=(1000.0,) * 3)),
    ],
)
def test_latency_of_which_little_is_known_is_assumed(what: str, counts: np.ndarray) -> None:
    got = of_latency(counts)
    assert (got.noise.phi, got.noise.tau, got.noise.assumed) == (1.5, 0.1, True), what
    evidence.dumps_calibration(got)


def test_missing_histograms_change_little() -> None:
    counts = latencies(6, slower=(1.0, 1.0, 1.0, 1.4))
    gone = np.random.default_rng(6).random(counts.shape[:2]) < 0.2
    holes = np.where(gone[..., None], -1, counts)
    whole, rest = of_latency(counts), of_latency(holes)
    assert rest.noise.tau == pytest.approx(float(whole.noise.tau), rel=0.2)
    assert rest.requests == int(counts[~gone].sum())


def test_a_thousand_million_requests_in_a_bucket() -> None:
    counts = np.full((60, 3, len(EDGES)), 10**9)
    got = of_latency(counts)
    assert got.requests == 60 * 3 * len(EDGES) * 10**9
    assert math.isfinite(float(got.noise.phi))
    assert math.isfinite(float(got.noise.tau))


# ---------------------------------------------------------------- the record


@pytest.mark.parametrize("kind", ["rates", "latency", "nothing"])
def test_a_calibration_survives_a_restart_exactly(kind: str) -> None:
    one = {
        "rates": lambda: of(runs(1, size=5)),
        "latency": lambda: of_latency(latencies(1, slower=(1.0, 1.1, 1.3))),
        "nothing": lambda: of((np.zeros((0, 0), dtype=int), np.zeros((0, 0), dtype=int))),
    }[kind]()
    text = evidence.dumps_calibration(one)
    assert evidence.loads_calibration(text) == one
    assert len(text) < 1024


@pytest.mark.parametrize("text", ["", "[]", '{"format":1,"kind":"rate"}', '{"format":9}'])
def test_a_calibration_that_we_did_not_write_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="the stored evidence"):
        evidence.loads_calibration(text)
