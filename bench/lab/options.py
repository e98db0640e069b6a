"""What every benchmark is told: how large, and which seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

Size = Literal["quick", "full"]
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Full size is what figures are quoted from; quick is the same way, shorter, for CI."""

    size: Size
    seed: int

    def of(self, *, quick: Value, full: Value) -> Value:
        """The value for this size."""
        return quick if self.size == "quick" else full
