"""From evidence to verdicts: what every gate of an attempt proves so far, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from pointsman.api.gates import Gate
from pointsman.api.modelrevision import Verdict
from pointsman.api.modelruntime import Metrics
from pointsman.api.values import WHOLE
from pointsman.evidence import gate as gates
from pointsman.evidence import model
from pointsman.evidence.together import Folded
from pointsman.evidence.verdict import GateVerdict
from pointsman.rollout import folding, numbers, thresholds
from pointsman.rollout.policy import Policy
from pointsman.rollout.record import Evidence, GateEvidence
from pointsman.rollout.thresholds import Standing
from pointsman.signals import own, profiles
from pointsman.signals.own import Asked, Names, ThresholdQuestion
from pointsman.signals.profiles import Unanswerable


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What one gate says now."""

    gate: Gate
    verdict: Verdict
    numbers: gates.AnyGate | None = None  # what the gate asks, in numbers
    calibration: model.Calibration | None = None
    proof: GateVerdict | None = None  # None before the first look, or where it cannot be answered
    standing: Standing | None = None  # of a Threshold gate
    problem: str | None = None  # of NoData and Unanswerable: what is missing and what to do

    @property
    def pauses(self) -> bool:
        """Whether the rollout has to stand still until this gate is content."""
        if self.standing is None or self.gate.threshold is None:
            return False
        return thresholds.pauses(self.standing, self.gate.threshold)

    @property
    def required(self) -> bool:
        """Whether promotion waits for it."""
        return self.gate.required is not False


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What all gates say now, and what they say together."""

    gates: tuple[Weighed, ...] = ()
    harmful: tuple[str, ...] = ()
    rule: str = ""

    @property
    def harm(self) -> bool:
        """Whether the candidate is proven harmful."""
        return bool(self.harmful)

    @property
    def required(self) -> tuple[Weighed, ...]:
        """The gates that promotion waits for."""
        return tuple(gate for gate in self.gates if gate.required)

    @property
    def observed(self) -> bool:
        """Whether every required gate has fresh data."""
        return all(gate.verdict != "NoData" for gate in self.required)

    @property
    def safe(self) -> bool:
        """Whether every required gate is proven no worse on this step's evidence."""
        return all(gate.verdict == "Safe" for gate in self.required)

    @property
    def pausing(self) -> tuple[Weighed, ...]:
        """The gates that the rollout stands still for."""
        return tuple(gate for gate in self.gates if gate.pauses)

    def room_for(self, share: int) -> bool:
        """Whether the failures that are not excluded yet would stay inside the tolerance at this share (basis points)."""
        return all(
            gate.proof is not None
            and gate.proof.excess_bound is not None
            and gate.proof.allowed_excess is not None
            and gate.proof.excess_bound * share / WHOLE <= gate.proof.allowed_excess
            for gate in self.required
            if gate.gate.signal == "Errors"
        )


def questions(  # one argument a fact of the rollout
    policy: Policy,
    *,
    stable: Metrics | None,
    candidate: Metrics | None,
    names: Names,
    gateway: str | None,
    routed: bool,
    mirrored: bool = False,
) -> Mapping[str, Asked | Unanswerable]:
    """What the gates of a policy ask of Prometheus, by name.

    While requests are mirrored the runtimes' own counters hold replays, too: what the inspector counts of them is asked
    instead. Answers to mirrored requests are asked for only then, events of users' requests only when there are some.
    """
    profile = profiles.gateway(gateway) if gateway else None
    asked: dict[str, Asked | Unanswerable] = {}
    for gate in policy.gates:
        match gate.signal:
            case "Threshold":
                asked[gate.name] = own.ask_threshold(gate, names)
            case "Agreement" | "PredictionDrift" | "Errors" | "Latency" if mirrored:
                asked[gate.name] = profiles.ask_inspector(gate)
            case "Agreement" | "PredictionDrift":
                pass
            case _ if mirrored:
                pass
            case "Events":
                asked[gate.name] = own.ask_events(gate, names)
            case _:
                asked[gate.name] = profiles.ask(
                    gate, stable=stable, candidate=candidate, gateway=profile, routed=routed
                )
    return asked


def weigh(
    evidence: Evidence | None,
    policy: Policy,
    asked: Mapping[str, Asked | Unanswerable],
    *,
    now: datetime,
    proofs: Mapping[str, Folded] = MappingProxyType({}),
) -> Balance:
    """What every gate proves, and whether all of them together prove harm.

    Args:
        evidence: what is known; None: nothing yet.
        policy: the attempt's.
        asked: what its gates ask, by name.
        now: the time.
        proofs: verdicts that are known from folding, by gate.
    """
    weighed = tuple(
        _weigh_gate(evidence, policy, gate, asked.get(gate.name), now=now, known=proofs.get(gate.name))
        for gate in policy.gates
    )
    crossed = tuple(one.gate.name for one in weighed if one.gate.signal == "Threshold" and one.verdict == "Harm")
    proven = {one.gate.name: one.proof for one in weighed if one.proof is not None}
    if not proven:
        return Balance(gates=weighed, harmful=crossed, rule="Threshold" if crossed else "")
    together = gates.combine(
        proven,
        tested=numbers.tested(policy),
        weights=numbers.weights(policy),
        false_rollback=policy.false_rollback,
    )
    named = tuple(replace(one, verdict="Harm") if one.gate.name in together.harmful else one for one in weighed)
    rule = together.rule or ("Threshold" if crossed else "")
    return Balance(gates=named, harmful=(*together.harmful, *crossed), rule=rule)


def _weigh_gate(
    evidence: Evidence | None,
    policy: Policy,
    gate: Gate,
    asked: Asked | Unanswerable | None,
    *,
    now: datetime,
    known: Folded | None,
) -> Weighed:
    if isinstance(asked, Unanswerable):
        return Weighed(gate=gate, verdict="Unanswerable", problem=asked.reason)
    kept = None if evidence is None else evidence.gates.get(gate.name)
    if kept is None or (asked is None and kept.state is None):
        return _unseen(gate, asked)
    if isinstance(asked, ThresholdQuestion):
        return _weigh_threshold(gate, kept, policy, now=now)
    asks = folding.in_numbers(policy, gate, kept)
    proof, missing = _proof(asks, kept, known)
    if asked is not None:
        missing = missing or kept.problem or _stale(kept.ledger.at, policy, now)
    weighed = Weighed(gate=gate, verdict="Undecided", numbers=asks, proof=proof, calibration=kept.calibration)
    if missing is not None:
        return replace(weighed, verdict="NoData", problem=missing)
    if proof is not None and proof.unanswerable is not None:
        return replace(weighed, verdict="Unanswerable", problem=proof.unanswerable.message)
    return replace(weighed, verdict="Safe") if proof is not None and proof.safe else weighed


def _unseen(gate: Gate, asked: Asked | None) -> Weighed:
    if asked is None:
        return Weighed(gate=gate, verdict="Undecided", problem="this step does not ask it")
    return Weighed(gate=gate, verdict="NoData", problem="no look has been made yet")


def _weigh_threshold(gate: Gate, kept: GateEvidence, policy: Policy, *, now: datetime) -> Weighed:
    standing, limits = kept.standing, gate.threshold
    missing = kept.problem or _stale(None if standing is None else standing.at, policy, now)
    if missing is not None or standing is None or limits is None:
        return Weighed(gate=gate, verdict="NoData", problem=missing, standing=standing)  # it still pauses, if it did
    return Weighed(gate=gate, verdict=thresholds.verdict(standing, limits), standing=standing)


def _proof(asks: gates.AnyGate, kept: GateEvidence, known: Folded | None) -> tuple[GateVerdict | None, str | None]:
    """What the gate's evidence says, or why it cannot be read."""
    if kept.state is None:
        return None, None
    if known is not None and known.state is kept.state:
        return known.verdict, None
    try:
        return gates.verdict(asks, kept.state), None
    except ValueError as unfit:
        return None, f"counts anew: {unfit}"


def _stale(at: datetime | None, policy: Policy, now: datetime) -> str | None:
    if at is None:
        return "no look has been made yet"
    oldest = folding.FRESH_LOOKS * policy.interval
    return f"no look has succeeded for {int(oldest.total_seconds())} s" if now - at > oldest else None
