"""An equal version on classic buckets, coarse ones and one wide bucket over everything: promoted as often as the errors gate allows."""

from __future__ import annotations

import numpy as np

from bench.decisions import arms, rollouts
from bench.decisions.cells import Cell, every
from bench.decisions.report import Figure
from bench.decisions.rollouts import PROMOTE, Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split

TABLE = "Promoted given equal, one step, 1 h: latency on classic buckets beside errors"
NOTES = {
    TABLE: "p50, p95, p99, tolerance 1.2, calibrated; judged: each gate alone, latency no less often than errors by more than .05; "
    "both: one rollout with both gates on factor 2; looked at as in the first table"
}
EDGES = {
    **{f"factor {factor:g}": arms.classic(factor) for factor in (1.3, 1.6, 2.0, 2.5)},
    "under the first edge": arms.classic(2.0, first=2000.0),
}


def jobs(size: Size) -> list[Job]:
    return [
        job
        for cell in every(size.judged, look=size.look)
        for job in split(("classic", cell), promoted, size.power_runs, cell=cell)
    ]


def promoted(cell: Cell, *, runs: int, chunk: int) -> Arrays:
    counts, staged = arms.one_step(cell, runs, chunk)
    known = {"errors": rollouts.calibrated_rates(cell, runs)}
    alone = rollouts.decide(cell, Policy(shares=(cell.share,), latency=None), staged, known, runs=runs)
    found: Arrays = {"errors": alone.decision == PROMOTE}
    for name, edges in EDGES.items():
        histograms, staged = arms.one_step_latency(cell, runs, chunk, edges=edges)
        latency = {"latency": rollouts.calibrated_latency(cell, runs, edges=edges)}
        ends = rollouts.decide(cell, Policy(shares=(cell.share,), errors=None), staged, latency, runs=runs)
        found[name] = ends.decision == PROMOTE
        if name == "factor 2":
            both = arms.Staged(
                cell=cell, shares=(cell.share,), rates=[counts], latencies=[histograms], edges=arms.seconds(edges)
            )
            ends = rollouts.decide(cell, Policy(shares=(cell.share,)), both, known | latency, runs=runs)
            found["both"] = ends.decision == PROMOTE
    return found


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    return [figure for cell in every(size.judged, look=size.look) for figure in _row(cell, gathered["classic", cell])]


def _row(cell: Cell, runs: Arrays) -> list[Figure]:
    errors = float(np.mean(runs["errors"]))
    return [
        Figure(
            table=TABLE,
            row=cell.name,
            column=name,
            value=float(np.mean(runs[name])),
            target=errors - 0.05 if name in EDGES else None,
            sense=">=",
        )
        for name in ("errors", *EDGES, "both")
    ]
