"""A reference from rows: which bins columns get, what is counted, and what is said of a column that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from pointsman.evidence.bins import Bins
from pointsman.reference.building import Chunk, TableError, Wanted, build
from pointsman.reference.columns import Cell, Survey, text
from pointsman.reference.file import Distribution


def table(cells: Sequence[Cell], size: int = 7) -> Callable[[], Iterator[Chunk]]:
    """A table of one column ``x``, some rows at a time; the first stands in line 2."""

    def chunks() -> Iterator[Chunk]:
        for i in range(0, len(cells), size):
            part = cells[i : i + size]
            yield Chunk({"x": part}, range(i + 2, i + 2 + len(part)))

    return chunks


def distribution(cells: Sequence[Cell], bins: int = 4) -> Distribution:
    return build(table(cells), Wanted(features={"x": "x"}, bins=bins)).features["x"]


COLUMNS: list[tuple[str, list[Cell], Distribution]] = [
    (
        "numbers: quantiles and both ends",
        [str(i / 100) for i in range(101)],
        Distribution(edges=(0.0, 0.25, 0.5, 0.75, 1.0), counts=(1, 25, 25, 25, 25, 0)),
    ),
    ("few numbers: between them", ["0", "1", "1", "1.0"], Distribution(edges=(-0.5, 0.5, 1.5), counts=(0, 1, 3, 0))),
    ("one number", [5, 5, 5], Distribution(edges=(2.5, 7.5), counts=(0, 3, 0))),
    (
        "nothing is missing in many ways",
        ["", " ", "NaN", "n/a", "None", None, float("nan"), "1", "2", "inf"],
        Distribution(edges=(0.5, 1.5, 2.5), counts=(0, 1, 1, 0), missing=8),
    ),
    (
        "categories, with numbers among them",
        ["de", "fr", "de", "1", 1.0, True, "other"],
        Distribution(categories=("1", "de", "fr", "true"), counts=(2, 2, 1, 1, 1)),
    ),
    (
        "the most frequent categories, the others together",
        [f"c{i:02}" for i in range(30) for _ in range(30 - i)],
        Distribution(
            categories=tuple(f"c{i:02}" for i in range(20)),
            counts=(*(30 - i for i in range(20)), 55),
        ),
    ),
]


@pytest.mark.parametrize(("cells", "counted"), [c[1:] for c in COLUMNS], ids=[c[0] for c in COLUMNS])
def test_a_column(cells: list[Cell], counted: Distribution) -> None:
    assert distribution(cells) == counted


WRONG: list[tuple[str, list[Cell], str]] = [
    ("no rows", [], "there are no rows"),
    ("no values", ["", None], "column x: it has no value: leave it out"),
    ("nothing finite", ["inf", "-inf"], "column x: it has no finite number"),
    (
        "a stray word",
        [*(str(i) for i in range(50)), "unknown"],
        "column x: 'unknown' is not a number, .* leave the cell",
    ),
    ("identifiers", [f"user-{i}" for i in range(500)], "column x: nearly every value is another"),
    ("texts", ["x" * 200, "y" * 200], "column x: its values are longer than 128"),
]


@pytest.mark.parametrize(("cells", "said"), [c[1:] for c in WRONG], ids=[c[0] for c in WRONG])
def test_a_column_that_cannot_be_counted(cells: list[Cell], said: str) -> None:
    with pytest.raises(TableError, match=said):
        distribution(cells)


def test_a_stray_word_is_found_in_its_line() -> None:
    with pytest.raises(TableError) as error:
        distribution([*(str(i) for i in range(50)), "unknown", *(str(i) for i in range(50))])
    assert error.value.line == 52


def test_a_column_is_feature_and_prediction_by_the_names_asked_for() -> None:
    found = build(table(["1", "2"]), Wanted(features={"x": "/inputs/0"}, predictions={"x": "predict"}))
    assert (list(found.features), list(found.predictions)) == (["/inputs/0"], ["predict"])


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-17T02:30:00Z",
        "2026-11-17T03:30:00+01:00",
        "2026-11-17 02:59:59",
        datetime(2026, 11, 17, 2, 30, tzinfo=UTC),
        datetime(2026, 11, 17, 4, 30, tzinfo=timezone(timedelta(hours=2))),
        1_794_882_600,
        "1794882600",
    ],
)
def test_rows_with_times_are_counted_by_the_hour_of_the_week(time: str | datetime | int) -> None:
    chunk = Chunk({"x": ["5"]}, [2], [time])
    found = build(lambda: iter([chunk]), Wanted(features={"x": "x"}, time="t")).features["x"]
    assert found.hours is not None
    assert [hour for hour, row in enumerate(found.hours) if sum(row)] == [24 + 2]


@pytest.mark.parametrize("time", ["yesterday", "", None, "nan", "1e300", "1794882600000"])
def test_what_is_no_time_is_said(time: str | None) -> None:
    chunk = Chunk({"x": ["5"]}, [17], [time])
    with pytest.raises(TableError, match=r"column t: .* is not a time: write 2026-11-21T17:30:00Z") as error:
        build(lambda: iter([chunk]), Wanted(features={"x": "x"}, time="t"))
    assert error.value.line == 17


def test_a_sample_stays_bounded_and_its_edges_close() -> None:
    rng, survey = np.random.default_rng(1), Survey()
    for i in range(30):
        values = rng.normal(size=5_000)
        survey.see(values.tolist(), rng.random(5_000), lines=range(5_000 * i, 5_000 * (i + 1)))
    assert 5_000 < len(survey._sample) <= 20_000
    bins = survey.bins("x", 4)
    assert isinstance(bins, Bins)
    assert bins.edges[1:-1] == pytest.approx((-0.674, 0.0, 0.674), abs=0.05)


@pytest.mark.parametrize(
    ("cell", "name"), [("a ", "a"), (1.0, "1"), (1.5, "1.5"), (True, "true"), (0, "0"), (None, None), ("NA", None)]
)
def test_values_are_named_as_the_inspector_names_them(cell: Cell, name: str | None) -> None:
    assert text(cell) == name
