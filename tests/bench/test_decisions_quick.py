"""The error rates that verdicts promise, at the quick size: 400 runs a cell of traffic, share and noise, seeded."""

from __future__ import annotations

import pytest

from bench.decisions import tables, work


@pytest.mark.parametrize("table", ["equal", "worse"])
def test_error_rates_hold_in_every_cell_and_over_all(table: str) -> None:
    figures, _ = tables.measure(work.QUICK, [table])
    judged = [figure for figure in figures if figure.target is not None]
    assert len(judged) > 50
    assert not [f"{one.table}, {one.row}, {one.column}: {one.value}" for one in judged if not one.holds]
