"""What only a real Prometheus can show: that the PromQL means what we think."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import pytest_asyncio

from pointsman.api.gates import Gate, Slices
from pointsman.api.modelruntime import Metrics
from pointsman.evidence.bins import Bins
from pointsman.evidence.profile import Profile
from pointsman.inspector import ledger as inspection
from pointsman.inspector.assignment import Assignment
from pointsman.inspector.norms import Norms
from pointsman.inspector.outputs import Output
from pointsman.prometheus.reader import Reader
from pointsman.reference.file import Reference
from pointsman.signals.counts import look
from pointsman.signals.ledger import Increments, Ledger, fold
from pointsman.signals.profiles import (
    PredictionsQuestion,
    Question,
    ServedQuestion,
    Unanswerable,
    ask,
    ask_inspector,
    gateway,
)
from pointsman.signals.queries import plan, promql
from pointsman.signals.reading import Answered, Counts, Faulty, LatencyPast, NoData, RatePast, Served, Watch
from pointsman.signals.samples import Failed
from tests.prometheus.protobuf import gauge, native
from tests.prometheus.real import PATIENCE, Exporter, Prometheus, see, settle

pytestmark = pytest.mark.bare  # needs the cluster's own Prometheus, and nothing else of it

METRICS = Metrics.model_validate(
    {
        "port": "metrics",
        "requests": {
            "counter": "hits_total",
            "match": {"path": r'/v2/models/[^/"\\]+/infer'},
            "failed": {"code": "5.."},
        },
        "latency": {"histogram": "took", "unit": "ms", "match": {"path": ".*/infer"}},
    }
)
STARTED = 1_772_000_000
PAGE = f"""
hits_total{{path="/v2/models/churn/infer",code="200",method="POST"}} 90
hits_total{{path="/v2/models/churn/infer",code="500",method="POST"}} 4
hits_total{{path="/v2/models/churn/infer",code="503",method="POST"}} 2
hits_total{{path="/v2/models/churn/ready",code="500",method="GET"}} 700
took_bucket{{path="/infer",le="2.5"}} 10
took_bucket{{path="/infer",le="100"}} 95
took_bucket{{path="/infer",le="+Inf"}} 96
process_start_time_seconds {STARTED}
"""
QUIET = f"process_start_time_seconds {STARTED}\n"

START = gauge("process_start_time_seconds", STARTED)
NATIVE = START + native("took", {40: 10, 41: 2, 64: 5}, schema=3, labels={"path": "/infer"}, around_zero=1)
COARSE = START + native("took", {10: 3, 14: 1, 16: 2}, schema=1, labels={"path": "/infer"})

ERRORS = Gate(name="gate", signal="Errors")
LATENCY = Gate(name="gate", signal="Latency")


GATEWAY_PAGE = """
envoy_server_uptime 3600
envoy_cluster_membership_total{envoy_cluster_name="service/ml/edge-1/80/http"} 2
envoy_cluster_membership_total{envoy_cluster_name="service/ml/edge-2/80/http"} 2
envoy_cluster_upstream_rq_xx{envoy_cluster_name="service/ml/edge-1/80/http",envoy_response_code_class="2"} 40
envoy_cluster_upstream_rq_xx{envoy_cluster_name="service/ml/edge-2/80/http",envoy_response_code_class="2"} 40
envoy_cluster_upstream_rq_xx{envoy_cluster_name="service/ml/edge-2/80/http",envoy_response_code_class="5"} 3
envoy_cluster_upstream_rq_xx{envoy_cluster_name="httproute/ml/edge/rule/0-mirror-1",envoy_response_code_class="2"} 999
"""


def inspected() -> str:
    """What an inspector exports, by its own code."""
    arms = {arm: {"revision": f"shadow-{n}", "url": "http://localhost"} for n, arm in ((1, "stable"), (2, "candidate"))}
    how = {"protocol": "OpenInference", "slices": {"header": "x-tenant"}}
    told = {"namespace": "ml", "deployment": "shadow", "attempt": 1, **how, **arms}
    ledger = inspection.Ledger(Assignment.model_validate(told))
    ledger._replays.update(
        {("shadow-1", "ok"): 40, ("shadow-2", "ok"): 36, ("shadow-2", "timeout"): 1, ("shadow-2", "error"): 3}
    )
    ledger._comparisons.update({("", True): 30, ("", False): 6})
    ledger._comparisons.update({("acme", True): 3, ("acme", False): 6, ("none", True): 27})
    ledger._cells["shadow-2"][8] = 36
    for revision, scores in (("shadow-1", [0.2, 0.9]), ("shadow-2", [0.2, 0.2])):
        ledger._predictions[revision].observe("p", Output(values=tuple(scores), shape=(2,)))
    return ledger.text().decode()


def alone() -> str:
    """What the inspector of a version that serves alone exports, with a reference."""
    told = {
        "namespace": "ml",
        "deployment": "alone",
        "attempt": 0,
        "protocol": "OpenInference",
        "stable": {"revision": "alone-1", "url": "http://localhost"},
        "scales": {"features": {"/age": {"edges": [18, 65]}}, "predictions": {"kind": {"categories": ["cat", "dog"]}}},
    }
    age = Profile(Bins("/age", edges=(18.0, 65.0)), np.array([[100, 800, 100]]))
    kind = Profile(Bins("kind", categories=("cat", "dog")), np.array([[600, 300, 100]]))
    norms = Norms(Reference.of([age], [kind]).dump().encode(), tolerance=0.03, where="reference.json")
    ledger = inspection.Ledger(Assignment.model_validate(told), norms)
    for value in (17, 40, None):
        ledger._features["/age"].observe(value)
    ledger._predictions["alone-1"].observe("kind", Output(values=("cat", "cow"), shape=(2,)))
    return ledger.text().decode()


@dataclass(frozen=True)
class Arms:
    """The exporters of a rollout's two pods."""

    stable: Exporter
    candidate: Exporter


@dataclass(frozen=True)
class World:
    """A running Prometheus and the rollouts that it scrapes, by name: `<name>-1` is stable, `<name>-2` the candidate."""

    prometheus: Prometheus
    rollouts: dict[str, Arms]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"))
    rollouts = {}
    for name in ("plain", "down", "gone", "twice", "unlabelled", "nowhere", "exact"):
        arms = Arms(prometheus.exporter(QUIET if name == "exact" else PAGE), prometheus.exporter(QUIET))
        rollouts[name] = arms
        stable = labels(f"{name}-1")
        stable.pop({"unlabelled": "pointsman_dev_revision", "nowhere": "namespace"}.get(name, ""), None)
        again = [(arms.stable, {**stable, "job": "podmonitor"})] if name == "twice" else []
        prometheus.scrape(name, (arms.stable, stable), (arms.candidate, labels(f"{name}-2")), *again)
    for name, stable_page, candidate_page in (("native", NATIVE, COARSE), ("converted/classic", PAGE, QUIET)):
        arms = Arms(prometheus.exporter(stable_page), prometheus.exporter(candidate_page))
        rollouts[name.rpartition("/")[2]] = arms
        revision = name.rpartition("/")[2]
        prometheus.scrape(name, (arms.stable, labels(f"{revision}-1")), (arms.candidate, labels(f"{revision}-2")))
    prometheus.scrape("edge", (prometheus.exporter(GATEWAY_PAGE), {"namespace": "gateways", "pod": "envoy-1"}))
    inspector = {"namespace": "ml", "pod": "shadow-2-inspector-abc", "pointsman_dev_deployment": "shadow"}
    prometheus.scrape("shadow", (prometheus.exporter(inspected()), inspector))
    lonely = {"namespace": "ml", "pod": "alone-1-inspector-abc", "pointsman_dev_deployment": "alone"}
    prometheus.scrape("alone", (prometheus.exporter(alone()), lonely))
    with prometheus.running():
        yield World(prometheus, rollouts)


@pytest_asyncio.fixture
async def reader(world: World) -> AsyncIterator[Reader]:
    made = Reader(world.prometheus.url)
    yield made
    await made.close()


def labels(revision: str, pod: str = "", **more: str) -> dict[str, str]:
    return {"namespace": "ml", "pod": pod or f"{revision}-abc", "pointsman_dev_revision": revision, **more}


def watch(name: str, gate: Gate) -> Watch:
    asked = ask(gate, stable=METRICS, candidate=METRICS, gateway=gateway("envoy-gateway"), routed=True)
    assert not isinstance(asked, Unanswerable)
    return Watch("ml", stable=f"{name}-1", candidate=f"{name}-2", questions=(asked,))


async def test_requests_failures_and_the_start_of_the_process(reader: Reader) -> None:
    seen = await settle(reader, watch("plain", ERRORS), on=Counts)
    assert isinstance(seen, Counts)
    (stable,), (candidate,) = seen.stable.pods.values(), seen.candidate.pods.values()
    assert (stable.cells, stable.started) == ((6, 96), STARTED)
    assert (candidate.cells, candidate.started) == ((0, 0), STARTED)
    assert abs(datetime.now(UTC) - seen.stable.newest) < timedelta(seconds=PATIENCE)


async def test_buckets_in_seconds(reader: Reader) -> None:
    seen = await settle(reader, watch("plain", LATENCY), on=Counts)
    assert isinstance(seen, Counts)
    assert seen.edges == (0.0025, 0.1, float("inf"))
    assert [pod.cells for pod in seen.stable.pods.values()] == [(10, 95, 96)]
    assert [pod.cells for pod in seen.candidate.pods.values()] == [(0, 0, 0)]


async def test_native_histograms_of_two_schemas_on_the_edges_that_they_share(reader: Reader) -> None:
    """In ms: stable's buckets end at 32, 34.9 and 256, the candidate's at 32, 128 and 256; schema 1 has every fourth edge."""
    seen = await settle(reader, watch("native", LATENCY), on=Counts)
    assert isinstance(seen, Counts)
    assert len(seen.edges) == 35
    (stable,), (candidate,) = seen.stable.pods.values(), seen.candidate.pods.values()
    places = [seen.edges.index(2.0**octave / 1000) for octave in (4.5, 5, 5.5, 6.5, 7, 7.5, 8)]
    assert [stable.cells[place] for place in places] == [1, 11, 13, 13, 13, 13, 18]
    assert [candidate.cells[place] for place in places] == [0, 3, 3, 3, 4, 4, 6]
    assert (stable.cells[-1], candidate.cells[-1], stable.started) == (18, 6, STARTED)


async def test_classic_histograms_that_prometheus_converts_keep_their_edges(reader: Reader) -> None:
    """Only populated buckets are told: (-Inf, 2.5], (2.5, 100] and (100, +Inf) all are."""
    seen = await settle(reader, watch("classic", LATENCY), on=Counts)
    assert isinstance(seen, Counts)
    assert seen.edges == (0.0025, 0.1, float("inf"))
    assert [pod.cells for pod in seen.stable.pods.values()] == [(10, 95, 96)]
    assert [pod.cells for pod in seen.candidate.pods.values()] == [(0, 0, 0)]


async def test_the_past_of_native_histograms(reader: Reader) -> None:
    asked = replace(watch("native", LATENCY), calibrate=timedelta(seconds=2), interval=timedelta(seconds=1))
    made = plan([asked])
    deadline = time.monotonic() + PATIENCE
    while True:
        at = datetime.now(UTC)
        answers, ranges = await reader.read(made.queries, at), await reader.read_ranges(made.ranges, at)
        past = look(made, answers, at, ranges=ranges).read(asked).past["gate"]
        if isinstance(past, LatencyPast) and past.pods and (past.counts >= 0).all():
            break
        assert time.monotonic() < deadline, f"still {past}"
        await asyncio.sleep(0.2)
    assert past.counts.shape == (2, 1, len(past.edges))
    assert 2.0**5.125 / 1000 in past.edges
    assert not past.counts.any()  # its page stands still


async def test_a_gateways_clusters_with_the_start_from_its_uptime(reader: Reader) -> None:
    seen = await settle(reader, watch("edge", Gate(name="gate", signal="Errors", source="Gateway")), on=Counts)
    assert isinstance(seen, Counts)
    (stable,), (candidate,) = seen.stable.pods.values(), seen.candidate.pods.values()
    assert stable.cells == (0, 40)
    assert candidate.cells == (3, 43)
    assert stable.started is not None
    assert abs(time.time() - 3600 - stable.started) < PATIENCE


@pytest.mark.parametrize(
    ("gate", "stable", "candidate"),
    [
        (ERRORS, (0, 40), (4, 40)),
        (Gate(name="gate", signal="Agreement"), (0, 0), (6, 36)),
        (LATENCY, (0, 0), (0, 36)),
    ],
    ids=lambda one: one.signal if isinstance(one, Gate) else "",
)
async def test_what_the_inspector_saw_of_both_versions(
    reader: Reader, gate: Gate, stable: tuple[int, int], candidate: tuple[int, int]
) -> None:
    asked = ask_inspector(gate)
    assert not isinstance(asked, Unanswerable)
    seen = await settle(reader, Watch("ml", "shadow-1", "shadow-2", questions=(asked,)), on=Counts)
    assert isinstance(seen, Counts)
    for counts, (bad, total) in ((seen.stable, stable), (seen.candidate, candidate)):
        (pod,) = counts.pods.values()
        assert (pod.cells[0], pod.cells[-1]) == (bad, total)
        assert pod.started is not None


async def test_what_the_inspector_saw_by_slice(reader: Reader) -> None:
    asked = ask_inspector(Gate(name="gate", signal="Agreement", slices=Slices(header="x-tenant")))
    assert isinstance(asked, Question)
    seen = await settle(reader, Watch("ml", "shadow-1", "shadow-2", questions=(asked,)), on=Counts)
    assert isinstance(seen, Counts)
    found = {name: [pod.cells for pod in arm.pods.values()] for name, arm in seen.slices.items()}
    assert found == {"acme": [(6, 9)], "none": [(0, 27)], "other": [(0, 0)]}
    assert [pod.cells for pod in seen.candidate.pods.values()] == [(6, 36)]
    (_, all_) = promql(asked.candidate, namespace="ml", revision="shadow-2")
    assert reader._client.custom_query(all_)["data"]["result"][0]["value"][1] == "36"


async def test_what_both_versions_predicted(reader: Reader) -> None:
    asked = Watch("ml", "shadow-1", "shadow-2", questions=(PredictionsQuestion("gate"),))
    seen = await settle(reader, asked, on=Counts)
    assert isinstance(seen, Counts)
    (scale,) = seen.outputs
    (stable,), (candidate,) = seen.stable.pods.values(), seen.candidate.pods.values()
    assert scale.name == "p"
    assert (stable.cells[-1], candidate.cells[-1]) == (2, 2)
    assert stable.cells != candidate.cells
    assert stable.started is not None


async def test_what_a_version_that_serves_alone_was_asked_and_said_and_what_was_expected(reader: Reader) -> None:
    seen = await settle(reader, Watch("ml", "alone-1", "", questions=(ServedQuestion("gate"),)), on=Served)
    assert isinstance(seen, Served)
    (age,), (kind,) = seen.features, seen.predictions
    assert (age.counts, age.missing, sorted(age.norm)) == ((1, 1, 0), 1, [18.0, 65.0])
    assert (kind.scale.categories, kind.counts) == (("cat", "dog"), (1, 0, 1))
    assert kind.norm.keys() == {"cat", "dog", "other"}
    assert seen.started is not None


async def test_a_candidate_that_no_inspector_replays_to_has_no_data(reader: Reader) -> None:
    asked = ask_inspector(ERRORS)
    assert not isinstance(asked, Unanswerable)
    seen = await see(reader, Watch("ml", "shadow-1", "shadow-9", questions=(asked,)))
    assert isinstance(seen, NoData)
    assert "no target for the inspector of candidate revision shadow-9" in seen.reason


async def test_a_target_that_cannot_be_scraped_gives_no_data_until_it_can(world: World, reader: Reader) -> None:
    await settle(reader, watch("down", ERRORS), on=Counts)
    world.rollouts["down"].stable.page = None
    await settle(reader, watch("down", ERRORS), on=NoData, says="Prometheus cannot scrape pod down-1-abc")
    world.rollouts["down"].stable.shows(PAGE)
    await settle(reader, watch("down", ERRORS), on=Counts)


async def test_a_target_that_is_gone_is_no_zero(world: World, reader: Reader) -> None:
    await settle(reader, watch("gone", ERRORS), on=Counts)
    world.prometheus.scrape("gone", (world.rollouts["gone"].stable, labels("gone-1")))
    await settle(reader, watch("gone", ERRORS), on=NoData, says="no target for candidate revision gone-2")


async def test_old_samples_are_told_from_their_scrapes_time(reader: Reader) -> None:
    await settle(reader, watch("plain", ERRORS), on=Counts)
    # a look whose clock is ahead sees what a Prometheus that stopped scraping would show
    soon = await see(reader, watch("plain", ERRORS), later=timedelta(seconds=62))
    assert isinstance(soon, NoData)
    assert "the last scrape of pod plain-2-abc" in soon.reason
    late = await see(reader, watch("plain", ERRORS), later=timedelta(minutes=6))
    assert isinstance(late, NoData)
    assert "has no target" in late.reason


async def test_one_pod_under_two_targets_is_faulty(reader: Reader) -> None:
    seen = await settle(reader, watch("twice", ERRORS), on=Faulty)
    assert isinstance(seen, Faulty)
    assert "pod twice-1-abc is scraped twice, as job 'podmonitor'" in seen.reason


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unlabelled", "the label 'pointsman_dev_revision' does not arrive"),
        ("nowhere", "sets no label 'namespace'"),
    ],
)
async def test_labels_that_do_not_arrive(reader: Reader, name: str, says: str) -> None:
    await settle(reader, watch(name, ERRORS), on=NoData, says=says)


async def test_counts_are_exact_while_requests_and_scrapes_go_on(world: World, reader: Reader) -> None:
    """Every second request fails; looks fall between scrapes as they like."""
    served, stop, lock = [0], threading.Event(), threading.Lock()

    def page() -> str:
        with lock:
            failed, total = served[0] // 2, served[0]
        ok = f'hits_total{{path="/v2/models/m/infer",code="200"}} {total - failed}\n'
        return f'{QUIET}{ok}hits_total{{path="/v2/models/m/infer",code="500"}} {failed}\n'

    def serve() -> None:
        while not stop.wait(0.001):
            with lock:
                served[0] += 1

    world.rollouts["exact"].stable.page = page
    asked, ledger, failed, total = watch("exact", ERRORS), Ledger(), 0, 0
    first = await settle(reader, asked, on=Counts)
    thread = threading.Thread(target=serve)
    thread.start()
    seen: Answered = first
    looks = 0
    deadline = time.monotonic() + PATIENCE
    while (total < 1000 or served[0] > total) and time.monotonic() < deadline:
        if isinstance(seen, Counts):
            at = datetime.now(UTC)
            ledger, found = fold(ledger, seen, at=at, warmup=0)
            assert isinstance(found, Increments)
            failed, total = failed + found.stable.failed, total + found.stable.requests
        if total >= 1000:
            stop.set()
        looks += 1
        seen = await see(reader, asked)
    stop.set()
    thread.join()
    assert (failed, total) == (served[0] // 2, served[0])
    assert looks > 5


async def test_the_past_is_what_was_counted_second_by_second(world: World, reader: Reader) -> None:
    """Five seconds of a candidate's pod that serves all the time, read as if it were stable, beside what it really served."""
    served = [0]

    def page() -> str:
        served[0] += 7  # with each scrape
        ok = f'hits_total{{path="/v2/models/m/infer",code="200"}} {served[0] - served[0] // 7}\n'
        return f'{QUIET}{ok}hits_total{{path="/v2/models/m/infer",code="500"}} {served[0] // 7}\n'

    world.rollouts["exact"].candidate.page = page
    forward = watch("exact", ERRORS)
    asked = replace(
        forward,
        stable=forward.candidate,
        candidate=forward.stable,
        calibrate=timedelta(seconds=5),
        interval=timedelta(seconds=1),
    )
    made = plan([asked])
    deadline = time.monotonic() + PATIENCE
    while True:
        at = datetime.now(UTC)
        answers, ranges = await reader.read(made.queries, at), await reader.read_ranges(made.ranges, at)
        past = look(made, answers, at, ranges=ranges).read(asked).past["gate"]
        if isinstance(past, RatePast) and past.pods and (past.requests > 0).all():
            break
        assert time.monotonic() < deadline, f"still {past}"
        await asyncio.sleep(0.2)
    assert (past.seconds, past.pods, past.requests.shape) == (1, ("exact-2-abc",), (5, 1))
    assert (past.requests == past.bad * 7).all()
    assert 5 * 7 <= past.requests.sum() <= served[0]


async def test_a_thousand_rollouts_are_two_queries_with_one_answer_each(reader: Reader) -> None:
    await settle(reader, watch("plain", ERRORS), on=Counts)
    made = plan(
        [watch("plain", ERRORS), *(watch(f"other-with-a-long-name-{number}", ERRORS) for number in range(1000))]
    )
    answers = await reader.read(made.queries, datetime.now(UTC))
    assert [len(answer) for answer in answers.values() if not isinstance(answer, Failed)] == [
        1 + 1 + 2,  # requests, failures, and when each of the two pods was started; however many series they are
        2,
    ]


async def test_what_a_person_pastes_gives_the_same_numbers(reader: Reader) -> None:
    asked = watch("plain", ERRORS)
    await settle(reader, asked, on=Counts)
    texts = promql(asked.questions[0].stable, namespace="ml", revision="plain-1")
    answers = [reader._client.custom_query(text) for text in texts]
    assert [answer["data"]["result"][0]["value"][1] for answer in answers] == ["6", "96"]
