"""P(promoted given worse than the tolerance) at falsePromotion 5 %, in the hardest case: one gate, one step, harm out of reach.

A whole rollout waits for more gates, has less time in its last step and ends many of these runs by a rollback, so it promotes
less often than this. Latency in ``traffic`` is the same under iid as it would be without clusters and pods' own factors, so
it is tabled for iid and realistic noise.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from bench import traffic
from bench.decisions import arms, rollouts
from bench.decisions.cells import Cell, every
from bench.decisions.report import Figure, error_rate, mean
from bench.decisions.rollouts import OUT_OF_REACH, PROMOTE, Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split
from pointsman.evidence.model import Margin

ERRORS = "P(promoted | worse than the tolerance), errors"
LATENCY = "P(promoted | worse than the tolerance), latency"
NOTES = {
    ERRORS: "one step, harm out of reach, calibrated; judged: 99 % lower limit of each cell and the mean",
    LATENCY: "p99 alone, one step, harm out of reach, calibrated, 1 h; every request slower by the tolerance in force (next edge over "
    "the one under the quantile), stable's p99 3 % over an edge; or its share over every edge at the coarse margin 1.5 x + .1 points in every look",
}
LEVEL = 0.05
RATES: dict[str, tuple[Margin, float]] = {
    "1.5x, fails 1.5x": (Margin(1.5), 1.5),
    "1.5x + .1 points, fails 2x": (Margin(1.5, 0.001), 2.0),
}
P99 = float(traffic.MED * np.exp(traffic.SIG * norm.ppf(0.99)))
SLOWER, COARSE = "slower", "coarse"
NATIVE = 2 ** (1 / 8)


def _over_edge(factor: float, above: int) -> arms.Edges:
    """Return edges of which one lies 3 % under p99, with ``above`` finite edges over p99 and two under it."""
    return arms.classic(factor, first=P99 / 1.03 / factor**2, last=P99 / 1.03 * factor**above * 1.001)


def _around(factor: float) -> arms.Edges:
    """Return edges with p99 in the middle of its bucket."""
    return arms.classic(factor, first=P99 / factor**2.5, last=P99 * factor**3.5 * 1.001)


CASES: dict[str, tuple[str, float, arms.Edges]] = {
    "native, 1.2x slower": (SLOWER, 1.2, arms.classic(NATIVE, first=100.0, last=600.0)),
    "factor 1.3, 1.69x slower": (SLOWER, 1.3**2, _over_edge(1.3, 4)),
    "factor 2, 4x slower": (SLOWER, 4.0, _over_edge(2.0, 3)),
    "factor 1.6, coarse margin": (COARSE, 1.0, _around(1.6)),
    "factor 2.5, coarse margin": (COARSE, 1.0, _around(2.5)),
    "p99 in the last finite bucket, 4x": (SLOWER, 4.0, _over_edge(2.0, 1)),
    "p99 beyond the last edge, 4x": (SLOWER, 4.0, _over_edge(2.0, 0)),
}


def jobs(size: Size) -> list[Job]:
    rates = [
        job
        for cell in size.cells()
        for name in RATES
        for job in split(("worse", cell, name), errors, size.error_runs, cell=cell, name=name)
    ]
    latencies = [
        job
        for cell in every(size.judged, look=size.look)
        for name in CASES
        for job in split(("worse", cell, name), latency, size.error_runs, cell=cell, name=name)
    ]
    return rates + latencies


def errors(cell: Cell, name: str, *, runs: int, chunk: int) -> Arrays:
    tolerance, ratio = RATES[name]
    _, staged = arms.one_step(cell, runs, chunk, ratio=ratio)
    policy = Policy(shares=(cell.share,), harm=OUT_OF_REACH, errors=tolerance, latency=None)
    known = {"errors": rollouts.calibrated_rates(cell, runs)}
    return {"promoted": rollouts.decide(cell, policy, staged, known, runs=runs).decision == PROMOTE}


def latency(cell: Cell, name: str, *, runs: int, chunk: int) -> Arrays:
    kind, slower, edges = CASES[name]
    counts, staged = arms.one_step_latency(cell, runs, chunk, edges=edges, k99=slower)
    if kind == COARSE:
        moved = at_the_margin(cell, counts, edges, chunk)
        staged = arms.Staged(cell=cell, shares=(cell.share,), latencies=[moved], edges=arms.seconds(edges))
    policy = Policy(shares=(cell.share,), harm=OUT_OF_REACH, errors=None, quantiles=(0.99,))
    known = {"latency": rollouts.calibrated_latency(cell, runs, edges=edges, quantiles=policy.quantiles)}
    return {"promoted": rollouts.decide(cell, policy, staged, known, runs=runs).decision == PROMOTE}


def at_the_margin(cell: Cell, counts: arms.Latencies, edges: arms.Edges, chunk: int) -> arms.Latencies:
    """Draw the candidate anew so that its share over every edge is 1.5 x stable's + .1 points in every look.

    Stable's share at a look is known from the seed that ``counts`` were drawn with.
    """
    runs = counts.stable.shape[1]
    seed = cell.seed(f"latency {arms.SHIFT} x1", chunk)
    common = arms.common_latency(cell, cell.share, runs, seed)
    stable = norm.sf((np.log(edges[1:-1] / traffic.MED) - common[..., None]) / traffic.SIG)
    over = np.minimum(1.0, 1.5 * stable + 0.001)
    ends = np.ones((*common.shape, 1))
    shares = -np.diff(np.concatenate([ends, over, 0 * ends], axis=-1), axis=-1)
    candidate = np.random.default_rng(seed + 1).multinomial(counts.candidate.sum(axis=-1), shares)
    return arms.Latencies(candidate, counts.stable)


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    found: list[Figure] = []
    for hour in (1, 6):
        for name in RATES:
            found += _column(gathered, ERRORS, size.cells((hour,)), name, f"{hour} h, {name}")
    for name in CASES:
        found += _column(gathered, LATENCY, every(size.judged, look=size.look), name, name)
    return found


def _column(gathered: Gathered, table: str, cells: list[Cell], name: str, column: str) -> list[Figure]:
    rows = [error_rate(table, cell.name, column, gathered["worse", cell, name]["promoted"], LEVEL) for cell in cells]
    return [*rows, mean(table, column, rows, LEVEL)]
