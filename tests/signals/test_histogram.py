from __future__ import annotations

import math

import pytest

from pointsman.signals import exports, histogram
from pointsman.signals.counters import FaultError
from pointsman.signals.exports import Exported
from pointsman.signals.histogram import Fixed, Histogram, Sparse
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Sample

INF = math.inf


def series(le: dict[str, float], **labels: str) -> list[Sample]:
    return [Sample({**labels, "le": edge}, count) for edge, count in le.items()]


def read(both: list[Sample], unit: Unit = "s") -> Histogram | None:
    return exports.read("p", both, unit).classic


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
    assert read(series(le), unit) == Fixed(edges, (1, 2, 2))


def test_series_of_one_pod_that_differ_in_other_labels_are_summed() -> None:
    both = [*series({"0.1": 1, "+Inf": 3}, path="/a"), *series({"0.1": 10, "+Inf": 10}, path="/b")]
    assert read(both) == Fixed((0.1, INF), (11, 13))


def test_series_with_different_buckets_are_summed_on_the_edges_they_share() -> None:
    both = [*series({"0.1": 1, "1": 2, "+Inf": 3}, path="/a"), *series({"0.5": 5, "1": 7, "+Inf": 9}, path="/b")]
    assert read(both) == Fixed((1.0, INF), (9, 12))


def test_an_edge_at_zero_tells_nothing() -> None:
    assert read(series({"0": 0, "0.1": 1, "+Inf": 3})) == Fixed((0.1, INF), (1, 3))


def test_no_series_is_no_histogram() -> None:
    assert exports.read("p", [], "s") == Exported(native=None, classic=None)


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
        read(series(le))
    assert says in str(fault.value)


@pytest.mark.parametrize(
    ("histograms", "shared"),
    [
        ([], (INF,)),
        ([None, None], (INF,)),
        ([Fixed((0.1, INF), (0, 0)), None], (0.1, INF)),
        ([Fixed((0.1, 0.2, INF), (0, 0, 0)), Fixed((0.2, 0.3, INF), (0, 0, 0))], (0.2, INF)),
        ([Fixed((0.1, INF), (0, 0)), Fixed((0.3, INF), (0, 0))], (INF,)),
        # one that tells of populated buckets alone, (0.1, 0.5] and (1, inf), is known at all edges but those inside of them
        ([Sparse((0.1, 0.5, 1.0, INF), (0, 5, 5, 7)), None], (0.1, 0.5, 1.0, INF)),
        ([Sparse((0.1, 0.5, 1.0, INF), (0, 5, 5, 7)), Sparse((0.5, 0.7, INF), (0, 2, 2))], (0.1, 0.5, 0.7, 1.0, INF)),
        ([Sparse((0.1, 0.5, 1.0, INF), (0, 5, 5, 7)), Sparse((0.2, 0.7, INF), (0, 2, 2))], (0.1, 0.7, 1.0, INF)),
        ([Sparse((0.1, 0.5, 1.0, INF), (0, 5, 5, 7)), Fixed((0.05, 0.2, 0.7, 3.0, INF), (0,) * 5)], (0.05, 0.7, INF)),
        ([Sparse((INF,), (0,)), Fixed((0.05, 0.2, INF), (0,) * 3)], (0.05, 0.2, INF)),
        ([Sparse((INF,), (0,)), Sparse((INF,), (0,))], (INF,)),
    ],
)
def test_edges_that_all_have(histograms: list[Histogram | None], shared: tuple[float, ...]) -> None:
    assert histogram.common_edges(histograms) == shared


def test_between_populated_buckets_the_count_stands_still() -> None:
    one = Sparse((0.1, 0.5, 1.0, INF), (0, 5, 5, 7))
    assert histogram.project(one, (0.05, 0.1, 0.7, 1.0, INF)) == (0, 0, 5, 5, 7)
    with pytest.raises(ValueError, match="not known at all of"):
        histogram.project(one, (0.2, INF))
    with pytest.raises(ValueError, match="not known at all of"):
        histogram.project(Fixed((0.1, INF), (0, 0)), (0.2, INF))


def test_the_sum_of_histograms_of_populated_buckets_is_one() -> None:
    both = [Sparse((0.1, 0.5, INF), (0, 5, 5)), Sparse((0.5, 1.0, INF), (0, 2, 2))]
    assert histogram.add(both) == Sparse((0.1, 0.5, 1.0, INF), (0, 5, 7, 7))
    assert histogram.add([*both, Fixed((0.7, 1.0, INF), (1, 3, 4))]) == Fixed((1.0, INF), (10, 11))
