"""A policy's gates in the numbers of the evidence: margins, error rates, weights, and what is known of stable beforehand."""

from __future__ import annotations

import bisect

from pointsman.api.gates import LATENCY_SIGNALS, RATE_SIGNALS, SERVING_SIGNALS, Gate, Limit
from pointsman.api.values import WHOLE
from pointsman.evidence import calibration, model
from pointsman.evidence import gate as gates
from pointsman.evidence.replays import AgreementGate, PredictionGate
from pointsman.rollout import slicing
from pointsman.rollout.policy import DEFAULT_AT_LEAST, Policy
from pointsman.signals.reading import LatencyPast, Past


def weights(policy: Policy) -> dict[str, float]:
    """How much each gate's evidence of harm counts in the average; thresholds have no evidence."""
    serving = [gate.name for gate in policy.gates if gate.signal in SERVING_SIGNALS]
    others = [gate.name for gate in policy.gates if gate.signal not in (*SERVING_SIGNALS, "Threshold")]
    return gates.weights(serving, others)


def gate_numbers(
    policy: Policy, gate: Gate, known: model.Calibration | None, edges: tuple[float, ...] = ()
) -> gates.AnyGate:
    """The gate in numbers.

    Args:
        policy: the effective policy of the attempt.
        gate: one of its gates.
        known: what stable's hour before the attempt says; None: not known yet.
        edges: a latency gate's bucket edges that both arms share, () before they are known.
    """
    noise = model.Noise() if known is None else known.noise
    tolerance, harm = gate.tolerance or Limit(), gate.harm or Limit()
    weight = weights(policy)[gate.name]
    deadline = policy.deadline.total_seconds()
    if gate.signal in LATENCY_SIGNALS:
        return model.LatencyGate(
            tolerance=float(tolerance.ratio or 1),
            harm=float(harm.ratio or 1),
            quantiles=tuple(sorted(float(q) for q in gate.quantiles or ())),
            false_rollback=policy.false_rollback,
            false_promotion=policy.false_promotion,
            weight=weight,
            deadline=deadline,
            history=_on_edges(known, edges),
            noise=noise,
            deadline_test=_has_test(gate),
        )
    if gate.signal == "Agreement":
        return AgreementGate(
            allowed=1 - float(gate.at_least or DEFAULT_AT_LEAST) / 100,
            slices=slicing.named(gate.slices),
            false_rollback=policy.false_rollback,
            false_promotion=policy.false_promotion,
            weight=weight,
            deadline=deadline,
        )
    if gate.signal == "PredictionDrift":
        return PredictionGate(
            tolerance=float(tolerance.points or 0) / 100,
            false_rollback=policy.false_rollback,
            false_promotion=policy.false_promotion,
            weight=weight,
            deadline=deadline,
        )
    history = model.RateHistory() if known is None else known.history
    if not isinstance(history, model.RateHistory):
        raise TypeError(f"gate {gate.name} on a rate was calibrated with a histogram")
    return model.RateGate(
        tolerance=_margin(tolerance),
        harm=_margin(harm),
        false_rollback=policy.false_rollback,
        false_promotion=policy.false_promotion,
        weight=weight,
        deadline=deadline,
        shares=tuple(sorted({stage.share / WHOLE for stage in policy.stages if stage.share})),
        history=history,
        noise=noise,
        deadline_test=_has_test(gate),
    )


def tested(policy: Policy) -> list[str]:
    """The gates that have a deadline test."""
    return [gate.name for gate in policy.gates if _has_test(gate)]


def _has_test(gate: Gate) -> bool:
    """Whether harm is a ratio alone: the deadline test knows no points."""
    if gate.signal in RATE_SIGNALS:
        return not float((gate.harm or Limit()).points or 0)
    return gate.signal in LATENCY_SIGNALS


def calibrate(gate: Gate, past: Past) -> model.Calibration:
    """What stable's hour before the attempt says about the noise of a gate's counts."""
    if isinstance(past, LatencyPast):
        quantiles = tuple(sorted(float(q) for q in gate.quantiles or ()))
        return calibration.of_latency(past.edges, past.counts, quantiles=quantiles, interval=past.seconds)
    return calibration.of_rates(past.requests, past.bad, interval=past.seconds)


def _on_edges(known: model.Calibration | None, edges: tuple[float, ...]) -> model.LatencyHistory:
    """Stable's histogram of the hour before on the edges that both arms share, which may be fewer."""
    if known is None or not isinstance(known.history, model.LatencyHistory):
        return model.LatencyHistory()
    had = known.history
    if not edges or had.edges == edges or not set(edges) <= set(had.edges):
        return had
    counts = [0] * len(edges)
    for edge, count in zip(had.edges, had.counts, strict=True):
        counts[bisect.bisect_left(edges, edge)] += int(count)
    return model.LatencyHistory(edges=edges, counts=tuple(counts))


def _margin(limit: Limit) -> model.Margin:
    return model.Margin(ratio=float(limit.ratio or 1), excess=float(limit.points or 0) / 100)
