"""What a gate says, in words a person understands: counts of both arms, the estimate, the bound, what is still needed."""

from __future__ import annotations

import math

from pointsman.api.modelrevision import GateRecord
from pointsman.evidence.model import GateVerdict
from pointsman.rollout.weighing import Weighed


def explain(weighed: Weighed) -> str:
    """One sentence about a gate."""
    name, proof = weighed.gate.name, weighed.proof
    if proof is None:
        return f"{name}: {weighed.verdict}" + (f", {weighed.problem}" if weighed.problem else "")
    compared = _latency(proof) if weighed.gate.signal == "Latency" else _rates(proof)
    return f"{name}: {weighed.verdict}, {compared}{_rule(weighed, proof)}"


def brief(weighed: Weighed) -> str:
    """The verdict alone: it changes with the verdict, not with every look."""
    return f"{weighed.gate.name} is {weighed.verdict}" + (f" ({weighed.problem})" if weighed.problem else "")


def _rates(proof: GateVerdict) -> str:
    counts = proof.counts
    if not counts.candidate_requests:
        return "no requests reached the candidate"
    return (
        f"candidate failed {counts.candidate_bad} of {counts.candidate_requests} requests"
        f" ({_percent(counts.candidate_bad, counts.candidate_requests)}), stable {counts.stable_bad} of"
        f" {counts.stable_requests} ({_percent(counts.stable_bad, counts.stable_requests)}){_estimate(proof)}"
    )


def _latency(proof: GateVerdict) -> str:
    counts = proof.counts
    if not counts.candidate_requests:
        return "no requests reached the candidate"
    worst = min(proof.quantiles, key=lambda one: one.log_safe, default=None)
    where = ""
    if worst is not None and math.isfinite(worst.edge):
        where = f", compared at {_milliseconds(worst.edge)} for p{worst.quantile * 100:g}"
    slower = (
        f"candidate slower in {counts.candidate_bad} of {counts.candidate_requests} requests"
        f" ({_percent(counts.candidate_bad, counts.candidate_requests)}), stable in {counts.stable_bad} of"
        f" {counts.stable_requests} ({_percent(counts.stable_bad, counts.stable_requests)})"
    )
    return f"{slower}{where}{_estimate(proof)}"


def _rule(weighed: Weighed, proof: GateVerdict) -> str:
    """Which bound was reached, or what is still missing."""
    if weighed.verdict == "Harm":
        return f"; proven more than {proof.harm_ratio:g} times as bad (evidence {_factor(proof.log_harm)})"
    if weighed.verdict == "Safe":
        inside = f"{proof.tolerance:g} times" + (
            f" plus {float(weighed.gate.tolerance.points):g} points"
            if weighed.gate.tolerance and weighed.gate.tolerance.points
            else ""
        )
        return f"; proven no worse than {inside} (evidence {_factor(proof.log_safe)})"
    if weighed.verdict == "NoData":
        return f"; no data: {weighed.problem}"
    if weighed.verdict == "Unanswerable":
        return f"; cannot be answered: {weighed.problem}"
    if proof.needed_requests is None:
        return f"; evidence of safety {_factor(proof.log_safe)} of {_factor(proof.safe_level)}"
    wait = "" if proof.needed_seconds is None else f", {_seconds(proof.needed_seconds)}"
    return (
        f"; evidence of safety {_factor(proof.log_safe)} of {_factor(proof.safe_level)}, about"
        f" {math.ceil(proof.needed_requests)} more candidate requests{wait}"
    )


def gate_record(weighed: Weighed) -> GateRecord:
    """The gate for ModelRevision.status."""
    proof = weighed.proof
    if proof is None:
        return GateRecord(
            name=weighed.gate.name, signal=weighed.gate.signal, verdict=weighed.verdict, message=explain(weighed)[:2048]
        )
    counts = proof.counts
    return GateRecord(
        name=weighed.gate.name,
        signal=weighed.gate.signal,
        verdict=weighed.verdict,
        candidate_requests=counts.candidate_requests,
        candidate_bad=counts.candidate_bad,
        stable_requests=counts.stable_requests,
        stable_bad=counts.stable_bad,
        estimate=None if proof.estimate is None else _number(proof.estimate),
        interval=None if proof.interval is None else [_number(end) for end in proof.interval],
        harm_evidence=_number(proof.log_harm),
        safety_evidence=_number(proof.log_safe),
        needed_requests=None if proof.needed_requests is None else math.ceil(min(proof.needed_requests, 1e12)),
        message=explain(weighed)[:2048],
    )


def _estimate(proof: GateVerdict) -> str:
    if proof.estimate is None:
        return ""
    interval = "" if proof.interval is None else f" (95 %: {proof.interval[0]:.2g} to {proof.interval[1]:.2g})"
    return f", {proof.estimate:.2g} times stable's{interval}"


def _percent(part: int, whole: int) -> str:
    return "0 %" if not whole else f"{100 * part / whole:.2g} %"


def _milliseconds(edge: float) -> str:
    return f"{edge * 1000:g} ms"


def _factor(log: float) -> str:
    """An e-value, as betting odds people can read: 1:1 says nothing, 100:1 a lot."""
    return f"{math.exp(min(log, 300)):.3g}:1"


def _seconds(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004  two minutes
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 60)} h"  # noqa: PLR2004  two hours


def _number(value: float) -> str:
    return f"{value:.4g}"
