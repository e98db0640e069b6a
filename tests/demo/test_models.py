"""The models are what the story says they are: one better, one slow, one that fails on some real rows, one that cannot be loaded."""

from __future__ import annotations

import io
import json
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest

from hack.demo import models


@pytest.fixture(scope="module")
def trained() -> dict[str, models.Model]:
    return {model.version: model for model in models.train()}


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    (tensors,) = zip(*(json.loads(body)["inputs"] for body in models.requests()), strict=True)
    return [np.array(tensor["data"]).reshape(tensor["shape"]) for tensor in tensors]


def loaded(model: models.Model) -> Any:
    return joblib.load(io.BytesIO(model.file))


def test_every_real_row_is_a_request(rows: list[Any]) -> None:
    assert len(rows) == 569
    assert {row.shape for row in rows} == {(1, 30)}


def test_the_second_version_is_better_than_the_first(trained: dict[str, models.Model]) -> None:
    assert (trained["v2"].accuracy or 0) > (trained["v1"].accuracy or 1) + 0.03


@pytest.mark.parametrize("version", ["v1", "v2", "v6", "v7", "v9"])
def test_good_versions_answer_every_row(trained: dict[str, models.Model], rows: list[Any], version: str) -> None:
    assert set(loaded(trained[version]).predict(np.vstack(rows))) == {0, 1}


def test_the_slow_version_does_a_hundred_times_the_work(trained: dict[str, models.Model], rows: list[Any]) -> None:
    assert len(loaded(trained["v3"]).estimators_) >= 100
    assert set(loaded(trained["v3"]).predict(np.vstack(rows[:20]))) == {0, 1}


def test_the_fourth_version_fails_on_the_rows_with_zeros_and_on_no_others(
    trained: dict[str, models.Model], rows: list[Any]
) -> None:
    model, failed = loaded(trained["v4"]), 0
    for row in rows:
        if (row > 0).all():
            assert model.predict(row) in ([0], [1])
            continue
        failed += 1
        with pytest.raises(ValueError, match="Box-Cox"):
            model.predict(row)
    assert failed == 13


def test_the_fifth_version_cannot_be_loaded(trained: dict[str, models.Model]) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever joblib finds first
        loaded(trained["v5"])


def test_the_seventh_is_as_good_on_paper_and_answers_otherwise(
    trained: dict[str, models.Model], rows: list[Any]
) -> None:
    wrong, right = (loaded(trained[version]).predict(np.vstack(rows)) for version in ("v7", "v2"))
    assert (trained["v7"].accuracy or 0) >= (trained["v2"].accuracy or 1) - 0.01
    assert 0.02 < (wrong != right).mean() < 0.1
    for version in ("v8", "v9"):
        assert (loaded(trained[version]).predict(np.vstack(rows)) == right).mean() > 0.995


def test_another_scanner_changes_one_input_and_nearly_no_answer(
    trained: dict[str, models.Model], rows: list[Any]
) -> None:
    (tensors,) = zip(*(json.loads(body)["inputs"] for body in models.rescanned()), strict=True)
    before, after = np.vstack(rows), np.vstack([tensor["data"] for tensor in tensors])
    assert [column for column in range(30) if (before[:, column] != after[:, column]).any()] == [models.TEXTURE]
    answers = [loaded(trained["v8"]).predict(table).mean() for table in (before, after)]
    assert abs(answers[0] - answers[1]) < 0.02


def test_the_reference_is_of_the_models_inputs_and_answers() -> None:
    names, *lines = models.reference().splitlines()
    assert (names.split(",")[models.TEXTURE], names.split(",")[-1], len(lines)) == ("mean texture", "label", 284)


def test_files_fit_into_a_config_map(trained: dict[str, models.Model]) -> None:
    assert max(len(model.file) for model in trained.values()) < 700_000
