"""What people read: a verdict's sentence, for every kind of verdict."""

from __future__ import annotations

import math

import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence import words
from pointsman.evidence.model import Gate, LatencyGate, LatencyHistory, LatencyLook, Look, Margin, RateGate, RateLook

ERRORS = RateGate(tolerance=Margin(1.5, 0.005))
EDGES = (0.005, 0.01, 0.025, 0.05, math.inf)


def latency(*counts: int) -> LatencyGate:
    return LatencyGate(quantiles=(0.5, 0.99), history=LatencyHistory(EDGES, counts))


def rates(count: int, bad: int, stable_bad: int, requests: int = 250) -> list[Look]:
    return [RateLook(requests, bad, requests, stable_bad, elapsed=10.0 * (i + 1)) for i in range(count)]


def histograms(count: int, candidate: tuple[int, ...], stable: tuple[int, ...]) -> list[Look]:
    return [LatencyLook(EDGES, candidate, stable, elapsed=10.0 * (i + 1)) for i in range(count)]


STANDING: list[tuple[Gate, list[Look], str]] = [
    (ERRORS, [], "no requests to either version in this step"),
    (ERRORS, [RateLook(0, 0, 9, 1)], "no requests to the candidate in this step"),
    (ERRORS, [RateLook(9, 1, 0, 0)], "no requests to stable in this step"),
    (
        ERRORS,
        rates(3, 1, 1),
        (
            "3 of 750 requests to the candidate failed (0.4 %), 3 of 750 to stable (0.4 %); 1x as often, between 0.041x and 25x (95 %): "
            "not yet proven to stay within 1.5x stable's rate + 0.5 points; if both are equal, about 1,200 more requests to the candidate (45 s)"
        ),
    ),
    (
        ERRORS,
        rates(12, 0, 1),
        (
            "0 of 3,000 requests to the candidate failed (0 %), 12 of 3,000 to stable (0.4 %); 0x as often, at most 0.62x (95 %): "
            "proven to stay within 1.5x stable's rate + 0.5 points"
        ),
    ),
    (
        RateGate(tolerance=Margin(1.0)),
        rates(3, 1, 1),
        (
            "3 of 750 requests to the candidate failed (0.4 %), 3 of 750 to stable (0.4 %); 1x as often, between 0.041x and 25x (95 %): "
            "not yet proven to stay within 1x stable's rate; the tolerance allows no difference, so that only a better version can be proven Safe: widen it"
        ),
    ),
    (
        latency(9970, 30, 0, 0, 0),
        histograms(8, (200, 0, 0, 0, 0), (200, 0, 0, 0, 0)),
        (
            "0 of 1,600 requests to the candidate took longer than 5 ms (0 %), 0 of 1,600 to stable (0 %); 1x as long: "
            "proven to keep p50 under 5 ms, p99 under 5 ms"
        ),
    ),
    (
        latency(0, 100, 0, 0, 0),
        histograms(3, (0, 200, 0, 0, 0), (0, 200, 0, 0, 0)),
        (
            "0 of 600 requests to the candidate took longer than 10 ms (0 %), 0 of 600 to stable (0 %); 1x as long: "
            "not yet proven to keep p50 within 5x stable's, p99 within 5x stable's; if both are equal, about 4,200 more requests to the candidate (4 min)"
        ),
    ),
    (
        latency(0, 0, 0, 100, 0),
        [],
        (
            "stable's p50 lies in the histogram's last bucket, up to 50 ms; to compare it the histogram needs a finite edge above 50 ms: "
            "add one, or leave p50 out of the gate"
        ),
    ),
]


@pytest.mark.parametrize(("gate", "looks", "said"), STANDING)
def test_where_a_gate_stands(gate: Gate, looks: list[Look], said: str) -> None:
    state = evidence.start(gate)
    for look in looks:
        state = evidence.fold(gate, state, look)
    assert words.standing(gate, evidence.verdict(gate, state)) == said


HARM: list[tuple[Gate, list[Look], str]] = [
    (
        ERRORS,
        rates(4, 30, 1),
        (
            "120 of 1,000 requests to the candidate failed (12 %), 4 of 1,000 to stable (0.4 %); 30x as often, at least 7.8x (95 %): "
            "proven to be over 1.25x stable's rate"
        ),
    ),
    (
        latency(0, 9900, 90, 10, 0),
        histograms(4, (0, 0, 150, 50, 0), (0, 198, 2, 0, 0)),
        (
            "800 of 800 requests to the candidate took longer than 10 ms (100 %), 8 of 800 to stable (1 %); 4.9x as long: "
            "proven to be more than 1.25x as slow (p50, p90, p95, p99 together)"
        ),
    ),
]


@pytest.mark.parametrize(("gate", "looks", "said"), HARM)
def test_why_a_gate_is_harm(gate: Gate, looks: list[Look], said: str) -> None:
    state = evidence.start(gate)
    for look in looks:
        state = evidence.fold(gate, state, look)
    verdict = evidence.verdict(gate, state)
    assert verdict.log_harm > math.log(100)
    assert words.harm(gate, verdict) == said
