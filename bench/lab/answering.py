"""What the players of controllers have in common: each object that asks for an answer gets one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bench.lab.api import ApiError, Json, Mirror


@asynccontextmanager
async def answering(
    mirror: Mirror, asks: Callable[[Json], bool], answer: Callable[[Json], Awaitable[None]]
) -> AsyncIterator[None]:
    """Answer every object of the mirror that asks, until the end of the block; one that is gone needs none."""
    busy: set[asyncio.Task[None]] = set()

    async def tried(obj: Json) -> None:
        try:
            await answer(obj)
        except ApiError as error:
            if error.status != 404:
                raise

    def seen(type_: str, obj: Json) -> None:
        if type_ != "DELETED" and asks(obj):
            task = asyncio.create_task(tried(obj))
            busy.add(task)
            task.add_done_callback(busy.discard)

    mirror.listen(seen)
    try:
        yield
    finally:
        for task in busy:
            task.cancel()
