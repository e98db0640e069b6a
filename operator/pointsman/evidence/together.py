"""Looks at many rollouts folded at once: the arithmetic of one, on arrays with a row for each, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from pointsman.evidence import latency, latency_verdict, rate
from pointsman.evidence.latency import LatencyState
from pointsman.evidence.model import (
    Gate,
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Noise,
    RateGate,
    RateHistory,
    RateLook,
)
from pointsman.evidence.rate import RateState

if TYPE_CHECKING:
    from pointsman.evidence.kinds import AnyGate, AnyLook, State
    from pointsman.evidence.verdict import GateVerdict

_T = TypeVar("_T")


class Fold(NamedTuple):
    """A look of one rollout's gate, and the state that it is to be folded into."""

    gate: AnyGate
    state: State
    look: AnyLook


def alike(fold: Fold) -> Hashable | None:
    """Return what the folds have in common that can be done at once; None: this one is done alone.

    They may differ in what their stable versions counted in the hour before, in their states' numbers, and in the look's.
    """
    gate, state, look = fold
    if isinstance(gate, RateGate) and isinstance(state, RateState) and isinstance(look, RateLook):
        return (_asked(gate), state.nested.shape, _time(gate, state, look))
    if isinstance(gate, LatencyGate) and isinstance(state, LatencyState) and isinstance(look, LatencyLook):
        if state.edges != look.edges:
            return None
        return (_asked(gate), gate.history.edges, state.edges, _time(gate, state, look))
    return None


class Folded(NamedTuple):
    """A gate's state after a look, and its verdict then."""

    state: State
    verdict: GateVerdict


def fold_alike(folds: Sequence[Fold]) -> list[Folded]:
    """Return the states after the looks of folds that are ``alike``, and their verdicts, in their order.

    Raises:
        ValueError: as ``gate.fold`` does, of any of them.
    """
    gates, states, looks = zip(*folds, strict=True)
    if isinstance(gates[0], RateGate):
        rates = _rate_gate(gates)
        after = rate.fold(rates, _stacked(states), _look(looks))
        return _rows_folded(folds, after, rate.values(rates, after), rate.verdict)
    latencies = _latency_gate(gates)
    later = latency.fold(latencies, _stacked(states), _look(looks))
    return _rows_folded(folds, later, latency_verdict.values(latencies, later), latency_verdict.verdict)


def _rows_folded(
    folds: Sequence[Fold], after: State, values: _T, verdict: Callable[[Any, Any, _T], GateVerdict]
) -> list[Folded]:
    """Each rollout's row of a state and of the values of its verdict; the time used up is each one's own."""
    found = []
    for fold, row, value in zip(folds, _rows(after, len(folds)), _rows(values, len(folds)), strict=True):
        elapsed = fold.state.clock.used_up(fold.look.elapsed)
        state = replace(row, clock=replace(row.clock, elapsed=elapsed))
        found.append(Folded(state, verdict(fold.gate, state, value)))
    return found


def _asked(gate: Gate) -> Hashable:
    """What the policy says of a gate, without what is known of stable."""
    of_stable = ("history", "noise")
    return (type(gate), *(getattr(gate, one.name) for one in fields(gate) if one.name not in of_stable))


def _time(gate: Gate, state: RateState | LatencyState, look: RateLook | LatencyLook) -> Hashable:
    """When it is looked, and which of harm's copies have started by then: the rest of a clock is each rollout's own."""
    phase = state.clock.used_up(look.elapsed) / gate.deadline
    return (look.at, state.harm.started, state.harm.due(phase))


def _rate_gate(gates: Sequence[RateGate]) -> RateGate:
    had = [gate.history for gate in gates]
    history = RateHistory(requests=_column(had, "requests"), bad=_column(had, "bad"))
    return replace(gates[0], history=history, noise=_noise(gates))


def _latency_gate(gates: Sequence[LatencyGate]) -> LatencyGate:
    history = gates[0].history
    if history.edges:
        history = LatencyHistory(history.edges, np.asarray([gate.history.counts for gate in gates]))
    return replace(gates[0], history=history, noise=_noise(gates))


def _noise(gates: Sequence[Gate]) -> Noise:
    known = [gate.noise for gate in gates]
    return Noise(**{one.name: _column(known, one.name) for one in fields(Noise)})


_SHARED = ("edges", "elapsed", "at")


def _look(looks: Sequence[_T]) -> _T:
    """The looks as one with a row for each."""
    names = [one.name for one in fields(looks[0]) if one.name not in _SHARED]  # type: ignore[arg-type]  # any dataclass: the type system cannot say it
    return replace(looks[0], **{name: _column(looks, name) for name in names})  # type: ignore[type-var]  # as above


def _column(values: Sequence[Any], name: str) -> Any:
    """A field of all of them, an array with a row for each."""
    return np.asarray([getattr(one, name) for one in values])


def _stacked(states: Sequence[_T]) -> _T:
    """The states as one with a row for each; what is no array is the first one's."""
    changed: dict[str, Any] = {}
    for one in fields(states[0]):  # type: ignore[arg-type]  # as above
        values = [getattr(state, one.name) for state in states]
        if is_dataclass(values[0]):
            changed[one.name] = _stacked(values)
        elif isinstance(values[0], np.ndarray | np.generic):
            changed[one.name] = np.asarray(values)
    return replace(states[0], **changed)  # type: ignore[type-var]  # as above


def _rows(state: _T, count: int) -> list[_T]:
    """The rows of such a state, each a state."""
    columns: dict[str, Sequence[Any]] = {}
    for one in fields(state):  # type: ignore[arg-type]  # as above
        value = getattr(state, one.name)
        if is_dataclass(value):
            columns[one.name] = _rows(value, count)
        elif isinstance(value, np.ndarray):
            columns[one.name] = list(value)
        else:
            columns[one.name] = [value] * count
    return [type(state)(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
