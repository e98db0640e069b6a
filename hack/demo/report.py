"""What is left of the demo: one row a version, judged against the story, as a file and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hack.demo.chapters import Chapter
from hack.demo.sight import End


@dataclass(frozen=True)
class Moment:
    """From `seconds` after `kubectl apply` on the version had these shares of the requests, in percent."""

    seconds: float
    percent: float
    mirrored: float

    @property
    def shares(self) -> tuple[float, float]:
        """What it was given, and what it answered copies of."""
        return self.percent, self.mirrored


@dataclass(frozen=True)
class Row:
    """What became of a version.

    Attributes:
        seconds: from `kubectl apply` to the decision; of an abort from `kubectl annotate`.
        candidate_requests: requests that the gateway sent to the version while it was on trial (of v1: while it was alone).
        failed_requests: requests of users in that time that were not answered with 200, whoever answered.
        message: the verdict's own words.
        course: the shares that it had, as they changed.
        drifted: what the operator says has drifted meanwhile, if anything should.
    """

    version: str
    outcome: str
    gate: str
    reason: str
    seconds: float
    candidate_requests: int
    failed_requests: int
    message: str
    course: tuple[Moment, ...] = ()
    drifted: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "version": self.version,
            "outcome": self.outcome,
            "gate": self.gate,
            "seconds": round(self.seconds, 1),
            "candidateRequests": self.candidate_requests,
            "failedRequests": self.failed_requests,
            "message": self.message,
            "course": [[it.seconds, it.percent, it.mirrored] for it in self.course],
            **({"drifted": self.drifted} if self.drifted else {}),
        }


def faults(chapter: Chapter, row: Row) -> list[str]:
    """In what a version's end differs from what the story says; one sentence each."""
    found = []
    expected = _words(chapter.outcome, chapter.gate, chapter.reason)
    if row.outcome != chapter.outcome or row.gate != chapter.gate or (chapter.reason and row.reason != chapter.reason):
        got = _words(row.outcome, row.gate, row.reason if chapter.reason else "")
        found.append(f"{row.version} should have ended as {expected}, and ended as {got}: {row.message}")
    if chapter.unseen and row.candidate_requests:
        found.append(f"No user should have seen {row.version}, and {row.candidate_requests} requests were sent to it.")
    if chapter.drifts not in row.drifted:
        found.append(f"{chapter.drifts} should have drifted, and the operator says: {row.drifted or 'nothing'}")
    if chapter.gate != "errors" and row.failed_requests:
        found.append(f"{row.failed_requests} requests of users failed while {row.version} was on trial; none should.")
    return found


def never_ended(chapter: Chapter, *, seconds: float, message: str) -> str:
    """The sentence about a version that nothing was decided about."""
    return (
        f"{chapter.version} should have ended as {_words(chapter.outcome, chapter.gate, chapter.reason)}"
        f" and had not after {seconds:.0f} s; the operator says: {message or 'nothing'}"
    )


def row(
    chapter: Chapter,
    end: End,
    *,
    seconds: float,
    candidate_requests: int,
    failed_requests: int,
    course: tuple[Moment, ...] = (),
    drifted: str = "",
) -> Row:
    """The row of a version that ended."""
    return Row(
        version=chapter.version,
        outcome=end.outcome,
        gate=end.gate,
        reason=end.reason,
        seconds=seconds,
        candidate_requests=candidate_requests,
        failed_requests=failed_requests,
        message=end.message,
        course=course,
        drifted=drifted,
    )


def write(path: Path, rows: Sequence[Row], *, policies: Sequence[dict[str, Any]], rate: float) -> None:
    """Write the rows, each with its policy and the rate that it was run with."""
    told = [
        row.as_json() | {"requestsPerSecond": rate, "policy": policy}
        for row, policy in zip(rows, policies, strict=True)
    ]
    path.write_text(json.dumps(told, indent=2) + "\n")


def table(rows: Sequence[Row], chapters: Sequence[Chapter]) -> RenderableType:
    """The rows for people, and the operator's words under them."""
    titles = {chapter.version: chapter.title for chapter in chapters}
    shown = Table(title="What happened", title_justify="left")
    for name in ("version", "outcome", "gate"):
        shown.add_column(name)
    for name in ("seconds", "requests", "failed"):
        shown.add_column(name, justify="right")
    words = Table(box=None, show_header=False, title="In the operator's words", title_justify="left")
    for it in rows:
        numbers = (f"{it.seconds:.1f}", str(it.candidate_requests), str(it.failed_requests))
        outcome = Text(it.outcome, style=_COLOURS.get(it.outcome, ""))
        shown.add_row(it.version, outcome, it.gate or "-", *numbers)
        said = "\n".join(part for part in (it.message, it.drifted) if part)
        words.add_row(it.version, Text.assemble((titles[it.version], "bold"), "\n", said))
    legend = Text(
        "seconds: from `kubectl apply` (of the abort: from `kubectl annotate`) to the decision; requests: those that the gateway"
        " sent to the version on trial; failed: those of all users in that time that were not answered with 200"
    )
    return Group(shown, legend, Text(), words)


_COLOURS = {"Serving": "green", "Promoted": "green", "RolledBack": "red", "Aborted": "yellow"}


def _words(outcome: str, gate: str, reason: str) -> str:
    return outcome + (f" by the gate {gate}" if gate else "") + (f" ({reason})" if reason else "")
