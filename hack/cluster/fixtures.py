"""Pytest fixtures that lend a running cluster to tests: started if need be, and taken down again only by who started it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hack.cluster import controlplane, layout, lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEEP = "POINTSMAN_KEEP"  # set to anything: leave the cluster running after the tests


@dataclass(frozen=True)
class Cluster:
    """A running cluster, as tests see it."""

    layout: layout.Layout

    @property
    def kubeconfig(self) -> Path:
        """Credentials of an administrator."""
        return self.layout.kubeconfig

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.layout.api

    def kubectl(self, *words: str | Path, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Raises:
            SetupError: it ended with another code than 0; carries what it said.
        """
        return controlplane.kubectl(self.layout, *words, stdin=stdin)


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """The API server, its controllers and pretended nodes."""
    yield from _lend(Cluster(layout.bare()))


def _lend(cluster: Cluster) -> Iterator[Cluster]:
    ran = lifecycle.status(cluster.layout).whole
    lifecycle.up(cluster.layout)
    yield cluster
    if not ran and not os.environ.get(KEEP):
        lifecycle.down(cluster.layout)
