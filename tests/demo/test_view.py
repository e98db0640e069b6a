"""What people see of the demo: a picture in a terminal, one line for each change elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from hack.demo import report, view
from hack.demo.chapters import STORY
from hack.demo.load import Traffic
from hack.demo.sight import Arm, Gate, State

STATE = State(
    stable=Arm("v1", "cells-1", 2, 2),
    candidate=Arm("v2", "cells-2", 2, 1),
    phase="Canary",
    percent=25.0,
    message="holding 25 % until 08:00:20 UTC",
    gates=(Gate("errors", "Undecided", "errors: Undecided, failed 0 of 90 requests"), Gate("latency", "Safe", "")),
)
SCENE = view.Scene(STORY[1], STATE, elapsed=31.0, traffic=Traffic(3100, 2), median=0.004, rate=100.0)


def text(scene: view.Scene) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as drawn:
        console.print(view.picture(scene))
    return drawn.get()


def test_the_picture_has_both_arms_the_gates_and_the_traffic() -> None:
    drawn = text(SCENE)
    for part in (
        "v2: better",
        "75 %",
        "25 %",
        "1 of 2 pods ready",
        "Canary",
        "Undecided",
        "failed 0 of 90",
        "holding 25 %",
    ):
        assert part in drawn
    assert "3100 requests at 100 a second, half of them within 4 ms; 2 failed" in drawn


def test_the_picture_before_the_operator_has_said_anything() -> None:
    assert "waiting for the operator" in text(replace(SCENE, state=State(), median=None))


def test_a_line_is_written_only_for_what_is_new() -> None:
    lines: list[str] = []
    plain = view.Plain(lines.append)
    plain.show(SCENE)
    plain.show(replace(SCENE, elapsed=32.0, traffic=Traffic(3200, 2)))
    plain.show(replace(SCENE, elapsed=33.0, state=replace(STATE, percent=50.0)))
    plain.show(replace(SCENE, elapsed=34.0, state=replace(STATE, phase="Shadow", percent=0.0, mirrored=20.0)))
    assert lines == [
        "  31.0 s  [v2]  Canary 25 %  v1 2/2, v2 1/2  errors: Undecided, latency: Safe",
        "  33.0 s  [v2]  Canary 50 %  v1 2/2, v2 1/2  errors: Undecided, latency: Safe",
        "  34.0 s  [v2]  Shadow 0 %, copies of 20 %  v1 2/2, v2 1/2  errors: Undecided, latency: Safe",
    ]


def test_lines_go_where_no_picture_can_be_drawn() -> None:
    assert isinstance(view.view(Console(file=io.StringIO())), view.Plain)
    terminal = view.view(Console(file=io.StringIO(), force_terminal=True))
    terminal.close()
    assert isinstance(terminal, view.Terminal)


def test_the_table_fits_into_eighty_columns_with_the_operators_words_below() -> None:
    row = report.Row("v3", "RolledBack", "latency", "Harm", 31.84, 78, 0, "latency: Harm, [37 of 37] requests")
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as drawn:
        console.print(report.table([row], STORY))
    shown = drawn.get()
    for part in ("slow: is taken back", "RolledBack", "latency", "31.8", "78", "latency: Harm, [37 of 37] requests"):
        assert part in shown
