from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from pointsman.signals.counts import look
from pointsman.signals.queries import Query, plan
from pointsman.signals.reading import Counts, Faulty, NoData, PodCount, Reading
from pointsman.signals.samples import Answer, Failed, Sample
from tests.signals.scrape import (
    AT,
    CANDIDATE,
    ERRORS,
    GATEWAY_ERRORS,
    LATENCY,
    NOW,
    STABLE,
    Scrape,
    answers,
    looked,
    watch,
)

QUIET = Scrape("c-1", CANDIDATE)


def stable_pods(*scrapes: Scrape) -> Mapping[str, PodCount]:
    read = looked(ERRORS, QUIET, *scrapes)
    assert isinstance(read, Counts), read
    return read.stable.pods


@pytest.mark.parametrize(
    ("scrape", "failed", "total"),
    [
        pytest.param(Scrape("p").counter(10, status="200"), 0, 10, id="no failure yet has no failed series"),
        pytest.param(Scrape("p").counter(10, status="200").failed(3), 3, 13, id="failures are requests too"),
        pytest.param(
            Scrape("p").counter(10, method="POST").counter(5, method="GET").failed(1, method="POST"),
            1,
            16,
            id="summed over whatever else tells series apart",
        ),
        pytest.param(Scrape("p"), 0, 0, id="a live pod without a series has counted zero"),
        pytest.param(Scrape("p").counter(1e15), 0, 10**15, id="large counters are exact"),
    ],
)
def test_requests_and_failures_of_a_pod(scrape: Scrape, failed: int, total: int) -> None:
    assert stable_pods(scrape)["p"].cells == (failed, total)


def test_each_pod_is_counted_by_itself_with_the_start_of_its_process() -> None:
    pods = stable_pods(Scrape("p1").counter(7).started(NOW - 3600), Scrape("p2").counter(9))
    assert pods == {"p1": PodCount(NOW - 3600, (0, 7)), "p2": PodCount(None, (0, 9))}


def test_an_arm_says_when_it_was_last_scraped_and_how_many_series_it_has() -> None:
    read = looked(ERRORS, QUIET, Scrape("p1", age=20).counter(1).failed(1), Scrape("p2", age=8))
    assert isinstance(read, Counts)
    assert read.stable.newest.timestamp() == NOW - 8
    assert read.stable.series == 2
    assert read.candidate.newest.timestamp() == NOW - 5


def test_no_series_anywhere_is_told_with_the_name_of_the_metric() -> None:
    read = looked(ERRORS, QUIET, Scrape("p"))
    assert isinstance(read, Counts)
    assert read.note is not None
    assert "exports a matching series of requests_total yet" in read.note


@pytest.mark.parametrize(
    ("scrapes", "says"),
    [
        pytest.param([], "Prometheus has no target for stable revision churn-11111111", id="nothing is scraped"),
        pytest.param([Scrape("p", up=False)], "Prometheus cannot scrape pod p (job pods, p:8082)", id="down"),
        pytest.param([Scrape("p", age=61)], "the last scrape of pod p (job pods, p:8082) is over 60 s old", id="stale"),
        pytest.param(
            [Scrape("p", up=False).counter(9)], "cannot scrape pod p", id="the counter of a target that is down is old"
        ),
        pytest.param(
            [Scrape("p"), Scrape("p", job="sidecar", instance="p:15020", up=False)],
            "cannot scrape pod p (job sidecar",
            id="without a series either target may be the one that counts",
        ),
    ],
)
def test_without_a_live_fresh_target_there_is_no_data(scrapes: list[Scrape], says: str) -> None:
    read = looked(ERRORS, QUIET, *scrapes)
    assert isinstance(read, NoData)
    assert says in read.reason


def test_a_pod_that_cannot_be_scraped_is_left_out_beside_one_that_can() -> None:
    read = looked(ERRORS, QUIET, Scrape("p1").counter(4), Scrape("p2", up=False), Scrape("p3", age=300).counter(3))
    assert isinstance(read, Counts)
    assert dict(read.stable.pods) == {"p1": PodCount(None, (0, 4))}
    assert set(read.stable.missing) == {"p2", "p3"}


def test_a_sidecar_that_is_down_does_not_hide_the_target_that_exports_the_counters() -> None:
    sidecar = Scrape("p", job="sidecar", instance="p:15020", up=False)
    assert stable_pods(Scrape("p").counter(4), sidecar)["p"].cells == (0, 4)


def test_the_start_of_a_sidecar_is_not_the_start_of_the_model() -> None:
    sidecar = Scrape("p", job="sidecar", instance="p:15020").started(NOW - 1)
    assert stable_pods(Scrape("p").counter(4).started(NOW - 900), sidecar)["p"].started == NOW - 900


@pytest.mark.parametrize("arm", ["candidate", "stable"])
def test_the_reason_names_the_arm_that_has_no_data(arm: str) -> None:
    there = Scrape("p", STABLE if arm == "candidate" else CANDIDATE)
    read = looked(ERRORS, there)
    assert isinstance(read, NoData)
    assert f"no target for {arm} revision" in read.reason


@pytest.mark.parametrize(
    ("labels", "part", "says"),
    [
        (
            {"namespace": "ml", "pod": f"{STABLE}-6f9c-x1", "job": "pods"},
            "unlabelled",
            "the label 'pointsman_dev_revision' does not arrive: copy the pod's labels",
        ),
        (
            {"pointsman_dev_revision": STABLE, "job": "pods"},
            "nowhere",
            "sets no label 'namespace'",
        ),
    ],
)
def test_targets_without_our_labels_are_told_from_no_targets(labels: dict[str, str], part: str, says: str) -> None:
    asked = watch(ERRORS)
    made = plan([asked])
    found = answers(made, QUIET)
    (up,) = made.freshness.values()
    found[up] = (*_samples(found[up]), Sample({**labels, "pointsman_part": part}, NOW))
    read = look(made, found, AT).read(asked).gates["errors"]
    assert isinstance(read, NoData)
    assert says in read.reason


@pytest.mark.parametrize(
    ("scrapes", "says"),
    [
        pytest.param(
            [Scrape("p").counter(4), Scrape("p", job="podmonitor").counter(4)],
            "pod p is scraped twice, as job 'podmonitor' at 'p:8082' and job 'pods' at 'p:8082'",
            id="two jobs",
        ),
        pytest.param(
            [Scrape("p").counter(4), Scrape("p", instance="p:9999").counter(4)],
            "pod p is scraped twice, as job 'pods' at 'p:8082' and job 'pods' at 'p:9999'",
            id="two ports",
        ),
        pytest.param([Scrape("p").counter(math.nan)], "pod p exports requests_total = nan", id="NaN"),
        pytest.param([Scrape("p").counter(-1)], "requests_total = -1", id="negative"),
        pytest.param([Scrape("p").counter(math.inf)], "requests_total = inf", id="infinite"),
        pytest.param([Scrape("p").counter(2.5)], "requests_total = 2.5, which is no count", id="a rate, not a counter"),
    ],
)
def test_samples_that_cannot_be_true_are_faulty(scrapes: list[Scrape], says: str) -> None:
    read = looked(ERRORS, QUIET, *scrapes)
    assert isinstance(read, Faulty)
    assert says in read.reason
    assert read.reason.startswith("gate errors: ")


@pytest.mark.parametrize("which", ["counters", "freshness"])
def test_a_failed_query_is_no_data_for_everyone_who_asked_it_and_for_nobody_else(which: str) -> None:
    asked = watch(ERRORS, LATENCY)
    made = plan([asked])
    found = answers(made, QUIET, Scrape("p").counter(1))
    query = made.shapes[asked.questions[0].stable] if which == "counters" else made.freshness["Runtime"]
    found[query] = Failed("Prometheus cannot be reached")
    gates = look(made, found, AT).read(asked).gates
    assert gates["errors"] == NoData("Prometheus cannot be reached")
    assert isinstance(gates["latency"], Counts if which == "counters" else NoData)


def test_the_same_revision_name_in_another_namespace_is_another_revision() -> None:
    asked, other = watch(ERRORS), watch(ERRORS, namespace="lab")
    made = plan([asked, other])
    found = answers(made, QUIET, Scrape("p").counter(1))
    view = look(made, found, AT)
    assert isinstance(view.read(asked).gates["errors"], Counts)
    assert isinstance(view.read(other).gates["errors"], NoData)


def test_latency_of_both_arms_is_counted_on_the_edges_that_both_have() -> None:
    read = looked(
        LATENCY,
        Scrape("c", CANDIDATE).buckets(le_0_1=1, le_0_5=4, le_inf=4),
        Scrape("p1").buckets(le_0_1=5, le_0_25=8, le_0_5=9, le_inf=10),
        Scrape("p2"),
    )
    assert isinstance(read, Counts)
    assert read.edges == (0.1, 0.5, math.inf)
    assert {pod: count.cells for pod, count in read.stable.pods.items()} == {"p1": (5, 9, 10), "p2": (0, 0, 0)}
    assert read.candidate.pods["c"].cells == (1, 4, 4)


def test_before_the_first_request_no_edge_is_known() -> None:
    read = looked(LATENCY, QUIET, Scrape("p"))
    assert isinstance(read, Counts)
    assert read.edges == (math.inf,)
    assert read.stable.pods["p"].cells == (0,)


def gateway_look(*, clusters: tuple[str, ...]) -> Reading:
    """Two Envoy pods; the first serves `clusters`, the second none of ours."""
    asked = watch(GATEWAY_ERRORS)
    made = plan([asked])
    ours, other = ({"namespace": "gw", "pod": pod, "job": "envoy", "instance": pod} for pod in ("e1", "e2"))
    series = [Sample({**ours, "pointsman_part": "started"}, NOW - 500.0)]
    for revision in clusters:
        cluster = {**ours, "envoy_cluster_name": f"service/ml/{revision}/80/http"}
        series += [
            Sample({**cluster, "pointsman_part": "present"}, 1),
            Sample({**cluster, "envoy_response_code_class": "2"}, 20),
            Sample({**cluster, "envoy_response_code_class": "5"}, 2),
            Sample({**cluster, "envoy_response_code_class": "5", "pointsman_part": "failed"}, 2),
        ]
    found: dict[Query, Answer] = {
        made.freshness["Gateway"]: (Sample(ours, NOW - 3), Sample(other, NOW - 3)),
        made.shapes[asked.questions[0].stable]: tuple(series),
    }
    return look(made, found, AT).read(asked)


def test_the_gateways_pods_count_both_revisions() -> None:
    read = gateway_look(clusters=(STABLE, CANDIDATE)).gates["errors"]
    assert isinstance(read, Counts)
    assert dict(read.stable.pods) == dict(read.candidate.pods) == {"e1": PodCount(NOW - 500.0, (2, 22))}


def test_a_revision_that_gets_no_traffic_yet_has_counted_zero_at_the_gateway() -> None:
    read = gateway_look(clusters=(STABLE,)).gates["errors"]
    assert isinstance(read, Counts)
    assert read.candidate.pods["e1"].cells == (0, 0)


def test_a_gateway_that_shows_neither_revision_gives_no_data() -> None:
    read = gateway_look(clusters=()).gates["errors"]
    assert isinstance(read, NoData)
    assert "is `mergeBackends` set in the EnvoyProxy" in read.reason


def _samples(answer: Answer) -> tuple[Sample, ...]:
    assert not isinstance(answer, Failed)
    return answer
