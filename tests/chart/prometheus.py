"""Prometheus' own judgement of rules and queries, and the names that the operator exports."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from hack.cluster import binaries

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.MULTILINE)
_NAME = re.compile(r"pointsman_\w+")


def promtool(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    binaries.build((binaries.PROMTOOL,))
    program = binaries.program("promtool")
    return subprocess.run(  # noqa: S603  our own program
        [program, *words], capture_output=True, text=True, check=False, cwd=cwd
    )


@cache
def exported() -> frozenset[str]:
    """Every series that the operator exports, as its document lists them (tests/controller/test_metrics.py compares it)."""
    names: set[str] = set()
    for name, kind in _ROW.findall(DOCUMENT.read_text(encoding="utf-8")):
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return frozenset(names)


def named(query: str) -> set[str]:
    """The series of ours that a query names."""
    return set(_NAME.findall(query))
