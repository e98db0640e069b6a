"""The labels, annotations and names that Pointsman puts on objects."""

from __future__ import annotations

from pointsman.api.values import GROUP

MANAGER = "pointsman"  # field manager, and the value of app.kubernetes.io/managed-by
COUNTER = "pointsman-replicas"  # field manager of the number of pods alone, where an HPA takes it over
CONTAINER = "model"  # the serving container

MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
MODEL, INSPECTOR = "model", "inspector"  # components
ROLE = f"{GROUP}/component"
"""On inspectors: what a scrape knows them by. `app.kubernetes.io/` is everybody's."""
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
        COMPONENT: MODEL,
        MANAGED_BY: MANAGER,
        DEPLOYMENT: deployment,
    }
    return common if revision is None else {**common, REVISION: revision}


def selector(deployment: str, revision: str | None = None) -> dict[str, str]:
    """What selects a revision's pods, or all pods of the model; an inspector is none of either."""
    which = {COMPONENT: MODEL} if revision is None else {REVISION: revision}
    return {DEPLOYMENT: deployment, **which}


def inspector(revision: str) -> str:
    """What the Deployment and the Service of a revision's inspector are called: `churn-i81d0aa3` for `churn-81d0aa37`.

    As long as the revision's name, which may have all 63 characters of a label; of no revision, because none ends in eight
    characters of which one is an `i`; and no pod of it begins as the revision's do, by which Prometheus is asked for them.
    """
    deployment, _, digest = revision.rpartition("-")
    return f"{deployment}-i{digest[:-1]}"


def inspector_labels(deployment: str, revision: str) -> dict[str, str]:
    """The labels of a revision's inspector. It has no `pointsman.dev/revision`: that would make it one of the model's pods."""
    return {
        "app.kubernetes.io/name": deployment,
        INSTANCE: inspector(revision),
        COMPONENT: INSPECTOR,
        MANAGED_BY: MANAGER,
        DEPLOYMENT: deployment,
        ROLE: INSPECTOR,
    }


def inspector_selector(deployment: str, revision: str) -> dict[str, str]:
    """What selects the pods of a revision's inspector."""
    return {DEPLOYMENT: deployment, ROLE: INSPECTOR, INSTANCE: inspector(revision)}
