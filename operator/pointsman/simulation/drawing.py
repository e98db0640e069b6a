"""Draws forecasts: which share of the rollouts was decided by when, in the terminal and as a PNG."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pointsman.simulation import course
from pointsman.simulation.forecast import Forecast

_POINTS: Final = 200
_MARKERS: Final = "●○■□▲△◆◇★☆"
_MARGIN: Final = 7
_SAID: Final = {course.PROMOTE: "promoted", course.ROLLBACK: "rolled back"}


class Line(NamedTuple):
    """One version's share, percent, of rollouts that ended so within so many minutes."""

    name: str
    decision: int
    minutes: list[float]
    percent: list[float]


def lines(forecasts: Sequence[Forecast], deadline: float) -> list[Line]:
    """What is drawn; a version that never ends so has no line.

    Args:
        forecasts: of the versions.
        deadline: seconds.
    """
    at = np.linspace(0, deadline, _POINTS)
    drawn = []
    for forecast in forecasts:
        for decision, said in _SAID.items():
            ended = np.sort(forecast.seconds[forecast.decision == decision])
            if ended.size:
                share = 100 * np.searchsorted(ended, at, side="right") / len(forecast.decision)
                name = f"{forecast.regression.name}: {said}"
                drawn.append(Line(name, decision, (at / 60).tolist(), share.tolist()))
    return drawn


def in_terminal(drawn: Sequence[Line], *, width: int, height: int = 16) -> str:
    """The plot as plain text; "" where nothing ever ends.

    Args:
        drawn: the lines; where two of them meet, the one that comes first is seen.
        width: columns of the terminal.
        height: rows of the plot, without its axis and legend.
    """
    if not drawn:
        return ""
    columns = max(20, width - _MARGIN - 2)
    canvas = [[" "] * columns for _ in range(height)]
    for line, marker in reversed(list(zip(drawn, itertools.cycle(_MARKERS), strict=False))):
        at = np.linspace(line.minutes[0], line.minutes[-1], columns)
        rows = np.rint(np.interp(at, line.minutes, line.percent) / 100 * (height - 1)).astype(int)
        before = rows[0]
        for column, row in enumerate(rows):
            for filled in range(min(before + 1, row), max(before - 1, row) + 1):  # a jump is a line, not a gap
                canvas[height - 1 - filled][column] = marker
            before = row
    axis = {height - 1 - round(share / 100 * (height - 1)): f"{share} %" for share in (0, 25, 50, 75, 100)}
    text = [
        f"{axis.get(row, ''):>{_MARGIN}}{'┤' if row in axis else '│'}{''.join(cells)}"
        for row, cells in enumerate(canvas)
    ]
    ticks = "".join(f"{minutes:<{columns // 4}.0f}" for minutes in np.linspace(0, drawn[0].minutes[-1], 5)[:-1])
    text += [f"{'':>{_MARGIN}}└{'─' * columns}", f"{'':>{_MARGIN}} {ticks}{drawn[0].minutes[-1]:.0f} min"[: width - 1]]
    text += [f"{marker:>{_MARGIN}} {line.name}" for line, marker in zip(drawn, itertools.cycle(_MARKERS), strict=False)]
    return "\n".join(line.rstrip() for line in text)


def to_png(drawn: Sequence[Line], path: Path, *, title: str) -> None:
    """Write the plot as a PNG.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  half a second; only where it is asked for
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for line in drawn:
        style = "-" if line.decision == course.ROLLBACK else "--"
        axes.plot(line.minutes, line.percent, style, label=line.name, linewidth=1.8)
    axes.set(title=title, xlabel="minutes since the first step", ylabel="% of rollouts", ylim=(-2, 102))
    axes.grid(alpha=0.3)
    if drawn:
        axes.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=120)
