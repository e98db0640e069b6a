"""The picture is drawn from a report, and the one in the README is well formed."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hack.docs.picture import PICTURE, picture

ROWS: list[dict[str, Any]] = [
    {"version": "v1", "outcome": "Serving", "seconds": 9, "course": [[0, 0, 0]]},
    {
        "version": "v2",
        "title": "better & <new>",
        "outcome": "Promoted",
        "gate": "",
        "seconds": 60.0,
        "candidateRequests": 1200,
        "failedRequests": 0,
        "course": [[0, 0, 0], [10, 0, 20], [20, 5, 0], [40, 50, 0], [60, 100, 0], [61, 0, 0]],
    },
]
SVG = "{http://www.w3.org/2000/svg}"


def test_every_share_is_a_bar_and_what_serves_alone_is_left_out() -> None:
    drawn = ET.fromstring(picture(ROWS))  # noqa: S314 - made by us
    bars = [float(bar.attrib["height"]) for bar in drawn.iter(f"{SVG}rect")]
    assert bars == [6.8, 2.0, 17.0, 34.0]  # 20 % mirrored, 5 % (at least two pixels), 50 %, 100 %
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert "promoted" in texts
    assert "1,200 requests to it, 0 failed for users" in texts
    assert "v1" not in texts


def test_a_row_without_its_course_is_a_line() -> None:
    drawn = ET.fromstring(picture([{**ROWS[1], "course": []}]))  # noqa: S314 - made by us
    assert [float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect")] == [410.0]


def test_a_report_without_a_rollout_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="run `make demo` first"):
        picture(ROWS[:1])


@pytest.mark.skipif(not PICTURE.exists(), reason="not drawn yet")
def test_the_one_in_the_readme_is_small_and_well_formed() -> None:
    assert PICTURE.stat().st_size < 20_000
    ET.parse(PICTURE)  # noqa: S314 - made by us
