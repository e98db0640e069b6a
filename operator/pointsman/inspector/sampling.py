"""Sampling: which requests are replayed, decided by the request alone, and what share of them under load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

_LEAST: Final = 0.001
_CUT: Final = 0.5
_GROWTH: Final = 1.05
_STEP: Final = 0.002


def place(identity: bytes, body: bytes) -> float:
    """Where a request stands between 0 (inclusive) and 1 (exclusive), the same for the same request everywhere.

    Args:
        identity: what the gateway calls this request (x-request-id); without one equal bodies stand at the same place.
        body: as it came.
    """
    digest = hashlib.blake2b(body, digest_size=8, key=identity[:64])
    return (int.from_bytes(digest.digest(), "big") >> 11) / 2**53


@dataclass(frozen=True, slots=True)
class Share:
    """The share of requests that is replayed: those whose place is below it.

    It falls at once by what had to be turned away and grows back slowly, so that what is left out is left out by the
    request and not by how busy the versions were at that moment.
    """

    value: float = 1.0

    def takes(self, place: float) -> bool:
        """Whether a request at this place is replayed."""
        return place < self.value

    def adjusted(self, *, taken: int, shed: int) -> Share:
        """The share for the next second.

        Args:
            taken: requests of the last second whose place was below the share, those that were turned away included.
            shed: those of them that were turned away.
        """
        if shed:
            kept = max(_CUT, (taken - shed) / taken)
            return replace(self, value=max(_LEAST, self.value * kept))
        return replace(self, value=min(1.0, self.value * _GROWTH + _STEP))


class Tokens:
    """Lets through so many a second, and as many at once as fit into half a second."""

    def __init__(self, rate: float, *, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate / 2)
        self._left = self._most
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may pass at this time; seconds of a clock that never goes back."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
