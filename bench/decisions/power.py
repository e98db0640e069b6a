"""How soon harm is found and at what cost, how often an equal version is promoted: one step at the cell's share, one gate.

Beside our decisions stand the margin e-process without hardening (design/evidence.md's figures; where it gives none, our own
implementation on the same arrays) and the rules in use elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.decisions import arms, rollouts, rules, unhardened
from bench.decisions.cells import Cell, every
from bench.decisions.report import Figure, median_found
from bench.decisions.rollouts import PROMOTE, Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split
from pointsman.evidence.model import Noise

ALPHA = 0.05
FINE = arms.classic(2 ** (1 / 8), first=20.0, last=2000.0)
Cases = tuple[float, float, float, float, float, float]
_ORDER = tuple((cell.rps, cell.share) for cell in every(["iid"]))
X2_FOUND: Cases = (0.30, 0.90, 0.98, 1.0, 1.0, 1.0)
SECONDS: dict[str, Cases] = {
    "failures x2": (1685, 1400, 720, 170, 100, 30),
    "failures x10": (240, 80, 40, 20, 10, 10),
    "p99 x3": (510, 150, 70, 20, 20, 10),
}
PROMOTED: dict[int, Cases] = {1: (0.13, 0.59, 0.91, 1.0, 1.0, 1.0), 6: (0.72, 1.0, 1.0, 1.0, 1.0, 1.0)}
SLACK = {"failures x2": (2.0, 0.0), "p99 x1.5": (2.0, 0.0), "failures x10": (1.6, 30.0), "p99 x3": (1.6, 30.0)}
"""By which factor, or by how many seconds if that is more, we may be slower than the unhardened figure."""
RATIOS = {"failures x2": 2.0, "failures x10": 10.0}
TAILS = {"p99 x1.5": 1.5, "p99 x3": 3.0}
OURS = {"harm 1, 5 %": (1.0, ALPHA), "harm 1.25, 1 % (defaults)": (1.25, 0.01)}
POWER = "Harm found: "
PROMOTIONS = "Promoted given equal, one step, errors"
EXPOSED = "Candidate requests exposed until rollback, mean, misses counted to the end: "
NOTES = {
    **{f"{POWER}{name}": "share found within 1 h, and median seconds of those" for name in SLACK},
    PROMOTIONS: "phi 1 and tau 0 given, and calibrated beside it; within 1 h and 6 h",
    **{
        f"{EXPOSED}{name}": "judged against the least of the rules that roll back an equal version in less than 20 % of runs in that cell"
        for name in RATIOS
    },
}


def jobs(size: Size) -> list[Job]:
    n = size.power_runs
    return [
        *(
            job
            for cell in every(size.printed)
            for name in RATIOS
            for job in split(("found", cell, name), failures, n, cell=cell, ratio=RATIOS[name])
        ),
        *(
            job
            for cell in every(size.judged)
            for name in TAILS
            for job in split(("found", cell, name), tail, n, cell=cell, k99=TAILS[name])
        ),
        *(
            job
            for cell in every(size.printed, hours=(1, 6))
            for job in split(("promoted", cell), promoted, n, cell=cell)
        ),
        *(job for cell in every(size.printed) for job in split(("false", cell), false_rollbacks, n, cell=cell)),
    ]


def failures(cell: Cell, ratio: float, *, runs: int, chunk: int) -> Arrays:
    counts, staged = arms.one_step(cell, runs, chunk, ratio=ratio)
    known = {"errors": rollouts.calibrated_rates(cell, runs)}
    found: Arrays = {"unhardened": _seconds(cell, unhardened.rates(counts, ALPHA))}
    for name, (harm, level) in OURS.items():
        policy = Policy(shares=(cell.share,), harm=harm, false_rollback=level, latency=None)
        found[name] = rollouts.found_after(rollouts.decide(cell, policy, staged, known, runs=runs))
        found[f"exposed {name}"] = exposed(cell, counts, found[name])
    for name, rule in rules.RULES.items():
        found[f"exposed {name}"] = exposed(cell, counts, _seconds(cell, rule(counts, cell.interval)))
    return found


def tail(cell: Cell, k99: float, *, runs: int, chunk: int) -> Arrays:
    counts, staged = arms.one_step_latency(cell, runs, chunk, edges=FINE, shape=arms.TAIL, k99=k99)
    known = {"latency": rollouts.calibrated_latency(cell, runs, edges=FINE)}
    found: Arrays = {"unhardened": _seconds(cell, unhardened.latencies(counts, FINE, ALPHA))}
    for name, (harm, level) in OURS.items():
        policy = Policy(shares=(cell.share,), harm=harm, false_rollback=level, errors=None)
        found[name] = rollouts.found_after(rollouts.decide(cell, policy, staged, known, runs=runs))
    return found


def promoted(cell: Cell, *, runs: int, chunk: int) -> Arrays:
    _, staged = arms.one_step(cell, runs, chunk)
    known = rollouts.calibrated_rates(cell, runs)
    policy = Policy(shares=(cell.share,), latency=None)
    return {
        name: rollouts.decide(cell, policy, staged, {"errors": one}, runs=runs).decision == PROMOTE
        for name, one in {"given": replace(known, noise=Noise()), "calibrated": known}.items()
    }


def false_rollbacks(cell: Cell, *, runs: int, chunk: int) -> Arrays:
    counts, _ = arms.one_step(cell, runs, chunk)
    return {name: rule(counts, cell.interval) < cell.looks for name, rule in rules.RULES.items()}


def exposed(cell: Cell, counts: arms.Rates, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return candidate requests until the rollback, to the end where there is none, (R,)."""
    total = np.cumsum(counts.candidate, axis=0)
    looks = np.where(np.isfinite(seconds), np.nan_to_num(seconds, posinf=0) / cell.interval, cell.looks)
    return np.asarray(total[np.rint(looks).astype(int) - 1, np.arange(total.shape[1])])


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    return [*_found(gathered, size), *_promoted(gathered, size), *_exposed(gathered, size)]


def _found(gathered: Gathered, size: Size) -> list[Figure]:
    figures: list[Figure] = []
    for case, (factor, seconds) in SLACK.items():
        for cell in every(size.printed if case in RATIOS else size.judged):
            place, runs = _ORDER.index((cell.rps, cell.share)), gathered["found", cell, case]
            plain = runs["unhardened"]
            least = X2_FOUND[place] if case == "failures x2" else float(np.mean(np.isfinite(plain)))
            usual = SECONDS[case][place] if case in SECONDS else median_found(plain)
            most = max(factor * usual, usual + seconds)
            for name in ("unhardened", *OURS):
                judged = cell.noise in size.judged and name in OURS and OURS[name][1] == ALPHA
                table, row = f"{POWER}{case}", cell.name
                figures += [
                    Figure(
                        table=table,
                        row=row,
                        column=f"{name}: found",
                        value=float(np.mean(np.isfinite(runs[name]))),
                        target=least - 0.05 if judged else None,
                        sense=">=",
                    ),
                    Figure(
                        table=table,
                        row=row,
                        column=f"{name}: median",
                        value=median_found(runs[name]),
                        target=most if judged else None,
                        unit="s",
                    ),
                ]
    return figures


def _promoted(gathered: Gathered, size: Size) -> list[Figure]:
    return [
        Figure(
            table=PROMOTIONS,
            row=cell.name,
            column=f"{hour} h, {noise}",
            value=float(np.mean(gathered["promoted", cell][noise])),
            target=PROMOTED[hour][_ORDER.index((cell.rps, cell.share))] - 0.05
            if noise == "given" and cell.noise in size.judged
            else None,
            sense=">=",
        )
        for hour in (1, 6)
        for noise in ("given", "calibrated")
        for cell in every(size.printed, hours=(hour,))
    ]


def _exposed(gathered: Gathered, size: Size) -> list[Figure]:
    figures: list[Figure] = []
    for case in RATIOS:
        for cell in every(size.printed):
            runs = gathered["found", cell, case]
            false = gathered["false", cell]
            means = {name: float(np.mean(runs[f"exposed {name}"])) for name in (*OURS, *rules.RULES)}
            fair = [means[name] for name in rules.RULES if np.mean(false[name]) < 0.2]
            for name, value in means.items():
                judged = name in OURS and OURS[name][1] == ALPHA and fair
                figures.append(
                    Figure(
                        table=f"{EXPOSED}{case}",
                        row=cell.name,
                        column=name,
                        value=value,
                        target=min(fair) if judged else None,
                        unit="requests",
                    )
                )
    return figures


def _seconds(cell: Cell, looks: arms.Integers) -> NDArray[np.float64]:
    """Return the seconds at the end of a look, inf for never."""
    return np.where(looks < cell.looks, (looks + 1.0) * cell.interval, np.inf)
