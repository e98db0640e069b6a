"""What a look costs: one gate alone, and 1,000 rollouts with three gates, one by one and as a batch; writes bench/results.

python -m bench.evidence_cost
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from bench.lab import figures
from bench.lab.figures import Figure
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import Gate, LatencyGate, LatencyLook, Look, RateGate, RateLook

if TYPE_CHECKING:
    from collections.abc import Callable

EDGES = (*(0.001 * 2**i for i in range(19)), math.inf)
PODS, ROLLOUTS = 50, 1000


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the median processor time of a call after one that warms up: other load on the machine does not count."""
    call()
    taken = []
    for _ in range(times):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return sorted(taken)[times // 2]


def latency_look(rng: np.random.Generator, batch: tuple[int, ...]) -> LatencyLook:
    """Sum the histograms of the pods of both arms, as the operator does before every look."""
    pods = rng.poisson(20, (2, PODS // 2, *batch, len(EDGES)))
    return LatencyLook(EDGES, pods[0].sum(0), pods[1].sum(0), PODS // 2, PODS // 2, 100.0)


def rate_look(rng: np.random.Generator, batch: tuple[int, ...]) -> RateLook:
    candidate, stable = rng.binomial(500, 0.01, (2, *batch))
    return RateLook(500, candidate, 500, stable, PODS // 2, PODS // 2, 100.0)


def one_look(gate: Gate, look: Look) -> Callable[[], object]:
    state = evidence.fold(gate, evidence.start(gate), look)

    def fold_and_read() -> object:
        then = evidence.fold(gate, state, look)
        return evidence.log_harm(then), evidence.log_safe(gate, then)

    return fold_and_read


def one_verdict(gate: Gate, look: Look) -> Callable[[], object]:
    state = evidence.fold(gate, evidence.start(gate), look)
    return lambda: evidence.verdict(gate, state)


def batch_look(gates: list[tuple[Gate, Look]]) -> Callable[[], object]:
    states = [evidence.fold(gate, evidence.start(gate, (ROLLOUTS,)), look) for gate, look in gates]
    return lambda: [evidence.fold(gate, state, look) for (gate, look), state in zip(gates, states, strict=True)]


def main() -> None:
    rng = np.random.default_rng(1)
    errors, latency = RateGate(shares=(0.05, 0.25, 0.5)), LatencyGate()
    alone = {
        "errors": seconds(one_look(errors, rate_look(rng, ())), 200),
        "latency": seconds(one_look(latency, latency_look(rng, ())), 200),
    }
    verdicts = {
        "errors": seconds(one_verdict(errors, rate_look(rng, ())), 200),
        "latency": seconds(one_verdict(latency, latency_look(rng, ())), 200),
    }
    many = seconds(
        batch_look([(errors, rate_look(rng, (ROLLOUTS,))), *[(latency, latency_look(rng, (ROLLOUTS,)))] * 2]), 3
    )
    found = [
        Figure(figure="one look, errors gate", value=1000 * alone["errors"], unit="ms", target=1.0),
        Figure(
            figure="one look, latency gate, 50 pods x 20 buckets", value=1000 * alone["latency"], unit="ms", target=1.0
        ),
        Figure(figure="verdict, errors gate", value=1000 * verdicts["errors"], unit="ms", target=1.0),
        Figure(figure="verdict, latency gate", value=1000 * verdicts["latency"], unit="ms", target=1.0),
        Figure(
            figure="1,000 rollouts x 3 gates, one by one",
            value=ROLLOUTS * (alone["errors"] + 2 * alone["latency"]),
            unit="s",
            target=2.0,
        ),
        Figure(figure="1,000 rollouts x 3 gates, one batch", value=many, unit="s", target=2.0),
    ]
    figures.write("evidence_cost", found)
    figures.show("cost of the evidence", found)


if __name__ == "__main__":
    main()
