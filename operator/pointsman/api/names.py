"""The labels, annotations and names that Pointsman puts on objects."""

from __future__ import annotations

from pointsman.api.values import GROUP

MANAGER = "pointsman"  # field manager, and the value of app.kubernetes.io/managed-by
COUNTER = "pointsman-replicas"  # field manager of the number of pods alone, where an HPA takes it over
CONTAINER = "model"  # the serving container

MANAGED_BY = "app.kubernetes.io/managed-by"
DEPLOYMENT = f"{GROUP}/deployment"
REVISION = f"{GROUP}/revision"

ABORT = f"{GROUP}/abort"
PROMOTE = f"{GROUP}/promote"
RETRY = f"{GROUP}/retry"
APPROVE = f"{GROUP}/approve"
PAUSE = f"{GROUP}/pause"

DECIDED = f"{GROUP}/decided"
"""On a route or Service: `<revision>/<attempt>/<outcome>/<gate>`, written with the weights it explains."""

APPLIED = f"{GROUP}/applied"
"""On everything we own: a hash of what was applied last, so that an edit by hand is told from a change of ours."""


def labels(deployment: str, revision: str | None = None) -> dict[str, str]:
    """The labels of an object that belongs to a ModelDeployment, and to one of its revisions."""
    common = {
        "app.kubernetes.io/name": deployment,
        "app.kubernetes.io/component": "model",
        MANAGED_BY: MANAGER,
        DEPLOYMENT: deployment,
    }
    return common if revision is None else {**common, REVISION: revision}


def selector(deployment: str, revision: str | None = None) -> dict[str, str]:
    """What selects a revision's pods, or all pods of the ModelDeployment."""
    return {DEPLOYMENT: deployment} if revision is None else {DEPLOYMENT: deployment, REVISION: revision}
