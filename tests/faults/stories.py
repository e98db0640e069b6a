"""Stories that are told at the same time, each in a world of its own: a test waits for the end of its one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.faults.scraped import scraped
from tests.faults.world import World, names, world

Story = Callable[[World], Awaitable[None]]


@asynccontextmanager
async def told(
    kubeconfig: Path, folder: Path, stories: Mapping[str, Story]
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """All stories, begun, until the end of the block; they share one Prometheus."""
    namespaces = dict(zip(stories, names(len(stories)), strict=True))
    async with AsyncExitStack() as stack:
        sight = await stack.enter_async_context(scraped(kubeconfig, list(namespaces.values()), folder))

        async def tell(name: str) -> None:
            async with world(kubeconfig, folder, sight, namespaces[name]) as here:
                await stories[name](here)
                assert not here.operator.crashes()

        tasks = {name: asyncio.create_task(tell(name), name=name) for name in stories}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            for task in tasks.values():
                with suppress(asyncio.CancelledError, Exception):
                    await task
