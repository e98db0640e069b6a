"""Our own decisions on that traffic, by the code that makes them in production: calibration, gates and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench import traffic
from bench.decisions import arms, past
from bench.decisions.cells import HOLD, Cell
from pointsman.evidence import calibration, model
from pointsman.evidence import gate as gates
from pointsman.simulation.course import Course, Outcomes, Stage, run

ROLLBACK, PROMOTE = 1, 2
CLASSIC = arms.classic(2.0)
QUANTILES = (0.5, 0.95, 0.99)
TOLERANCE = model.Margin(1.5, 0.001)
LATENCY_HOURS = 25
OUT_OF_REACH = 1e3
"""A harm ratio that nothing reaches: what remains is whether a version is promoted."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a user would write; ``shares`` are the steps, each held for five minutes at least."""

    shares: tuple[float, ...]
    harm: float = 1.25
    false_rollback: float = 0.01
    errors: model.Margin | None = TOLERANCE
    latency: float | None = 1.2
    quantiles: tuple[float, ...] = QUANTILES

    @property
    def names(self) -> tuple[str, ...]:
        """The gates."""
        return tuple(name for name, asked in (("errors", self.errors), ("latency", self.latency)) if asked is not None)


def steps(share: float) -> tuple[float, ...]:
    """Return the shares of a whole rollout that ends at ``share``."""
    return (share / 5, share / 2, share)


def calibrated_rates(cell: Cell, runs: int) -> model.Calibration:
    """Calibrate an errors gate for each run on an hour of its own; every chunk of a cell takes the same hours, for time's sake."""
    return _rates_before(replace(cell, share=0.5, hours=1, look=10.0), runs)


def calibrated_latency(
    cell: Cell, runs: int, *, edges: arms.Edges = CLASSIC, quantiles: tuple[float, ...] = QUANTILES
) -> model.Calibration:
    """Calibrate a latency gate on one of ``LATENCY_HOURS`` hours for each run, in turn; ``edges`` as in ``arms.latencies``."""
    noise = "realistic" if traffic.NOISE[cell.noise]["common"] else "iid"  # all that latency knows of the noise
    hours = min(runs, LATENCY_HOURS)
    known = _latency_before(
        replace(cell, share=0.5, hours=1, look=10.0, noise=noise), hours, tuple(edges.tolist()), quantiles
    )
    return calibration.of_runs(known, np.arange(runs) % hours)


@cache
def _rates_before(cell: Cell, runs: int) -> model.Calibration:
    requests, bad = past.rates(cell, runs, cell.seed("hour before, errors", 0))
    return calibration.of_rates(requests, bad, interval=past.STEP)


@cache
def _latency_before(cell: Cell, runs: int, edges: tuple[float, ...], quantiles: tuple[float, ...]) -> model.Calibration:
    counts = past.latencies(cell, runs, cell.seed("hour before, latency", 0), np.asarray(edges))
    return calibration.of_latency(arms.seconds(np.asarray(edges)), counts, quantiles=quantiles, interval=past.STEP)


def course(cell: Cell, policy: Policy, calibrations: Mapping[str, model.Calibration]) -> Course:
    """Return the policy in numbers; a gate without calibration takes ``Noise()`` (phi 1, tau 0) and no history."""
    weights = gates.weights(policy.names)
    asked: dict[str, model.Gate] = {}
    if policy.errors is not None:
        asked["errors"] = model.RateGate(
            tolerance=policy.errors,
            harm=model.Margin(policy.harm),
            weight=weights["errors"],
            false_rollback=policy.false_rollback,
            deadline=cell.deadline,
            deadline_test=True,
            shares=policy.shares,
        )
    if policy.latency is not None:
        asked["latency"] = model.LatencyGate(
            tolerance=policy.latency,
            harm=policy.harm,
            weight=weights["latency"],
            false_rollback=policy.false_rollback,
            deadline=cell.deadline,
            deadline_test=True,
            quantiles=policy.quantiles,
        )
    for name, known in calibrations.items():
        asked[name] = replace(asked[name], history=known.history, noise=known.noise)  # type: ignore[arg-type]  # the kinds agree by name
    return Course(
        gates=asked,
        stages=tuple(Stage(share, HOLD) for share in policy.shares),
        interval=cell.interval,
        deadline=cell.deadline,
        false_rollback=policy.false_rollback,
    )


def decide(
    cell: Cell,
    policy: Policy,
    traffic: arms.Staged,
    calibrations: Mapping[str, model.Calibration],
    *,
    runs: int,
    promotes: bool = True,
) -> Outcomes:
    """Return how each run ends."""
    return run(course(cell, policy, calibrations), traffic, runs=runs, promotes=promotes)


def found_after(outcomes: Outcomes) -> NDArray[np.float64]:
    """Return the seconds until the rollback, inf where there is none."""
    return np.where(outcomes.decision == ROLLBACK, outcomes.seconds, np.inf)
