"""A control plane of a benchmark's own, thrown away after it: the API server and etcd, and nobody else who works on objects."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from hack.cluster import layout, lifecycle, processes

_PORTS = 6
_FIRST, _LAST = 29_000, 32_000
_NEEDED = frozenset({"etcd", "kube-apiserver"})  # 200 writes a second of the controllers' would hide what is measured


@asynccontextmanager
async def own() -> AsyncIterator[layout.Layout]:
    """A bare cluster without controllers, scheduler and nodes until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="bench-cluster-"))
    it = replace(layout.bare(), run=folder / "bare", ports=layout.Ports.from_base(_base()))
    try:
        await asyncio.to_thread(lifecycle.up, it)
        processes.kill(pid for name, pid in processes.components(it).items() if name not in _NEEDED)
        yield it
    finally:
        await asyncio.to_thread(lifecycle.down, it)
        shutil.rmtree(folder, ignore_errors=True)


def _base() -> int:
    """The first of so many neighbouring ports that nobody listens on, below those that programs are given at random."""
    return next(base for base in range(_FIRST, _LAST, _PORTS) if all(map(_is_free, range(base, base + _PORTS))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
