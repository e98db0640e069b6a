# ruff: noqa: INP001  a script, not a module
"""Writes the recordings beside it: three versions under the same traffic, seeded. `python record.py` writes the same files again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EDGES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5)
RATE, SHARE, BASE_RATE, MEDIAN, SPREAD = 60, 0.25, 0.005, 0.04, 0.5
INTERVAL, BEFORE, AFTER = 30, 40, 60  # seconds, and looks before and after the candidate's first row
STABLE, CANDIDATE = ("churn-5f3a9c1b-a", "churn-5f3a9c1b-b", "churn-5f3a9c1b-c"), ("churn-81d0aa37-a",)
VERSIONS = {"equal.csv": (1.0, 1.0), "failing.csv": (4.0, 1.0), "slower.csv": (1.0, 1.6)}  # failures, latency


def recording(failures: float, slowdown: float, *, seed: int) -> str:
    """The CSV of a version that fails and takes so many times as much as stable does."""
    rng = np.random.default_rng(seed)
    rows = ["time,arm,pod,gate,le,value"]
    totals = {pod: (0, 0, np.zeros(len(EDGES) + 1, dtype=np.int64)) for pod in (*STABLE, *CANDIDATE)}
    for look in range(-BEFORE, AFTER + 1):
        incident = 3.0 if look % 50 == 0 else 1.0  # now and then both versions fail more
        for arm, pods, share, failing, slower in (
            ("stable", STABLE, 1.0 if look <= 0 else 1 - SHARE, 1.0, 1.0),
            ("candidate", CANDIDATE, SHARE if look > 0 else 0.0, failures, slowdown),
        ):
            if arm == "candidate" and look < 0:
                continue
            for pod in pods:
                total, bad, buckets = totals[pod]
                served = rng.poisson(RATE * INTERVAL * share / len(pods))
                took = MEDIAN * slower * np.exp(rng.normal(0, SPREAD, served))
                total, bad = total + served, bad + rng.binomial(served, min(1.0, BASE_RATE * incident * failing))
                buckets = buckets + np.bincount(np.searchsorted(EDGES, took), minlength=len(EDGES) + 1)
                totals[pod] = (total, bad, buckets)
                at = f"{1_760_000_000 + look * INTERVAL},{arm},{pod}"
                rows += [f"{at},errors,total,{total}", f"{at},errors,bad,{bad}"]
                rows += [
                    f"{at},latency,{edge},{count}"
                    for edge, count in zip((*EDGES, "+Inf"), np.cumsum(buckets), strict=True)
                ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    for number, (name, (failures, slowdown)) in enumerate(VERSIONS.items()):
        Path(__file__).with_name(name).write_text(recording(failures, slowdown, seed=number), encoding="utf-8")
