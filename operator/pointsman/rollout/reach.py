"""Whether a policy is expected to reach a verdict at the traffic at hand, and if not, which deadline or tolerance would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pointsman.evidence import gate as gates
from pointsman.evidence import words
from pointsman.evidence.model import Gate, Margin, RateGate

_WIDEST = 20.0  # times the tolerance: wider than that is no advice
_ROUNDS = 10  # to a third of a percent, and it is rounded up to a tenth
_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A canary step: the candidate's share, the least it holds in seconds, and the pods of both arms."""

    share: float
    hold: float
    candidate_pods: int
    stable_pods: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A calibrated gate that promotion waits for, and the requests a second that it counts of both arms."""

    gate: Gate
    rps: float


@dataclass(frozen=True, kw_only=True)
class Short:
    """A gate that is not expected to be proven within the deadline.

    seconds    the rollout is expected to need because of it; inf if no time suffices
    requests   to the candidate in the last step
    tolerance  the smallest that would do, as it is written; None where none within reason does
    """

    seconds: float
    requests: float
    tolerance: str | None


def short_of(asked: Mapping[str, Asked], stages: Sequence[Stage], *, deadline: float) -> dict[str, Short]:
    """Return the gates that are not expected to reach a verdict within the deadline if the candidate is as good as stable.

    Args:
        asked: the required gates by name; one without traffic so far cannot be judged, and is left out.
        stages: the canary steps in order.
        deadline: seconds from the first step on.
    """
    found = {}
    for name, one in asked.items():
        if one.rps <= 0 or not stages:
            continue
        needed = _seconds(one, stages)
        if needed > deadline:
            found[name] = Short(seconds=needed, requests=_last(one, stages), tolerance=_smallest(one, stages, deadline))
    return found


def sentence(asked: Mapping[str, Asked], stages: Sequence[Stage], *, deadline: float) -> str:
    """Say to a person what is out of reach, and what would work; "" where nothing is. The arguments are those of `short_of`."""
    held = sum(stage.hold for stage in stages)
    if held > deadline:
        return (
            f"no verdict is possible within the deadline of {_written(deadline)}: the canary steps alone hold for"
            f" {_written(held)}; write a longer deadline, or shorter holds"
        )
    short = short_of(asked, stages, deadline=deadline)
    if not short:
        return ""
    parts = [_gate(name, one, asked[name], stages[-1]) for name, one in short.items()]
    longest = max(one.seconds for one in short.values())
    ways = [f"a deadline of {_written(longest)}"] if math.isfinite(longest) else []
    tolerances = [f"tolerance {one.tolerance} for {name}" for name, one in short.items() if one.tolerance is not None]
    if len(tolerances) == len(short):
        ways.append(" and ".join(tolerances))
    advice = f"; {' or '.join(ways)} would do" if ways else "; no deadline would do: widen the tolerance or add pods"
    return f"no verdict is expected within the deadline of {_written(deadline)}: {'; '.join(parts)}{advice}"


def _gate(name: str, short: Short, asked: Asked, last: Stage) -> str:
    if math.isinf(short.seconds):
        return f"{name} cannot be proven of an equal version with these pods and buckets"
    return (
        f"{name} needs about {words.rounded(short.requests):,} candidate requests in the last step"
        f" ({asked.rps:.3g} a second, {100 * last.share:.3g} % of them the candidate's), {words.duration(short.seconds)} in all"
    )


def _seconds(one: Asked, stages: Sequence[Stage]) -> float:
    comings: list[float | None] = [stage.share for stage in stages[1:]]
    needs = [
        max(stage.hold, _requests(one.gate, stage, coming) / (one.rps * stage.share))
        for stage, coming in zip(stages, [*comings, None], strict=True)
    ]
    return sum(needs)


def _last(one: Asked, stages: Sequence[Stage]) -> float:
    return _requests(one.gate, stages[-1], None)


def _requests(gate: Gate, stage: Stage, coming: float | None) -> float:
    return gates.expected_requests(
        gate,
        share=stage.share,
        coming=coming,
        candidate_pods=stage.candidate_pods,
        stable_pods=stage.stable_pods,
    )


def _smallest(one: Asked, stages: Sequence[Stage], deadline: float) -> str | None:
    """Return the smallest tolerance that is expected to be proven in time, rounded up as it would be written."""

    def enough(factor: float) -> bool:
        return _seconds(replace(one, gate=_widened(one.gate, factor)), stages) <= deadline

    low, high = 1.0, _WIDEST
    if not enough(high):
        return None
    for _ in range(_ROUNDS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    wide = _widened(one.gate, high)
    if isinstance(wide, RateGate):
        if wide.tolerance.ratio > 1:
            return f'ratio: "{math.ceil(wide.tolerance.ratio * 10) / 10:g}"'
        return f'points: "{math.ceil(wide.tolerance.excess * 10_000) / 100:g}"'
    return f'ratio: "{math.ceil(wide.tolerance * 10) / 10:g}"'


def _widened(gate: Gate, factor: float) -> Gate:
    """Return the gate with what its tolerance allows beyond equality multiplied, the ratio where it has one."""
    if not isinstance(gate, RateGate):
        return replace(gate, tolerance=1 + (gate.tolerance - 1) * factor)
    ratio, excess = gate.tolerance.ratio, gate.tolerance.excess
    if ratio > 1:
        return replace(gate, tolerance=Margin(1 + (ratio - 1) * factor, excess))
    return replace(gate, tolerance=Margin(ratio, min(0.99, excess * factor)))


def _written(seconds: float) -> str:
    """A duration as it is written in a policy, rounded up."""
    if seconds < 2 * _HOUR:
        return f"{math.ceil(seconds / _MINUTE)}m"
    return f"{math.ceil(seconds / _HOUR)}h"
