"""Makes the finished pod template of a revision: storage, runtime, user, then what the operator itself needs.

Layers, each over the one before: what `storageUri` mounts and the model's environment; the runtime's template; the
user's. What nobody said then gets a default; labels and scrape annotations are the operator's and win.

Defaults, each only where runtime and user say nothing (write the field to get something else):

- `enableServiceLinks: false`: every revision has a Service, and their environment variables grow with each and collide
  with settings of model servers (a Service `vllm` sets VLLM_PORT to a URL).
- `automountServiceAccountToken: false`, unless a service account is named: unpickling a model runs its code, and a
  server that needs the API server has an account of its own. Workload identities of clouds do not use this token.
- `securityContext.allowPrivilegeEscalation: false` on the container `model`, unless it is privileged. Nothing stricter:
  many images of model servers start as root or write to their own file system.
- `terminationGracePeriodSeconds: 60`, and a `preStop` that sleeps 10 s of it in every container: a pod's end and its
  leaving the endpoints begin together, so for as long as gateways and kube-proxy may still send requests the server
  goes on answering; only then it is asked to stop and finishes what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pointsman.api import names
from pointsman.api.names import CONTAINER
from pointsman.errors import Terminal
from pointsman.remembered import remembered
from pointsman.render.merge import lay, lay_checked
from pointsman.render.storage import INITIALIZER, MODEL_PATH, VOLUME, literal, storage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointsman.api.modeldeployment import ModelDeploymentSpec
    from pointsman.api.modelruntime import Metrics, ModelRuntimeSpec
    from pointsman.render.schema import Json

GRACE_SECONDS: Final = 60
DRAIN_SECONDS: Final = 10

RUNTIME_TEMPLATE: Final = "the ModelRuntime's spec.template"
USER_TEMPLATE: Final = "spec.template"

_SCRAPE: Final = "prometheus.io"
_PORT_LIMIT: Final = 65_535


@dataclass(frozen=True)
class Finished:
    """What a ModelRevision freezes: the pod template, the port that requests go to and the metric profile."""

    template: Json
    port: int | str
    metrics: Metrics | None


def finished_template(
    *,
    deployment: str,
    revision: str,
    spec: ModelDeploymentSpec,
    runtime: ModelRuntimeSpec | None,
    initializer_image: str | None,
) -> Finished:
    """The pod template of a revision, from its ModelDeployment and the runtime; without one, `spec.template` is all.

    Args:
        deployment: Name of the ModelDeployment, the model's name to its server.
        revision: Name of the revision.
        spec: Spec of the ModelDeployment.
        runtime: Spec of the runtime it names, or of the one for its format; None for a template alone.
        initializer_image: Image that fetches a `storageUri` which cannot be mounted; None where there is none.

    Raises:
        Terminal: The user, or whoever wrote the runtime, has to change something; the sentence says what.
    """
    said = _said(spec, runtime)
    _check_serving_container(said, _source(spec, runtime))
    template = lay_checked(_lowest(deployment, spec, initializer_image), _without_unused_initializer(said, spec))
    _check_model_mount(template, spec)
    template = lay_checked(_defaults(template), template)
    port = spec.port if runtime is None else runtime.port
    if port is None:
        raise Terminal("spec.port is missing; a template alone needs the port that requests go to, by name or number")
    metrics = spec.metrics if runtime is None else runtime.metrics
    port_number(template, port)
    ours: Json = {"labels": names.labels(deployment, revision)}
    if metrics is not None:
        ours["annotations"] = _scraping(template, metrics)
    return Finished(template=lay_checked(template, {"metadata": ours}), port=port, metrics=metrics)


def port_number(template: Json, port: int | str) -> int:
    """The number of a TCP port of a pod; a name is looked up in its containers, sidecars included, as Services do.

    Raises:
        Terminal: No container has a TCP port of that name, or two have different ones, or the number is none.
    """
    if isinstance(port, int):
        if not 1 <= port <= _PORT_LIMIT:
            raise Terminal(f"the port {port} does not exist; write a number from 1 to {_PORT_LIMIT}")
        return port
    named = [
        (declared["name"], declared["containerPort"])
        for container in _running(template)
        for declared in container.get("ports", [])
        if isinstance(declared.get("name"), str) and declared.get("protocol", "TCP") == "TCP"
    ]
    numbers = {number for name, number in named if name == port}
    if len(numbers) > 1:
        raise Terminal(
            f'the port "{port}" is {" and ".join(sorted(map(str, numbers)))} at once; give the containers\' ports'
            " different names (ports are merged by number: take the runtime's out with `$patch: delete`)"
        )
    if not numbers:
        there = ", ".join(f'"{name}"' for name in dict.fromkeys(name for name, _ in named)) or "none"
        hint = f"; write {port} without quotes for the number" if port.isdecimal() else ""
        raise Terminal(f'no container has a TCP port named "{port}" (there are: {there}){hint}')
    number = numbers.pop()
    if not isinstance(number, int):
        raise Terminal(f'the port "{port}" has the containerPort "{number}"; write a number without quotes')
    return number


def _said(spec: ModelDeploymentSpec, runtime: ModelRuntimeSpec | None) -> Json:
    lower = {} if runtime is None else _offered(runtime)
    return lay(lower, spec.template or {}, where=USER_TEMPLATE)


@remembered(64)
def _offered(runtime: ModelRuntimeSpec) -> Json:
    """A runtime's template, checked once for all who use it."""
    return lay({}, runtime.template, where=RUNTIME_TEMPLATE)


def _source(spec: ModelDeploymentSpec, runtime: ModelRuntimeSpec | None) -> str:
    if runtime is None:
        return USER_TEMPLATE
    return RUNTIME_TEMPLATE if spec.template is None else f"{RUNTIME_TEMPLATE} with {USER_TEMPLATE} laid over it"


def _check_serving_container(said: Json, source: str) -> None:
    there = [container["name"] for container in said.get("spec", {}).get("containers", [])]
    if CONTAINER not in there:
        has = ", ".join(f"`{name}`" for name in there) or "none"
        raise Terminal(
            f"{source} has no container named `{CONTAINER}` (it has: {has}); name the one that answers requests so"
        )


def _lowest(deployment: str, spec: ModelDeploymentSpec, initializer_image: str | None) -> Json:
    """What `storageUri` needs, and the environment, first in its list: `$(MODEL_NAME)` works in all that follows."""
    uri = spec.model.storage_uri
    lowest = {} if uri is None else storage(uri, initializer_image=initializer_image)
    env = [
        {"name": "MODEL_NAME", "value": deployment},
        {"name": "MODEL_VERSION", "value": literal(spec.model.version)},
        {"name": "MODEL_PATH", "value": MODEL_PATH},
    ]
    return lay_checked({"metadata": {}, **lowest}, {"spec": {"containers": [{"name": CONTAINER, "env": env}]}})


def _without_unused_initializer(said: Json, spec: ModelDeploymentSpec) -> Json:
    """A runtime may give the storage initializer credentials; a model that is mounted has no such container."""
    uri = spec.model.storage_uri
    if uri is not None and not uri.startswith(("pvc://", "oci://")):
        return said
    init = said.get("spec", {}).get("initContainers", [])
    used = [container for container in init if container["name"] != INITIALIZER or "image" in container]
    if used == init:
        return said
    pod = {name: value for name, value in said["spec"].items() if name != "initContainers"}
    return {**said, "spec": {**pod, "initContainers": used} if used else pod}


def _check_model_mount(template: Json, spec: ModelDeploymentSpec) -> None:
    if spec.model.storage_uri is None:
        return
    mounts = _model(template).get("volumeMounts", [])
    there = [mount.get("name") for mount in mounts if str(mount["mountPath"]).rstrip("/") == MODEL_PATH]
    others = [name for name in there if name != VOLUME]
    if others:
        raise Terminal(
            f"{MODEL_PATH} is where spec.model.storageUri is mounted, but the template mounts the volume `{others[0]}`"
            " there; take out one of the two"
        )


def _defaults(template: Json) -> Json:
    pod = template["spec"]
    model = _model(template)
    grace = pod.get("terminationGracePeriodSeconds", GRACE_SECONDS)
    defaults: Json = {"enableServiceLinks": False, "terminationGracePeriodSeconds": GRACE_SECONDS}
    if not pod.get("serviceAccountName") and not pod.get("serviceAccount"):
        defaults["automountServiceAccountToken"] = False
    containers = []
    for container in pod["containers"]:
        default: Json = {"name": container["name"]}
        if "preStop" not in container.get("lifecycle", {}) and _drain(grace) > 0:
            default["lifecycle"] = {"preStop": {"sleep": {"seconds": _drain(grace)}}}
        if container is model and _may_be_confined(template):
            default["securityContext"] = {"allowPrivilegeEscalation": False}
        containers.append(default)
    return {"metadata": {}, "spec": {**defaults, "containers": containers}}


def _drain(grace: object) -> int:
    """Seconds to go on answering; the sleep is part of the grace period and may not be longer."""
    return min(DRAIN_SECONDS, grace // 2) if isinstance(grace, int) else 0


def _may_be_confined(template: Json) -> bool:
    """Whether the API server takes `allowPrivilegeEscalation: false` for the serving container."""
    security = _model(template).get("securityContext", {})
    added = security.get("capabilities", {}).get("add", [])
    windows = template["spec"].get("os", {}).get("name") == "windows"
    mighty = security.get("privileged") or "SYS_ADMIN" in added or "CAP_SYS_ADMIN" in added
    return not mighty and not windows


def _scraping(template: Json, metrics: Metrics) -> dict[str, str]:
    return {
        f"{_SCRAPE}/scrape": "true",
        f"{_SCRAPE}/port": str(port_number(template, metrics.port)),
        f"{_SCRAPE}/path": metrics.path,
    }


def _model(template: Json) -> Json:
    containers: Iterable[Json] = template["spec"]["containers"]
    return next(container for container in containers if container["name"] == CONTAINER)


def _running(template: Json) -> list[Json]:
    """The containers that run beside each other: init containers that always restart are sidecars."""
    pod = template["spec"]
    sidecars = [c for c in pod.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    return [*pod["containers"], *sidecars]
