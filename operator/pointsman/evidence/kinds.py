"""The kinds of gates there are, and what each does at a look: one table that the door to the evidence asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.evidence import agreement, latency, latency_verdict, prediction, rate
from pointsman.evidence.agreement import AgreementState
from pointsman.evidence.latency import LatencyState
from pointsman.evidence.model import Gate, LatencyGate, LatencyLook, Look, RateGate, RateLook
from pointsman.evidence.prediction import PredictionState
from pointsman.evidence.rate import RateState
from pointsman.evidence.replays import (
    AgreementGate,
    AgreementLook,
    PredictionGate,
    PredictionLook,
    ReplayGate,
    ReplayLook,
)

if TYPE_CHECKING:
    from pointsman.evidence.model import Numbers
    from pointsman.evidence.verdict import GateVerdict

State: TypeAlias = RateState | LatencyState | AgreementState | PredictionState
AnyGate: TypeAlias = Gate | ReplayGate
AnyLook: TypeAlias = Look | ReplayLook


@dataclass(frozen=True)
class Kind:
    """What one kind of gate does; its functions get gates, states and looks of its own classes only."""

    gate: type[Any]
    state: type[Any]
    look: type[Any]
    start: Callable[[Any, tuple[int, ...]], State]
    fold: Callable[[Any, Any, Any], State]
    next_step: Callable[[Any, float | None], State]
    resume_step: Callable[[Any, Any], State]
    log_harm: Callable[[Any], Numbers]
    log_safe: Callable[[Any, Any], Numbers]
    verdict: Callable[[Any, Any], GateVerdict]


KINDS = {
    "rate": Kind(
        RateGate,
        RateState,
        RateLook,
        rate.start,
        rate.fold,
        rate.next_step,
        rate.resume_step,
        rate.log_harm,
        lambda _, state: rate.log_safe(state),
        lambda gate, state: rate.verdict(gate, state, rate.values(gate, state)),
    ),
    "latency": Kind(
        LatencyGate,
        LatencyState,
        LatencyLook,
        latency.start,
        latency.fold,
        latency.next_step,
        latency.resume_step,
        latency.log_harm,
        latency.log_safe,
        lambda gate, state: latency_verdict.verdict(gate, state, latency_verdict.values(gate, state)),
    ),
    "agreement": Kind(
        AgreementGate,
        AgreementState,
        AgreementLook,
        agreement.start,
        agreement.fold,
        lambda state, _: agreement.next_step(state),
        agreement.resume_step,
        agreement.log_harm,
        agreement.log_safe,
        agreement.verdict,
    ),
    "prediction": Kind(
        PredictionGate,
        PredictionState,
        PredictionLook,
        prediction.start,
        prediction.fold,
        lambda state, _: prediction.next_step(state),
        prediction.resume_step,
        prediction.log_harm,
        lambda _, state: prediction.log_safe(state),
        prediction.verdict,
    ),
}


def of(gate: AnyGate, state: State | None = None, look: AnyLook | None = None) -> Kind:
    """Return what the gate's kind does.

    Raises:
        ValueError: the state or the look is of another kind.
    """
    kind = next(kind for kind in KINDS.values() if isinstance(gate, kind.gate))
    for what, given, fits in (("state", state, kind.state), ("look", look, kind.look)):
        if not isinstance(given, fits | None):
            raise ValueError(  # noqa: TRY004  of two values that do not belong together, as for stored evidence
                "a gate, its state and its looks must be of one kind (rates, latency, agreement or predictions); here the gate is "
                f"a {type(gate).__name__}, the {what} a {type(given).__name__}"
            )
    return kind


def name(state: State) -> str:
    """Return what the kind of a state is called where it is stored."""
    return next(name for name, kind in KINDS.items() if isinstance(state, kind.state))
