"""Which cluster a command is about, as a person names it; light, because every command has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which cluster and namespace a person means; "" is what the kubeconfig says."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
