"""All tables: what each needs to be simulated, and its figures."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType

from bench.decisions import beyond, classic, cost, equal, late, power, work, worse
from bench.decisions.report import Figure

SIMULATED: dict[str, ModuleType] = {
    "equal": equal,
    "worse": worse,
    "beyond": beyond,
    "power": power,
    "late": late,
    "classic": classic,
}
NAMES = (*SIMULATED, "cost")


def measure(
    size: work.Size, names: Collection[str] = NAMES, *, workers: int = work.WORKERS
) -> tuple[list[Figure], dict[str, str]]:
    """Return the figures of these tables, and a note for each table by its title."""
    asked = [table for name, table in SIMULATED.items() if name in names]
    gathered = work.do([job for table in asked for job in table.jobs(size)], workers)
    figures = [figure for table in asked for figure in table.figures(gathered, size)]
    notes = {title: note for table in asked for title, note in table.NOTES.items()}
    if "cost" in names:
        figures += cost.figures()
        notes |= cost.NOTES
    return figures, notes
