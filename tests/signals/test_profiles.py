from __future__ import annotations

from dataclasses import dataclass

import pytest

from pointsman.api.gates import Gate, Signal, Source
from pointsman.api.modelruntime import Metrics
from pointsman.signals.profiles import ENVOY_GATEWAY, Gateway, Question, Shape, Unanswerable, ask, gateway

ALL = Metrics.model_validate(
    {
        "port": "metrics",
        "requests": {"counter": "hits_total", "match": {"path": "/p", "method": "POST"}, "failed": {"code": "5.."}},
        "latency": {"histogram": "took", "unit": "ms", "match": {"path": "/p"}},
        "timeToFirstToken": {"histogram": "first", "match": {"path": "/p"}},
        "timePerOutputToken": {"histogram": "each", "unit": "us"},
    }
)
NO_LATENCY = ALL.model_copy(update={"latency": None})
NO_TOKENS = ALL.model_copy(update={"time_to_first_token": None, "time_per_output_token": None})
NO_REQUESTS = ALL.model_copy(update={"requests": None})

HITS = Shape("Runtime", "Errors", "hits_total", match=(("method", "POST"), ("path", "/p")), failed=(("code", "5.."),))
TOOK = Shape("Runtime", "Latency", "took", match=(("path", "/p"),), unit="ms")


@pytest.mark.parametrize(
    ("signal", "source", "shape"),
    [
        ("Errors", None, HITS),
        ("Errors", "Runtime", HITS),
        ("Latency", None, TOOK),
        ("TimeToFirstToken", None, Shape("Runtime", "TimeToFirstToken", "first", match=(("path", "/p"),))),
        ("TimePerOutputToken", "Runtime", Shape("Runtime", "TimePerOutputToken", "each", unit="us")),
        ("Errors", "Gateway", ENVOY_GATEWAY.requests),
        ("Latency", "Gateway", ENVOY_GATEWAY.latency),
    ],
)
def test_a_gate_asks_for_the_metric_of_its_source(signal: Signal, source: Source | None, shape: Shape) -> None:
    gate = Gate(name="g", signal=signal, source=source)
    asked = ask(gate, stable=ALL, candidate=ALL, gateway=ENVOY_GATEWAY, routed=True)
    assert asked == Question(gate="g", stable=shape, candidate=shape)


@dataclass(frozen=True)
class World:
    stable: Metrics | None = ALL
    candidate: Metrics | None = ALL
    gateway: Gateway | None = ENVOY_GATEWAY
    routed: bool = True


@pytest.mark.parametrize(
    ("signal", "source", "world", "says"),
    [
        ("Latency", None, World(candidate=NO_LATENCY), "the candidate version's metrics list no `latency`"),
        ("Latency", None, World(stable=NO_LATENCY), "the stable version's metrics list no `latency`"),
        ("Errors", None, World(candidate=NO_REQUESTS), "the candidate version's metrics list no `requests`"),
        ("Errors", None, World(candidate=None), "add `metrics.requests` to its ModelRuntime or ModelDeployment"),
        (
            "TimeToFirstToken",
            None,
            World(stable=NO_TOKENS),
            "`metrics.timeToFirstToken` to its ModelRuntime or ModelDeployment, or leave the gate out",
        ),
        ("TimePerOutputToken", None, World(candidate=NO_TOKENS), "list no `timePerOutputToken`"),
        ("TimeToFirstToken", "Gateway", World(), "a gateway does not see tokens: write `source: Runtime`"),
        ("TimePerOutputToken", "Gateway", World(), "a gateway does not see tokens: write `source: Runtime`"),
        ("Errors", "Gateway", World(gateway=None), "set the Helm value `gateway.metrics`"),
        ("Errors", "Gateway", World(routed=False), "without `traffic` no gateway sees the requests"),
    ],
)
def test_a_question_that_nobody_measures_says_what_to_write(
    signal: Signal, source: Source | None, world: World, says: str
) -> None:
    answer = ask(Gate(name="g", signal=signal, source=source), **vars(world))
    assert isinstance(answer, Unanswerable)
    assert says in answer.reason
    assert answer.reason.startswith("gate g asks ")


def test_versions_with_different_runtimes_are_asked_each_in_their_own_metrics() -> None:
    other = Metrics.model_validate({"port": 1, "requests": {"counter": "calls", "failed": {"ok": "no"}}})
    asked = ask(Gate(name="g", signal="Errors"), stable=ALL, candidate=other, gateway=None, routed=False)
    assert asked == Question(
        gate="g", stable=HITS, candidate=Shape("Runtime", "Errors", "calls", failed=(("ok", "no"),))
    )


def test_the_order_of_matchers_makes_no_other_shape() -> None:
    turned = Metrics.model_validate(
        {
            "port": 1,
            "requests": {"counter": "hits_total", "match": {"method": "POST", "path": "/p"}, "failed": {"code": "5.."}},
        }
    )
    asked = ask(Gate(name="g", signal="Errors"), stable=ALL, candidate=turned, gateway=None, routed=False)
    assert isinstance(asked, Question)
    assert asked.stable == asked.candidate


def test_an_unknown_gateway_is_refused_with_those_that_are_known() -> None:
    assert gateway("envoy-gateway") is ENVOY_GATEWAY
    with pytest.raises(ValueError, match=r"`gateway.metrics` is `haproxy`.*write `envoy-gateway`"):
        gateway("haproxy")
