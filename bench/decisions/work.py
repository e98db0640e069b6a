"""Work in chunks on both cores: jobs of one key give arrays over runs, which are put together in the order of the chunks."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench.decisions.cells import NOISES, Cell, every

WORKERS = 2
_PROGRESS = Console(stderr=True)
CHUNK = 500
Arrays: TypeAlias = dict[str, NDArray[Any]]
Gathered: TypeAlias = dict[Hashable, Arrays]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is simulated.

    Attributes:
        error_runs: runs a cell of error rates.
        power_runs: runs a cell of everything else.
        beyond_runs: runs a cell of noise that the generator does not have; 0 for none.
        look: seconds between looks in the tables of error rates within 1 h, six times that within 6 h; all else is looked at every 10 s.
        noises: the noises of the cells of 1 h of error rates.
        long: those of the cells of 6 h.
        judged: the noises in which power is judged; latency is tabled for these.
        printed: the noises in which power is printed.
        harms: the harm ratios of the errors gate alone.
    """

    name: str
    error_runs: int
    power_runs: int
    beyond_runs: int
    look: float
    noises: tuple[str, ...]
    long: tuple[str, ...]
    judged: tuple[str, ...]
    printed: tuple[str, ...]
    harms: tuple[float, ...]

    def only(self, noises: Sequence[str]) -> Size:
        """Return the same with these noises only."""
        kept = [tuple(n for n in of if n in noises) for of in (self.noises, self.long, self.judged, self.printed)]
        return replace(self, noises=kept[0], long=kept[1], judged=kept[2], printed=kept[3])

    def cells(self, hours: tuple[int, ...] = (1, 6)) -> list[Cell]:
        """Return the cells of error rates."""
        long = set(hours) - {1}
        return [
            *(every(self.noises, look=self.look) if 1 in hours else []),
            *(every(self.long, hours=long, look=self.look) if long else []),
        ]


FULL = Size(
    name="full",
    error_runs=4000,
    power_runs=1000,
    beyond_runs=500,
    look=20.0,
    noises=NOISES,
    long=NOISES,
    judged=("iid", "realistic"),
    printed=NOISES,
    harms=(1.25, 1.0),
)
QUICK = Size(
    name="quick",
    error_runs=400,
    power_runs=100,
    beyond_runs=0,
    look=60.0,
    noises=NOISES,
    long=("realistic",),
    judged=("realistic",),
    printed=("realistic",),
    harms=(1.25,),
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """``call(runs=..., chunk=..., **given)`` returns arrays whose first axis is the run; ``key`` is where they belong."""

    key: tuple[Hashable, ...]
    call: Callable[..., Arrays]
    runs: int
    chunk: int
    given: dict[str, Any] = field(default_factory=dict)


def split(key: tuple[Hashable, ...], call: Callable[..., Arrays], runs: int, **given: Any) -> list[Job]:
    """Return the jobs of ``runs`` runs, at most ``CHUNK`` each."""
    sizes = [min(CHUNK, runs - done) for done in range(0, runs, CHUNK)]
    return [Job(key=key, call=call, runs=size, chunk=chunk, given=given) for chunk, size in enumerate(sizes)]


def do(jobs: Sequence[Job], workers: int = WORKERS) -> Gathered:
    """Return the arrays of every key."""
    if workers == 1:
        return _together(jobs, [_run(job) for job in jobs])
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = track(pool.map(_run, jobs), "simulating", total=len(jobs), console=_PROGRESS, transient=True)
        return _together(jobs, list(results))


def _run(job: Job) -> Arrays:
    return job.call(runs=job.runs, chunk=job.chunk, **job.given)


def _together(jobs: Sequence[Job], results: Sequence[Arrays]) -> Gathered:
    parts: dict[Hashable, list[Arrays]] = defaultdict(list)
    for job, result in zip(jobs, results, strict=True):
        parts[job.key].append(result)
    return {
        key: {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        for key, chunks in parts.items()
    }
