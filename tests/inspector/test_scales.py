"""Histograms of features and predictions."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.inspector.assignment import Scale
from pointsman.inspector.documents import MISSING
from pointsman.inspector.outputs import Output, output
from pointsman.inspector.scales import GRID, Categories, Histogram, Predictions, counted


def test_values_up_to_each_edge() -> None:
    histogram = Histogram((0.0, 10.0))
    for value in (-5, 0, 0.1, 10, 11, True):
        histogram.observe(value)
    assert histogram.cumulative() == [("0.0", 2), ("10.0", 5), ("+Inf", 6)]


@pytest.mark.parametrize("value", [None, MISSING, "text", [1], float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number_is_missing(value: Any) -> None:
    histogram = Histogram((0.0,))
    histogram.observe(value)
    assert histogram.missing == 1
    assert histogram.cumulative()[-1] == ("+Inf", 0)


def test_categories_are_the_known_ones_and_other() -> None:
    categories = Categories(("1", "true", "cat"))
    for value in (1, 1.0, "1", True, "cat", "dog", 2.5, None, MISSING, ["cat"]):
        categories.observe(value)
    assert dict(categories.counts) == {"1": 3, "true": 1, "cat": 1, "other": 2}
    assert categories.missing == 3


def test_without_a_scale_there_is_the_grid() -> None:
    assert isinstance(counted(None), Histogram)
    assert isinstance(counted(Scale(categories=("a",))), Categories)
    assert list(GRID) == sorted(set(GRID))
    assert {-1.0, 0.0, 0.05, 0.95, 1.0, 2.0, 500_000.0} <= set(GRID)


@pytest.mark.parametrize(
    ("name", "values", "counts"),
    [
        ("score", [0.2, 0.7], {"score": 2}),
        ("score", 0.2, {"score": 1}),
        ("proba", [[0.2, 0.8], [0.7, 0.3]], {"proba/0": 2, "proba/1": 2}),
        ("embedding", [[0.0] * 17], {}),
        ("known", [[0.0] * 17], {"known": 17}),
        ("text", ["four", "sixsix"], {"text": 2}),
        ("ragged", [[1], [1, 2]], {}),
    ],
)
def test_what_is_counted_of_an_output(name: str, values: Any, counts: dict[str, int]) -> None:
    predictions = Predictions({"known": Scale(edges=(0.0,))})
    predictions.observe(name, output(values))
    found = {key: one.cumulative()[-1][1] for key, one in predictions.found.items() if isinstance(one, Histogram)}
    assert {key: count for key, count in found.items() if count} == counts


def test_texts_are_counted_by_their_length_and_labels_only_where_a_scale_names_them() -> None:
    predictions = Predictions({"label": Scale(categories=("cat",))})
    predictions.observe("text", Output(("four",), (1,)))
    predictions.observe("label", Output(("cat", "a secret"), (2,)))
    texts, labels = predictions.found["text"], predictions.found["label"]
    assert isinstance(texts, Histogram)
    assert isinstance(labels, Categories)
    assert dict(texts.cumulative())["2.0"] == 0
    assert dict(texts.cumulative())["5.0"] == 1
    assert dict(labels.counts) == {"cat": 1, "other": 1}


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "x" * 129])
def test_what_cannot_be_a_label_is_no_name(name: str) -> None:
    predictions = Predictions({})
    predictions.observe(name, Output((1.0,), ()))
    assert predictions.found == {}


def test_names_of_outputs_that_a_model_makes_up_are_bounded() -> None:
    predictions = Predictions({})
    for number in range(1_000):
        predictions.observe(str(number), Output((1.0,), ()))
    assert len(predictions.found) == 32
