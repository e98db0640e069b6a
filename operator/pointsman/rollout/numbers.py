"""A policy's gates in the numbers of the evidence: margins, error rates, weights, and what is known of stable beforehand."""

from __future__ import annotations

from pointsman.api.rolloutpolicy import LATENCY_SIGNALS, Gate, Limit
from pointsman.api.values import WHOLE
from pointsman.evidence import gate as gates
from pointsman.evidence import model
from pointsman.rollout.policy import Policy
from pointsman.signals import ledger as ledgers


def weights(policy: Policy) -> dict[str, float]:
    """How much each gate's evidence of harm counts in the average."""
    return gates.weights([gate.name for gate in policy.gates])


def gate_numbers(policy: Policy, gate: Gate, ledger: ledgers.Ledger) -> model.Gate:
    """The gate in numbers; the stable arm's counters at first sight are the first guess of its rate."""
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
            history=_latency_history(ledger),
        )
    prior = ledger.prior or (0, 0)
    return model.RateGate(
        tolerance=_margin(tolerance),
        harm=_margin(harm),
        false_rollback=policy.false_rollback,
        false_promotion=policy.false_promotion,
        weight=weight,
        deadline=deadline,
        shares=tuple(sorted({stage.share / WHOLE for stage in policy.stages if stage.share})),
        history=model.RateHistory(requests=prior[-1], bad=prior[0]),
    )


def _latency_history(ledger: ledgers.Ledger) -> model.LatencyHistory:
    if not ledger.prior or len(ledger.prior) != len(ledger.edges) or not ledger.prior[-1]:
        return model.LatencyHistory()
    per_bucket = tuple(count - before for before, count in zip((0, *ledger.prior[:-1]), ledger.prior, strict=True))
    return model.LatencyHistory(edges=ledger.edges, counts=per_bucket)


def _margin(limit: Limit) -> model.Margin:
    return model.Margin(ratio=float(limit.ratio or 1), excess=float(limit.points or 0) / 100)
