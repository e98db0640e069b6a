"""Judges the decisions: error rates, power, exposure and cost on the seeded traffic of ``bench.traffic``, beside rules in use.

python -m bench.decisions [--quick] [--only equal worse power late classic cost]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from bench.decisions import classic, cost, equal, late, power, report, work, worse
from bench.decisions.cells import NOISES
from bench.lab.figures import RESULTS

TABLES: dict[str, ModuleType] = {"equal": equal, "worse": worse, "power": power, "late": late, "classic": classic}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print every table, write bench/results/decisions.json; 1 where a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: error rates of 400 runs a cell, looked at every minute"
    )
    parser.add_argument("--only", nargs="+", choices=[*TABLES, "cost"], default=[*TABLES, "cost"], metavar="TABLE")
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES), metavar="NOISE")
    parser.add_argument("--look", type=float, help="seconds between looks in the tables of error rates")
    parser.add_argument("--workers", type=int, default=work.WORKERS)
    given = parser.parse_args(argv)
    size = (work.QUICK if given.quick else work.FULL).only(given.noises)
    size = size if given.look is None else replace(size, look=given.look)
    began = time.monotonic()
    asked = [TABLES[name] for name in TABLES if name in given.only]
    gathered = work.do([job for table in asked for job in table.jobs(size)], given.workers)
    figures = [figure for table in asked for figure in table.figures(gathered, size)]
    notes = {title: note for table in asked for title, note in table.NOTES.items()}
    if "cost" in given.only:
        figures += cost.figures()
        notes |= cost.NOTES
    report.show(figures, notes)
    print(
        f"{size}, {given.workers} workers, {time.monotonic() - began:.0f} s; seeds: CRC-32 of the cell, purpose and chunk"
    )
    if set(given.only) == {*TABLES, "cost"} and set(given.noises) == set(NOISES):
        report.write(figures, RESULTS / f"decisions_{size.name}.json")
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
