"""The evidence of a running attempt: what is kept in memory between looks and written to the revision to resume from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of one attempt of one revision."""

    revision: str
    attempt: int
    looked_at: datetime
    saved_at: datetime | None = None
