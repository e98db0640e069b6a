"""One mistake in a manifest: where it stands, what is wrong, and what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pointsman.cli.documentfile import Document, Place, place

_PATH = re.compile(
    r"^(?:the rollout policy in force: )?((?:spec|metadata|steps|gates|compare|watch|notify|capacity)\b[\w.\[\]-]*)"
)
_GATE = re.compile(r"\bgates? '([^']+)'")


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that is wrong.

    reason  of `Accepted=False`, where it is the operator that would say it; None: the API server
    """

    source: str
    line: int
    object: str
    path: str
    message: str
    reason: str | None = None

    def __str__(self) -> str:
        """As compilers say it: file, line, what, where, and what to write instead."""
        subject = f"{self.object}: " if self.object else ""
        where = f"{self.path}: " if self.path and not self.message.startswith(self.path) else ""
        return f"{self.source}:{self.line}: {subject}{where}{self.message}"

    def dump(self) -> dict[str, Any]:
        """As data; what is not known is absent."""
        found = {
            "file": self.source,
            "line": self.line,
            "object": self.object,
            "path": self.path,
            "reason": self.reason,
            "message": self.message,
        }
        return {name: value for name, value in found.items() if value}


def mistake(document: Document, message: str, *, path: str = "", reason: str | None = None) -> Mistake:
    """A mistake at a path of a document; without one where the message says it is."""
    where = place(path) if path else _meant(document, message)
    subject = "/".join(part for part in (document.namespace, document.name) if part)
    return Mistake(
        source=document.source,
        line=document.line(where),
        object=f"{document.kind} {subject}".strip(),
        path=path,
        message=message,
        reason=reason,
    )


def _meant(document: Document, message: str) -> Place:
    """The place that a sentence is about, as well as it says."""
    rules: Place = ("spec", "rollout") if document.kind == "ModelDeployment" else ("spec",)
    found = _PATH.match(message)
    if found is not None:
        path = place(found.group(1))
        return path if path[0] in ("spec", "metadata") else (*rules, *path)
    gate = _GATE.search(message)
    if gate is not None:
        return (*rules, "gates", *_numbered(document, rules, gate.group(1)))
    if message.startswith(("no container", "the port ")):
        return ("spec", "port")
    return (*rules, "capacity") if "maxSurge" in message else rules if "rollout policy" in message else ("spec",)


def _numbered(document: Document, rules: Place, name: str) -> Place:
    """The number of the gate of this name."""
    spec = document.value.get("spec") or {}
    holder = spec.get("rollout") or {} if rules[-1] == "rollout" else spec
    gates = holder.get("gates") or []
    return tuple(number for number, gate in enumerate(gates) if isinstance(gate, dict) and gate.get("name") == name)[:1]
