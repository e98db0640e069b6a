"""Native histograms in whatever schema: exact cumulative counts on edges that pods share."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from pointsman.signals import exports, histogram, native
from pointsman.signals.counters import FaultError
from pointsman.signals.exports import Exported
from pointsman.signals.histogram import Fixed, Histogram, Sparse
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Native, Sample

INF = math.inf
TINY = 2.938735877055719e-39  # the usual threshold of the bucket around zero
GRID = (*(2.0 ** (k / 8) for k in range(-80, 57)), INF)


def bound(schema: int, index: int) -> float:
    """The upper bound of a bucket: 2^(index 2^-schema), computed as Prometheus does, not as we do."""
    octaves, rest = divmod(index * 2**-schema if schema < 0 else index, 1 if schema < 0 else 2**schema)
    return math.ldexp(2 ** (rest / 2**schema) if schema > 0 else 1.0, int(octaves))


def exponential(schema: int, counts: dict[int, int], zero: tuple[float, int] = (TINY, 0), nan: int = 0) -> Native:
    buckets = [(bound(schema, index - 1), bound(schema, index), float(count)) for index, count in counts.items()]
    around = [(-zero[0], zero[0], float(zero[1]))] if zero[1] else []
    return Native(float(sum(counts.values()) + zero[1] + nan), (*around, *buckets))


def read(found: Native, unit: Unit = "s") -> Histogram:
    return native.read("p", found, {}, unit)


def at(found: Native, edge: float, unit: Unit = "s") -> int | None:
    return read(found, unit).at(edge)


@pytest.mark.parametrize(
    ("schema", "values"),
    [(schema, np.random.default_rng(seed).lognormal(-3, 2.5, 300)) for schema in range(-2, 9) for seed in (1, 2)],
)  # fmt: skip
def test_every_schema_counts_exactly_at_its_edges_of_the_grid(schema: int, values: npt.NDArray[np.float64]) -> None:
    counts: dict[int, int] = {}
    for value in values:
        index = math.ceil(math.log2(value) * 2.0**schema)
        counts[index] = counts.get(index, 0) + 1
    found = read(exponential(schema, counts))
    assert isinstance(found, Fixed)
    step = 2 ** max(0, 3 - schema)
    assert found.edges == (*(2.0 ** (k / 8) for k in range(-80, 57) if k % step == 0), INF)
    assert found.cells == tuple(sum(value <= edge for value in values) for edge in found.edges)


def test_pods_of_different_schemas_share_the_coarser_edges() -> None:
    fine, coarse = read(exponential(5, {-31: 5, 8: 2})), read(exponential(1, {-3: 4, 1: 1}))
    edges = histogram.common_edges([fine, coarse])
    assert edges == (*(2.0 ** (k / 8) for k in range(-80, 57, 4)), INF)
    assert [fine.at(2.0**octave) for octave in (-1, -0.5, 0, 0.5, 1)] == [0, 5, 5, 7, 7]
    assert [coarse.at(2.0**octave) for octave in (-2, -1.5, 0, 0.5, 1)] == [0, 4, 4, 5, 5]


@pytest.mark.parametrize(
    ("found", "edge", "count"),
    [
        pytest.param(exponential(3, {0: 4}, zero=(TINY, 3)), 2.0**-10, 3, id="around zero is below every edge"),
        pytest.param(exponential(3, {0: 4}, zero=(0.001, 3)), 2.0**-10, None, id="unless it reaches over one"),
        pytest.param(exponential(3, {0: 4}, zero=(0.001, 3)), 2.0 ** (-79 / 8), 3, id="then from the next edge on"),
        pytest.param(exponential(3, {-200: 6, 0: 4}), 2.0**-10, 6, id="faster than the grid"),
        pytest.param(exponential(3, {0: 4, 100: 2}), 2.0**7, 4, id="slower than the grid"),
        pytest.param(exponential(3, {0: 4, 100: 2}), INF, 6, id="slower than the grid, counted in the end"),
        pytest.param(exponential(3, {0: 4}, nan=2), 2.0**7, 4, id="NaN is at most nothing"),
        pytest.param(exponential(3, {0: 4}, nan=2), INF, 6, id="NaN is a request"),
        pytest.param(exponential(3, {}, nan=2), 1.0, 0, id="nothing but NaN"),
        pytest.param(exponential(3, {}, zero=(TINY, 3)), 1.0, 3, id="nothing but around zero"),
        pytest.param(Native(5.0, ((-2.0, -1.0, 1.0), (0.5, 1.0, 4.0))), 0.5, 1, id="below zero is below every edge"),
        pytest.param(Native(0.0, ()), 0.123, 0, id="an empty one has nothing anywhere"),
    ],
)
def test_at_the_ends_of_the_grid(found: Native, edge: float, count: int | None) -> None:
    assert at(found, edge) == count


@pytest.mark.parametrize(
    ("unit", "scale", "shortest", "longest"), [("ms", 1_000, 0.001, 2.0**6.875 * 1.024), ("us", 1_000_000, 0.001, 128)]
)
def test_the_grid_of_another_unit_has_other_edges_in_the_same_span(
    unit: Unit, scale: int, shortest: float, longest: float
) -> None:
    found = read(exponential(3, {80: 7, 88: 2}), unit)
    assert found.at(2.0**10 / scale) == 7
    assert found.at(2.0**11 / scale) == 9
    assert found.edges[0] == pytest.approx(shortest, rel=0.1)
    assert found.edges[-2] == pytest.approx(longest, rel=0.1)
    assert set(found.edges) & set(GRID) == {INF}


def test_all_pods_have_the_same_edges_to_the_bit() -> None:
    one, other = read(exponential(3, {-8: 5, 1: 1})), read(exponential(8, {77: 3}))
    assert one.edges == other.edges == GRID


def test_custom_buckets_are_edges_as_they_are_told() -> None:
    classic = Native(10.0, ((0.005, 0.01, 3.0), (0.1, 2.5, 6.0), (2.5, INF, 1.0)))
    assert read(classic) == Sparse((0.005, 0.01, 0.1, 2.5, INF), (0, 3, 3, 9, 10))
    first = Native(3.0, ((-INF, 5.0, 2.0), (5.0, 5.1, 1.0)))
    assert read(first, "ms") == Sparse((0.005, 0.0051, INF), (2, 3, 3))  # exact in decimals, as classic ones are


def test_custom_buckets_that_look_like_a_schema_are_exact_all_the_same() -> None:
    """Buckets up to 1, 2 and 4 s: until the last but one is populated nobody can tell, and on its edges it is true."""
    young, old = Native(5.0, ((1.0, 2.0, 5.0),)), Native(9.0, ((-INF, 1.0, 2.0), (1.0, 2.0, 5.0), (2.0, 4.0, 2.0)))
    assert [at(young, edge) for edge in (0.5, 1.0, 2.0, 4.0, INF)] == [0, 0, 5, 5, 5]
    assert [at(old, edge) for edge in (0.5, 1.0, 2.0, 4.0, INF)] == [None, 2, 7, 9, 9]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Native(5.0, ((0.5, 1.0, 3.0), (0.7, 1.5, 2.0))), "whose buckets overlap, at 0.7 and 1"),
        (Native(4.0, ((0.5, 1.0, 3.0), (1.0, 1.5, 2.0))), "with 5 in its buckets but 4 in all"),
        (Native(4.5, ((0.5, 1.0, 4.5),)), "= 4.5, which is no count of requests"),
        (Native(4.0, ((0.5, 1.0, 2.5),)), "= 2.5, which is no count of requests"),
        (Native(math.nan, ()), "= nan, which is no count"),
    ],
)
def test_buckets_that_cannot_be_true_are_a_fault(found: Native, says: str) -> None:
    with pytest.raises(FaultError) as fault:
        read(found)
    assert says in str(fault.value)


A, B = Sparse((1.0, INF), (2, 2)), Fixed((1.0, INF), (2, 2))
BOTH, NATIVE, CLASSIC, NEITHER = Exported(A, B), Exported(A, None), Exported(None, B), Exported(None, None)


@pytest.mark.parametrize(
    ("stable", "candidate", "compared"),
    [
        (BOTH, BOTH, [A, A]),  # native wins
        (BOTH, NATIVE, [A, A]),
        (BOTH, CLASSIC, [B, B]),  # unless somebody has none
        (CLASSIC, CLASSIC, [B, B]),
        (NATIVE, CLASSIC, [A, B]),  # no choice
        (NEITHER, CLASSIC, [None, B]),  # nothing served yet
        (BOTH, NEITHER, [A, None]),
    ],
)
def test_both_arms_are_compared_in_one_form(
    stable: Exported, candidate: Exported, compared: list[Histogram | None]
) -> None:
    ours, theirs = exports.agree({"s": stable}, {"c": candidate})
    assert [ours["s"], theirs["c"]] == compared


def test_what_a_pod_exports_is_added_in_each_form() -> None:
    one, other = exponential(3, {0: 4, 2: 1}), exponential(5, {1: 7})
    series = [
        Sample({"path": "/a"}, one.count, one),
        Sample({"path": "/b"}, other.count, other),
        Sample({"path": "/a", "le": "1"}, 4.0),
        Sample({"path": "/a", "le": "+Inf"}, 5.0),
    ]
    found = exports.read("p", series, "s")
    assert found.classic == Fixed((1.0, INF), (4, 5))
    assert found.native is not None
    assert found.native.edges == GRID
    assert [found.native.at(2.0 ** (k / 8)) for k in (-1, 0, 1, 2)] == [0, 4, 11, 12]


def test_a_summary_is_no_histogram() -> None:
    with pytest.raises(FaultError, match=r"pod p exports took as a plain number: name a histogram"):
        exports.read("p", [Sample({"__name__": "took", "quantile": "0.5"}, 0.1)], "s")
