"""From readings to evidence: folds a look into what every gate of an attempt has seen, every request once or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pointsman.api.gates import COMPARED_SIGNALS, LATENCY_SIGNALS, Gate
from pointsman.evidence import gate as gates
from pointsman.evidence import model
from pointsman.evidence.bins import Bins
from pointsman.evidence.replays import AgreementLook, Histograms, PredictionLook
from pointsman.evidence.together import Fold, Folded
from pointsman.rollout import numbers, slicing, thresholds
from pointsman.rollout.policy import Policy
from pointsman.rollout.record import Evidence, GateEvidence
from pointsman.signals import ledger as ledgers
from pointsman.signals.own import Asked, EventsQuestion, ThresholdQuestion
from pointsman.signals.profiles import PredictionsQuestion, Question, Unanswerable
from pointsman.signals.reading import Answered, Counts, Faulty, Measured, NoData, Past, Reading

HISTORY = timedelta(hours=1)
"""What stable counted for so long before an attempt calibrates its gates."""

FRESH_LOOKS = 3
"""A gate has data as long as its last good look is at most this many intervals old."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look found for one attempt, and what its evidence was before.

    evidence   before the look
    reading    what Prometheus answered
    policy     the attempt's
    asked      what its gates ask, by name
    elapsed    seconds of the deadline used up
    """

    evidence: Evidence
    reading: Reading
    policy: Policy
    asked: Mapping[str, Asked | Unanswerable]
    elapsed: float
    now: datetime


@dataclass(frozen=True)
class _Counted:
    """A gate's evidence with what a look counted, which is still to be folded into what is proven."""

    kept: GateEvidence
    fold: Fold

    def proven(self, after: Folded | ValueError) -> GateEvidence:
        """The gate's evidence after the look."""
        if isinstance(after, ValueError):
            # Evidence of other buckets or other steps, such as a newer operator's: an abort must not wait.
            return replace(self.kept, ledger=ledgers.Ledger(), slices={}, state=None, problem=f"counts anew: {after}")
        return replace(self.kept, state=after.state, problem=None)


@dataclass(frozen=True)
class Looked:
    """An attempt's evidence after a look, and what it proves of each gate that was counted."""

    evidence: Evidence
    proofs: Mapping[str, Folded] = field(default_factory=dict)


def fold(look: Look) -> Looked:
    """One look more. Folding the same reading in twice changes nothing; a gate without data keeps what it has."""
    (after,) = fold_all([look])
    return after


def fold_all(looks: Sequence[Look]) -> list[Looked]:
    """One look more for each of many attempts, as `fold` does; what can be worked out for several at once is."""
    counted = [None if _is_known(look) else _count_look(look) for look in looks]
    pending = [gate for found in counted for gate in (found or {}).values() if isinstance(gate, _Counted)]
    after = iter(gates.fold_all([gate.fold for gate in pending]))
    return [
        Looked(look.evidence) if found is None else _looked(look, found, after)
        for look, found in zip(looks, counted, strict=True)
    ]


def _is_known(look: Look) -> bool:
    """Whether it was folded in before; a later one than now is from before the clock was set back."""
    latest = look.evidence.looked_at
    return latest is not None and look.reading.at <= latest <= look.now


def _looked(look: Look, found: Mapping[str, GateEvidence | _Counted], after: Iterator[Folded | ValueError]) -> Looked:
    """The attempt's evidence; `after` gives the states of what was folded, in its order."""
    anew: dict[str, GateEvidence] = {}
    proofs: dict[str, Folded] = {}
    for name, gate in found.items():
        if isinstance(gate, GateEvidence):
            anew[name] = gate
            continue
        folded = next(after)
        anew[name] = gate.proven(folded)
        if isinstance(folded, Folded):
            proofs[name] = folded
    gates_now = {**look.evidence.gates, **anew}
    return Looked(replace(look.evidence, gates=gates_now, looked_at=min(look.reading.at, look.now)), proofs)


def _count_look(look: Look) -> dict[str, GateEvidence | _Counted]:
    """What the look says of each gate that it asked."""
    found: dict[str, GateEvidence | _Counted] = {}
    policy, reading = look.policy, look.reading
    for gate in policy.gates:
        question = look.asked.get(gate.name)
        if question is None or isinstance(question, Unanswerable):
            continue
        before = _asking(policy, gate, look.evidence.gates.get(gate.name), question)
        answer = reading.gates.get(gate.name, NoData("the look did not ask this gate's question"))
        if isinstance(question, ThresholdQuestion):
            found[gate.name] = _fold_threshold(policy, gate, before, answer, at=reading.at)
        else:
            if needs_past(question):
                before = _calibrated(gate, before, reading.past.get(gate.name))
            found[gate.name] = _count_gate(policy, gate, before, answer, at=reading.at, elapsed=look.elapsed)
    return found


def asked_anew(before: Evidence, after: Evidence) -> bool:
    """Whether a gate asks something else of Prometheus now, because a metric profile was edited."""
    return any(
        name in before.gates and gate.question != before.gates[name].question for name, gate in after.gates.items()
    )


def needs_past(question: Asked) -> bool:
    """Whether what stable counted in the hour before an attempt says anything about the noise of these counts."""
    return isinstance(question, Question | EventsQuestion) and not _of_replays(question)


def uncalibrated(evidence: Evidence | None, names: Iterable[str]) -> bool:
    """Whether one of these gates still has to learn what stable counted in the hour before."""
    return evidence is not None and any(
        (kept := evidence.gates.get(name)) is None or kept.calibration is None for name in names
    )


def next_step(evidence: Evidence, policy: Policy, step: int, *, deadline_test_at: datetime | None = None) -> Evidence:
    """The evidence at the start of a step: safety anew, harm and the nested bound go on; the same step again: unchanged.

    Args:
        evidence: what is known so far.
        policy: the attempt's.
        step: from 1.
        deadline_test_at: of the last step, when the one deadline test is carried out; later pauses do not move it.
    """
    if evidence.step == step:
        return evidence
    anew = {}
    mirrors = policy.stages[step - 1].mirror > 0
    for gate in policy.gates:
        if gate.signal in COMPARED_SIGNALS and not mirrors:
            continue  # no step after this one can prove it: what was proven stays
        kept = evidence.gates.get(gate.name)
        if kept is not None and kept.standing is not None:
            anew[gate.name] = replace(kept, standing=thresholds.next_step(kept.standing))
        if kept is not None and kept.state is not None:
            spec = in_numbers(policy, gate, kept)
            at = None if deadline_test_at is None or not spec.deadline_test else deadline_test_at.timestamp()
            anew[gate.name] = replace(kept, state=gates.next_step(spec, kept.state, deadline_test_at=at))
    return replace(evidence, step=step, gates={**evidence.gates, **anew})


def _asking(policy: Policy, gate: Gate, before: GateEvidence | None, question: Asked) -> GateEvidence:
    """The gate's evidence for this question: another question counts anew, and keeps the harm that is known.

    The hour before the attempt is that of the users' requests, whoever counts in between.
    """
    asks, replays = repr(question), _of_replays(question)
    if before is None:
        return GateEvidence(question=asks, replays=replays)
    if before.question == asks:
        return before
    turns = replays != before.replays
    kept = before.state if not turns or gate.signal not in LATENCY_SIGNALS else None  # histograms of other buckets
    state = None if kept is None else gates.next_step(in_numbers(policy, gate, before), kept)
    return GateEvidence(question=asks, replays=replays, calibration=before.calibration if turns else None, state=state)


def _of_replays(question: Asked) -> bool:
    """Whether the inspector counts."""
    if isinstance(question, Question):
        return question.stable.source == "Inspector"
    return isinstance(question, PredictionsQuestion)


def _calibrated(gate: Gate, before: GateEvidence, past: Past | NoData | None) -> GateEvidence:
    """The gate with what stable counted in the hour before, frozen from its first answer on."""
    if before.calibration is not None:
        return before
    if past is None or isinstance(past, NoData):
        reason = "not asked yet" if past is None else past.reason
        return replace(before, problem=f"stable's last hour is not known: {reason}")
    return replace(before, calibration=numbers.calibrate(gate, past), problem=None)


def in_numbers(policy: Policy, gate: Gate, kept: GateEvidence) -> gates.AnyGate:
    """What a gate asks, in numbers, with what its evidence knows of stable."""
    known = kept.calibration
    if known is not None and kept.replays and gate.signal in LATENCY_SIGNALS:
        known = replace(known, history=model.LatencyHistory())  # stable's, in the runtime's buckets
    return numbers.gate_numbers(policy, gate, known, kept.ledger.edges)


def _fold_threshold(
    policy: Policy, gate: Gate, before: GateEvidence, answer: Answered, *, at: datetime
) -> GateEvidence:
    if gate.threshold is None or not isinstance(answer, Measured):
        return replace(before, problem=answer.reason if isinstance(answer, NoData | Faulty) else "it has no threshold")
    standing = thresholds.fold(before.standing, gate.threshold, answer, at=at, within=FRESH_LOOKS * policy.interval)
    return replace(before, standing=standing, problem=None)


def _count_gate(
    policy: Policy,
    gate: Gate,
    before: GateEvidence,
    counts: Answered,
    *,
    at: datetime,
    elapsed: float,
) -> GateEvidence | _Counted:
    if not isinstance(counts, Counts):
        return replace(before, problem=counts.reason if isinstance(counts, NoData | Faulty) else "nothing was counted")
    if before.calibration is None and gate.signal not in COMPARED_SIGNALS:
        return before
    before = _counted_as(before, counts)
    ledger, increments = _count(policy, gate, before.ledger, counts, at=at, replays=before.replays)
    if isinstance(increments, Faulty):
        return replace(before, problem=increments.reason)
    if increments.edges == (math.inf,):  # no request has made a histogram yet: nothing to compare, nothing missing
        return replace(before, ledger=ledger, problem=None)
    slices, of_slices = slicing.fold(before.slices, counts, known=before.ledger, asked=gate.slices, at=at)
    spec = in_numbers(policy, gate, replace(before, ledger=ledger))
    anew = gate.signal in LATENCY_SIGNALS and before.ledger.edges not in ((), (math.inf,), increments.edges)
    state = gates.start(spec) if before.state is None or anew else before.state
    look = _look(gate, counts, increments, at, elapsed)
    if isinstance(look, AgreementLook):
        look = replace(look, slices=of_slices)
    return _Counted(replace(before, ledger=ledger, slices=slices), Fold(spec, state, look))


def _counted_as(before: GateEvidence, counts: Counts) -> GateEvidence:
    """The gate's evidence for cells of these outputs: for others, or in other bins, the counters are nothing to go on from."""
    outputs = repr(counts.outputs) if counts.outputs else ""
    return before if outputs == before.outputs else replace(before, outputs=outputs, ledger=ledgers.Ledger())


def _count(
    policy: Policy, gate: Gate, ledger: ledgers.Ledger, counts: Counts, *, at: datetime, replays: bool
) -> tuple[ledgers.Ledger, ledgers.Increments | Faulty]:
    """What was counted since the last look; where that cannot be true the ledger stays, so the next look is of both together.

    The inspector leaves out the first requests to each pod by itself.
    """
    if gate.signal != "Events":
        return ledgers.fold(ledger, counts, at=at, warmup=0 if replays else policy.warmup_requests)
    arms = () if ledger.at is None else ((ledger.stable, counts.stable), (ledger.candidate, counts.candidate))
    for known, seen in arms:
        for name, (bad, total) in ((name, pod.cells) for name, pod in seen.pods.items()):
            bad_before, before = known[name].cells if name in known else (0, 0)
            if bad - bad_before > total - before >= 0:
                return ledger, Faulty(
                    f"{bad - bad_before:,} bad events of {total - before:,} since the last look: count an event in `total`"
                    " only when it is known whether it is bad"
                )
    return ledgers.fold(ledger, counts, at=at, warmup=0)


def _look(gate: Gate, counts: Counts, increments: ledgers.Increments, at: datetime, elapsed: float) -> gates.AnyLook:
    stable, candidate = increments.stable, increments.candidate
    if gate.signal in LATENCY_SIGNALS:
        return model.LatencyLook(
            edges=increments.edges,
            candidate=candidate.buckets,
            stable=stable.buckets,
            candidate_pods=max(1, candidate.pods),
            stable_pods=max(1, stable.pods),
            elapsed=elapsed,
            at=at.timestamp(),
        )
    if gate.signal == "Agreement":
        return AgreementLook(
            compared=candidate.requests, disagreed=candidate.failed, elapsed=elapsed, at=at.timestamp()
        )
    if gate.signal == "PredictionDrift":
        return PredictionLook(outputs=_histograms(counts, increments), elapsed=elapsed, at=at.timestamp())
    one_pod = gate.signal == "Events"  # how events are spread over pods is not known
    return model.RateLook(
        candidate_requests=candidate.requests,
        candidate_bad=candidate.failed,
        stable_requests=stable.requests,
        stable_bad=stable.failed,
        candidate_pods=1 if one_pod else max(1, candidate.pods),
        stable_pods=1 if one_pod else max(1, stable.pods),
        elapsed=elapsed,
        at=at.timestamp(),
    )


def _histograms(counts: Counts, increments: ledgers.Increments) -> tuple[Histograms, ...]:
    """Of each output the bins that are its own."""
    stable, candidate = increments.stable.buckets, increments.candidate.buckets
    found, begin = [], 0
    for output in counts.outputs:
        bins = Bins(output.name, edges=output.edges, categories=output.categories)
        own = slice(begin, begin := begin + bins.size)
        found.append(Histograms(bins, candidate=candidate[own], stable=stable[own]))
    return tuple(found)
