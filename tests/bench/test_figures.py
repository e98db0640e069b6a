"""What a figure says, and the file that machines read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.lab.figures import Figure, quantile, show, write
from bench.lab.options import Options

WRITES = Figure(figure="writes", value=31, unit="writes", target=30)
MEMORY = Figure(figure="memory", value=99.987654, unit="MB", target=130)
PLAIN = Figure(figure="took", value=1.5, unit="s")


@pytest.mark.parametrize(
    ("values", "level", "found"),
    [
        ([7.0], 0.5, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        (range(1, 101), 0.99, 99),
        (range(1, 11), 0.99, 10),  # of few values the largest
        (range(1, 101), 0.0, 1),
    ],
)
def test_a_quantile_is_a_value_that_was_measured(values: list[float], level: float, found: float) -> None:
    assert quantile(values, level) == found


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no value was measured"):
        quantile([], 0.5)


@pytest.mark.parametrize(
    ("value", "target", "holds"), [(30, 30, True), (30.1, 30, False), (0, 0, True), (12, None, None)]
)
def test_a_target_is_the_most_that_a_figure_may_be(value: float, target: float | None, holds: object) -> None:
    assert Figure(figure="it", value=value, unit="s", target=target).holds is holds


def test_results_are_a_list_of_figures(tmp_path: Path) -> None:
    path = write("controller", [WRITES, MEMORY, PLAIN], tmp_path / "results")

    assert path.name == "controller.json"
    assert json.loads(path.read_text()) == [
        {"figure": "writes", "value": 31, "unit": "writes", "target": "<= 30", "holds": False},
        {"figure": "memory", "value": 99.99, "unit": "MB", "target": "<= 130", "holds": True},
        {"figure": "took", "value": 1.5, "unit": "s", "target": None, "holds": None},
    ]


def test_the_table_has_every_figure_beside_its_target() -> None:
    printed = io.StringIO()
    show("controller", [WRITES, MEMORY, PLAIN], Console(file=printed, width=100))
    lines = printed.getvalue().splitlines()

    assert any("writes" in line and "31" in line and "<= 30" in line and "no" in line for line in lines)
    assert any("memory" in line and "99.99" in line and "<= 130" in line and "yes" in line for line in lines)


def test_quick_and_full_differ_in_numbers_only() -> None:
    assert Options(size="quick", seed=1).of(quick=10, full=100) == 10
    assert Options(size="full", seed=1).of(quick=10, full=100) == 100
