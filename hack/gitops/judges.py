"""What Argo CD's Lua engine and Flux's kstatus make of objects: the real ones, built from their Go modules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hack.cluster import binaries
from hack.cluster.shell import run

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a script returned; `error`: why it did not."""

    result: Any = None
    error: str | None = None


def lua(script: str, objects: Sequence[Object]) -> list[Answer]:
    """Run a script of Argo CD's over each object.

    Raises:
        SetupError: the engine is not built and cannot be.
    """
    asked = [{"script": script, "object": dict(one)} for one in objects]
    return [Answer(said.get("result"), said.get("error")) for said in _ask(binaries.LUA, asked)]


def kstatus(objects: Sequence[Object]) -> list[str]:
    """What Flux waits for or gives up on: `Current`, `InProgress`, `Failed` or `Terminating`, of each object.

    Raises:
        SetupError: the library is not built and cannot be.
    """
    return [said["status"] for said in _ask(binaries.KSTATUS, [dict(one) for one in objects])]


def _ask(tool: binaries.Tool, question: Sequence[Object]) -> list[dict[str, Any]]:
    binaries.build((tool,))
    answers: list[dict[str, Any]] = json.loads(run(tool.home / tool.name, stdin=json.dumps(question)))
    return answers
