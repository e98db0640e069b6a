"""Questions about metrics that users name themselves: counters of events, and queries with a threshold."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeAlias

from pointsman.api.gates import Events, Gate
from pointsman.remembered import remembered
from pointsman.signals import promql
from pointsman.signals.profiles import PredictionsQuestion, Question, ServedQuestion, Unanswerable
from pointsman.signals.promql import Selector
from pointsman.signals.tokens import PromqlError


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a rollout's objects are called; a revision and the version that it serves, of both arms."""

    namespace: str
    deployment: str
    stable: str
    candidate: str
    stable_version: str
    candidate_version: str


@dataclass(frozen=True, slots=True)
class EventsShape:
    """Two counters and the label that tells the versions apart: all rollouts that share them share a query."""

    bad: Selector
    total: Selector
    label: str


@dataclass(frozen=True, slots=True)
class EventsQuestion:
    """An Events gate's question; `stable` and `candidate` are what the label holds for them."""

    gate: str
    shape: EventsShape
    stable: str
    candidate: str


@dataclass(frozen=True, slots=True)
class ThresholdQuestion:
    """A Threshold gate's question: a query that is confined to the namespace."""

    gate: str
    query: str


Asked: TypeAlias = Question | PredictionsQuestion | ServedQuestion | EventsQuestion | ThresholdQuestion
"""What a gate asks of Prometheus."""


def _gate_and_names(gate: Gate, names: Names) -> Hashable:
    return id(gate), names


@remembered(1024, by=_gate_and_names)
def ask_events(gate: Gate, names: Names) -> EventsQuestion | Unanswerable:
    """The question of an Events gate, or why its versions cannot be told apart."""
    events = gate.events
    if events is None:
        return Unanswerable(f"gate {gate.name} says no `events` to count: write `bad`, `total` and `arm`")
    if events.arm.is_ == "Revision":
        stable, candidate = names.stable, names.candidate
    else:
        stable, candidate = names.stable_version, names.candidate_version
    if stable == candidate and names.stable != names.candidate:
        return Unanswerable(
            f"gate {gate.name} tells the versions apart by the label {events.arm.label}, and both are {stable!r}:"
            " write another model.version, or `is: Revision`"
        )
    try:
        shape = _shape(events, {"namespace": names.namespace, "deployment": names.deployment})
    except PromqlError as error:
        return Unanswerable(f"gate {gate.name}: {error}")
    return EventsQuestion(gate=gate.name, shape=shape, stable=stable, candidate=candidate)


@remembered(1024, by=_gate_and_names)
def ask_threshold(gate: Gate, names: Names) -> ThresholdQuestion | Unanswerable:
    """The question of a Threshold gate."""
    if gate.threshold is None:
        return Unanswerable(f"gate {gate.name} says no `threshold`: write a `query` and `min` or `max`")
    known = {"namespace": names.namespace, "deployment": names.deployment, "revision": names.candidate}
    try:
        return ThresholdQuestion(gate=gate.name, query=promql.confined(gate.threshold.query, known))
    except PromqlError as error:
        return Unanswerable(f"gate {gate.name}: threshold.query: {error}")


@remembered(1024)
def fault(gate: Gate) -> str | None:
    """Which PromQL of a gate cannot be used, whatever rollout asks; None: none."""
    anybody = {"namespace": "default", "deployment": "model"}
    try:
        if gate.events is not None:
            _shape(gate.events, anybody)
        if gate.threshold is not None:
            promql.confined(gate.threshold.query, {**anybody, "revision": "model-0"})
    except PromqlError as error:
        where = "events" if gate.events is not None else "threshold.query"
        return f"gate {gate.name!r}: {where}: {error}"
    return None


def _shape(events: Events, names: dict[str, str]) -> EventsShape:
    parts = []
    for field, text in (("bad", events.bad), ("total", events.total)):
        try:
            parts.append(promql.selector(text, names))
        except PromqlError as error:
            raise PromqlError(f"{field}: {error}") from error
    return EventsShape(bad=parts[0], total=parts[1], label=events.arm.label)
