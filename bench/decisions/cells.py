"""The cells of the tables: traffic, the candidate's share, noise and deadline, and how often each is looked at."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

NOISES = ("iid", "realistic", "clustered", "pods")
TRAFFIC = (5, 50, 500)
SHARES = (0.05, 0.5)
PODS = 20
"""Of both arms together, as in ``traffic.pod_factor``."""
HOLD = 300.0
LONG = 2
"""Hours; longer rollouts are looked at six times less often, which only saves time."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Requests a second of both arms, the candidate's share, the noise by its name in ``traffic.NOISE``, the deadline in hours.

    ``look`` is the seconds between looks within ``LONG`` hours.
    """

    rps: int
    share: float
    noise: str
    hours: int = 1
    look: float = 10.0

    @property
    def interval(self) -> float:
        """Seconds between looks."""
        return self.look if self.hours <= LONG else 6 * self.look

    @property
    def deadline(self) -> float:
        """Seconds."""
        return 3600.0 * self.hours

    @property
    def looks(self) -> int:
        """Until the deadline."""
        return round(self.deadline / self.interval)

    @property
    def name(self) -> str:
        """As it stands in the tables."""
        return f"{self.noise} {self.rps}/s {self.share:.0%}"

    def seed(self, purpose: str, chunk: int) -> int:
        """The seed of what is drawn for ``purpose``: the same in every run, another in every cell and chunk."""
        return zlib.crc32(repr((self.rps, self.share, self.noise, self.hours, purpose, chunk)).encode())


def every(noises: Iterable[str] = NOISES, hours: Iterable[int] = (1,), look: float = 10.0) -> list[Cell]:
    """Return the cells of traffic x share x noise x deadline."""
    return [
        Cell(rps=rps, share=share, noise=noise, hours=hour, look=look)
        for hour in hours
        for noise in noises
        for rps in TRAFFIC
        for share in SHARES
    ]


def candidate_pods(share: float) -> int:
    """Return the candidate's pods at a share, as ``traffic.pod_factor`` splits them."""
    return max(1, round(PODS * share))
