"""How many candidate requests at an equal split it takes until an equal version is Safe: errors by tolerance, latency by buckets.

python -m bench.evidence_requests [--runs 100] [--look 100]
"""

from __future__ import annotations

import argparse
import math
from statistics import NormalDist

import numpy as np

from bench.lab import figures
from bench.lab.figures import Figure
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import (
    Gate,
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Look,
    Margin,
    RateGate,
    RateHistory,
    RateLook,
)

CLASSIC = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)


def until_safe(gate: Gate, looks: list[Look], runs: int, per_look: int) -> float:
    """Return the median number of candidate requests at which the runs are Safe, inf for never."""
    state, needed = evidence.start(gate, (runs,)), np.full(runs, math.inf)
    for i, look in enumerate(looks):
        state = evidence.fold(gate, state, look)
        proven = evidence.log_safe(gate, state) >= math.log(1 / gate.false_promotion)
        needed = np.where(proven, np.minimum(needed, per_look * (i + 1)), needed)
        if np.all(np.isfinite(needed)):
            break
    return float(np.median(needed))


def errors(tolerance: Margin, base: float, history: int, *, runs: int, per_look: int) -> float:
    rng = np.random.default_rng(5)
    gate = RateGate(tolerance=tolerance, history=RateHistory(history, round(history * base)))
    looks: list[Look] = [
        RateLook(per_look, rng.binomial(per_look, base, runs), per_look, rng.binomial(per_look, base, runs), 2, 2)
        for _ in range(60_000 // per_look)
    ]
    return until_safe(gate, looks, runs, per_look)


def latency(coarse: Margin, median: float, sigma: float, *, runs: int, per_look: int) -> float:
    rng = np.random.default_rng(5)
    below = [NormalDist().cdf(math.log(e / median) / sigma) if e < math.inf else 1.0 for e in CLASSIC]
    shares = np.diff([0.0, *below])
    gate = LatencyGate(coarse=coarse, history=LatencyHistory(CLASSIC, tuple(round(36_000 * p) for p in shares)))
    looks: list[Look] = [
        LatencyLook(CLASSIC, rng.multinomial(per_look, shares, runs), rng.multinomial(per_look, shares, runs), 2, 2)
        for _ in range(60_000 // per_look)
    ]
    return until_safe(gate, looks, runs, per_look)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--look", type=int, default=100, help="candidate requests in a look")
    given = arguments.parse_args()
    how = {"runs": given.runs, "per_look": given.look}
    found = []
    for points in (0.005, 0.001):
        for base in (0.0, 0.005):
            for history in (0, 36_000):
                said = f"errors 1.5x + {points:.1%}, base {base:.1%}, history {history}"
                found.append(
                    Figure(figure=said, value=errors(Margin(1.5, points), base, history, **how), unit="requests")
                )
    shapes = {
        "under 5 ms": (0.003, 0.1),
        "8 ms, narrow": (0.008, 0.05),
        "8 ms, sigma .3": (0.008, 0.3),
        "20 ms, sigma .6": (0.02, 0.6),
    }
    for points in (0.005, 0.001):
        for name, (median, sigma) in shapes.items():
            said = f"latency p50 p95 p99, coarse 1.5x + {points:.1%}, {name}"
            found.append(Figure(figure=said, value=latency(Margin(1.5, points), median, sigma, **how), unit="requests"))
    figures.write("evidence_requests", found)
    figures.show(f"candidate requests until an equal version is Safe, median of {given.runs} runs", found)


if __name__ == "__main__":
    main()
