from __future__ import annotations

import math

import pytest

from pointsman.signals import histogram
from pointsman.signals.counters import FaultError
from pointsman.signals.histogram import Histogram
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Sample

INF = math.inf


def series(le: dict[str, float], **labels: str) -> list[Sample]:
    return [Sample({**labels, "le": edge}, count) for edge, count in le.items()]


@pytest.mark.parametrize(
    ("unit", "le", "edges"),
    [
        ("s", {"0.005": 1, "2.5": 2, "+Inf": 2}, (0.005, 2.5, INF)),
        ("ms", {"5": 1, "2500.0": 2, "+Inf": 2}, (0.005, 2.5, INF)),
        ("us", {"5000": 1, "2.5e+06": 2, "+Inf": 2}, (0.005, 2.5, INF)),
        ("ms", {"0.3": 1, "5.1": 2, "+Inf": 2}, (0.0003, 0.0051, INF)),  # exact: 5.1 / 1000 in floats is not 0.0051
    ],
)
def test_edges_are_in_seconds_whatever_the_unit(unit: Unit, le: dict[str, float], edges: tuple[float, ...]) -> None:
    assert histogram.read("p", series(le), unit) == Histogram(edges, (1, 2, 2))


def test_series_of_one_pod_that_differ_in_other_labels_are_summed() -> None:
    both = [*series({"0.1": 1, "+Inf": 3}, path="/a"), *series({"0.1": 10, "+Inf": 10}, path="/b")]
    assert histogram.read("p", both, "s") == Histogram((0.1, INF), (11, 13))


def test_series_with_different_buckets_are_summed_on_the_edges_they_share() -> None:
    both = [*series({"0.1": 1, "1": 2, "+Inf": 3}, path="/a"), *series({"0.5": 5, "1": 7, "+Inf": 9}, path="/b")]
    assert histogram.read("p", both, "s") == Histogram((1.0, INF), (9, 12))


def test_an_edge_at_zero_tells_nothing() -> None:
    assert histogram.read("p", series({"0": 0, "0.1": 1, "+Inf": 3}), "s") == Histogram((0.1, INF), (1, 3))


def test_no_series_is_no_histogram() -> None:
    assert histogram.read("p", [], "s") is None


@pytest.mark.parametrize(
    ("le", "says"),
    [
        ({"0.1": 5, "0.5": 4, "+Inf": 6}, "pod p exports buckets that fall: 5 up to 0.1 s but 4 up to 0.5 s"),
        ({"0.1": 5, "+Inf": 4}, "buckets that fall"),
        ({"0.1": 5}, 'without the bucket le="+Inf"'),
        ({"fast": 5, "+Inf": 5}, "le='fast', which is no number"),
        ({"": 5, "+Inf": 5}, "le='', which is no number"),
        ({"NaN": 5, "+Inf": 5}, "le='NaN', which is no number"),
        ({"0.5": 5, "0.50": 5, "+Inf": 5}, "exports the bucket le='0.50' twice"),
        ({"0.5": math.nan, "+Inf": 5}, "= nan, which is no count of requests"),
    ],
)
def test_buckets_that_cannot_be_true_are_a_fault(le: dict[str, float], says: str) -> None:
    with pytest.raises(FaultError) as fault:
        histogram.read("p", series(le), "s")
    assert says in str(fault.value)


@pytest.mark.parametrize(
    ("histograms", "shared"),
    [
        ([], (INF,)),
        ([None, None], (INF,)),
        ([Histogram((0.1, INF), (0, 0)), None], (0.1, INF)),
        ([Histogram((0.1, 0.2, INF), (0, 0, 0)), Histogram((0.2, 0.3, INF), (0, 0, 0))], (0.2, INF)),
        ([Histogram((0.1, INF), (0, 0)), Histogram((0.3, INF), (0, 0))], (INF,)),
    ],
)
def test_edges_that_all_have(histograms: list[Histogram | None], shared: tuple[float, ...]) -> None:
    assert histogram.common_edges(histograms) == shared
