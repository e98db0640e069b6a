"""Figures of the tables: each with what it should reach, what is judged of it, and whether it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

CONFIDENCE = 0.99
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value in its place in a table.

    Attributes:
        table, row, column: its place.
        value: what was measured; inf for never.
        judged: what is held against the target: the value, or for error rates its 99 % lower limit.
        target: None where the figure only explains another.
        sense: "<=" or ">=".
    """

    table: str
    row: str
    column: str
    value: float
    judged: float | None = None
    target: float | None = None
    sense: Literal["<=", ">="] = "<="
    unit: str = "share"

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        against = self.value if self.judged is None else self.judged
        over = against - self.target if self.sense == "<=" else self.target - against
        return bool(over <= _ROUNDING)


def lower_limit(happened: int, runs: int) -> float:
    """Return the 99 % lower confidence limit of a probability (Clopper and Pearson 1934, one-sided)."""
    return float(beta.ppf(1 - CONFIDENCE, happened, runs - happened + 1)) if happened else 0.0


def error_rate(table: str, row: str, column: str, happened: ArrayLike, target: float | None) -> Figure:
    """Return the share of runs in which something happened that should not; judged by its lower limit."""
    flags = np.asarray(happened, dtype=bool)
    count, runs = int(flags.sum()), flags.size
    return Figure(
        table=table, row=row, column=column, value=count / runs, judged=lower_limit(count, runs), target=target
    )


def mean(table: str, column: str, cells: Sequence[Figure], target: float | None) -> Figure:
    """Return the mean over cells of one column."""
    return Figure(
        table=table, row="mean over cells", column=column, value=float(np.mean([c.value for c in cells])), target=target
    )


def median_found(seconds: ArrayLike) -> float:
    """Return the median of those that are finite, as the figures of design/evidence.md; inf where none is."""
    finite = np.asarray(seconds, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if finite.size else float("inf")


def show(figures: Sequence[Figure], notes: dict[str, str], console: Console | None = None) -> None:
    """Print each table: its rows and columns in the order of their first figure, a target beside the value and a mark."""
    out = console or Console(width=240)
    for title in dict.fromkeys(one.table for one in figures):
        ours = [one for one in figures if one.table == title]
        columns = list(dict.fromkeys(one.column for one in ours))
        table = Table(title=f"[bold]{title}[/bold]\n{notes.get(title, '')}", title_justify="left")
        table.add_column("")
        for column in columns:
            table.add_column(column, justify="right")
        cells = {(one.row, one.column): one for one in ours}
        for row in dict.fromkeys(one.row for one in ours):
            table.add_row(row, *(_text(cells.get((row, column))) for column in columns))
        out.print(table)
    judged = [one for one in figures if one.holds is not None]
    missed = [one for one in judged if not one.holds]
    out.print(f"{len(judged) - len(missed)} of {len(judged)} judged figures reach their target.")
    for one in missed:
        out.print(
            f"MISS  {one.table}: {one.row}, {one.column}: {one.value:.4g}, judged {_judged(one):.4g} {one.sense} {one.target:.4g}"
        )


def write(figures: Iterable[Figure], path: Path) -> None:
    """Write the figures as JSON, one object each, as the other benchmarks do, with what was judged beside the value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "figure": f"{one.table}: {one.row}: {one.column}",
            "value": _rounded(one.value),
            "unit": one.unit,
            "judged": _rounded(_judged(one)),
            "target": None if one.target is None else f"{one.sense} {one.target:.4g}",
            "holds": one.holds,
        }
        for one in figures
    ]
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


def _judged(one: Figure) -> float:
    return one.value if one.judged is None else one.judged


def _rounded(value: float) -> float | str:
    return float(f"{value:.4g}") if np.isfinite(value) else repr(value)  # JSON has no inf


def _text(one: Figure | None) -> str:
    if one is None:
        return ""
    value = f"{one.value:.3f}" if one.unit == "share" else f"{one.value:.4g}"
    if one.target is None:
        return value
    mark = "[green]PASS[/green]" if one.holds else "[bold red]MISS[/bold red]"
    return f"{value} ({one.sense} {one.target:.3g}) {mark}"
