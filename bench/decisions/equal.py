"""P(rolled back given equal): whole rollouts with all their steps and both gates, and the rules in use elsewhere."""

from __future__ import annotations

import numpy as np

from bench.decisions import arms, rollouts, rules
from bench.decisions.cells import Cell
from bench.decisions.report import Figure, error_rate, mean
from bench.decisions.rollouts import CLASSIC, ROLLBACK, Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split

LEVELS = (0.01, 0.05)
WHOLE = "P(rolled back | equal), the whole rollout"
HARDER = "P(rolled back | equal), errors alone, one step, no promotion before the deadline"
RIVALS = "P(rolled back | equal), rules in use, within 1 h"
NOTES = {
    WHOLE: "steps share/5, share/2, share, 5 min each at least; errors and latency (classic buckets of factor 2), harm 1.25, "
    "calibrated on an hour before; judged: 99 % lower limit of each cell and the mean; looked at every 20 s (quick: 60 s), in 6 h every 2 min (6 min)",
    HARDER: "harm 1.25 judged as above, harm 1 beside it; 1 h",
    RIVALS: "at the constant share, same arrays as above",
}


def jobs(size: Size) -> list[Job]:
    whole = [job for cell in size.cells() for job in split(("equal", cell), whole_rollout, size.error_runs, cell=cell)]
    alone = [
        job
        for cell in size.cells((1,))
        for job in split(("equal alone", cell), errors_alone, size.error_runs, cell=cell, harms=size.harms)
    ]
    return whole + alone


def whole_rollout(cell: Cell, *, runs: int, chunk: int) -> Arrays:
    shares = rollouts.steps(cell.share)
    traffic = arms.Staged(
        cell=cell,
        shares=shares,
        rates=[arms.rates(cell, w, runs, cell.seed(f"errors {k}", chunk)) for k, w in enumerate(shares)],
        latencies=[
            arms.latencies(cell, w, runs, cell.seed(f"latency {k}", chunk), edges=CLASSIC) for k, w in enumerate(shares)
        ],
        edges=arms.seconds(CLASSIC),
    )
    known = {
        "errors": rollouts.calibrated_rates(cell, runs),
        "latency": rollouts.calibrated_latency(cell, runs),
    }
    found: Arrays = {}
    for level in LEVELS:
        ends = rollouts.decide(cell, Policy(shares=shares, false_rollback=level), traffic, known, runs=runs)
        found[f"{level}"] = ends.decision
    return found


def errors_alone(cell: Cell, harms: tuple[float, ...], *, runs: int, chunk: int) -> Arrays:
    counts, traffic = arms.one_step(cell, runs, chunk)
    known = {"errors": rollouts.calibrated_rates(cell, runs)}
    found: Arrays = {name: rule(counts, cell.interval) < cell.looks for name, rule in rules.RULES.items()}
    for harm in harms:
        for level in LEVELS:
            policy = Policy(shares=(cell.share,), harm=harm, false_rollback=level, latency=None)
            ends = rollouts.decide(cell, policy, traffic, known, runs=runs, promotes=False)
            found[f"{harm} {level}"] = ends.decision == ROLLBACK
    return found


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    found: list[Figure] = []
    for hour in (1, 6):
        cells_of = size.cells((hour,))
        for level in LEVELS:
            column = f"{hour} h, falseRollback {level:.0%}"
            cells = [
                error_rate(WHOLE, cell.name, column, gathered["equal", cell][f"{level}"] == ROLLBACK, level)
                for cell in cells_of
            ]
            found += [*cells, mean(WHOLE, column, cells, level)]
        found += [
            Figure(
                table=WHOLE,
                row=cell.name,
                column=f"{hour} h, promoted at 1%",
                value=float(np.mean(gathered["equal", cell]["0.01"] == rollouts.PROMOTE)),
            )
            for cell in cells_of
        ]
    return found + _alone(gathered, size)


def _alone(gathered: Gathered, size: Size) -> list[Figure]:
    found: list[Figure] = []
    for harm in size.harms:
        for level in LEVELS:
            column, target = f"harm {harm:g}, falseRollback {level:.0%}", level
            cells = [
                error_rate(HARDER, cell.name, column, gathered["equal alone", cell][f"{harm} {level}"], target)
                for cell in size.cells((1,))
            ]
            found += [*cells, mean(HARDER, column, cells, target)]
    for name in rules.RULES:
        cells = [
            error_rate(RIVALS, cell.name, name, gathered["equal alone", cell][name], None) for cell in size.cells((1,))
        ]
        found += [*cells, mean(RIVALS, name, cells, None)]
    return found
