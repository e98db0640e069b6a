"""Judges the decisions: error rates, power, exposure and cost on the seeded traffic of ``bench.traffic``, beside rules in use.

python -m bench.decisions [--quick] [--only equal worse beyond power late classic cost] [--noises iid realistic clustered pods]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from bench.decisions import report, tables, work
from bench.decisions.cells import NOISES
from bench.lab.figures import RESULTS


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the tables and, of all of them, write bench/results; 1 where a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes: error rates of 400 runs a cell, looked at every minute; power of 100 runs, realistic noise only",
    )
    parser.add_argument("--only", nargs="+", choices=tables.NAMES, default=list(tables.NAMES), metavar="TABLE")
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES), metavar="NOISE")
    parser.add_argument("--look", type=float, help="seconds between looks in the tables of error rates")
    parser.add_argument("--workers", type=int, default=work.WORKERS)
    given = parser.parse_args(argv)
    size = (work.QUICK if given.quick else work.FULL).only(given.noises)
    size = size if given.look is None else replace(size, look=given.look)
    began = time.monotonic()
    figures, notes = tables.measure(size, given.only, workers=given.workers)
    report.show(figures, notes)
    print(
        f"{size}, {given.workers} workers, {time.monotonic() - began:.0f} s; seeds: CRC-32 of cell, purpose and chunk"
    )
    if set(given.only) == set(tables.NAMES) and set(given.noises) == set(NOISES):
        report.write(figures, RESULTS / f"decisions_{size.name}.json")
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
