"""The tables of docs/choosing-a-policy.md: each has its place, and says what the simulation said."""

from __future__ import annotations

from typing import Any

import pytest

from hack.docs.traffic import DOCUMENT, table, written


def version(share: str, seconds: str, *, of_all: float, median: float | None) -> dict[str, Any]:
    return {share: of_all, seconds: {"median": median, "p90": median}, "requestsExposed": 1234.4}


def test_a_line_says_when_and_of_how_many() -> None:
    back = ("rolledBack", "secondsToRollBack")
    said = {
        "versions": [
            version("promoted", "secondsToPromote", of_all=1.0, median=1500),
            version(*back, of_all=0.9, median=9000),
            version(*back, of_all=1.0, median=90),
            version(*back, of_all=0.0, median=None),
        ]
    }
    assert table("x", [("5", said)]).splitlines()[-1] == "| 5 | 25 min | 2.5 h (90 %) | 90 s | - | 1,234 |"


@pytest.mark.parametrize("name", ["traffic", "choices"])
def test_the_document_has_a_place_for_each(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "| made |" in written(text, name, "| made |\n")
