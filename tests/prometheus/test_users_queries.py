"""What only a real Prometheus can show of metrics that users name themselves: that they are read, and only their own."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from hypothesis import given, settings

from pointsman.api.gates import Gate
from pointsman.prometheus.reader import Reader
from pointsman.signals.own import Names, ask_events, ask_threshold
from pointsman.signals.profiles import Unanswerable
from pointsman.signals.promql import confined
from pointsman.signals.reading import Counts, Measured, NoData, Watch
from pointsman.signals.tokens import PromqlError
from tests.prometheus.real import Prometheus, see, settle
from tests.signals.queries_of_users import queries

pytestmark = pytest.mark.bare  # needs the cluster's own Prometheus, and nothing else of it

SHOP = """
orders_total{app="shop",model_version="6"} 900
orders_total{app="shop",model_version="7"} 100
orders_total{app="other",model_version="6"} 7
refunds_total{app="shop",model_version="6",reason="broken"} 9
refunds_total{app="shop",model_version="6",reason="late"} 1
gpu_memory_ratio{gpu="0"} 0.25
gpu_memory_ratio{gpu="1"} 0.75
"""
EVENTS = Gate.model_validate(
    {
        "name": "gate",
        "signal": "Events",
        "events": {
            "bad": 'refunds_total{app="shop"}',
            "total": 'orders_total{app="$deployment"}',
            "arm": {"label": "model_version", "is": "Version"},
        },
    }
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    made = Prometheus(tmp_path_factory.mktemp("prometheus"))
    made.scrape("shop", (made.exporter(SHOP), {"namespace": "ml", "pod": "shop-web-1"}))
    with made.running():
        yield made


@pytest.fixture(scope="module")
def http(prometheus: Prometheus) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=prometheus.url) as client:
        yield client


@pytest_asyncio.fixture
async def reader(prometheus: Prometheus) -> AsyncIterator[Reader]:
    made = Reader(prometheus.url)
    yield made
    await made.close()


def of_shop(gate: Gate, namespace: str = "ml") -> Watch:
    names = Names(
        namespace=namespace,
        deployment="shop",
        stable="shop-1",
        candidate="shop-2",
        stable_version="6",
        candidate_version="7",
    )
    asked = ask_events(gate, names) if gate.signal == "Events" else ask_threshold(gate, names)
    assert not isinstance(asked, Unanswerable)
    return Watch(namespace, stable="shop-1", candidate="shop-2", questions=(asked,))


def limited(query: str) -> Gate:
    return Gate.model_validate(
        {"name": "gate", "signal": "Threshold", "threshold": {"query": query, "max": "0.9", "for": "1m"}}
    )


async def test_events_of_both_versions_and_of_nobody_elses_namespace(reader: Reader) -> None:
    seen = await settle(reader, of_shop(EVENTS), on=Counts)
    assert isinstance(seen, Counts)
    assert [pod.cells for pod in seen.stable.pods.values()] == [(10, 900)]
    assert [pod.cells for pod in seen.candidate.pods.values()] == [(0, 100)]
    elsewhere = await see(reader, of_shop(EVENTS, "team"))
    assert isinstance(elsewhere, NoData)
    assert "no event of the stable version is counted yet" in elsewhere.reason


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("max(gpu_memory_ratio)", [0.75]),
        ("gpu_memory_ratio", [0.25, 0.75]),
        ('sum(orders_total{app="$deployment"}) / 2000', [0.5]),
        ("scalar(max(gpu_memory_ratio)) * 2", [1.5]),  # a number, not a vector
        ('{__name__="gpu_memory_ratio",namespace=~".*"} > 0.5', [0.75]),
    ],
)
async def test_answers_of_users_queries(reader: Reader, query: str, values: list[float]) -> None:
    seen = await settle(reader, of_shop(limited(query)), on=Measured)
    assert isinstance(seen, Measured)
    assert sorted(seen.values) == values
    elsewhere = await see(reader, of_shop(limited(query), "team"))
    assert isinstance(elsewhere, NoData) or all(math.isnan(value) for value in elsewhere.values)  # type: ignore[union-attr]


def selectors(node: object) -> Iterator[dict[str, object]]:
    """The selectors in an expression as Prometheus itself reads it."""
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node
        for inner in node.values():
            yield from selectors(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from selectors(inner)


@given(query=queries())
@settings(max_examples=100, deadline=None)
def test_prometheus_reads_our_matcher_in_every_selector(http: httpx.Client, query: str) -> None:
    """Its own parser is asked where a query, as it is sent, selects: nowhere but in the namespace."""
    try:
        written = confined(query, {"namespace": "ml", "deployment": "shop", "revision": "shop-2"})
    except PromqlError:
        return
    answer = http.post("/api/v1/parse_query", data={"query": written}).json()
    if answer["status"] != "success":
        return  # of a wrong type: nothing is read at all
    own = {"name": "namespace", "type": "=", "value": "ml"}
    found = list(selectors(answer["data"]))
    assert len(found) >= ("{" in written)
    assert all(own in one["matchers"] for one in found)  # type: ignore[operator]
