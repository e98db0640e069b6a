"""Draws docs/rollouts.svg, what became of each version of the demo, from the report of its last run: `python -m hack.docs.picture`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from hack.demo.chapters import STORY

ROOT = Path(__file__).parents[2]
REPORT, PICTURE = ROOT / "demo-report.json", ROOT / "docs" / "rollouts.svg"

WIDTH, ROW, LEFT, RIGHT, TOP = 860, 62, 200, 250, 34
LABELS: Final = 8
THIN: Final = 20  # percent, where no share is known
HEIGHT_OF_ALL: Final = 34  # of 100 %, in pixels
COLOURS: Final = {"Promoted": "#1a7f37", "RolledBack": "#cf222e", "Aborted": "#9a6700"}
MIRRORED: Final = "#8250df"
WORDS: Final = {"Promoted": "promoted", "RolledBack": "taken back", "Aborted": "aborted"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """Seconds -> pixels."""

    seconds: float

    def x(self, seconds: float) -> float:
        """Where a moment is."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(seconds, self.seconds) / self.seconds


def picture(rows: list[Json]) -> str:
    """The SVG: a line a version, its share of the requests over time, and how it ended. It fits light and dark pages."""
    tried = [row for row in rows if row["outcome"] in COLOURS]
    if not tried:
        raise ValueError("the report has no rollout: run `make demo` first")
    courses = all(row.get("course") for row in tried)
    legend = (
        "share of the requests over time (height: 100 %)"
        if courses
        else "from kubectl apply (of the abort: annotate) to the decision"
    )
    scale = Scale(max(_ended(row) for row in tried))
    height = TOP + ROW * len(tried) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        "<title>What became of each version of the demo</title>",
        "<style>text { fill: #57606a } .name { font-weight: 600 } @media (prefers-color-scheme: dark) { text { fill: #9198a1 } }</style>",
        f'<text x="{LEFT}" y="16">{legend}</text>',
        *(part for number, row in enumerate(tried) for part in _row(row, TOP + ROW * number, scale)),
        *_axis(scale, TOP + ROW * len(tried)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(row: Json, top: float, scale: Scale) -> Iterator[str]:
    base, colour = top + HEIGHT_OF_ALL + 8, COLOURS[row["outcome"]]
    yield f'<text class="name" x="8" y="{top + 24}">{escape(row["version"])}</text>'
    for line, words in enumerate(_lines(row.get("title", ""), 25)):
        yield f'<text x="38" y="{top + 24 + 14 * line}">{escape(words)}</text>'
    yield f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="#8c959f" stroke-opacity=".5"/>'
    for begin, end, percent, mirrored in _spans(row):
        left, width = scale.x(begin), max(scale.x(end) - scale.x(begin), 1)
        for share, fill in ((mirrored, MIRRORED), (percent, colour)):
            if share:
                tall = max(HEIGHT_OF_ALL * share / 100, 2)
                yield f'<rect x="{left:.1f}" y="{base - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{fill}"/>'
    end = scale.x(_ended(row))
    yield f'<line x1="{end:.1f}" y1="{base - HEIGHT_OF_ALL}" x2="{end:.1f}" y2="{base}" stroke="{colour}" stroke-dasharray="2 2"/>'
    gate = f" by {row['gate']}" if row["gate"] else ""
    yield f'<text class="name" x="{WIDTH - RIGHT + 12}" y="{top + 24}" style="fill:{colour}">{WORDS[row["outcome"]]}{escape(gate)}</text>'
    users = f"{row['candidateRequests']:,} requests to it, {row['failedRequests']:,} failed for users"
    yield f'<text x="{WIDTH - RIGHT + 12}" y="{top + 39}">{users}</text>'


def _spans(row: Json) -> Iterator[tuple[float, float, float, float]]:
    """From, to, share, mirrored share; of a row without a course a line as long as it took."""
    course = row.get("course") or [[0, THIN, 0]]
    if row["outcome"] == "Promoted" and not any(course[-1][1:]):
        course = course[:-1]  # with the end of a promotion the rollout is gone from status, and its share with it
    for (begin, percent, mirrored), following in zip(course, [*course[1:], None], strict=True):
        yield begin, _ended(row) if following is None else following[0], percent, mirrored


def _ended(row: Json) -> float:
    """When the last share began, or when it was decided."""
    return float(max(row["seconds"], (row.get("course") or [[0]])[-1][0]))


def _axis(scale: Scale, top: float) -> Iterator[str]:
    step = next(step for step in (15, 30, 60, 120, 300, 600) if scale.seconds / step <= LABELS)
    for second in range(0, int(scale.seconds) + 1, step):
        yield f'<text x="{scale.x(second):.1f}" y="{top + 16}" text-anchor="middle">{second} s</text>'


def _lines(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def main() -> int:
    """Draw it; 1 with a sentence where there is no report."""
    if not REPORT.exists():
        print("There is no demo-report.json: run `make demo` first.", file=sys.stderr)
        return 1
    titles = {chapter.version: chapter.title for chapter in STORY}
    rows = [row | {"title": titles.get(row["version"], "")} for row in json.loads(REPORT.read_text(encoding="utf-8"))]
    PICTURE.write_text(picture(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
