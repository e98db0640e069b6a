"""What the operator is told when it is started."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field

from pointsman.cluster.connection import own_namespace

STORAGE_INITIALIZER = "kserve/storage-initializer:v0.21.0"


def own_identity() -> str:
    """Who we are in the Lease: the pod, of which only one process runs at a time, so that the next takes it over at once.

    Outside of a pod this very process.
    """
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this operator runs; seconds where nothing else is said."""

    kubeconfig: str | None = None  # none: KUBECONFIG, or the pod's service account
    namespaces: tuple[str, ...] = ()  # to serve; none: all
    prometheus_url: str | None = None
    prometheus_token_file: str | None = None
    prometheus_headers_folder: str | None = None
    prometheus_ca_file: str | None = None
    storage_initializer: str = STORAGE_INITIALIZER
    inspector_image: str | None = None  # the operator's own: the inspector is a command of it
    inspector_pull_secrets: tuple[str, ...] = ()  # Secrets of the models' namespaces; none: the service account's
    gateway_metrics: str | None = None
    deployment_label: str = "pointsman_dev_deployment"  # what the scrape calls the pods' labels
    revision_label: str = "pointsman_dev_revision"
    lease_namespace: str = field(default_factory=own_namespace)
    lease_name: str = "pointsman"
    lease_duration: int = 15  # these three: see cluster.lease.Terms
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    identity: str = field(default_factory=own_identity)
    probes_port: int = 8080
    workers: int = 16
    relist_every: float = 300.0
    silence_limit: float = 180.0  # without a bookmark a minute, or a reconnect, a watch is dead
    drain_limit: float = 20.0
    log_level: str = "info"
