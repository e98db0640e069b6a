"""Harm that begins after an hour of health: 50 requests a second, 20 % of them the candidate's, 2 h."""

from __future__ import annotations

import numpy as np

from bench.decisions import arms, rollouts
from bench.decisions.cells import Cell
from bench.decisions.power import ALPHA, OURS
from bench.decisions.report import Figure
from bench.decisions.rollouts import Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split

TABLE = "Harm that begins after 1 h, errors, median seconds until the rollback"
NOTES = {
    TABLE: "50/s, 20 %, 2 h deadline, not promoted before; of all runs not rolled back in the first hour; judged at harm 1, as the power above"
}
BEGINS = 3600.0
LIMITS = {2.0: 900.0, 10.0: 60.0}


def _cells(size: Size) -> list[Cell]:
    return [Cell(rps=50, share=0.2, noise=noise, hours=2) for noise in size.printed]


def jobs(size: Size) -> list[Job]:
    return [
        job
        for cell in _cells(size)
        for ratio in LIMITS
        for job in split(("late", cell, ratio), harmed, size.power_runs, cell=cell, ratio=ratio)
    ]


def harmed(cell: Cell, ratio: float, *, runs: int, chunk: int) -> Arrays:
    healthy, _ = arms.one_step(cell, runs, chunk)
    then, _ = arms.one_step(cell, runs, chunk, ratio=ratio)
    counts = arms.late(healthy, then, round(BEGINS / cell.interval))
    staged = arms.Staged(cell=cell, shares=(cell.share,), rates=[counts])
    known = {"errors": rollouts.calibrated_rates(cell, runs)}
    found: Arrays = {}
    for name, (harm, level) in OURS.items():
        policy = Policy(shares=(cell.share,), harm=harm, false_rollback=level, latency=None)
        ends = rollouts.decide(cell, policy, staged, known, runs=runs, promotes=False)
        found[name] = rollouts.found_after(ends) - BEGINS
    return found


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    found = []
    for name, (_, level) in OURS.items():
        for ratio, limit in LIMITS.items():
            for cell in _cells(size):
                seconds = gathered["late", cell, ratio][name]
                found.append(
                    Figure(
                        table=TABLE,
                        row=cell.name,
                        column=f"x{ratio:g}, {name}",
                        value=float(np.median(seconds[seconds > 0])),
                        target=limit if cell.noise in size.judged and level == ALPHA else None,
                        unit="s",
                    )
                )
    return found
