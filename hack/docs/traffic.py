"""Writes the tables of docs/choosing-a-policy.md, from `pointsman simulate`: `python -m hack.docs.traffic`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DOCUMENT = Path(__file__).parents[2] / "docs" / "choosing-a-policy.md"
VERSIONS = ("errors=2x", "errors=10x", "p99=3x")
RUNS = 40
ALL = 0.995  # of the rollouts: no share is said
_MINUTE, _HOUR = 60, 3600

Json = dict[str, Any]

STANDARD: Json = {
    "steps": [
        {"canary": {"percent": 5}, "hold": "5m"},
        {"canary": {"percent": 25}, "hold": "5m"},
        {"canary": {"percent": 50}, "hold": "5m"},
    ],
    "gates": [
        {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.1"}},
        {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.2"}, "quantiles": ["0.5", "0.95"]},
    ],
    "interval": "1m",
    "deadline": "4h",
}
"""The policy that the chart brings, with time, and fewer looks: a minute more or less is none at such times."""


@dataclass(frozen=True)
class Case:
    """A line of a table: what is said in its first column, and what is simulated."""

    words: str
    policy: Json = field(default_factory=lambda: STANDARD)
    options: tuple[str, ...] = ()


def changed(gate: int, **fields: Any) -> Json:
    """The standard policy with another gate."""
    gates = [{**one, **(fields if number == gate else {})} for number, one in enumerate(STANDARD["gates"])]
    return {**STANDARD, "gates": gates}


TRAFFIC = tuple(Case(f"{rate}", options=(f"--traffic={rate}",)) for rate in (1, 5, 20, 100, 500))
CHOICES = (
    Case("as it is"),
    Case(
        'errors up to twice stable\'s: `tolerance: {ratio: "2", points: "0.1"}`',
        changed(0, tolerance={"ratio": "2", "points": "0.1"}),
    ),
    Case(
        'half a point more: `tolerance: {ratio: "1.5", points: "0.5"}`',
        changed(0, tolerance={"ratio": "1.5", "points": "0.5"}),
    ),
    Case("errors only", {**STANDARD, "gates": STANDARD["gates"][:1]}),
    Case(
        'less sure: `falseRollback: "5", falsePromotion: "20"`',
        {**STANDARD, "confidence": {"falseRollback": "5", "falsePromotion": "20"}},
    ),
    Case("one step of 50 %", {**STANDARD, "steps": STANDARD["steps"][2:]}),
    Case("12 pods instead of 4", options=("--replicas=12",)),
    Case("stable fails .05 % instead of .5 %", options=("--base-rate=0.05",)),
)
AT = "--traffic=20"


def simulated(case: Case, *options: str) -> Json:
    """What `pointsman simulate` says of a case."""
    print(case.words, *case.options, file=sys.stderr, flush=True)
    policy = {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": {"name": "x"},
        "spec": case.policy,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(policy, file)
        file.flush()
        words = [word for version in VERSIONS for word in ("--regression", version)]
        command = (sys.executable, "-m", "pointsman", "simulate", file.name, f"--runs={RUNS}", "-o", "json")
        done = subprocess.run((*command, *words, *options, *case.options), check=True, capture_output=True, text=True)
    said: Json = json.loads(done.stdout)
    return said


def table(first: str, rows: list[tuple[str, Json]]) -> str:
    """A line a case."""
    head = (
        first,
        "equal: promoted",
        "errors x2: rolled back",
        "x10: rolled back",
        "p99 x3: rolled back",
        "requests that x10 was given",
    )
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for words, said in rows:
        equal, twice, tenfold, slow = said["versions"]
        cells = (
            words,
            _when(equal, "promoted", "secondsToPromote"),
            *(_when(version, "rolledBack", "secondsToRollBack") for version in (twice, tenfold, slow)),
            f"{tenfold['requestsExposed']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def written(text: str, name: str, made: str) -> str:
    """The document with a table as it should be."""
    begin, end = f"<!-- {name}: made by `make docs-tables` -->\n\n", f"\n<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{DOCUMENT.name} has no place for the table {name!r}")
    return before + begin + made + end + after


def _when(version: Json, share: str, seconds: str) -> str:
    if version[share] == 0:
        return "-"
    median = _time(version[seconds]["median"])
    return median if version[share] >= ALL else f"{median} ({version[share]:.0%})".replace("%", " %")


def _time(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def main() -> None:
    """Simulate everything and write the tables."""
    for name, first, cases, options in (
        ("traffic", "requests a second", TRAFFIC, ()),
        ("choices", "at 20 a second", CHOICES, (AT,)),
    ):
        made = table(first, [(case.words, simulated(case, *options)) for case in cases])
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), name, made), encoding="utf-8")


if __name__ == "__main__":
    main()
