"""`pointsman simulate`: what a policy would do at a given traffic, base rate, replica count and regression."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pointsman.api import values
from pointsman.api.gates import SERVING_SIGNALS
from pointsman.cli import profile
from pointsman.cli.faults import InputError
from pointsman.cli.outputs import Form
from pointsman.cli.policyfile import PolicyFile, load
from pointsman.cli.terminal import Terminal
from pointsman.rollout.policy import Policy
from pointsman.simulation import course, forecast
from pointsman.simulation.forecast import Forecast, Prepared
from pointsman.simulation.world import BUCKETS, NOISES, Regression, World

_PART: Final = 400
"""Rollouts that are simulated together: seeds go by part, so that the figures do not depend on the machine's cores."""

_FACTORS: Final = {"errors": "errors", "latency": "latency", "p99": "tail"}
_MOST_LOOKS: Final = 100_000
_MOST_FACTOR: Final = 1000.0
_UNITS: Final = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_SECONDS: Final = re.compile(r"[0-9]*\.?[0-9]+")


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options, as they were written."""

    policy: str
    traffic: float
    base_rate: float
    replicas: int | None
    regressions: tuple[str, ...]
    begins_after: str
    latency_median: str
    latency_p99: str
    buckets: str
    noise: str
    runs: int
    seed: int
    jobs: int
    form: Form
    png: str | None
    plot: bool


def run(request: Request) -> None:
    """Simulate and print.

    Raises:
        InputError: the policy or an option cannot be used.
    """
    file = load(request.policy)
    world = _world(request, file)
    policy = _policy(file, world)
    versions = _versions(request, policy)
    prepared = forecast.prepare(policy, world, runs=request.runs, seed=request.seed)
    found = _forecasts(prepared, versions, request)
    limits = forecast.out_of_reach(prepared)
    png = _png(prepared, found, request.png) if request.png is not None else None
    if request.form is Form.JSON:
        sys.stdout.write(json.dumps(_json(request, prepared, found, limits), indent=2, allow_nan=False) + "\n")
        return
    console = Terminal(highlight=False)
    _print(console, request, prepared, found, limits)
    if request.plot:
        from pointsman.simulation import drawing  # noqa: PLC0415  only where it is asked for

        drawn = drawing.lines(found, prepared.course.deadline)
        console.print(drawing.in_terminal(drawn, width=min(console.width, 110)), markup=False, soft_wrap=True)
    if png is not None:
        console.print(f"The plot is in {png}", markup=False)


def _policy(file: PolicyFile, world: World) -> Policy:
    policy = file.offline(
        file.policy(profile.MEASURED, replicas=world.replicas), signals=SERVING_SIGNALS, done="simulated"
    )
    if not policy.gates or policy.approvals_only:
        raise InputError(
            f"{file.source}: this policy compares nothing, a person decides: add a canary step and gates to simulate it"
        )
    looks, interval = policy.deadline / policy.interval, policy.interval.total_seconds()
    if looks < 1:
        deadline = policy.deadline.total_seconds()
        raise InputError(
            f"{file.source}: a deadline of {deadline:g} s is over before the first look, after {interval:g} s"
        )
    if looks > _MOST_LOOKS:
        raise InputError(
            f"{file.source}: over {_MOST_LOOKS:,} looks fit into the deadline: simulate it with a longer interval"
        )
    return policy


def _world(request: Request, file: PolicyFile) -> World:
    median, p99 = _span("--latency-median", request.latency_median), _span("--latency-p99", request.latency_p99)
    if not 0 < median < p99:
        raise InputError(
            f"--latency-p99 {request.latency_p99}: write more than the median, {request.latency_median}, such as 200ms"
        )
    return World(
        traffic=request.traffic,
        base_rate=request.base_rate / 100,
        replicas=request.replicas or file.replicas or 4,
        median=median,
        shape=math.log(p99 / median) / math.log(99),
        edges=_edges(request.buckets),
        noise=NOISES[request.noise],
    )


def _edges(written: str) -> tuple[float, ...]:
    if not written:
        return BUCKETS
    try:
        edges = sorted({float(edge) for edge in written.split(",")} - {math.inf})
    except ValueError:
        edges = []
    if not edges or not all(0 < edge < math.inf for edge in edges) or len(edges) > 500:  # noqa: PLR2004  native histograms have 160
        raise InputError(f"--buckets {written}: write the edges in seconds, such as 0.05,0.1,0.25,0.5,1")
    return (*edges, math.inf)


def _span(option: str, written: str) -> float:
    """Seconds of `50ms`, `1h30m` or `0.05`."""
    if _SECONDS.fullmatch(written):
        return float(written)
    if not re.fullmatch(values.DURATION.strip("^$"), written):
        raise InputError(f"{option} {written}: write a duration, such as 50ms, 2s or 1h")
    return values.seconds(written).total_seconds()


def _versions(request: Request, policy: Policy) -> list[Regression]:
    """An equal version, and what was asked for; where nothing was, a few of what the policy's gates measure."""
    after = _span("--begins-after", request.begins_after) if request.begins_after else 0.0
    if after >= policy.deadline.total_seconds():
        raise InputError(f"--begins-after {request.begins_after}: that is not before the policy's deadline")
    asked = [_regression(written) for written in request.regressions]
    if not asked:
        signals = {gate.signal for gate in policy.gates}
        if "Errors" in signals:
            asked += [Regression(errors=2), Regression(errors=10)]
        if signals - {"Errors"}:
            asked += [Regression(tail=1.5), Regression(tail=3)]
    worse = [replace(one, after=after) for one in asked if one != Regression()]
    return [Regression(), *dict.fromkeys(worse)]


def _regression(written: str) -> Regression:
    factors: dict[str, float] = {}
    for part in written.split(","):
        name, _, factor = part.strip().partition("=")
        number = factor.strip().removesuffix("x")
        if name.strip() not in _FACTORS or not _SECONDS.fullmatch(number) or not 0 < float(number) <= _MOST_FACTOR:
            raise InputError(
                f"--regression {written}: write errors=2x, latency=1.5x or p99=3x, or several with commas between them"
            )
        factors[_FACTORS[name.strip()]] = float(number)
    if factors.get("tail", 1.0) < 1:
        raise InputError(
            f"--regression {written}: p99 is made slower by a factor above 1; a faster version is latency=0.5x"
        )
    return Regression(**factors)


def _forecasts(prepared: Prepared, versions: Sequence[Regression], request: Request) -> list[Forecast]:
    parts = forecast.split(prepared, _PART)
    tasks = [
        (part, version, (request.seed, 1 + number, index))
        for number, version in enumerate(versions)
        for index, part in enumerate(parts)
    ]
    with _progress() as progress:
        bar = progress.add_task("simulating", total=len(tasks))
        ended = list(_each(tasks, jobs=min(request.jobs, len(tasks)), seen=lambda: progress.advance(bar)))
    return [forecast.joined(ended[begin : begin + len(parts)]) for begin in range(0, len(ended), len(parts))]


_Task = tuple[Prepared, Regression, tuple[int, ...]]


def _each(tasks: Sequence[_Task], *, jobs: int, seen: Callable[[], None]) -> Iterator[Forecast]:
    """The tasks' results in their order."""
    if jobs <= 1:
        for task in tasks:
            yield _one(task)
            seen()
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:  # rich draws in a thread: no fork
        for result in pool.map(_one, tasks):
            yield result
            seen()


def _one(task: _Task) -> Forecast:
    prepared, version, seed = task
    return forecast.run(prepared, version, seed=seed)


def _progress() -> Progress:
    """On stderr, and only where a person looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print(console: Console, request: Request, prepared: Prepared, found: Sequence[Forecast], limits: str) -> None:
    world, policy = prepared.world, prepared.policy
    steps = ", ".join(f"{100 * stage.share:g} %" for stage in prepared.course.stages)
    console.print(
        f"{request.policy}: steps {steps}; gates {', '.join(gate.name for gate in policy.gates)}; a look every"
        f" {_time(prepared.course.interval)}; deadline {_time(prepared.course.deadline)}, then {policy.when_undecided}",
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"{world.traffic:g} requests a second, {100 * world.base_rate:g} % fail, {world.replicas} replicas, noise"
        f" {request.noise}; {request.runs} rollouts of each version, seed {request.seed}",
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in (
        "version",
        "pro-\nmoted",
        "rolled\nback",
        "unde-\ncided",
        "to promote",
        "to roll back",
        "requests\nexposed",
    ):
        table.add_column(name, justify="left" if name == "version" else "right", no_wrap=True)
    for one in found:
        table.add_row(
            one.regression.name,
            _percent(one.chance(course.PROMOTE)),
            _percent(one.chance(course.ROLLBACK)),
            _percent(one.chance(course.HOLD)),
            _times(one, course.PROMOTE),
            _times(one, course.ROLLBACK),
            f"{one.exposed.mean():,.0f}",
        )
    console.print(table)
    console.print(
        f"Chances are right within {_error(request.runs)} points (two standard errors at most); times: the median, and in"
        " brackets when nine of ten are over; requests: what the candidate has served by then, the mean.",
        style="dim",
        soft_wrap=True,
    )
    for note in _notes(prepared, found, limits):
        console.print(note, markup=False, soft_wrap=True)


def _notes(prepared: Prepared, found: Sequence[Forecast], limits: str) -> Iterator[str]:
    if limits:
        yield f"At this traffic {limits}."
    if any(one.chance(course.HOLD) for one in found):
        meaning = {
            "Hold": "the share stays, and the rollout waits for proof or a person",
            "Rollback": "they are rolled back then",
            "Promote": "they are promoted then, unproven",
        }[prepared.policy.when_undecided]
        yield f"Undecided at the deadline, whenUndecided: {prepared.policy.when_undecided}: {meaning}."
    signals = {gate.signal for gate in prepared.policy.gates}
    for one in found:
        slower = one.regression.latency != 1 or one.regression.tail != 1
        unseen = (slower and signals == {"Errors"}) or (one.regression.errors != 1 and "Errors" not in signals)
        if unseen:
            yield f"No gate of this policy measures what is worse in `{one.regression.name}`."


def _json(request: Request, prepared: Prepared, found: Sequence[Forecast], limits: str) -> dict[str, Any]:
    return {
        "traffic": request.traffic,
        "baseRate": request.base_rate,
        "replicas": prepared.world.replicas,
        "noise": request.noise,
        "runs": request.runs,
        "seed": request.seed,
        "deadline": prepared.course.deadline,
        "whenUndecided": prepared.policy.when_undecided,
        "outOfReach": limits or None,
        "versions": [
            {
                "name": one.regression.name,
                "promoted": one.chance(course.PROMOTE),
                "rolledBack": one.chance(course.ROLLBACK),
                "undecided": one.chance(course.HOLD),
                "secondsToPromote": {"median": one.time(course.PROMOTE, 0.5), "p90": one.time(course.PROMOTE, 0.9)},
                "secondsToRollBack": {"median": one.time(course.ROLLBACK, 0.5), "p90": one.time(course.ROLLBACK, 0.9)},
                "requestsExposed": float(one.exposed.mean()),
            }
            for one in found
        ],
    }


def _png(prepared: Prepared, found: Sequence[Forecast], written: str) -> Path:
    from pointsman.simulation import drawing  # noqa: PLC0415  only where it is asked for

    path = Path(written)
    world = prepared.world
    title = f"{world.traffic:g} requests/s, {100 * world.base_rate:g} % fail, {world.replicas} replicas"
    try:
        drawing.to_png(drawing.lines(found, prepared.course.deadline), path, title=title)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"--png {written}: cannot be written: {reason}") from error
    return path


def _error(runs: int) -> str:
    """Two standard errors at worst."""
    return f"{100 / math.sqrt(runs):.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def _times(one: Forecast, decision: int) -> str:
    """The median and the 90 % quantile, in one unit."""
    median, most = one.time(decision, 0.5), one.time(decision, 0.9)
    if median is None or most is None:
        return "-"
    size, unit = next(((size, unit) for size, unit in _UNITS if most >= 2 * size), _UNITS[-1])
    return f"{median / size:.3g} ({most / size:.3g}) {unit}"


def _time(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"
