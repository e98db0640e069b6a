"""Stories that are told at the same time, each in a world of its own: a test waits for the end of its one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.faults.scraped import scraped
from tests.faults.world import Site, namespaces

Story = Callable[[Site], Awaitable[None]]
Telling = Mapping[str, asyncio.Future[None]]


@asynccontextmanager
async def told(kubeconfig: Path, folder: Path, stories: Mapping[str, Story]) -> AsyncIterator[Telling]:
    """All stories, begun, until the end of the block; they share one API server and one Prometheus."""
    own = dict(zip(stories, namespaces(len(stories)), strict=True))
    async with AsyncExitStack() as stack:
        sight = await stack.enter_async_context(scraped(kubeconfig, list(own.values()), folder))
        sites = {
            name: Site(kubeconfig=kubeconfig, folder=folder, namespace=namespace, sight=sight)
            for name, namespace in own.items()
        }
        tasks = {name: asyncio.ensure_future(stories[name](sites[name])) for name in stories}
        stack.push_async_callback(ended, list(tasks.values()))
        yield tasks


async def ended(tasks: Sequence[asyncio.Future[None]]) -> None:
    """What is still told is told no further; how it ended is the business of who waits for it."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
