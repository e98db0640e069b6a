"""What a gate says, for people: the verdict alone where it must not change with every look, and the whole sentence."""

from __future__ import annotations

import math

from pointsman.api.modelrevision import Calibration, GateRecord, SliceRecord
from pointsman.evidence import model, words
from pointsman.evidence.replays import SliceVerdict
from pointsman.rollout import thresholds
from pointsman.rollout.weighing import Weighed

_BAD = {"Events": "were bad"}
"""What a bad request did, where it did not fail."""


def explain(weighed: Weighed) -> str:
    """The verdict with what was compared, the counts of both arms, the estimate, the rule, and what is still needed."""
    said = f"{weighed.gate.name}: {weighed.verdict}"
    if weighed.problem is not None:
        said += f", {weighed.problem}"
    if weighed.standing is not None and weighed.gate.threshold is not None:
        seen = thresholds.say(weighed.standing, weighed.gate.threshold)
        return f"{said}: {seen}" if weighed.problem is None else f"{said}; when it was seen last: {seen}"
    if weighed.proof is None or weighed.numbers is None or weighed.verdict == "Unanswerable":
        return said
    tell = words.harm if weighed.verdict == "Harm" else words.standing
    return f"{said}: {tell(weighed.numbers, weighed.proof, bad=_BAD.get(weighed.gate.signal, 'failed'))}"


def brief(weighed: Weighed) -> str:
    """The verdict alone: it changes with the verdict, not with every look."""
    why = weighed.problem or ""
    if weighed.pauses:
        outside = "the query's answer is outside its limits"
        why = f"{outside} as far as it was seen: {why}" if why else outside
    return f"{weighed.gate.name} is {weighed.verdict}" + (f" ({why})" if why else "")


def gate_record(weighed: Weighed) -> GateRecord:
    """The gate for ModelRevision.status."""
    proof = weighed.proof
    calibration = None if weighed.calibration is None else _calibration(weighed.calibration)
    if proof is None:
        return GateRecord(
            name=weighed.gate.name,
            signal=weighed.gate.signal,
            verdict=weighed.verdict,
            calibration=calibration,
            value=None if weighed.standing is None else _number(weighed.standing.value),
            held_since=None if weighed.standing is None else weighed.standing.since,
            message=explain(weighed)[:2048],
        )
    counts = proof.counts
    return GateRecord(
        name=weighed.gate.name,
        signal=weighed.gate.signal,
        verdict=weighed.verdict,
        calibration=calibration,
        candidate_requests=counts.candidate_requests,
        candidate_bad=counts.candidate_bad,
        stable_requests=counts.stable_requests,
        stable_bad=counts.stable_bad,
        estimate=None if proof.aside.estimate is None else _number(proof.aside.estimate),
        interval=None if proof.aside.interval is None else [_number(end) for end in proof.aside.interval],
        harm_evidence=_number(proof.log_harm),
        safety_evidence=_number(proof.log_safe),
        slices=[_slice(one) for one in proof.aside.slices] or None,
        needed_requests=None if proof.needed_requests is None else math.ceil(min(proof.needed_requests, 1e12)),
        message=explain(weighed)[:2048],
    )


def _calibration(known: model.Calibration) -> Calibration:
    rate = isinstance(known.history, model.RateHistory) and known.requests
    return Calibration(
        seconds=round(known.seconds),
        pods=int(known.pods),
        requests=int(known.requests),
        bad=int(known.bad) if isinstance(known.history, model.RateHistory) else None,
        base_rate=_number(100 * int(known.bad) / int(known.requests)) if rate else None,
        dispersion=_number(float(known.noise.phi)),
        pod_spread=_number(float(known.noise.tau)),
        assumed=bool(known.noise.assumed),
    )


def _slice(one: SliceVerdict) -> SliceRecord:
    return SliceRecord(
        name=one.name,
        compared=one.compared,
        disagreed=one.disagreed,
        harm_evidence=_number(one.log_harm),
        safety_evidence=_number(one.log_safe),
    )


def _number(value: float) -> str:
    return f"{value:.4g}"
