"""The one door to the evidence: start a gate, fold looks into its state, read its verdict, combine the gates' verdicts.

state = start(gate)
state = fold(gate, state, look)            # at every look
state = next_step(gate, state)             # when a new step begins
verdict(gate, state) -> GateVerdict        # at every look
combine(verdicts, weights=..., false_rollback=...) -> Combination
dumps(state) -> str, loads(text) -> state  # kept in ModelRevision.status
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pointsman.evidence.model import Combination, Gate, GateVerdict, Look

State: TypeAlias = object


def start(gate: Gate) -> State:
    """Return the state of a gate before its first look, in its first step."""
    raise NotImplementedError


def fold(gate: Gate, state: State, look: Look) -> State:
    """Return the state after one look; pure. A look without requests in either arm adds no evidence.

    Raises:
        ValueError: the look is not of the gate's kind, or a histogram's edges are not those of the looks before.
    """
    raise NotImplementedError


def next_step(gate: Gate, state: State, *, deadline_test_at: float | None = None) -> State:
    """Return the state for a new step: safety starts anew, harm and the nested bound go on.

    A return to an earlier step continues its evidence: keep that step's state's JSON and pass it to ``resume_step``.

    Args:
        gate: the gate.
        state: its state at the end of the step before.
        deadline_test_at: for the last step, ``elapsed`` seconds at which the one deadline test is carried out; None: no test.
    """
    raise NotImplementedError


def verdict(gate: Gate, state: State) -> GateVerdict:
    """Return what the gate says now; for one rollout (no batch axis)."""
    raise NotImplementedError


def weights(serving: Collection[str], others: Collection[str] = ()) -> dict[str, float]:
    """Return the gates' shares of the average: half on ``serving`` (Errors and latency kinds), half on ``others``.

    All is on one kind where the other is empty; equal within each. Fixed at the attempt's start.
    """
    raise NotImplementedError


def combine(verdicts: Mapping[str, GateVerdict], *, weights: Mapping[str, float], false_rollback: float) -> Combination:
    """Return whether the weighted average of the gates' harm e-processes proves harm, and which gates to name.

    Args:
        verdicts: the gates that have one; a gate of ``weights`` without verdict counts as an e-process that stands at 1.
        weights: each gate's share, summing to 1.
        false_rollback: allowed P(rolled back | every gate inside its ``harm``).
    """
    raise NotImplementedError


def dumps(state: State) -> str:
    """Return the state as compact JSON; ``loads`` gives exactly the same state back."""
    raise NotImplementedError


def loads(text: str) -> State:
    """Return the state that ``dumps`` wrote.

    Raises:
        ValueError: the text is not one of ours.
    """
    raise NotImplementedError
