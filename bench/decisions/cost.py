"""What a look costs: counters of 50 pods to a verdict as the operator does it, and many rollouts in one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.decisions.report import Figure
from pointsman.api.gates import Gate, Signal
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.evidence import gate as gates
from pointsman.evidence.model import Gate as AnyGate
from pointsman.evidence.model import LatencyGate, LatencyLook, Look, RateGate, RateLook
from pointsman.rollout import folding, weighing
from pointsman.rollout import policy as policies
from pointsman.rollout.record import Evidence
from pointsman.signals.profiles import Question, Shape
from pointsman.signals.reading import ArmCounts, Counts, LatencyPast, Past, PodCount, RatePast, Reading

TABLE = "Cost on one core"
NOTES = {TABLE: "processor time, median; one look: counters per pod to ledger, evidence and verdict; 20 buckets"}
EDGES = (*(0.001 * 2**i for i in range(19)), math.inf)
PODS, ROLLOUTS, LOOKS = 50, 1000, 200
START = datetime(2026, 1, 1, tzinfo=UTC)


def figures() -> list[Figure]:
    rng = np.random.default_rng(1)
    signals: tuple[Signal, ...] = ("Errors", "Latency")
    looks = {signal: one_look(signal, rng) for signal in signals}
    batch = _median(_batch(rng), 3)
    return [
        *(
            Figure(
                table=TABLE,
                row=f"one look, {signal} gate, {PODS} pods: {part}",
                column="value",
                value=1000 * seconds,
                target=1.0 if part == "all" else None,
                unit="ms",
            )
            for signal, parts in looks.items()
            for part, seconds in parts.items()
        ),
        Figure(
            table=TABLE,
            row=f"one look of {ROLLOUTS:,} rollouts x 3 gates, one batch",
            column="value",
            value=batch,
            target=2.0,
            unit="s",
        ),
    ]


def one_look(signal: Signal, rng: np.random.Generator) -> dict[str, float]:
    """Return the median seconds of folding a reading into counters and evidence and of weighing the gate, over ``LOOKS`` looks."""
    fields = RolloutFields(gates=[Gate(name="it", signal=signal)])
    policy = policies.resolve(policies.effective(fields, None, None))
    shape = Shape(source="Runtime", signal=signal, metric="requests")
    asked = {"it": Question(gate="it", stable=shape, candidate=shape)}
    evidence = Evidence(revision="candidate", attempt=1, step=1)
    cells = np.zeros((PODS, 2 if signal == "Errors" else len(EDGES)), dtype=np.int64)
    before = _hour_before(signal, rng)
    taken = []
    for look in range(LOOKS + 2):
        grown = rng.poisson(20, cells.shape)
        cells += np.cumsum(grown, axis=1) if signal == "Latency" else np.stack([grown[:, 0] // 20, grown[:, 1]], axis=1)
        at = START + timedelta(seconds=10 * (look + 1))
        reading = Reading(at=at, gates={"it": _counts(signal, cells.tolist(), at)}, past={"it": before})
        began = time.process_time()
        after = folding.fold(
            folding.Look(evidence=evidence, reading=reading, policy=policy, asked=asked, elapsed=10.0 * look, now=at)
        )
        folded = time.process_time()
        weighing.weigh(after.evidence, policy, asked, now=at, proofs=after.proofs)
        ended = time.process_time()
        evidence = after.evidence
        taken.append((ended - began, folded - began, ended - folded))
        if problem := evidence.gates["it"].problem:
            raise RuntimeError(f"the {signal} gate measures nothing: {problem}")
    medians = np.median(taken[2:], axis=0)  # the first look calibrates and is the baseline of the counters
    return dict(zip(("all", "fold", "verdict"), medians.tolist(), strict=True))


def _hour_before(signal: str, rng: np.random.Generator) -> Past:
    names = tuple(f"pod-{i}" for i in range(PODS // 2))
    if signal == "Errors":
        requests = rng.poisson(400, (360, len(names)))
        return RatePast(seconds=10.0, pods=names, requests=requests, bad=rng.binomial(requests, 0.01))
    return LatencyPast(seconds=10.0, pods=names, edges=EDGES, counts=rng.poisson(20, (360, len(names), len(EDGES))))


def _counts(signal: str, cells: list[list[int]], at: datetime) -> Counts:
    pods = {f"pod-{i}": PodCount(started=None, cells=tuple(row)) for i, row in enumerate(cells)}
    names = list(pods)
    arms = [
        ArmCounts(pods={name: pods[name] for name in part}, newest=at)
        for part in (names[: PODS // 2], names[PODS // 2 :])
    ]
    return Counts(edges=() if signal == "Errors" else EDGES, stable=arms[0], candidate=arms[1])


def _batch(rng: np.random.Generator) -> Callable[[], object]:
    errors, latency = RateGate(shares=(0.05, 0.25, 0.5)), LatencyGate()
    candidate, stable = rng.binomial(500, 0.01, (2, ROLLOUTS))
    histograms = rng.poisson(20 * PODS // 2, (2, ROLLOUTS, len(EDGES)))
    rates = RateLook(500, candidate, 500, stable, PODS // 2, PODS // 2, 100.0)
    slower = LatencyLook(EDGES, histograms[0], histograms[1], PODS // 2, PODS // 2, 100.0)
    asked: list[tuple[AnyGate, Look]] = [(errors, rates), (latency, slower), (latency, slower)]
    states = [gates.fold(gate, gates.start(gate, (ROLLOUTS,)), look) for gate, look in asked]

    def fold_and_read() -> object:
        then = [gates.fold(gate, state, look) for (gate, look), state in zip(asked, states, strict=True)]
        return [
            (gates.log_harm(state), gates.log_safe(gate, state)) for (gate, _), state in zip(asked, then, strict=True)
        ]

    return fold_and_read


def _median(call: Callable[[], object], times: int) -> float:
    """Return the median processor time of a call after one that warms up: other load on the machine does not count."""
    call()
    taken = []
    for _ in range(times):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return sorted(taken)[times // 2]
