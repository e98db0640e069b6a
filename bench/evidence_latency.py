"""Error rates and power of the latency gate on the seeded traffic of ``traffic.py``, with fine and with merged buckets.

    python -m bench.evidence_latency [--runs 200] [--noise realistic] [--merge 1|3|8] [--harm 1.0]

``--merge n`` joins n buckets of factor 2**(1/8) into one. Figures: rolled back and Safe if equal; found if p99 is three times as long
by 5 % of requests; Safe (harm out of reach) if every request is slower by the tolerance in force.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from bench import traffic
from bench.lab import figures
from bench.lab.figures import Figure
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import LatencyGate, LatencyHistory, LatencyLook

LOOK = 10  # seconds
CELLS = [(rps, share) for rps in (5, 50, 500) for share in (0.05, 0.5)]


def merged(counts: np.ndarray, size: int) -> tuple[tuple[float, ...], np.ndarray]:
    """Return edges in seconds and counts of ``size`` buckets joined into one."""
    pad = -counts.shape[-1] % size
    joined = np.pad(counts, [(0, 0)] * (counts.ndim - 1) + [(0, pad)]).reshape(*counts.shape[:-1], -1, size).sum(-1)
    upper = traffic.EDGES[1:][size - 1 :: size] / 1000
    edges = [float(e) for e in upper[: joined.shape[-1] - 1]]
    return (*edges, math.inf), joined


def run(gate: LatencyGate, cell: tuple[float, float], **how: float | str) -> tuple[np.ndarray, np.ndarray]:
    """Return the look at which each run is rolled back and at which it is Safe (the number of looks for never)."""
    runs, looks, size = int(how["runs"]), int(how["looks"]), int(how["merge"])
    candidate, stable = traffic.latency(
        int(how["seed"]), runs, looks, LOOK, *cell, how["noise"], how["shape"], how["k99"]
    )
    edges, candidate = merged(candidate, size)
    _, stable = merged(stable, size)
    state = evidence.start(gate, (runs,))
    harm, safe = np.full(runs, looks), np.full(runs, looks)
    for i in range(looks):
        state = evidence.fold(gate, state, LatencyLook(edges, candidate[:, i], stable[:, i], elapsed=LOOK * (i + 1.0)))
        harm = np.where((evidence.log_harm(state) >= math.log(1 / gate.false_rollback)) & (harm == looks), i, harm)
        proven = evidence.log_safe(gate, state) >= math.log(1 / gate.false_promotion)
        safe = np.where(proven & (safe == looks) & (harm == looks), i, safe)
    return harm, safe


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=200)
    arguments.add_argument("--noise", default="realistic", choices=sorted(traffic.NOISE))
    arguments.add_argument("--merge", type=int, default=8)
    arguments.add_argument("--harm", type=float, default=1.0)
    arguments.add_argument("--tolerance", type=float, default=1.2)
    arguments.add_argument("--cells", type=int, default=len(CELLS))
    given = arguments.parse_args()
    looks = 360
    limit = 0.05 + 2.33 * math.sqrt(0.05 / given.runs)  # 99 % of a rate that keeps its promise
    found = []
    for seed, cell in enumerate(CELLS[: given.cells]):
        how = {"runs": given.runs, "looks": looks, "merge": given.merge, "noise": given.noise, "seed": seed}
        past, _ = traffic.latency(99, 1, looks, LOOK, cell[0], 0.5, "iid")
        edges, history = merged(past.sum((0, 1)), given.merge)
        gate = LatencyGate(
            tolerance=given.tolerance,
            harm=given.harm,
            false_rollback=0.05,
            deadline=3600.0,
            history=LatencyHistory(edges, tuple(int(c) for c in history)),
        )
        patient = LatencyGate(
            tolerance=given.tolerance, harm=50.0, false_rollback=1e-9, deadline=3600.0, history=gate.history
        )
        force = evidence.verdict(gate, evidence.start(gate)).tolerance
        harm, safe = run(gate, cell, **how, shape="shift", k99=1.0)
        tail, _ = run(gate, cell, **how, shape="tail", k99=3.0)
        _, wrong = run(patient, cell, **how, shape="shift", k99=force)
        name = f"{cell[0]}/s, {cell[1]:.0%}"
        for figure, value, target in (
            ("equal, rolled back", np.mean(harm < looks), limit),
            ("equal, Safe", np.mean(safe < looks), None),
            ("p99 x3, found", np.mean(tail < looks), None),
            (f"slower by the tolerance in force, {force:.2f}x: Safe", np.mean(wrong < looks), limit),
        ):
            found.append(Figure(figure=f"{name}: {figure}", value=float(value), unit="share", target=target))
        seconds = LOOK * (float(np.median(tail)) + 1)
        found.append(Figure(figure=f"{name}: p99 x3, found after", value=seconds, unit="s"))
    figures.write(f"evidence_latency_{given.merge}", found)
    figures.show(f"latency gate, {given.noise}, {given.runs} runs a cell, {given.merge} fine buckets in one", found)


if __name__ == "__main__":
    main()
