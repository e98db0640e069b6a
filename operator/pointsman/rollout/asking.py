"""What a step, a promotion and the deadline still ask of the gates: for rollouts in the cluster and for recorded ones alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointsman.api.gates import COMPARED_SIGNALS
from pointsman.api.values import percent
from pointsman.rollout import wording
from pointsman.rollout.policy import Policy
from pointsman.rollout.weighing import Balance


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """What `whenUndecided` makes of a deadline without a verdict, and what is said."""

    rules: Literal["Hold", "Rollback", "Promote"]
    message: str


def no_room(balance: Balance, policy: Policy, share: int) -> str | None:
    """Why the next share (basis points) is not safe yet; None: it is."""
    if balance.pausing:
        return stands_still(balance)
    required = [gate for gate in balance.required if gate.gate.signal == "Errors"]
    if required:
        short = [gate for gate in required if not Balance(gates=(gate,)).room_for(share)]
        return f"not enough evidence for {percent(share)} % yet: {wording.brief(short[0])}" if short else None
    counted = max((gate.proof.step_counts.candidate_requests for gate in balance.gates if gate.proof), default=None)
    if counted is not None and counted < policy.warmup_requests:
        return f"fewer than {policy.warmup_requests} candidate requests counted in this step"
    return None


def unproven(balance: Balance) -> str | None:
    """Which required gates are not Safe yet; None: all are."""
    if balance.pausing:
        return stands_still(balance)
    lacking = [gate for gate in balance.required if gate.verdict != "Safe"]
    return "waiting for proof: " + "; ".join(wording.brief(gate) for gate in lacking) if lacking else None


def stands_still(balance: Balance) -> str:
    """Which gates the rollout waits for, however much is proven."""
    return "standing still: " + "; ".join(wording.brief(gate) for gate in balance.pausing)


def unproven_answers(balance: Balance) -> str | None:
    """Which required gates that compare answers are not Safe yet: no later step can ask them; None: all are."""
    lacking = [gate for gate in balance.required if gate.gate.signal in COMPARED_SIGNALS and gate.verdict != "Safe"]
    return "waiting for proof: " + "; ".join(wording.brief(gate) for gate in lacking) if lacking else None


def missing(balance: Balance) -> str:
    """Which required gates have no data, and why."""
    return "; ".join(f"{gate.gate.name}: {gate.problem}" for gate in balance.required if gate.verdict == "NoData")


def proof(balance: Balance) -> str:
    """What a promotion rests on."""
    return "; ".join(wording.explain(gate) for gate in balance.gates) or "no gate was asked"


def overdue(balance: Balance, policy: Policy, *, held: bool) -> Overdue | None:
    """What the first look after the deadline leads to; None: nothing is undecided, or data is missing, which always holds.

    Args:
        balance: what the look says.
        policy: the attempt's.
        held: whether the step's hold was over at that look: what had no time to show anything is not promoted yet.
    """
    undecided = [gate for gate in balance.required if gate.verdict in ("Undecided", "Unanswerable")]
    if not balance.observed or not undecided:
        return None
    said = f"no verdict within the deadline, and whenUndecided is {policy.when_undecided}"
    answerable = all(gate.verdict == "Undecided" for gate in undecided) and not balance.pausing
    if policy.when_undecided == "Promote" and answerable and not held:
        return None
    if policy.when_undecided == "Rollback" or (policy.when_undecided == "Promote" and answerable):
        text = "; ".join(wording.explain(gate) for gate in undecided)
        return Overdue(rules=policy.when_undecided, message=f"{said}: {text}")
    waited_for = "; ".join(wording.brief(gate) for gate in undecided)
    return Overdue(rules="Hold", message=f"{said}; holding: {waited_for}")
