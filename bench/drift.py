"""Judges the gates on replayed requests and the drift detector: error rates beside what was asked for, time to find beside theory.

python -m bench.drift [--quick] [--only agreement|predictions|detector]      one core; seeded
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal

from bench.decisions.report import Figure, error_rate, median_found, show, write
from bench.lab.figures import RESULTS
from pointsman.evidence import drift, gate, learning
from pointsman.evidence.bins import Bins
from pointsman.evidence.dispersion import ASSUMED
from pointsman.evidence.drift import DriftLook, DriftState, Watch
from pointsman.evidence.margin import HARM_FACTORS, odds_times, one_sample
from pointsman.evidence.model import harm_level, safe_level
from pointsman.evidence.process import FIRST, log_mean
from pointsman.evidence.profile import Profile
from pointsman.evidence.replays import AgreementGate, AgreementLook, Histograms, PredictionGate, PredictionLook

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
EDGES = tuple(float(edge) for edge in normal.ppf(np.arange(1, 10) / 10))
NAMES = ("age", "income", "score")
BINS = tuple(Bins(name, edges=EDGES) for name in NAMES)
LESSON = learning.Lesson(BINS[:2], BINS[2:])
EVERY, DAY, MONTH = 60.0, 86_400.0, 30
BEGIN = 1_763_337_600.0  # a Monday
LOOK, LOOKS, REPLAYED = 10.0, 720, 100  # seconds, looks in two hours, replayed requests a look
AGREEMENT, PREDICTIONS, DETECTOR = "Agreement at least 99 %", "Predictions, tolerance 5 points", "Drift detector"


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    name: str
    rollouts: int
    runs: int
    days: int
    others: int


FULL = Size("full", rollouts=1000, runs=300, days=30, others=60)
QUICK = Size("quick", rollouts=100, runs=30, days=1, others=10)


# ---------------------------------------------------------------- the gates


def rollouts(
    asked: gate.AnyGate, look: Callable[[int], gate.AnyLook], runs: int, until: Literal["harm", "safe", "end"] = "end"
) -> tuple[Numbers, Numbers]:
    """Return the look at which each rollout is Harm and that at which it is Safe, inf for never; and stop when all are ``until``."""
    state, harm, safe = gate.start(asked, (runs,)), np.full(runs, np.inf), np.full(runs, np.inf)
    for i in range(LOOKS):
        state = gate.fold(asked, state, look(i))
        harm = np.where((gate.log_harm(state) >= harm_level(asked)) & np.isinf(harm), i + 1, harm)
        safe = np.where((gate.log_safe(asked, state) >= safe_level(asked)) & np.isinf(safe), i + 1, safe)
        if until != "end" and np.isfinite(harm if until == "harm" else safe).all():
            break
    return harm, safe


def agreeing(
    rng: np.random.Generator, runs: int, share: Sequence[float], cluster: int = 1
) -> Callable[[int], AgreementLook]:
    """Return looks of slices of one size with these shares of different answers, which come ``cluster`` at a time."""

    def look(i: int) -> AgreementLook:
        size = REPLAYED // len(share)
        found = {f"s{k}": (size, cluster * rng.binomial(size // cluster, p, runs)) for k, p in enumerate(share)}
        differ = np.sum([x for _, x in found.values()], axis=0)
        slices = found if len(share) > 1 else {}
        return AgreementLook(size * len(share), differ, slices, elapsed=LOOK * (i + 1))

    return look


def theory(asked: AgreementGate, share: float) -> dict[str, float]:
    """Return the mean looks that it takes to find ``share``, by theory.

    Drift alone: after which the expected log of the mixture is at the level. At most: Lorden's bound of the mean first passage of
    the copy that needs least, overshoot included ("On excess over the boundary", 1970). At least: Wald's, for any test.
    """
    null, level, phi = np.asarray(asked.harm * asked.allowed), harm_level(asked) - math.log(FIRST), ASSUMED
    bad, good = (
        one_sample(np.asarray(1.0), np.asarray(x), null=null, guess=odds_times(null, HARM_FACTORS)) / phi
        for x in (1.0, 0.0)
    )
    drift_, spread = share * bad + (1 - share) * good, share * (1 - share) * (bad - good) ** 2
    requests = np.arange(1, 100_000)
    mixture = int(np.argmax(log_mean(requests[:, None] * drift_) >= level))
    mean, square = REPLAYED * drift_, REPLAYED * spread + (REPLAYED * drift_) ** 2
    passage = (level + math.log(len(HARM_FACTORS)) + square / mean) / mean
    divergence = share * math.log(share / float(null)) + (1 - share) * math.log((1 - share) / (1 - float(null)))
    return {
        "by theory, drift alone": requests[mixture] / REPLAYED,
        "by theory, mean at most": float(np.min(passage[mean > 0])),
        "by theory, any test at least": math.log(1 / asked.false_rollback) / divergence / REPLAYED,
    }


def agreement(size: Size) -> list[Figure]:
    rng, runs = np.random.default_rng(1), size.rollouts
    plain, sliced = AgreementGate(), AgreementGate(slices=10)
    figures = []
    for name, asked, shares, cluster in (
        ("just 99 % agree", plain, [0.01], 1),
        ("just 99 % agree, differing two at a time", plain, [0.01], 2),
        ("just 99 % agree, differing four at a time (more than is assumed)", plain, [0.01], 4),
        ("just 99 % agree in each of 10 slices", sliced, [0.01] * 10, 1),
        ("one slice of 10 just over, the others alike", sliced, [0.0101] + [0.0] * 9, 1),
    ):
        harm, safe = rollouts(asked, agreeing(rng, runs, shares, cluster), runs)
        inside, promised = max(shares) <= plain.allowed, cluster < 4
        figures += [
            error_rate(
                AGREEMENT, name, "harmful", np.isfinite(harm), asked.false_rollback if inside and promised else None
            ),
            error_rate(AGREEMENT, name, "safe", np.isfinite(safe), asked.false_promotion if promised else None),
        ]
    harm, _ = rollouts(plain, agreeing(rng, runs, [0.03]), runs, "harm")
    known = theory(plain, 0.03)
    for column, value, target in (
        ("looks to find, mean", float(harm.mean()), known["by theory, mean at most"]),
        ("median", median_found(harm), None),
        *((column, value, None) for column, value in known.items()),
    ):
        figures.append(
            Figure(table=AGREEMENT, row="97 % agree", column=column, value=value, target=target, unit="looks")
        )
    figures.append(
        Figure(
            table=AGREEMENT,
            row="97 % agree",
            column="harmful",
            value=float(np.isfinite(harm).mean()),
            target=0.99,
            sense=">=",
        )
    )
    harm, _ = rollouts(sliced, agreeing(rng, runs, [0.03] + [0.0] * 9), runs, "harm")
    row = "97 % agree in one slice of 10, all in the others"
    figures += [
        Figure(table=AGREEMENT, row=row, column="looks to find, mean", value=float(harm.mean()), unit="looks"),
        Figure(table=AGREEMENT, row=row, column="median", value=median_found(harm), unit="looks"),
    ]
    _, safe = rollouts(plain, agreeing(rng, runs, [0.001]), runs, "safe")
    row = "99.9 % agree"
    figures += [
        Figure(table=AGREEMENT, row=row, column="safe", value=float(np.isfinite(safe).mean()), target=0.95, sense=">="),
        Figure(table=AGREEMENT, row=row, column="looks to prove, median", value=median_found(safe), unit="looks"),
    ]
    return figures


def predicting(rng: np.random.Generator, runs: int, *, moved: float, alike: float) -> Callable[[int], PredictionLook]:
    """Return looks of normal scores, the candidate's ``moved`` standard deviations up and correlated ``alike`` with stable's."""

    def binned(scores: Numbers) -> Integers:
        flat = np.searchsorted(EDGES, scores) + 10 * np.arange(runs)[:, None]
        return np.bincount(flat.ravel(), minlength=10 * runs).reshape(runs, 10)

    def look(i: int) -> PredictionLook:
        stable = rng.normal(size=(runs, REPLAYED))
        candidate = alike * stable + math.sqrt(1 - alike**2) * rng.normal(size=(runs, REPLAYED)) + moved
        return PredictionLook((Histograms(BINS[2], binned(candidate), binned(stable)),), elapsed=LOOK * (i + 1))

    return look


def predictions(size: Size) -> list[Figure]:
    rng, runs, asked = np.random.default_rng(2), size.rollouts // 10, PredictionGate()
    line = 2 * float(normal.ppf(0.5 + asked.tolerance / 2))  # its largest tail moves by the tolerance, halfway between
    figures = []
    for alike in (0.0, 0.9):
        row = f"the arms' scores correlate {alike:g}: "
        harm, safe = rollouts(asked, predicting(rng, runs, moved=line, alike=alike), runs)
        figures += [
            error_rate(PREDICTIONS, f"{row}moved by the tolerance", "harmful", np.isfinite(harm), asked.false_rollback),
            error_rate(PREDICTIONS, f"{row}moved by the tolerance", "safe", np.isfinite(safe), asked.false_promotion),
        ]
        harm, _ = rollouts(asked, predicting(rng, runs, moved=0.25, alike=alike), runs, "harm")
        _, safe = rollouts(asked, predicting(rng, runs, moved=0.0, alike=alike), runs, "safe")
        figures += [
            Figure(
                table=PREDICTIONS,
                row=f"{row}moved by .25 sd",
                column="looks to find, median",
                value=median_found(harm),
                unit="looks",
            ),
            Figure(
                table=PREDICTIONS,
                row=f"{row}equal",
                column="looks to prove, median",
                value=median_found(safe),
                unit="looks",
            ),
        ]
    return figures


# ---------------------------------------------------------------- the detector


class Traffic:
    """Live counts of many versions: 300 requests a minute, values that follow a day and a weekend, and hours that wander."""

    def __init__(self, seed: int, runs: int, *, wander: float = 0.0) -> None:
        self.rng, self.runs, self.at = np.random.default_rng(seed), runs, BEGIN
        self._day = self.rng.uniform(0.1, 0.4, (3, runs))  # amplitudes in standard deviations
        self._weekend = self.rng.uniform(-0.2, 0.2, (3, runs))
        self._wander, self._off = wander, np.zeros((3, runs))
        self._counts = np.zeros((3, runs, len(EDGES) + 1), dtype=np.int64)

    def look(self, seconds: float = EVERY, moved: Sequence[float] = (0.0, 0.0, 0.0)) -> DriftLook:
        """Return the counts after some more seconds, the three values moved by these standard deviations."""
        days = (self.at - BEGIN) / DAY
        stays = math.exp(-seconds / 3600)
        self._off = stays * self._off + self._wander * math.sqrt(1 - stays**2) * self.rng.normal(size=self._off.shape)
        middle = self._day * math.sin(2 * math.pi * days) + self._weekend * (days % 7 >= 5) + self._off
        under = normal.cdf(np.array(EDGES) - (middle + np.array(moved)[:, None])[..., None])
        full = np.concatenate([np.zeros((*middle.shape, 1)), under, np.ones((*middle.shape, 1))], axis=-1)
        requests = self.rng.poisson(300 * seconds / 60 * (1 + 0.5 * math.sin(2 * math.pi * days)), self.runs)
        self._counts += self.rng.multinomial(requests, np.diff(full, axis=-1))
        self.at += seconds
        named = dict(zip(NAMES, self._counts.copy(), strict=True))
        return DriftLook(self.at, {name: named[name] for name in NAMES[:2]}, {NAMES[2]: named[NAMES[2]]})


def learnt(traffic: Traffic) -> Watch:
    """Return the watch after a week, one false alarm in 30 days wanted."""
    state = learning.start(LESSON, (traffic.runs,))
    while not learning.complete(state):
        state = learning.fold(LESSON, state, traffic.look(600.0))
    return drift.watching(*learning.profiles(LESSON, state), tolerance=0.03, looks=MONTH * DAY / EVERY)


def watched(watch: Watch, traffic: Traffic, minutes: int) -> tuple[DriftState, Integers]:
    """Return the state after quiet minutes, and how many alarms each run had."""
    state = drift.start(watch, (traffic.runs,))
    alarms, before = np.zeros(traffic.runs, dtype=np.int64), drift.drifted(state)
    for _ in range(minutes):
        state = drift.fold(watch, state, traffic.look())
        now = drift.drifted(state)
        alarms, before = alarms + (now & ~before), now
    return state, alarms


def found(watch: Watch, traffic: Traffic, moved: Sequence[float], minutes: int = 120) -> Numbers:
    """Return the minutes until a shift is found, begun after a quiet hour at every third hour of a day, inf for never."""
    out = []
    for _ in range(8):
        state, _ = watched(watch, traffic, 60)
        took = np.full(traffic.runs, np.inf)
        for i in range(minutes):
            state = drift.fold(watch, state, traffic.look(moved=moved))
            took = np.where(drift.drifted(state) & np.isinf(took), i + 1, took)
        out.append(took)
    return np.concatenate(out)


def detector(size: Size) -> list[Figure]:
    figures = []
    shares = size.days / MONTH
    for name, seed, wander, runs in (
        ("learnt by the hour, daily and weekly cycle", 3, 0.0, size.runs),
        ("the same, and hours wander by .03 sd", 4, 0.03, size.others),
    ):
        traffic = Traffic(seed, runs, wander=wander)
        watch = learnt(traffic)
        _, alarms = watched(watch, traffic, int(size.days * DAY / EVERY))
        column = "false alarms in a wanted interval"
        rate = float(alarms.mean()) / shares
        figures.append(Figure(table=DETECTOR, row=name, column=column, value=rate, target=1.0, unit="alarms"))
        for moved, what, target in (
            ((0.25, 0, 0), "one input", 10.0),
            ((0.25, 0.25, 0.25), "all", None),
            ((0.5, 0, 0), "one input by .5", None),
        ):
            column = f"minutes to find {what if 'by' in what else what + ' by .25'} sd, median"
            median = float(np.median(found(watch, traffic, moved)))
            judged = target if not wander else None
            figures.append(Figure(table=DETECTOR, row=name, column=column, value=median, target=judged, unit="minutes"))
    figures.append(overall(size))
    return figures


def overall(size: Size) -> Figure:
    """Return what becomes of the promise where a reference without hours is held against a daily cycle."""
    traffic = Traffic(5, size.others)
    first, last = traffic.look(), traffic.look()
    for _ in range(7 * 144):
        last = traffic.look(600.0)
    profiles = [
        Profile(bins, (np.asarray(one[bins.name]) - np.asarray(was[bins.name]))[:, None, :])
        for bins, one, was in zip(
            BINS,
            (last.features, last.features, last.predictions),
            (first.features, first.features, first.predictions),
            strict=True,
        )
    ]
    watch = drift.watching(profiles[:2], profiles[2:], tolerance=0.03, looks=MONTH * DAY / EVERY)
    days = min(size.days, 7)
    _, alarms = watched(watch, traffic, int(days * DAY / EVERY))
    return Figure(
        table=DETECTOR,
        row="a reference without hours, on the same cycle",
        column="false alarms in a wanted interval",
        value=float(alarms.mean()) * MONTH / days,
        unit="alarms",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the tables and write bench/results; 1 where a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    tables = {"agreement": agreement, "predictions": predictions, "detector": detector}
    parser.add_argument("--only", choices=tables, help="one of the tables")
    asked = parser.parse_args(argv)
    size = QUICK if asked.quick else FULL
    began = time.monotonic()
    figures = [figure for name, table in tables.items() if asked.only in (None, name) for figure in table(size)]
    notes = {
        AGREEMENT: f"{size.rollouts} rollouts of two hours, {REPLAYED} replayed requests each {LOOK:g} s; harmful allowed 1 %, safe 5 %",
        DETECTOR: f"{size.runs} runs of {size.days} days after a week, 300 requests a minute, an alarm in {MONTH} days wanted; two inputs, a prediction",
    }
    show(figures, notes)
    print(f"{size}, {time.monotonic() - began:.0f} s")
    write(figures, RESULTS / f"{asked.only or 'drift'}_{size.name}.json")
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
