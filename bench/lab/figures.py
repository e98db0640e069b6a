"""Figures: what a benchmark has measured beside what it should be, as a table for people and as a file for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value; `target` is the most it may be, None where it only explains another."""

    figure: str
    value: float
    unit: str
    target: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.value <= self.target


def quantile(values: Iterable[float], level: float) -> float:
    """The smallest value that at least `level` of all values do not exceed: one that was measured, never between two.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no value was measured")
    return ordered[max(0, math.ceil(level * len(ordered)) - 1)]


def write(name: str, figures: Sequence[Figure], folder: Path = RESULTS) -> Path:
    """Write `<name>.json`: a list of figure, value, unit, target and holds."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "figure": one.figure,
            "value": _rounded(one.value),
            "unit": one.unit,
            "target": None if one.target is None else f"<= {one.target:g}",
            "holds": one.holds,
        }
        for one in figures
    ]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return path


def show(title: str, figures: Iterable[Figure], console: Console | None = None) -> None:
    """Print the figures, each beside its target."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("target", justify="right")
    table.add_column("holds")
    marks = {None: "", True: "[green]yes", False: "[bold red]no"}
    for one in figures:
        target = "" if one.target is None else f"<= {one.target:g}"
        table.add_row(one.figure, f"{_rounded(one.value):g}", one.unit, target, marks[one.holds])
    (console or Console()).print(table)


def report(name: str, how: str, figures: Sequence[Figure]) -> bool:
    """Write and print them; whether a target is missed."""
    write(name, figures)
    show(f"{name}, {how}", figures)
    return any(one.holds is False for one in figures)


def _rounded(value: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{value:.4g}")
