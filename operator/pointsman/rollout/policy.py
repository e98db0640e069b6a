"""The effective policy of an attempt: what is written inline, over the named policy, over the defaults."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Literal, TypeVar

from pointsman.api import values
from pointsman.api.comparison import Compare
from pointsman.api.gates import COMPARED_SIGNALS, LATENCY_SIGNALS, RATE_SIGNALS, SERVING_SIGNALS, Gate, Limit
from pointsman.api.modelruntime import Metrics, Protocol
from pointsman.api.rolloutpolicy import CanaryStep, Capacity, Confidence, RolloutFields, RolloutPolicySpec, Step, Warmup
from pointsman.api.watching import DriftLimit, Watch
from pointsman.remembered import remembered
from pointsman.rollout.capacity import Room
from pointsman.rollout.thresholds import DEFAULT_FOR
from pointsman.signals import own

_WHOLE = 100  # percentage points
DEFAULT_HOLD = "5m"
DEFAULT_STEPS = tuple(Step(canary=CanaryStep(percent=share)) for share in (5, 25, 50))
DEFAULT_TOLERANCE = {
    **dict.fromkeys(RATE_SIGNALS, Limit(ratio="1.5", points="0.1")),
    **dict.fromkeys(LATENCY_SIGNALS, Limit(ratio="1.2")),
    "PredictionDrift": Limit(points="5"),
}
DEFAULT_HARM = dict.fromkeys((*RATE_SIGNALS, *LATENCY_SIGNALS), Limit(ratio="1.25"))
DEFAULT_AT_LEAST = "99"
DEFAULT_SLICES = 20
DEFAULT_WATCH = Watch(
    percent=2,
    interval="1m",
    mean_time_between_false_alarms="30d",
    tolerance=DriftLimit(points="3"),
    on_prediction_drift="Alert",
)
DEFAULT_QUANTILES = ("0.5", "0.95", "0.99")
DEFAULT_CAPACITY = Capacity(max_surge="25%", max_unavailable=0)
DEFAULT_CONFIDENCE = Confidence(false_rollback="1", false_promotion="5")
DEFAULT_WARMUP = Warmup(duration="30s", requests=50)


_Part = TypeVar("_Part", Watch, Compare)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step, resolved; shares are basis points, of an approval those of the step before.

    share   of the live traffic
    mirror  of the requests that are copied to the inspector
    """

    kind: Literal["Shadow", "Canary", "Approval"]
    share: int
    hold: timedelta
    mirror: int = 0


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What goes on while a version serves alone.

    mirror     of the requests that are copied to the inspector, in basis points
    interval   between two looks
    tolerance  how far a tail may move, a fraction
    looks      mean number of looks between false alarms
    """

    mirror: int
    interval: timedelta
    tolerance: float
    looks: float
    on_prediction_drift: Literal["Alert", "Rollback"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """An effective policy in numbers. `fields` is the same as written, complete, to be frozen into the revision."""

    fields: RolloutFields
    stages: tuple[Stage, ...]
    gates: tuple[Gate, ...]
    interval: timedelta
    false_rollback: float
    false_promotion: float
    deadline: timedelta
    when_undecided: Literal["Hold", "Rollback", "Promote"]
    warmup: timedelta
    warmup_requests: int
    progress_deadline: timedelta
    keep_previous: timedelta
    watching: Watching | None = None

    @property
    def approvals_only(self) -> bool:
        """Blue/green: a person compares, no gate does."""
        return all(stage.kind == "Approval" for stage in self.stages)

    @property
    def required(self) -> tuple[Gate, ...]:
        """The gates that promotion waits for."""
        return tuple(gate for gate in self.gates if gate.required is not False)


@remembered(1024)  # to write it out takes as long as a tenth of a decision in which nothing changes
def _text(inline: RolloutFields | None) -> str:
    return repr(inline)


def _layers(
    inline: RolloutFields | None,
    named: RolloutFields | None,
    metrics: Metrics | None,
    protocol: Protocol | None = None,
) -> Hashable:
    """What is below the inline fields is shared by many ModelDeployments, and the same object for all of them."""
    return _text(inline), id(named), id(metrics), protocol


@remembered(1024, by=_layers)
def effective(
    inline: RolloutFields | None,
    named: RolloutFields | None,
    metrics: Metrics | None,
    protocol: Protocol | None = None,
) -> RolloutFields:
    """All fields filled in: `inline` over `named` over the defaults; lists are replaced whole.

    Args:
        inline: what the ModelDeployment says itself.
        named: the RolloutPolicy that it names.
        metrics: what the model server exports; decides the default gates.
        protocol: how its bodies are read, where `compare` does not say so.
    """
    layers = [layer.dump() for layer in (RolloutPolicySpec(), named, inline) if layer is not None]
    merged: dict[str, object] = {
        "steps": [step.dump() for step in DEFAULT_STEPS],
        "confidence": DEFAULT_CONFIDENCE.dump(),
        "capacity": DEFAULT_CAPACITY.dump(),
        "warmup": DEFAULT_WARMUP.dump(),
    }
    for layer in layers:
        for name, value in layer.items():
            before = merged.get(name)
            merged[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    fields = RolloutFields.model_validate(merged)
    steps = [_complete_step(step) for step in fields.steps or ()]
    if fields.gates is None and all(step.approval is not None for step in steps):
        gates: list[Gate] = []
    else:
        gates = default_gates(metrics) if fields.gates is None else list(fields.gates)
    return fields.model_copy(
        update={
            "steps": steps,
            "gates": [_complete_gate(gate) for gate in gates],
            "compare": _complete_compare(fields, protocol),
            "watch": None if fields.watch is None else _over(DEFAULT_WATCH, fields.watch),
        }
    )


def default_gates(metrics: Metrics | None) -> list[Gate]:
    """Errors and, where the runtime can answer it, Latency."""
    gates = [Gate(name="errors", signal="Errors")]
    if metrics is not None and metrics.latency is not None:
        gates.append(Gate(name="latency", signal="Latency"))
    return gates


def _complete_step(step: Step) -> Step:
    return step if step.approval is not None or step.hold else step.model_copy(update={"hold": DEFAULT_HOLD})


def _complete_gate(gate: Gate) -> Gate:
    return gate.model_copy(
        update={
            "source": (gate.source or "Runtime") if gate.signal in SERVING_SIGNALS else None,
            "tolerance": gate.tolerance or DEFAULT_TOLERANCE.get(gate.signal),
            "harm": gate.harm or DEFAULT_HARM.get(gate.signal),
            "quantiles": (gate.quantiles or list(DEFAULT_QUANTILES)) if gate.signal in LATENCY_SIGNALS else None,
            "at_least": (gate.at_least or DEFAULT_AT_LEAST) if gate.signal == "Agreement" else None,
            "slices": gate.slices and gate.slices.model_copy(update={"max": gate.slices.max or DEFAULT_SLICES}),
            "threshold": gate.threshold
            and gate.threshold.model_copy(
                update={"for_": gate.threshold.for_ or DEFAULT_FOR, "action": gate.threshold.action or "Pause"}
            ),
            "required": gate.required is not False,
        }
    )


def _complete_compare(fields: RolloutFields, protocol: Protocol | None) -> Compare | None:
    """How answers are read, where anybody compares them."""
    mirrors = fields.watch is not None or any(step.shadow is not None for step in fields.steps or ())
    if not mirrors or protocol is None:
        return fields.compare
    return _over(Compare(protocol=protocol), fields.compare or Compare())


def _over(below: _Part, above: _Part) -> _Part:
    """What `above` gives, over what `below` does."""
    return type(above).model_validate({**below.dump(), **above.dump()})


@remembered(2048)
def resolve(fields: RolloutFields) -> Policy:
    """The numbers of complete fields, as `effective` makes them and a revision freezes them."""
    stages: list[Stage] = []
    share = mirror = 0
    for step in fields.steps or ():
        if step.shadow is not None:
            mirror = values.basis_points(step.shadow.percent)
            hold = values.seconds(step.hold or DEFAULT_HOLD)
            stages.append(Stage(kind="Shadow", share=0, hold=hold, mirror=mirror))
        elif step.canary is not None:
            mirror, share = 0, values.basis_points(step.canary.percent)
            stages.append(Stage(kind="Canary", share=share, hold=values.seconds(step.hold or DEFAULT_HOLD)))
        else:
            stages.append(Stage(kind="Approval", share=share, hold=timedelta(), mirror=mirror))
    confidence = fields.confidence or DEFAULT_CONFIDENCE
    warmup = fields.warmup or DEFAULT_WARMUP
    return Policy(
        fields=fields,
        stages=tuple(stages),
        gates=tuple(fields.gates or ()),
        interval=values.seconds(fields.interval or "10s"),
        false_rollback=values.probability(confidence.false_rollback or "1"),
        false_promotion=values.probability(confidence.false_promotion or "5"),
        deadline=values.seconds(fields.deadline or "2h"),
        when_undecided=fields.when_undecided or "Hold",
        warmup=values.seconds(warmup.duration or "30s"),
        warmup_requests=50 if warmup.requests is None else warmup.requests,
        progress_deadline=values.seconds(fields.progress_deadline or "10m"),
        keep_previous=values.seconds(fields.keep_previous or "30m"),
        watching=None if fields.watch is None else _watching(_over(DEFAULT_WATCH, fields.watch)),
    )


def _watching(watch: Watch) -> Watching:
    interval = values.seconds(watch.interval or "1m")
    return Watching(
        mirror=values.basis_points(watch.percent or 0),
        interval=interval,
        tolerance=float(watch.tolerance.points if watch.tolerance is not None else 0) / 100,
        looks=values.seconds(watch.mean_time_between_false_alarms or "") / interval,
        on_prediction_drift=watch.on_prediction_drift or "Alert",
    )


def room(policy: Policy, replicas: int) -> Room:
    """Capacity in pods."""
    capacity = policy.fields.capacity or DEFAULT_CAPACITY
    surge = "25%" if capacity.max_surge is None else capacity.max_surge
    unavailable = 0 if capacity.max_unavailable is None else capacity.max_unavailable
    return Room(
        replicas=replicas,
        surge=values.pods(surge, replicas, up=True),
        unavailable=values.pods(unavailable, replicas, up=False),
    )


def faults(fields: RolloutFields, replicas: int) -> str | None:
    """Why these complete fields cannot be a policy for so many replicas, in a sentence; None: they can."""
    policy = resolve(fields)
    found = (
        _order(policy),
        _compared_without_shadow(policy),
        _unreadable(fields),
        _promql(policy),
        _seldom(policy),
        _immovable(policy),
        _capacity(policy, replicas),
    )
    return next((fault for fault in found if fault is not None), None)


def _order(policy: Policy) -> str | None:
    shares = [(number, stage.share) for number, stage in enumerate(policy.stages) if stage.kind == "Canary"]
    for (_, before), (number, after) in pairwise(shares):
        if after <= before:
            return (
                f"steps[{number}].canary.percent is {values.percent(after)}, not above the step before"
                f" ({values.percent(before)}): a rollout only grows; order the steps by percent"
            )
    return None


def _capacity(policy: Policy, replicas: int) -> str | None:
    fields, pods = policy.fields, room(policy, replicas)
    if pods.surge == 0 and pods.unavailable == 0:
        return (
            f"capacity leaves no pod to start with: of {replicas} replicas maxSurge {_shown(fields, 'max_surge')} is 0 pods and"
            f" maxUnavailable {_shown(fields, 'max_unavailable')} is 0; write maxSurge: 1"
        )
    if replicas == 1 and pods.surge < 1:
        return "one replica needs capacity.maxSurge of at least 1: without it the candidate would start after stable is gone"
    if policy.approvals_only and pods.surge < replicas:
        return 'steps of approvals only (blue/green) need capacity.maxSurge "100%": the candidate stands beside stable in full'
    if policy.approvals_only and policy.required:
        return "steps of approvals only have no traffic to compare, so they have no gates: remove `gates` or add a canary step"
    return None


def _compared_without_shadow(policy: Policy) -> str | None:
    """Which gate compares answers although no step mirrors a request; steps and gates may be written apart."""
    if any(stage.kind == "Shadow" for stage in policy.stages):
        return None
    for gate in policy.gates:
        if gate.signal in COMPARED_SIGNALS:
            return (
                f"gate {gate.name!r} of signal {gate.signal} compares answers to mirrored requests, but no step mirrors any:"
                " add a step such as {shadow: {percent: 20}}, or leave the gate out"
            )
    return None


def _unreadable(fields: RolloutFields) -> str | None:
    """Which output cannot be found: in any JSON it is a place."""
    compare = fields.compare
    if compare is None or compare.protocol != "Json":
        return None
    for number, comparator in enumerate(compare.comparators or ()):
        output = comparator.output
        if output is not None and not output.startswith("/"):
            return (
                f"compare.comparators[{number}].output: with protocol Json write a JSON pointer,"
                f" such as /{output}, not {output!r}"
            )
    return None


def _promql(policy: Policy) -> str | None:
    return next((fault for gate in policy.gates if (fault := own.fault(gate)) is not None), None)


def _seldom(policy: Policy) -> str | None:
    """Whether a false alarm would be wanted more often than once in two looks."""
    watching = policy.watching
    if watching is None or watching.looks > 1:
        return None
    return "watch.meanTimeBetweenFalseAlarms must be longer than watch.interval: write such as 30d"


def _immovable(policy: Policy) -> str | None:
    """Where a tail may move by all there is, so that nothing could be found."""
    gates = [gate for gate in policy.gates if gate.signal == "PredictionDrift"]
    where = [
        f"gate {one.name!r}: tolerance" for one in gates if float((one.tolerance or Limit()).points or 0) >= _WHOLE
    ]
    where += ["watch.tolerance"] if policy.watching is not None and policy.watching.tolerance >= 1 else []
    return (
        f"{where[0]}.points must be less than 100, or every distribution is as good as every other" if where else None
    )


def _shown(fields: RolloutFields, quota: str) -> object:
    return getattr(fields.capacity or DEFAULT_CAPACITY, quota)
