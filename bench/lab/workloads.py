"""Stands for the Deployment controller where no pods are needed: every Deployment has the pods it asks for, at once and available."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.lab.answering import answering
from bench.lab.api import Api, Json, Mirror


def served(workload: Json) -> Json:
    """The status of a Deployment whose pods are all there."""
    count = workload["spec"].get("replicas", 1)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {"status": {"observedGeneration": workload["metadata"]["generation"], **dict.fromkeys(counts, count)}}


def unanswered(workload: Json) -> bool:
    """Whether a Deployment has changed since it was answered."""
    seen: int = workload.get("status", {}).get("observedGeneration", 0)
    return seen < int(workload["metadata"]["generation"])


@asynccontextmanager
async def obeying(api: Api, workloads: Mirror, namespace: str) -> AsyncIterator[None]:
    """Answer every Deployment of the mirror until the end of the block."""

    async def answer(workload: Json) -> None:
        patch = served(workload)
        await api.merge("Deployment", namespace, workload["metadata"]["name"], "status", patch=patch)

    async with answering(workloads, unanswered, answer):
        yield
