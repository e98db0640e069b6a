"""Pytest fixtures that lend a running cluster to tests: started if need be, and taken down again only by who started it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest

from hack.cluster import addons, clients, layout, lifecycle, node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEEP = "POINTSMAN_KEEP"  # set to anything: leave the cluster running after the tests

AnyCluster = TypeVar("AnyCluster", bound="Cluster")


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
        return clients.kubectl(self.layout.kubeconfig, *words, stdin=stdin)


@dataclass(frozen=True)
class WholeCluster(Cluster):
    """A running cluster with a node, a gateway and Prometheus."""

    prometheus_in_cluster = addons.PROMETHEUS_URL

    @property
    def gateway_address(self) -> str:
        """The IP address at which the gateway `models` takes HTTP requests, port 80, from the host and from pods."""
        return addons.gateway_address(self.kubeconfig)

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers, from the host."""
        return addons.prometheus_url(self.kubeconfig)

    def load_image(self, archive: Path) -> None:
        """Take an image archive into the node."""
        node.load(self.layout, archive)


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """The API server, its controllers and pretended nodes."""
    yield from _lend(Cluster(layout.bare()))


@pytest.fixture(scope="session")
def cluster() -> Iterator[WholeCluster]:
    """The whole cluster: a node that runs pods, Envoy Gateway with a Gateway `models`, Prometheus."""
    yield from _lend(WholeCluster(layout.whole()))


def _lend(cluster: AnyCluster) -> Iterator[AnyCluster]:
    ran = lifecycle.status(cluster.layout).whole
    lifecycle.up(cluster.layout)
    yield cluster
    if not ran and not os.environ.get(KEEP):
        lifecycle.down(cluster.layout)
