"""What stable counted before a rollout: from the samples of a range query to increments on one grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pointsman.api.gates import Gate
from pointsman.signals.counts import look
from pointsman.signals.queries import Span, plan, span
from pointsman.signals.reading import LatencyPast, NoData, Past, RatePast, Watch
from pointsman.signals.samples import Failed, Native, RangeAnswer, Series
from tests.signals.scrape import AT, ERRORS, GATEWAY_ERRORS, LATENCY, NOW, STABLE, watch

NONE = None  # no sample at that time
STEP = 10.0


def asking(gate: Gate = ERRORS, steps: int = 5, warmup: int = 0) -> Watch:
    return replace(watch(gate), calibrate=timedelta(seconds=STEP * steps), warmup=warmup)


def series(values: Sequence[float | None], pod: str = "pod-a", revision: str = STABLE, **labels: str) -> Series:
    """The values of the last looks, the newest at the look's own time."""
    own = {"namespace": "ml", "pointsman_dev_revision": revision, "pod": pod, "job": "pods", "instance": f"{pod}:1"}
    begin = NOW - STEP * (len(values) - 1)
    points = [(begin + STEP * i, float(value)) for i, value in enumerate(values) if value is not None]
    return Series({**own, **labels}, tuple(time for time, _ in points), tuple(value for _, value in points))


def failed(values: Sequence[float | None], pod: str = "pod-a") -> Series:
    return series(values, pod, pointsman_part="failed")


def started(values: Sequence[float | None], pod: str = "pod-a") -> Series:
    return series(values, pod, pointsman_part="started")


def buckets(pod: str = "pod-a", **values: Sequence[float | None]) -> list[Series]:
    """`le_0_1` is le="0.1"."""
    return [
        series(counts, pod, le=name.removeprefix("le_").replace("inf", "+Inf").replace("_", "."))
        for name, counts in values.items()
    ]


def natives(*counts: Mapping[int, int] | None, schema: int = 3) -> Series:
    """A native series: requests per bucket number of the schema, at every look."""
    found = [
        Native(float(sum(one.values())), tuple((2.0 ** ((k - 1) / 2**schema), 2.0 ** (k / 2**schema), float(n)) for k, n in one.items()))
        for one in counts
        if one is not None
    ]  # fmt: skip
    laid = series([None if one is None else sum(one.values()) for one in counts])
    return replace(laid, histograms=tuple(found))


def read(asked: Watch, answer: RangeAnswer) -> Past | NoData:
    made = plan([asked])
    (query,) = made.ranges
    found = look(made, dict.fromkeys(made.queries, ()), AT, ranges={query: answer}).read(asked)
    (past,) = found.past.values()
    return past


@pytest.mark.parametrize(
    ("asked", "counted", "bad"),
    [
        pytest.param([series([7, 9, 9, 20])], [2, 0, 11], [0, 0, 0], id="no failure yet"),
        pytest.param(
            [series([7, 9, 9, 20]), failed([1, 2, 2, 8])], [2, 0, 11], [1, 0, 6], id="failures are a part of requests"
        ),
        pytest.param(
            [series([7, 9, 9, 20]), failed([NONE, NONE, 1, 8])],
            [2, -1, 11],
            [0, -1, 7],
            id="a failure that no request explains does not count",
        ),
        pytest.param([series([7, NONE, 9, 20])], [-1, -1, 11], [-1, -1, 0], id="a gap spoils both of its intervals"),
        pytest.param([series([7, 9])], [-1, -1, 2], [-1, -1, 0], id="a pod that came late"),
        pytest.param(
            [series([70, 90, 3, 8]), started([5, 5, 900, 900])],
            [20, -1, 5],
            [0, -1, 0],
            id="counters that started anew",
        ),
        pytest.param(
            [series([7, 9, 30, 38]), started([5, 5, 900, 900])],
            [2, -1, 8],
            [0, -1, 0],
            id="a process that started anew and overtook its predecessor",
        ),
        pytest.param(
            [series([70, 90, 80, 95]), started([5, 5, 5, 5])],
            [20, -1, -1],
            [0, -1, -1],
            id="a store that stepped back: what it shows again counted before",
        ),
        pytest.param(
            [series([70, 90, 80, 95, 99])], [20, -1, -1, 4], [0, -1, -1, 0], id="the same where no start is known"
        ),
        pytest.param(
            [series([9, 3, 70, 90]), started([900, 900, 5, 900])],
            [-1, -1, -1],
            [-1, -1, -1],
            id="samples of a process that is gone",
        ),
    ],
)
def test_what_one_process_counted_between_two_samples(asked: list[Series], counted: list[int], bad: list[int]) -> None:
    past = read(asking(steps=len(counted)), tuple(asked))
    assert isinstance(past, RatePast)
    if max(counted) < 0:
        assert past.pods == ()
        return
    assert (past.seconds, past.pods) == (STEP, ("pod-a",))
    assert past.requests.T.tolist() == [counted]
    assert past.bad.T.tolist() == [bad]


def test_counters_that_stay_lower_for_five_minutes_were_reset_without_saying_so() -> None:
    past = read(asking(steps=40), (series([100, 110, *range(35)]),))
    assert isinstance(past, RatePast)
    assert past.requests[:, 0].tolist() == [-1] * 4 + [10] + [-1] * 31 + [1] * 4


def test_every_pod_is_a_column() -> None:
    past = read(asking(steps=3), (series([0, 1, 3, 6]), series([5, 5, 9], pod="pod-b"), failed([0, 0, 1], pod="pod-b")))
    assert isinstance(past, RatePast)
    assert past.pods == ("pod-a", "pod-b")
    assert past.requests.tolist() == [[1, -1], [2, 0], [3, 4]]
    assert past.bad.tolist() == [[0, -1], [0, 0], [0, 1]]


def test_a_cold_pod_does_not_count() -> None:
    past = read(asking(steps=3, warmup=50), (series([0, 49, 60, 75]),))
    assert isinstance(past, RatePast)
    assert past.requests[:, 0].tolist() == [-1, -1, 15]


def test_latency_is_counted_per_bucket_on_the_edges_that_all_pods_have() -> None:
    past = read(
        asking(LATENCY, steps=2),
        (
            *buckets(le_0=[0, 0, 0], le_0_1=[1, 3, 3], le_0_2=[1, 3, 4], le_1_0=[1, 4, 5], le_inf=[2, 5, 9]),
            *buckets("pod-b", le_0_1=[7, 8], le_1=[7, 8], le_inf=[7, 9]),
        ),
    )
    assert isinstance(past, LatencyPast)
    assert past.edges == (0.1, 1.0, math.inf)
    assert past.counts.tolist() == [[[2, 1, 0], [-1, -1, -1]], [[0, 1, 3], [1, 0, 1]]]


@pytest.mark.parametrize(
    ("gate", "answer", "counted"),
    [
        pytest.param(ERRORS, [series([1, math.nan, 3, 7])], [[-1], [-1], [4]], id="a sample that is none"),
        pytest.param(ERRORS, [series([1, 2.5, 3, 7])], [[-1], [-1], [4]], id="half a request"),
        pytest.param(
            ERRORS, [series([1, 5, 6, 9]), failed([math.nan, 0, 1, 1])], [[-1], [1], [3]], id="failures that are none"
        ),
        pytest.param(
            ERRORS,
            [series([1, 2, NONE, NONE], job="old"), series([NONE, 2, 5, 9], job="new")],
            [[-1], [3], [4]],
            id="a job that was renamed",
        ),
        pytest.param(
            LATENCY,
            [*buckets(le_1=[1, 1, 1, 1], le_inf=[1, 2, 4, 8]), *buckets("pod-b", le_1=[9, 9, 9, 9])],
            [[1], [2], [4]],
            id="a pod without the bucket of all",
        ),
        pytest.param(
            LATENCY,
            [*buckets(le_1=[1, 1, 1, 1], le_a=[1, 1, 1, 1], le_inf=[1, 2, 4, 8])],
            [[1], [2], [4]],
            id="an edge that cannot be read",
        ),
        pytest.param(
            LATENCY,
            [replace(natives({0: 1}, {0: 2}, {0: 4}, {0: 8}), histograms=(Native(1.0, ()), Native(2.5, ()), *[Native(4.0, ())] * 2))],
            [[-1], [-1], [0]],
            id="a native histogram that cannot be true",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_the_past_spoils_what_it_touches_and_no_more(
    gate: Gate, answer: list[Series], counted: list[list[int]]
) -> None:
    past = read(asking(gate, steps=3), tuple(answer))
    if isinstance(past, RatePast):
        assert past.requests.tolist() == counted
        return
    assert isinstance(past, LatencyPast)
    assert np.where((past.counts < 0).any(axis=2), -1, past.counts.sum(axis=2)).tolist() == counted


def test_a_query_that_fails_is_no_data_with_its_reason() -> None:
    assert read(asking(), Failed("Prometheus is away")) == NoData("Prometheus is away")


@pytest.mark.parametrize(
    ("gate", "answer"),
    [
        (ERRORS, ()),
        (ERRORS, (series([5]),)),
        (ERRORS, (started([5, 5, 5]),)),
        (ERRORS, (series([1, 2, 3], revision="churn-22222222"),)),
        (LATENCY, ()),
        (LATENCY, (*buckets(le_1=[1, 2], le_inf=[1, 3]), *buckets("pod-b", le_2=[1, 2], le_inf=[1, 3]))),
    ],
)
def test_a_version_that_counted_nothing_comparable_has_an_empty_past(gate: Gate, answer: RangeAnswer) -> None:
    past = read(asking(gate, steps=2), answer)
    assert isinstance(past, RatePast | LatencyPast)
    assert past.pods == ()


def test_a_gateway_pod_counts_a_revisions_cluster() -> None:
    labels = {"envoy_cluster_name": f"service/ml/{STABLE}/80/http", "pod": "envoy-1", "instance": "envoy-1:19001"}
    other = {**labels, "envoy_cluster_name": "service/ml/churn-22222222/80/http"}
    times = (NOW - STEP, NOW)
    past = read(asking(GATEWAY_ERRORS, steps=1), (Series(labels, times, (4, 9)), Series(other, times, (70, 90))))
    assert isinstance(past, RatePast)
    assert (past.pods, past.requests.tolist(), past.bad.tolist()) == (("envoy-1",), [[5]], [[0]])


def test_a_watch_that_does_not_ask_gets_no_past() -> None:
    asked = watch(ERRORS)
    made = plan([asked])
    assert made.ranges == ()
    assert look(made, dict.fromkeys(made.queries, ()), AT).read(asked).past == {}


@pytest.mark.parametrize(
    ("window", "interval", "grid"),
    [
        (timedelta(hours=1), timedelta(seconds=10), Span(3600, 10)),
        (timedelta(hours=1), timedelta(seconds=1), Span(3600, 10)),  # at most 360 steps
        (timedelta(hours=1), timedelta(seconds=7), Span(3600, 10)),
        (timedelta(hours=1), timedelta(seconds=11), Span(3597, 11)),  # whole steps
        (timedelta(hours=1), timedelta(seconds=10.5), Span(3597, 11)),  # of whole seconds
        (timedelta(seconds=20), timedelta(seconds=30), Span(30, 30)),  # one at least
    ],
)
def test_the_grid_has_the_looks_interval_where_it_can(window: timedelta, interval: timedelta, grid: Span) -> None:
    assert span(replace(watch(ERRORS), calibrate=window, interval=interval)) == grid


def test_rollouts_with_one_grid_share_a_query_of_up_to_sixteen_revisions() -> None:
    asked = [
        replace(asking(), namespace=f"team-{number}", interval=timedelta(seconds=20 if number == 0 else 10))
        for number in range(33)
    ]
    made = plan([*asked, watch(ERRORS)])
    assert sorted(query.about.split(" of ")[-1] for query in made.ranges) == ["16 revisions"] * 2 + [STABLE]
    assert len(made.queries) == 2


def test_the_past_is_asked_of_stable_alone_summed_within_pods_and_read_from_one_snapshot() -> None:
    (query,) = plan([asking()]).ranges
    by = "sum by (namespace,pointsman_dev_revision,pod,job,instance)"
    pods = 'namespace=~"ml",pointsman_dev_revision=~"churn-11111111"'
    assert query.text == (
        f'{by} (requests_total{{{pods},path=~"/infer"}})'
        f' or label_replace({by} (requests_total{{{pods},path=~"/infer",status=~"5.."}}),"pointsman_part","failed","","")'
        f" or label_replace({by.replace('sum', 'max')} (process_start_time_seconds{{{pods}}}),"
        '"pointsman_part","started","","")'
    )
    assert (query.seconds, query.step) == (50, 10)
    (latency,) = plan([asking(LATENCY)]).ranges
    assert latency.text.startswith(f"{by[:-1]},le) (duration_seconds_bucket{{{pods}")


def test_a_time_between_two_seconds_is_on_the_grid() -> None:
    asked = asking(steps=2)
    made = plan([asked])
    (query,) = made.ranges
    at = datetime.fromtimestamp(1_772_000_000.123456, UTC)
    times = (1_771_999_980.123, 1_771_999_990.123, 1_772_000_000.123)  # as Prometheus answers: milliseconds
    answer = (replace(series([1, 2, 4]), times=times),)
    past = look(made, dict.fromkeys(made.queries, ()), at, ranges={query: answer}).read(asked).past["errors"]
    assert isinstance(past, RatePast)
    assert past.requests[:, 0].tolist() == [1, 2]


def test_native_histograms_are_counted_on_the_grid() -> None:
    past = read(
        asking(LATENCY, steps=4),
        (natives({0: 5}, {0: 7, 8: 1}, {0: 7, 8: 2, 12: 4}, None, {0: 9, 8: 2, 12: 4}), started([5] * 5)),
    )
    assert isinstance(past, LatencyPast)
    assert len(past.edges) == 138
    one, two = past.edges.index(1.0), past.edges.index(2.0)
    assert past.counts.shape == (4, 1, 138)
    assert past.counts[:2, 0, [one, two, two + 4]].tolist() == [[2, 1, 0], [0, 1, 4]]
    assert past.counts[:2].sum() == 3 + 5
    assert (past.counts[2:] == -1).all()


def test_pods_that_differ_in_form_are_counted_in_the_one_that_all_have() -> None:
    classic = buckets(le_0_5=[1, 2], le_inf=[3, 5])
    both = [
        *buckets("pod-b", le_0_5=[4, 7], le_inf=[4, 7]),
        replace(natives({0: 4}, {0: 7}), labels=series([], "pod-b").labels),
    ]
    past = read(asking(LATENCY, steps=1), (*classic, *both))
    assert isinstance(past, LatencyPast)
    assert (past.edges, past.counts.tolist()) == ((0.5, math.inf), [[[1, 1], [3, 0]]])
    alone = read(asking(LATENCY, steps=1), tuple(both))
    assert isinstance(alone, LatencyPast)
    assert len(alone.edges) == 138


def test_custom_buckets_that_one_pod_alone_tells_are_known_of_all() -> None:
    one = replace(series([4, 6]), histograms=(Native(4.0, ((0.1, 0.25, 4.0),)), Native(6.0, ((0.1, 0.25, 6.0),))))
    other = replace(
        series([1, 2], "pod-b"), histograms=(Native(1.0, ((0.3, 0.5, 1.0),)), Native(2.0, ((0.3, 0.5, 2.0),)))
    )
    past = read(asking(LATENCY, steps=1), (one, other))
    assert isinstance(past, LatencyPast)
    assert past.edges == (0.1, 0.25, 0.3, 0.5, math.inf)
    assert past.counts.tolist() == [[[0, 2, 0, 0, 0], [0, 0, 0, 1, 0]]]


def test_custom_buckets_that_come_to_be_known_were_empty_before() -> None:
    before = Native(4.0, ((0.1, 0.25, 4.0),))
    after = Native(9.0, ((0.1, 0.25, 6.0), (0.3, 0.5, 3.0)))
    past = read(asking(LATENCY, steps=1), (replace(series([4, 9]), histograms=(before, after)),))
    assert isinstance(past, LatencyPast)
    assert past.edges == (0.1, 0.25, 0.3, 0.5, math.inf)
    assert past.counts.tolist() == [[[0, 2, 0, 3, 0]]]
