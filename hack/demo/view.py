"""What the person in front of the demo sees: a live picture in a terminal, plain lines of what changes elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hack.demo.chapters import Chapter
from hack.demo.load import Traffic
from hack.demo.sight import Arm, State

_COLOURS = {"Safe": "green", "Harm": "red", "Undecided": "yellow", "NoData": "magenta"}
_BAR = 40  # characters


@dataclass(frozen=True)
class Scene:
    """One moment of the demo.

    Attributes:
        elapsed: seconds since the version was applied.
        traffic: since the version was applied.
        median: seconds that half of the last requests took at most.
    """

    chapter: Chapter
    state: State
    elapsed: float
    traffic: Traffic
    median: float | None
    rate: float


class View(Protocol):
    """Somewhere to show things."""

    def show(self, scene: Scene) -> None:
        """Show the present moment."""

    def say(self, text: str) -> None:
        """Say something once."""

    def close(self) -> None:
        """End the picture."""


class Plain:
    """One line whenever something changes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last = ""

    def show(self, scene: Scene) -> None:
        """Write a line if it says something that the last one did not."""
        now = line(scene)
        if now != self._last:
            self._last = now
            self._write(f"{scene.elapsed:6.1f} s  {now}")

    def say(self, text: str) -> None:
        """Write it."""
        self._write(text)

    def close(self) -> None:
        """Nothing is open."""


class Terminal:
    """A picture that is drawn over itself."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, scene: Scene) -> None:
        """Draw the moment."""
        self._live.update(picture(scene), refresh=True)

    def say(self, text: str) -> None:
        """Write it above the picture."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


def view(console: Console) -> View:
    """The picture where it can be drawn, lines where it cannot."""
    if console.is_terminal:
        return Terminal(console)
    return Plain(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))


def line(scene: Scene) -> str:
    """The moment in one line, without what changes all the time."""
    state = scene.state
    arms = ", ".join(f"{arm.version} {arm.ready}/{arm.replicas}" for arm in (state.stable, state.candidate) if arm)
    gates = ", ".join(f"{gate.name}: {gate.verdict}" for gate in state.gates) if state.candidate else ""
    where = f"{state.phase} {state.percent:g} %{_copies(state)}" if state.phase else ""
    return "  ".join(part for part in (f"[{scene.chapter.version}]", where, arms, gates) if part)


def picture(scene: Scene) -> RenderableType:
    """The moment as a picture."""
    state = scene.state
    head = Text.assemble((f"{scene.chapter.version}: {scene.chapter.title}", "bold"), f"   {scene.elapsed:.0f} s")
    words = Text(state.message or "waiting for the operator", style="dim")
    return Group(Text(), head, _arms(state), _gates(state), words, _traffic(scene))


def _arms(state: State) -> Table:
    shown = Table(box=None, padding=(0, 2), show_header=False)
    share = state.percent if state.candidate else 0.0
    for name, arm, percent in (("stable", state.stable, 100 - share), ("candidate", state.candidate, share)):
        if arm:
            shown.add_row(
                name,
                arm.version,
                _bar(percent),
                f"{percent:g} %",
                _pods(arm),
                state.phase + _copies(state) if name == "candidate" else "",
            )
    return shown


def _copies(state: State) -> str:
    return f", copies of {state.mirrored:g} %" if state.mirrored else ""


def _bar(percent: float) -> Text:
    full = round(percent / 100 * _BAR)
    return Text("█" * full + "░" * (_BAR - full), style="cyan")


def _pods(arm: Arm) -> str:
    return f"{arm.ready} of {arm.replicas} pods ready"


def _gates(state: State) -> Group:
    """What the gates say; the operator writes it down at least once a minute, and whenever it decides."""
    gates = state.gates if state.candidate else ()
    return Group(*(Text(f"  {gate.message or gate.name}", style=_COLOURS.get(gate.verdict, "")) for gate in gates))


def _traffic(scene: Scene) -> Text:
    median = "" if scene.median is None else f", half of them within {scene.median * 1000:.0f} ms"
    held_back = f", {scene.traffic.held_back} held back" if scene.traffic.held_back else ""
    return Text(
        f"{scene.traffic.answered} requests at {scene.rate:g} a second{median}; {scene.traffic.failed} failed{held_back}"
    )
