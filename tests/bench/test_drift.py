"""The figures of agreement and drift at small sizes: every judged one reaches its target."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import drift
from bench.decisions.report import Figure
from tests.sizes import FULL

TABLES = [drift.agreement, *([drift.predictions, drift.detector] if FULL else [])]


@pytest.mark.parametrize("table", TABLES)
def test_judged_figures_reach_their_targets(table: Callable[[drift.Size], list[Figure]]) -> None:
    size = drift.QUICK if FULL else drift.Size("small", rollouts=40, runs=8, days=1, others=4)
    judged = [figure for figure in table(size) if figure.target is not None]
    assert judged
    assert not [f"{one.row}, {one.column}: {one.value}" for one in judged if not one.holds]
