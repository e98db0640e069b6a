"""What to ask: a gate and the metrics that a runtime or a gateway exports give the shape of a query, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pointsman.api.gates import Gate, Signal, Source
from pointsman.api.modelruntime import LatencyMetric, Metrics

Unit: TypeAlias = Literal["s", "ms", "us"]
Matchers: TypeAlias = tuple[tuple[str, str], ...]
Arm: TypeAlias = Literal["stable", "candidate"]
Counter: TypeAlias = Source | Literal["Inspector"]
"""Who counts: the runtime's own processes, the gateway's, or the inspector, which replays mirrored requests to both versions."""


_PARTS: Final[Mapping[Signal, str]] = {
    "Errors": "requests",
    "Latency": "latency",
    "TimeToFirstToken": "timeToFirstToken",
    "TimePerOutputToken": "timePerOutputToken",
}
"""The part of a metric profile that answers a signal."""
_TOKENS: Final[tuple[Signal, ...]] = ("TimeToFirstToken", "TimePerOutputToken")


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """Nobody measures what the gate asks; `reason` says what to write instead."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A metric and its matchers: all rollouts that share a shape share a query.

    metric  Errors, Agreement: a counter of requests. Latency signals: a histogram without `_bucket`
    match   label -> RE2, anchored: the series that count
    failed  of those, the series that count failures (Errors) or differences (Agreement)
    unit    what the histogram's edges are in (latency signals)
    by      a label whose values are counted apart, beside the series that do not have it (Agreement); "": none is
    """

    source: Counter
    signal: Signal
    metric: str
    match: Matchers = ()
    failed: Matchers = ()
    unit: Unit = "s"
    by: str = ""

    @property
    def counts_requests(self) -> bool:
        """Whether it is a counter of requests, some of them bad; else a histogram."""
        return self.signal in ("Errors", "Agreement")


@dataclass(frozen=True, slots=True)
class Question:
    """A gate's question; the arms may run different runtimes, so each has its own shape."""

    gate: str
    stable: Shape
    candidate: Shape


@dataclass(frozen=True, slots=True)
class PredictionsQuestion:
    """A gate's question about what both versions predict for the same requests."""

    gate: str


@dataclass(frozen=True, slots=True)
class ServedQuestion:
    """What a version that serves alone is asked and predicts; `gate` is what the answer is filed under."""

    gate: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a gateway's own metrics separate the arms: a label that names the Service of a revision."""

    name: str
    requests: Shape
    latency: Shape


ENVOY_GATEWAY = Gateway(
    name="envoy-gateway",
    # Not `upstream_rq_total`: it counts what was sent upstream, so a request that found no endpoint would be a failure
    # without being a request. `upstream_rq_xx` counts answers, Envoy's own included: failures are a part of it.
    requests=Shape(
        source="Gateway",
        signal="Errors",
        metric="envoy_cluster_upstream_rq_xx",
        failed=(("envoy_response_code_class", "5"),),
    ),
    latency=Shape(source="Gateway", signal="Latency", metric="envoy_cluster_upstream_rq_time", unit="ms"),
)

_SLICE: Final = "slice"
"""The label with which the inspector tells slices apart; what all of them came to has none."""

_REPLAYED: Final[Mapping[Signal, Shape]] = {
    "Errors": Shape(
        source="Inspector",
        signal="Errors",
        metric="pointsman_inspector_replays_total",
        failed=(("outcome", "error|timeout|unreachable"),),
    ),
    "Latency": Shape(source="Inspector", signal="Latency", metric="pointsman_inspector_replay_duration_seconds"),
    "Agreement": Shape(
        source="Inspector",
        signal="Agreement",
        metric="pointsman_inspector_comparisons_total",
        match=((_SLICE, ""),),
        failed=(("agreed", "false"),),
    ),
}
"""What the inspector counts, by the signal that it answers."""

_GATEWAYS = {profile.name: profile for profile in (ENVOY_GATEWAY,)}


def gateway(name: str) -> Gateway:
    """The profile of a gateway by its name in the operator's settings.

    Raises:
        ValueError: there is no such profile; the message names those there are.
    """
    if name not in _GATEWAYS:
        known = ", ".join(f"`{known}`" for known in _GATEWAYS)
        raise ValueError(f"`gateway.metrics` is `{name}`, which Pointsman cannot read: write {known} or leave it out")
    return _GATEWAYS[name]


def ask(
    gate: Gate, *, stable: Metrics | None, candidate: Metrics | None, gateway: Gateway | None, routed: bool
) -> Question | Unanswerable:
    """The question of a gate, or why nobody can answer it.

    Args:
        gate: the gate; its source is the Runtime where it names none.
        stable: what the stable revision's container exports.
        candidate: what the candidate's exports; for the first version the same as `stable`.
        gateway: the operator's gateway profile, None where none is configured.
        routed: whether the ModelDeployment has `traffic`, so that requests pass a gateway.
    """
    if gate.source == "Gateway":
        return _ask_gateway(gate, gateway=gateway, routed=routed)
    shapes = []
    arms: tuple[tuple[Arm, Metrics | None], ...] = (("candidate", candidate), ("stable", stable))
    for arm, metrics in arms:
        shape = _runtime_shape(gate.signal, metrics)
        if shape is None:
            return Unanswerable(_not_listed(gate, arm))
        shapes.append(shape)
    return Question(gate=gate.name, candidate=shapes[0], stable=shapes[1])


def ask_inspector(gate: Gate) -> Question | PredictionsQuestion | Unanswerable:
    """The question of a gate while requests are mirrored: what the replays to both versions came to."""
    if gate.signal == "PredictionDrift":
        return PredictionsQuestion(gate=gate.name)
    shape = _REPLAYED.get(gate.signal)
    if shape is None:
        return Unanswerable(f"gate {gate.name} asks for {gate.signal}, which replays of mirrored requests do not tell")
    if gate.slices is not None:
        shape = replace(shape, match=(), by=_SLICE)
    return Question(gate=gate.name, stable=shape, candidate=shape)


def _ask_gateway(gate: Gate, *, gateway: Gateway | None, routed: bool) -> Question | Unanswerable:
    if not routed:
        return Unanswerable(
            f"gate {gate.name} asks the gateway, but without `traffic` no gateway sees the requests:"
            " write `source: Runtime` or give the ModelDeployment `traffic`"
        )
    if gateway is None:
        return Unanswerable(
            f"gate {gate.name} asks the gateway, but the operator is not told how the gateway's metrics separate"
            " the versions: set the Helm value `gateway.metrics`, such as `envoy-gateway`, or write `source: Runtime`"
        )
    if gate.signal in _TOKENS:
        return Unanswerable(
            f"gate {gate.name} asks the gateway for {gate.signal}, but a gateway does not see tokens: write `source: Runtime`"
        )
    shape = gateway.requests if gate.signal == "Errors" else gateway.latency
    return Question(gate=gate.name, stable=shape, candidate=shape)


def _runtime_shape(signal: Signal, metrics: Metrics | None) -> Shape | None:
    if metrics is None:
        return None
    if signal == "Errors":
        requests = metrics.requests
        if requests is None:
            return None
        return Shape(
            source="Runtime",
            signal=signal,
            metric=requests.counter,
            match=_matchers(requests.match),
            failed=_matchers(requests.failed),
        )
    measured = _histogram(signal, metrics)
    if measured is None:
        return None
    return Shape(
        source="Runtime", signal=signal, metric=measured.histogram, match=_matchers(measured.match), unit=measured.unit
    )


def _histogram(signal: Signal, metrics: Metrics) -> LatencyMetric | None:
    if signal == "TimeToFirstToken":
        return metrics.time_to_first_token
    return metrics.time_per_output_token if signal == "TimePerOutputToken" else metrics.latency


def _matchers(match: dict[str, str] | None) -> Matchers:
    """Sorted, so that the same matchers in another order are the same shape."""
    return tuple(sorted((match or {}).items()))


def _not_listed(gate: Gate, arm: Arm) -> str:
    part = _PARTS[gate.signal]
    elsewhere = "" if gate.signal in _TOKENS else " write `source: Gateway`,"
    return (
        f"gate {gate.name} asks for {gate.signal}, but the {arm} version's metrics list no `{part}`: add"
        f" `metrics.{part}` to its ModelRuntime or ModelDeployment,{elsewhere} or leave the gate out"
    )
