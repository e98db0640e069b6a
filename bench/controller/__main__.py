"""Runs the benchmarks of the controller on the bare API server, prints every figure beside its target and writes bench/results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from bench.controller import latency, rollouts, scale, writes
from bench.lab import figures
from bench.lab.figures import Figure
from bench.lab.options import Options

BENCHMARKS: dict[str, Callable[[Options], Awaitable[list[Figure]]]] = {
    module.NAME: module.run for module in (latency, writes, scale, rollouts)
}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="latency, writes, scale, rollouts; by default all.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: that it runs, not what to quote.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 1,
) -> None:
    """Measure; the exit status is 1 where a figure misses its target."""
    options = Options(size="quick" if quick else "full", seed=seed)
    missed = False
    for name in names or BENCHMARKS:
        if name not in BENCHMARKS:
            raise typer.BadParameter(f"there is no benchmark {name!r}: write one of {', '.join(BENCHMARKS)}")
        found = asyncio.run(_measured(name, options))
        missed = figures.report(name, f"{options.size}, seed {seed}", found) or missed
    raise typer.Exit(int(missed))


async def _measured(name: str, options: Options) -> list[Figure]:
    return await BENCHMARKS[name](options)


if __name__ == "__main__":
    app()
