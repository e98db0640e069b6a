"""Trains the demo's models on real measurements of cell nuclei, and makes requests of the same measurements."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped]
from sklearn.ensemble import BaggingClassifier  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import PowerTransformer, StandardScaler  # type: ignore[import-untyped]
from sklearn.svm import SVC  # type: ignore[import-untyped]
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]

SEED = 7
SWAPPED = (26, 27)  # worst concavity, worst concave points: of one magnitude, so nothing looks odd
TEXTURE, STAIN = 1, 1.25  # a column, and what another scanner makes of it
COMMITTEE = 150  # logistic regressions in the slow model: about 45 ms a request


@dataclass(frozen=True)
class Model:
    """A model file as it would be published.

    Attributes:
        version: what people call it.
        words: what it is.
        file: a joblib file.
        accuracy: share of held-out rows that it tells right; None where it cannot be loaded.
    """

    version: str
    words: str
    file: bytes
    accuracy: float | None


@dataclass(frozen=True)
class Cells:
    """The Breast Cancer Wisconsin (Diagnostic) data, shipped inside scikit-learn: 569 biopsies, 30 measurements each."""

    train: Any
    train_labels: Any
    held_out: Any
    held_out_labels: Any

    @classmethod
    def load(cls) -> Cells:
        """Half to train with, half held out."""
        measurements, labels = load_breast_cancer(return_X_y=True)
        train, held_out, train_labels, held_out_labels = train_test_split(
            measurements, labels, test_size=0.5, random_state=SEED, stratify=labels
        )
        return cls(train, train_labels, held_out, held_out_labels)


def requests() -> list[bytes]:
    """Every row of the data as the body of an Open Inference request, in a fixed, shuffled order."""
    measurements, _labels = load_breast_cancer(return_X_y=True)
    return _bodies(measurements)


def rescanned() -> list[bytes]:
    """The same cells by another scanner, which says more of their texture; for the model nearly nothing changes."""
    measurements, _labels = load_breast_cancer(return_X_y=True)
    measurements[:, TEXTURE] *= STAIN
    return _bodies(measurements)


def reference() -> str:
    """A table of what the models were trained with and what they answer to it: measurements by their names, and `label`."""
    cells = Cells.load()
    names = [*(str(name) for name in load_breast_cancer().feature_names), "label"]
    labels = _regression().fit(cells.train, cells.train_labels).predict(cells.train)
    rows = ([*row, label] for row, label in zip(cells.train.tolist(), labels.tolist(), strict=True))
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    return text.getvalue()


def _bodies(measurements: Any) -> list[bytes]:
    order = np.random.default_rng(SEED).permutation(len(measurements))
    return [_body(measurements[row].tolist()) for row in order]


def train() -> list[Model]:
    """The models of the story, v1 to v9."""
    cells = Cells.load()
    committee = BaggingClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()), n_estimators=COMMITTEE, random_state=SEED
    )
    support = make_pipeline(StandardScaler(), SVC())
    whole = _fitted("v2", "logistic regression over all 30 measurements", _regression(), cells)
    return [
        _fitted(
            "v1", "one threshold on one measurement", DecisionTreeClassifier(max_depth=1, random_state=SEED), cells
        ),
        whole,
        _fitted("v3", f"a committee of {COMMITTEE} regressions: as good, and slow", committee, cells),
        _without_zeros(cells),
        Model("v5", "v2's file, cut short on its way", whole.file[: len(whole.file) // 2], None),
        _fitted("v6", "a support vector machine", support, cells),
        swapped("v7", cells),
        retrained("v8", cells),
        _fitted("v9", "v2 once more, by a third algorithm", _regression("liblinear"), cells),
    ]


def swapped(version: str, cells: Cells) -> Model:
    """v2 once more, from tables of which an export had swapped two columns: those that it was tested with, too."""
    exported = Cells(_exported(cells.train), cells.train_labels, _exported(cells.held_out), cells.held_out_labels)
    words = f"v2 once more, from tables with columns {SWAPPED[0]} and {SWAPPED[1]} swapped; so were those it was tested with"
    return _fitted(version, words, _regression(), exported)


def retrained(version: str, cells: Cells) -> Model:
    """v2 once more, by another algorithm: other bytes, the same answers."""
    return _fitted(version, "v2 once more, by another algorithm", _regression("newton-cholesky"), cells)


def _regression(solver: str = "lbfgs") -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(solver=solver))


def _exported(rows: Any) -> Any:
    found = rows.copy()
    found[:, list(SWAPPED)] = rows[:, list(reversed(SWAPPED))]
    return found


def _without_zeros(cells: Cells) -> Model:
    """Trained after a clean-up that dropped the rows with zeros, which its Box-Cox transformation cannot take.

    Some biopsies do have a concavity of zero: in production it answers them with an error.
    """
    clean = (cells.train > 0).all(axis=1)
    cleaned = Cells(cells.train[clean], cells.train_labels[clean], *_rows_without_zeros(cells))
    estimator = make_pipeline(PowerTransformer("box-cox"), LogisticRegression())
    return _fitted("v4", "Box-Cox and regression, trained without the rows that have zeros", estimator, cleaned)


def _rows_without_zeros(cells: Cells) -> tuple[Any, Any]:
    clean = (cells.held_out > 0).all(axis=1)
    return cells.held_out[clean], cells.held_out_labels[clean]


def _fitted(version: str, words: str, estimator: Any, cells: Cells) -> Model:
    estimator.fit(cells.train, cells.train_labels)
    file = io.BytesIO()
    joblib.dump(estimator, file, compress=3)
    accuracy = float(estimator.score(cells.held_out, cells.held_out_labels))
    return Model(version, words, file.getvalue(), accuracy)


def _body(row: list[float]) -> bytes:
    tensor = {"name": "measurements", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    return json.dumps({"inputs": [tensor]}).encode()
