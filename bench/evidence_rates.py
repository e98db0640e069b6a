"""Error rates and power of the errors gate on the seeded traffic of ``traffic.py``: the table of the design, one row a cell.

python -m bench.evidence_rates [--runs 400] [--noise realistic] [--harm 1.25] [--hours 1]
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from bench import traffic
from bench.lab import figures
from bench.lab.figures import Figure
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import Margin, RateGate, RateHistory, RateLook

LOOK = 10  # seconds
CELLS = [(rps, share) for rps in (5, 50, 500) for share in (0.05, 0.5)]


def run(
    gate: RateGate, cell: tuple[float, float], *, noise: str, ratio: float, runs: int, looks: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the look at which each run is rolled back and at which it is Safe (``looks`` for never)."""
    rps, share = cell
    x_c, n_c, x_s, n_s = traffic.errors(seed, runs, looks, LOOK, rps, share, noise, rr=ratio)
    state = evidence.start(gate, (runs,))
    harm, safe = np.full(runs, looks), np.full(runs, looks)
    for i in range(looks):
        state = evidence.fold(
            gate, state, RateLook(n_c[:, i], x_c[:, i], n_s[:, i], x_s[:, i], elapsed=LOOK * (i + 1.0))
        )
        over = evidence.log_harm(state) >= math.log(1 / gate.false_rollback)
        harm = np.where(over & (harm == looks), i, harm)
        proven = (evidence.log_safe(gate, state) >= math.log(1 / gate.false_promotion)) & (harm == looks)
        safe = np.where(proven & (safe == looks), i, safe)
    return harm, safe


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=400)
    arguments.add_argument("--noise", default="realistic", choices=sorted(traffic.NOISE))
    arguments.add_argument("--harm", type=float, default=1.25)
    arguments.add_argument("--false-rollback", type=float, default=0.05)
    arguments.add_argument("--hours", type=float, default=1)
    given = arguments.parse_args()
    looks = int(given.hours * 3600 / LOOK)
    limit = given.false_rollback + 2.33 * math.sqrt(
        given.false_rollback / given.runs
    )  # 99 % of a rate that keeps its promise
    found = []
    for seed, cell in enumerate(CELLS):
        gate = RateGate(
            tolerance=Margin(1.5, 0.001),
            harm=Margin(given.harm),
            false_rollback=given.false_rollback,
            deadline=given.hours * 3600,
            history=RateHistory(requests=int(cell[0] * 3600), bad=int(cell[0] * 18)),
        )
        name = f"{cell[0]}/s, {cell[1]:.0%}"
        for ratio in (1.0, 2.0, 10.0):
            harm, safe = run(
                gate, cell, noise=given.noise, ratio=ratio, runs=given.runs, looks=looks, seed=100 * seed + int(ratio)
            )
            rolled_back = float(np.mean(harm < looks))
            if ratio == 1:
                found.append(
                    Figure(figure=f"{name}: equal, rolled back", value=rolled_back, unit="share", target=limit)
                )
                found.append(Figure(figure=f"{name}: equal, Safe", value=float(np.mean(safe < looks)), unit="share"))
                continue
            found.append(Figure(figure=f"{name}: x{ratio:.0f}, found", value=rolled_back, unit="share"))
            found.append(
                Figure(figure=f"{name}: x{ratio:.0f}, found after", value=LOOK * (float(np.median(harm)) + 1), unit="s")
            )
    figures.write("evidence_rates", found)
    figures.show(f"errors gate, {given.noise}, {given.runs} runs a cell", found)


if __name__ == "__main__":
    main()
