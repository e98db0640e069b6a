"""The counters of pretended pods: those of a healthy model server, the same again for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.lab.exporter import EDGES, Exporter
from bench.lab.models import LATENCY, REQUESTS


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(seed: int, *, pod: str = "ml/churn-1", seconds: tuple[float, ...] = (60,)) -> dict[tuple[str, ...], float]:
    """What is seen at the last of these seconds after the first scrape."""
    clock = Clock()
    exporter = Exporter(seed=seed, rate=100, clock=clock)
    text = exporter.text(pod)
    for second in seconds:
        clock.now = 1_000_000.0 + second
        text = exporter.text(pod)
    return samples(text)


def test_a_pod_starts_with_nothing() -> None:
    seen = scraped(1, seconds=())

    assert seen[(f"{LATENCY}_count",)] == 0
    assert seen[("process_start_time_seconds",)] == 1_000_000.0


def test_requests_come_at_the_rate_and_one_in_two_hundred_fails() -> None:
    seen = scraped(1, seconds=(600,))
    good, failed = seen[REQUESTS, "200"], seen[REQUESTS, "500"]

    assert good + failed == pytest.approx(60_000, rel=0.03)
    assert failed / (good + failed) == pytest.approx(0.005, rel=0.3)


def test_buckets_are_cumulative_and_hold_every_request() -> None:
    seen = scraped(1)
    buckets = [seen[f"{LATENCY}_bucket", str(edge)] for edge in EDGES] + [seen[f"{LATENCY}_bucket", "+Inf"]]

    assert buckets == sorted(buckets)
    assert buckets[-1] == seen[(f"{LATENCY}_count",)] == seen[REQUESTS, "200"] + seen[REQUESTS, "500"]


def test_the_same_seed_gives_the_same_counters_however_often_one_looks() -> None:
    assert scraped(7) == scraped(7, seconds=(10, 20.5, 59.9, 60))


@pytest.mark.parametrize(("seed", "pod"), [(8, "ml/churn-1"), (7, "ml/churn-2")])
def test_another_seed_or_pod_gives_others(seed: int, pod: str) -> None:
    assert scraped(7, pod="ml/churn-1") != scraped(seed, pod=pod)
